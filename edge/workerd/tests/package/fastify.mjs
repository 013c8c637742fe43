// Fastify chooses a route before its hooks run, so the middleware comes before Fastify.
import Fastify from 'fastify';
import { Splitway, splitwayServer } from 'splitway-edge/middleware';

const config = {
  version: 1,
  unit: [{ header: 'x-unit' }],
  experiments: [{ id: 'root', targeting: { path: { prefix: '/root' } }, variants: [{ id: 'x', route: { path: { prefix: '/root', replace_prefix: '/v2' } } }] }],
};
const app = Fastify({ serverFactory: splitwayServer(new Splitway(config)) });
app.get('/root/a', () => ({ route: 'root' }));
app.get('/v2/a', (request) => ({ route: 'v2', stamp: request.headers['x-splitway'], cluster: request.raw.splitway.cluster }));
await app.listen({ port: 0, host: '127.0.0.1' });
console.log(app.server.address().port);
