// What Node shows of a request behind the middleware, and what the middleware says.
import { createServer } from 'node:http';
import { Splitway, splitwayMiddleware } from 'splitway-edge/middleware';

const config = {
  version: 1,
  unit: [{ header: 'x-unit' }],
  experiments: [
    {
      id: 'shop',
      targeting: { path: { prefix: '/shop' } },
      variants: [{ id: 'x', route: { path: { prefix: '/shop', replace_prefix: '/v2' }, host: 'v2.example' } }],
    },
    { id: 'slow', targeting: { path: { prefix: '/slow' } }, variants: [{ id: 'x' }] },
  ],
};
const exposures = [];
const errors = [];
const middleware = splitwayMiddleware(new Splitway(config), {
  onExposures: (records) => exposures.push(...records.map((record) => JSON.parse(record))),
  onError: (error) => errors.push(String(error)),
});
const server = createServer((request, response) => {
  if (request.url === '/log') return response.end(JSON.stringify({ exposures, errors }));
  return middleware(request, response, () => {
    if (request.url === '/slow') return; // Until the client has gone.
    if (request.url === '/throws') throw new Error('the application');
    response.setHeader('set-cookie', 'replaced=1');
    const cookies = ['Set-Cookie', 'a=1', 'Set-Cookie', 'b=2', 'x-app', 'yes'];
    if (request.url.includes('array')) response.writeHead(200, cookies);
    else if (request.url.includes('pairs')) response.writeHead(200, 'Fine', [['set-cookie', 'a=1'], ['set-cookie', 'b=2'], ['x-app', 'yes']]);
    else response.writeHead(200, { 'Set-Cookie': ['a=1', 'b=2'], 'x-app': 'yes' });
    const { url, rawHeaders, headers, headersDistinct } = request;
    response.end(JSON.stringify({ url, rawHeaders, headers, headersDistinct, stamp: request.splitway?.stamp ?? null }));
  });
});
process.on('uncaughtException', (error) => errors.push(`uncaught ${error.message}`));
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
