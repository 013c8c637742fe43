/** Takes the compiled `splitway_edge_bg.wasm`. Entry points for a runtime have done it already. */
export function initialise(module: WebAssembly.Module | ArrayBuffer | ArrayBufferView): void;

/** Why a config was refused. */
export class ConfigError extends Error {
  /** A line each. */
  readonly problems: string[];
}

/** An experiment that a request is in. */
export interface Assignment {
  experiment: string;
  variant: string;
  /** Of 10,000, or as the dialect has it; 0 for overrides. */
  bucket: number;
  /** `split`, `override` or `qa_token`. */
  reason: string;
}

/** What is read of a request; every `Request` is one. */
export interface RequestLike {
  readonly method: string;
  readonly url: string;
  readonly headers: Headers;
}

export interface BeginOptions {
  /** Milliseconds since 1970. Default: now. */
  now?: number;
  /** Replaces `x-request-id`, whoever sent one. */
  requestId?: string;
}

/** A change to a message: verb, name and value. Names that begin with `:` are no headers. */
export type Change = ['set' | 'add' | 'remove' | 'answer', string, string];

/** A config in force, and what is counted under it. */
export class Splitway {
  /**
   * `config` as in `load`; without one, requests pass untouched. `latin1`: how the runtime shows header bytes, which is
   * found out by default. `otlp`: exposure records are those that `splitway-edge/otlp` sends, and not lines of a log.
   * `env` as in `load`.
   */
  constructor(config?: string | object, options?: { latin1?: boolean; otlp?: boolean; env?: object });
  /**
   * Takes a config (JSON text, or an object) into force; gives what was logged. `env` has the secrets that the config
   * names by `{ env: NAME }`: a worker's bindings, or `process.env`. What is no text there is passed over.
   * @throws {ConfigError} for one with problems; the last good one stays in force.
   */
  load(config: string | object, env?: object): string[];
  /**
   * What a host must have for a config, without taking it into force: the clusters that variants name, and the name of the
   * cookie in which units are minted (`''` if none are). `undefined` for a config that `load` refuses.
   */
  needs(config: string | object): { mintedCookie: string; clusters: string[] } | undefined;
  /** The content hash of the config in force; `''` without one. */
  readonly version: string;
  /** All counters by name. */
  counters(): Record<string, number>;
  /** The variants of a request, without acting on it or counting it. `now` in milliseconds since 1970. */
  decide(request: RequestLike, now?: number): Assignment[];
  /** Decides for a request that shall be acted on. */
  begin(request: Request, options?: BeginOptions): Exchange;
}

/** A request and its response under one config. `apply` and `finish` are called once each, in this order. */
export class Exchange {
  /** What to do with the request, in order; what `apply` does. */
  readonly changes: Change[];
  /** Whether nothing has to be done: no experiment can touch the request, and nothing forged is to be removed. */
  readonly isIdle: boolean;
  /** Whether the request is in an experiment. */
  readonly isAssigned: boolean;
  /** Whether an allow-list or a QA token chose a variant. */
  readonly isOverridden: boolean;
  /** The cluster that a variant routes to; `''` if none does. */
  readonly cluster: string;
  /** The cluster that gets a copy of the request; `''` if none does. */
  readonly shadow: string;
  /** The stamp, such as `button=big, search=control`; `''` outside of experiments. */
  readonly stamp: string;
  /** The exposure records, a line of JSON each: for a log, or with the option `otlp` for a collector. There after `finish`. */
  readonly exposures: string[];
  /**
   * The request as it goes on, or the Response that answers it (a redirect). `origins` has a URL, whose
   * origin counts, by cluster; a cluster that it does not have is reached at the request's own. `init` is what else the
   * request is made with.
   */
  apply(options?: { origins?: Record<string, string>; init?: RequestInit }): Request | Response;
  /**
   * The response as the client gets it. `cluster` is what answered, if `apply` cannot know. Where `fetch` has decoded the body,
   * `content-encoding` and `content-length` go.
   */
  finish(response: Response, options?: { now?: number; cluster?: string }): Response;
  /** As `finish`, for those who have no `Response`: the changes to a response with these headers. */
  respond(
    headers: Iterable<[string, string]>,
    status: number,
    options?: { now?: number; cluster?: string },
  ): Change[];
}

/** Applies changes to headers. */
export function change(headers: Headers, changes: Change[]): void;

/** A response without what an application wrote into our headers, where there is no exchange to finish it. */
export function withoutStamps(response: Response): Response;
