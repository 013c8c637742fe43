// The middleware at the root of an Express app, and mounted below a path.
import express from 'express';
import { Splitway, splitwayMiddleware } from 'splitway-edge/middleware';

const variant = (id, path, replace_prefix) => ({
  id,
  targeting: { path: { prefix: path } },
  variants: [{ id: 'x', ...(replace_prefix && { route: { path: { prefix: path, replace_prefix } } }) }],
});
const config = {
  version: 1,
  unit: [{ header: 'x-unit' }],
  experiments: [
    variant('stays', '/mount/stays'),
    variant('below', '/mount/below', '/mount/v2'),
    variant('outside', '/mount/outside', '/v2'),
    variant('root', '/root', '/v2/root'),
  ],
};
const errors = [];
const exposures = [];
const options = { onError: (error) => errors.push(error.message), onExposures: (records) => exposures.push(...records) };
const splitway = splitwayMiddleware(new Splitway(config), options);
const app = express();
app.get('/log', (_, response) => response.json({ errors, exposures: exposures.length }));
app.use('/mount', splitway);
app.use((request, response, next) => (request.path.startsWith('/mount') ? next() : splitway(request, response, next)));
app.use((request, response) => response.json({ url: request.url, query: request.query, stamp: request.get('x-splitway') ?? null }));
const server = app.listen(0, '127.0.0.1', () => console.log(server.address().port));
