import type { OtlpOptions } from './otlp.js';

interface Kv {
  get(key: string): Promise<string | null>;
}

interface Fetcher {
  fetch(request: Request, init?: RequestInit): Promise<Response>;
}

interface Context {
  waitUntil(promise: Promise<unknown>): void;
}

/** All have defaults. `Env` is the worker's bindings. */
export interface WorkerOptions<Env = any> {
  /** The KV namespace. Default: `SPLITWAY_KV`, if bound. */
  kv?: (env: Env) => Kv | undefined;
  /** The config (JSON), where KV has none. Default: the text binding `SPLITWAY_CONFIG`. */
  config?: (env: Env) => string | undefined;
  /** Default: `config`. */
  configKey?: string;
  /** While KV has a value there that is not empty, `0`, `off` or `false`, all pass untouched. Default: `kill`. */
  killKey?: string;
  /** Milliseconds between two looks at KV. 0: each request looks, and waits. Default: 10,000. */
  refresh?: number;
  /** A URL or a service binding by cluster. Default: the JSON binding `SPLITWAY_ORIGINS`. */
  origins?: (env: Env) => Record<string, string | Fetcher>;
  /** Asks the origin. Default: `fetch(request, init)`. */
  origin?: (request: Request, env: Env, init?: RequestInit) => Promise<Response>;
  /** The origin's name in exposures (`splitway.cluster`). Default: none. */
  originName?: (env: Env) => string;
  /** Where exposures go. Default: to `SPLITWAY_OTLP_ENDPOINT`, if bound; else nowhere. */
  exposures?: (env: Env) => OtlpOptions | undefined;
  /** Keeps the answers to requests in experiments, a key per variant. Default: `caches.default`. */
  cache?: () => Cache | undefined;
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
  /** Exposures that it did not, by reason. */
  dropped: Record<string, number>;
}

/** A worker: `export default splitwayWorker()`. */
export function splitwayWorker<Env = any>(options?: WorkerOptions<Env>): {
  fetch(request: Request, env: Env, ctx: Context): Promise<Response>;
  /** Looks for a newer config now: for a cron trigger, or for who is told of changes. */
  renew(env: Env): Promise<void>;
  /** Of this isolate. */
  status(): Status;
};

/** The Cache API's key of a URL for units with these variants. */
export function cacheKey(url: string, variants: string): string;