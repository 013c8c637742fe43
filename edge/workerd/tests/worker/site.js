// The worker of the tests: as the README has it, but every request sees the newest config.
import { splitwayWorker } from './pkg/cloudflare.js';

const worker = splitwayWorker({
  refresh: 0,
  origin: (request, env) => env.ORIGIN.fetch(request),
  origins: (env) => ({ v2: env.V2, elsewhere: env.ELSEWHERE }),
  exposures: (env) => ({ endpoint: env.SPLITWAY_OTLP_ENDPOINT, maxDelay: 1, maxBuffer: 4000 }),
});

export default {
  fetch(request, env, ctx) {
    const { pathname } = new URL(request.url);
    return pathname === '/__status' ? Response.json(worker.status()) : worker.fetch(request, env, ctx);
  },
};
