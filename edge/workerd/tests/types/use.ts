// Compiled against the packed package: what is right compiles, and each wrong line is an error.
import { createServer } from 'node:http';
import { type Assignment, type Change, ConfigError, Exchange, initialise, Splitway } from 'splitway-edge';
import { cacheKey, splitwayWorker, type Status } from 'splitway-edge/cloudflare';
import { splitwayMiddleware, splitwayServer } from 'splitway-edge/middleware';
import { OtlpExposures } from 'splitway-edge/otlp';

const splitway = new Splitway({ version: 1 }, { latin1: true, otlp: true, env: process.env });
const log: string[] = splitway.load("{}", { SPLITWAY_EXPOSURE_KEY: "x" });
const version: string = splitway.version;
const counters: Record<string, number> = splitway.counters();
const request = new Request('http://shop/');
const decided: Assignment[] = splitway.decide(request, Date.now());
const bucket: number | undefined = decided[0]?.bucket;
splitway.decide({ method: 'GET', url: 'http://shop/', headers: new Headers() });
initialise(new Uint8Array());

const exchange: Exchange = splitway.begin(request, { now: 0, requestId: 'id' });
const flags: boolean[] = [exchange.isIdle, exchange.isAssigned, exchange.isOverridden];
const texts: string[] = [exchange.cluster, exchange.shadow, exchange.stamp, ...exchange.exposures];
const onward: Request | Response = exchange.apply({ origins: { v2: 'https://v2.example' }, init: { redirect: 'follow' } });
const clusters: string[] = splitway.needs({ version: 1 })?.clusters ?? [];
const finished: Response = exchange.finish(new Response('x'), { cluster: 'v2', now: 1 });
const changes: Change[] = exchange.respond([['content-type', 'text/html']], 200);
for (const [verb, name, value] of exchange.changes) log.push(verb, name, value);
try {
  splitway.load({});
} catch (error) {
  if (error instanceof ConfigError) log.push(...error.problems);
}

interface Env {
  CONFIG: string;
  PLACES: Record<string, string>;
}
const worker = splitwayWorker<Env>({ config: (env) => env.CONFIG, origins: (env) => env.PLACES, refresh: 0 });
const served: Promise<Response> = worker.fetch(request, { CONFIG: '', PLACES: {} }, { waitUntil: () => {} });
const status: Status = worker.status();
const key: string = cacheKey('http://shop/', 'a=b', new Headers());
const app = { fetch: async (_: Request, env: Env, ctx: { waitUntil(work: Promise<unknown>): void }) => new Response(env.CONFIG) };
const wrapped = splitwayWorker<Env>({ origin: (request, env, ctx) => app.fetch(request, env, ctx), cacheDespiteCookies: ['theme'] });
const tested: Promise<Response> = wrapped.fetch(request, { CONFIG: '', PLACES: {} });
const sink = new OtlpExposures({ endpoint: 'http://collector/v1/logs', maxBatch: 10 });
const sending: Promise<void> | undefined = sink.add(exchange.exposures);
const waiting: number = sink.pending + status.pending;
splitwayServer(splitway)((_, outgoing) => outgoing.end());
const middleware = splitwayMiddleware(splitway, { onExposures: (records) => log.push(...records) });
createServer((incoming, outgoing) => {
  middleware(incoming, outgoing, () => outgoing.end(incoming.splitway?.stamp));
});

// @ts-expect-error a config is text or an object
splitway.load(1);
// @ts-expect-error only the module sets it
splitway.version = 'x';
// @ts-expect-error milliseconds, no Date
splitway.decide(request, new Date());
// @ts-expect-error no such option
splitway.begin(request, { request_id: 'x' });
// @ts-expect-error a URL by cluster, not a list
exchange.apply({ origins: ['https://v2.example'] });
// @ts-expect-error it may be an answer
const always: Request = exchange.apply();
// @ts-expect-error a Response, not its status
exchange.finish(200);
// @ts-expect-error no such verb
const change: Change = ['replace', 'a', 'b'];
// @ts-expect-error the bindings have no such field
splitwayWorker<Env>({ config: (env) => env.CONFIGURATION });
// @ts-expect-error no such option
splitwayWorker({ refreshSeconds: 10 });
// @ts-expect-error the endpoint is missing
new OtlpExposures({});
// @ts-expect-error records are texts
sink.add([{ event: 'x' }]);
// @ts-expect-error a Splitway comes first
splitwayMiddleware({ version: 1 });

export { always, bucket, change, changes, clusters, counters, finished, flags, key, onward, sending, served, status, tested, texts, version, waiting };
