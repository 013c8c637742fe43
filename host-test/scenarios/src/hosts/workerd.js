// A scenario's worker: the Cloudflare adapter with the scenario's clock and route table. What Envoy's router does
// around the filter is a page here, because a worker has no router.
import { splitwayWorker } from './pkg/cloudflare.js';

let now = 0;
let log = [];
let exposures = [];
let served = '';

const worker = splitwayWorker({
  refresh: 0,
  now: () => now,
  log: (line) => log.push(line),
  cache: () => undefined,
  originName: () => served,
  origins: (env) => Object.fromEntries(env.SCENARIO.clusters.map((name) => [name, env[`cluster ${name}`]])),
  origin: (request, env) => {
    const path = new URL(request.url).pathname;
    const route = env.SCENARIO.routes.find(
      (route) =>
        (route.path ?? path) === path &&
        path.startsWith(route.prefix ?? '/') &&
        route.headers.every(([name, value]) => request.headers.get(name) === value),
    );
    served = route.cluster ?? '';
    if (route.cluster) return env[`cluster ${route.cluster}`].fetch(request);
    return new Response(route.body, { status: route.status, headers: { 'content-type': 'text/plain' } });
  },
  exposures: () => ({
    endpoint: 'http://collector/',
    maxDelay: 0,
    fetch: async (_, { body }) => {
      for (const { scopeLogs } of JSON.parse(body).resourceLogs) {
        for (const { logRecords } of scopeLogs) exposures.push(...logRecords);
      }
      return new Response('{}');
    },
  }),
});

async function control(request, env) {
  now = (await request.json()).now;
  await worker.renew(env);
  const told = { log, exposures, ...worker.status() };
  log = [];
  exposures = [];
  return Response.json(told);
}

export default {
  async fetch(request, env, ctx) {
    if (request.headers.has('x-scenario-control')) return control(request, env);
    const pending = [];
    const response = await worker.fetch(request, env, { waitUntil: (promise) => pending.push(promise) });
    await Promise.all(pending);
    return response;
  },
};
