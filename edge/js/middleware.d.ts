import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Exchange } from './splitway.js';
import { Splitway } from './splitway.js';

declare module 'node:http' {
  interface IncomingMessage {
    /** There if an experiment can touch the request. */
    splitway?: Exchange;
  }
}

export interface MiddlewareOptions {
  /** Takes the exposure records (lines of JSON) of a response, when its headers go out. */
  onExposures?: (records: string[]) => void;
  /** Takes what went wrong here; the application answers all the same. */
  onError?: (error: unknown) => void;
  /** Milliseconds since 1970. */
  now?: () => number;
}

/** For Node's http servers, Express, Connect. The request gets its variant's path and headers. */
export function splitwayMiddleware(
  splitway: Splitway,
  options?: MiddlewareOptions,
): (request: IncomingMessage, response: ServerResponse, next: () => void) => void;

export { Splitway };
