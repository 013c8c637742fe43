import type { OtlpOptions } from './otlp.js';

interface Kv {
  get(key: string): Promise<string | null>;
}

interface Fetcher {
  fetch(request: Request): Promise<Response>;
}

interface Context {
  waitUntil(promise: Promise<unknown>): void;
}

/** All have defaults. `Env` is the worker's bindings, `Ctx` what the runtime hands to `fetch` beside them. */
export interface WorkerOptions<Env = any, Ctx = any> {
  /** The KV namespace. Default: `SPLITWAY_KV`, if bound. */
  kv?: (env: Env) => Kv | undefined;
  /** The config (JSON text, or an object) while KV has given no good one. Default: the text binding `SPLITWAY_CONFIG`. */
  config?: (env: Env) => string | object | undefined;
  /** Default: `config`. */
  configKey?: string;
  /**
   * While KV has a value there that is not empty, `0`, `off` or `false`, all pass untouched, whichever config is in force.
   * Default: `kill`.
   */
  killKey?: string;
  /** Milliseconds between two looks at KV, behind a request. 0: each request looks, and waits. Default: 10,000. */
  refresh?: number;
  /** Milliseconds that a request waits for KV at most, where it waits: an isolate's first one. Default: 1,000. */
  timeout?: number;
  /** A URL or a service binding by cluster, or that as JSON text. Default: the binding `SPLITWAY_ORIGINS`. */
  origins?: (env: Env) => Record<string, string | Fetcher> | string | undefined;
  /** Asks the origin, or the app that this worker is. Default: `fetch(request)`. */
  origin?: (request: Request, env: Env, ctx: Ctx) => Response | Promise<Response>;
  /** The origin's name in exposures (`splitway.cluster`). Default: none. */
  originName?: (env: Env) => string;
  /** Where exposures go. Default: to `SPLITWAY_OTLP_ENDPOINT`, if bound; else nowhere. */
  exposures?: (env: Env) => OtlpOptions | undefined;
  /** Keeps the answers to requests in experiments, a key per variant. Default: `caches.default`; `() => undefined` for none. */
  cache?: () => Cache | undefined;
  /** Names of cookies that change no answer. Requests with other cookies go past the cache. Default: none. */
  cacheDespiteCookies?: string[];
  /** Default: a random UUID. */
  requestId?: (request: Request) => string;
  /** Milliseconds since 1970. */
  now?: () => number;
  /** Takes news of the config and failures. Default: `console.log`. */
  log?: (line: string) => void;
}

export interface Status {
  /** The content hash of the config in force. */
  version: string;
  killed: boolean;
  counters: Record<string, number>;
  /** Exposures that the collector took. */
  delivered: number;
  /** Exposures that wait, or are on their way. */
  pending: number;
  /** Exposures that it did not, by reason. */
  dropped: Record<string, number>;
}

/** A worker: `export default splitwayWorker()`. */
export function splitwayWorker<Env = any, Ctx extends Context = any>(options?: WorkerOptions<Env, Ctx>): {
  /** Without a context, as in a unit test, nobody waits for what goes on behind the response. */
  fetch(request: Request, env: Env, ctx?: Ctx): Promise<Response>;
  /** Looks for a newer config now: for a cron trigger, or for who is told of changes. */
  renew(env: Env): Promise<void>;
  /** Of this isolate. */
  status(): Status;
};

/** The Cache API's key of a request for units with these variants. */
export function cacheKey(url: string, variants: string, headers?: Headers): string;
