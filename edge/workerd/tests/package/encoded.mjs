// A server as the README has it, in front of an origin that compresses.
import { createServer } from 'node:http';
import { gzipSync } from 'node:zlib';
import { Splitway } from 'splitway-edge';

const zipped = gzipSync('hello '.repeat(100));
const origin = createServer((_, response) => {
  response.writeHead(200, { 'content-type': 'text/plain', 'content-encoding': 'gzip', 'content-length': zipped.length });
  response.end(zipped);
});
await new Promise((resolve) => origin.listen(0, '127.0.0.1', resolve));
const config = { version: 1, unit: [{ header: 'x-unit' }], experiments: [{ id: 'e', targeting: { path: { prefix: '/in' } }, variants: [{ id: 'v', route: { cluster: 'o' } }] }] };
const splitway = new Splitway(config);
const found = [];
for (const path of ['/in', '/out', '/in']) {
  const method = found.length === 2 ? 'HEAD' : 'GET';
  const request = new Request(`http://127.0.0.1:${origin.address().port}${path}`, { method, headers: { 'x-unit': 'u', 'accept-encoding': 'gzip' } });
  const exchange = splitway.begin(request);
  const onward = exchange.apply({ origins: { o: `http://127.0.0.1:${origin.address().port}` } });
  const finished = exchange.finish(await fetch(onward));
  found.push([finished.headers.get('x-splitway'), finished.headers.get('content-encoding'), finished.headers.get('content-length'), (await finished.text()).length]);
}
console.log(JSON.stringify(found));
process.exit(0);
