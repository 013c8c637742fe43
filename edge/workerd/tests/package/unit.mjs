// A unit test of a worker, as it runs in Node: no runtime of Cloudflare's, no context.
import { splitwayWorker } from 'splitway-edge/cloudflare';

const worker = splitwayWorker({
  config: (env) => env.CONFIG,
  origin: (request) => Response.json({ stamp: request.headers.get('x-splitway') }, { headers: { 'cache-control': 'public, max-age=9' } }),
});
const CONFIG = JSON.stringify({ version: 1, unit: [{ header: 'x-unit' }], experiments: [{ id: 'e', variants: [{ id: 'v' }] }] });
const response = await worker.fetch(new Request('http://shop/', { headers: { 'x-unit': 'u' } }), { CONFIG });
console.log(JSON.stringify({ status: response.status, stamp: response.headers.get('x-splitway'), body: await response.json() }));
