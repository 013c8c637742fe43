import type { IncomingMessage, RequestListener, Server, ServerOptions, ServerResponse } from 'node:http';
import type { Exchange } from './splitway.js';
import { Splitway } from './splitway.js';

declare module 'node:http' {
  interface IncomingMessage {
    /** There if an experiment can touch the request. */
    splitway?: Exchange;
  }
}

export interface MiddlewareOptions {
  /** Takes the exposure records (lines of JSON) of a response, when its headers go out or its client goes away before. */
  onExposures?: (records: string[]) => void;
  /** Takes what went wrong here; the application answers all the same. */
  onError?: (error: unknown) => void;
  /** Milliseconds since 1970. */
  now?: () => number;
}

/**
 * For Node's http servers, Express, Connect. The request gets its variant's path and headers. Below a mount
 * (`app.use('/shop', …)`) it decides by the whole path, and refuses variants whose path leaves the mount.
 */
export function splitwayMiddleware(
  splitway: Splitway,
  options?: MiddlewareOptions,
): (request: IncomingMessage, response: ServerResponse, next: () => void) => void;

/**
 * For frameworks that choose a route before their hooks run: `Fastify({ serverFactory: splitwayServer(splitway) })`. The
 * middleware then comes before the framework.
 */
export function splitwayServer(
  splitway: Splitway,
  options?: MiddlewareOptions,
): (handler: RequestListener, options?: { http?: ServerOptions | null }) => Server;

export { Splitway };
