// For Node's http servers and what is built on them (Express, Connect, Fastify): a middleware.

import { createServer } from 'node:http';
import { Splitway } from './node.js';

/**
 * `splitway` is a Splitway. The request gets its variant's path and headers; the application reads
 * the variant from `x-splitway`, and the cluster from `request.splitway.cluster`.
 */
export function splitwayMiddleware(splitway, { onExposures = () => {}, onError = () => {}, now = () => Date.now() } = {}) {
  return (request, response, next) => {
    let exchange;
    let isApplied = true;
    attempt(onError, () => {
      isApplied = false;
      exchange = splitway.begin(seen(request), { now: now() });
      if (!exchange.isIdle) apply(request, response, exchange.changes);
      isApplied = true;
    });
    // Whatever fails here, the application answers; but what a client made up does not reach it.
    if (!isApplied) attempt(onError, () => strip(request));
    if (!isApplied) return next();
    // Idle ones are followed, too: an application may write our headers into the response.
    if (!exchange.isIdle) request.splitway = exchange;
    follow(response, exchange, { onExposures, onError, now });
    return exchange.changes[0]?.[0] === 'answer' ? response.end() : next();
  };
}

/**
 * For frameworks that choose a route before their hooks run: `Fastify({ serverFactory: splitwayServer(splitway) })`.
 * The middleware then comes before the framework.
 */
export function splitwayServer(splitway, options) {
  const middleware = splitwayMiddleware(splitway, options);
  return (handler, server = {}) =>
    createServer(server.http ?? {}, (request, response) => middleware(request, response, () => handler(request, response)));
}

export { Splitway };

/** Does `work`, and reports what goes wrong. What listens to errors cannot break the exchange either. */
function attempt(onError, work) {
  try {
    work();
  } catch (error) {
    try {
      onError(error);
    } catch {
      // It was asked to take errors, and threw one.
    }
  }
}

/** Applies what was decided. */
function apply(request, response, changes) {
  const [first] = changes;
  if (first?.[0] === 'answer') {
    for (const [, name, value] of changes.slice(1)) response.setHeader(name, value);
    response.statusCode = Number(first[1]);
    return;
  }
  const path = changes.findLast(([, name]) => name === ':path')?.[2];
  if (path !== undefined) request.url = targetBelow(mountOf(request), path, request.url);
  for (const [verb, name, value] of changes) {
    if (name === ':authority') changeHeader(request, 'set', 'host', value);
    else if (!name.startsWith(':')) changeHeader(request, verb, name, value);
  }
}

/** What `url` becomes so that the framework, which puts its mount in front again, comes to `path`. */
function targetBelow(mount, path, url) {
  if (mount === '') return path;
  if (!path.startsWith(mount) || (path.length > mount.length && !'/?'.includes(path[mount.length]))) {
    throw new Error(`the variant's path ${path} is outside of ${mount}, where the middleware is mounted: mount it at the root`);
  }
  const rest = path.slice(mount.length);
  return `${url.match(ABSOLUTE)?.[0] ?? ''}${rest.startsWith('/') ? '' : '/'}${rest}`;
}

/** What the framework has cut off the path, because the middleware is mounted there: `app.use('/checkout', middleware)`. */
function mountOf({ originalUrl, baseUrl, url }) {
  if (originalUrl === undefined || baseUrl !== undefined) return baseUrl ?? '';
  const original = targetOf(originalUrl);
  const rest = targetOf(url);
  const bare = rest.startsWith('/?') ? rest.slice(1) : rest === '/' ? '' : rest;
  for (const end of [rest, bare]) {
    if (original.endsWith(end)) return original.slice(0, original.length - end.length);
  }
  return '';
}

/** Takes our headers off, whoever sent them. */
function strip(request) {
  const names = request.rawHeaders.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase());
  for (const name of names) {
    if (name.replaceAll('_', '-').startsWith('x-splitway')) changeHeader(request, 'remove', name);
  }
}

/** Sees to the response, and that there is one record of it, whether it is sent or its client goes away before. */
function follow(response, exchange, { onExposures, onError, now }) {
  let isOver = false;
  const end = () => {
    if (!isOver && exchange.exposures.length > 0) attempt(onError, () => onExposures(exchange.exposures));
    isOver = true;
  };
  const writeHead = response.writeHead;
  response.writeHead = function (status, ...rest) {
    response.writeHead = writeHead;
    attempt(onError, () => {
      // What is given here would win over what was set, so it is set first.
      const given = rest.find((part) => part !== null && typeof part === 'object');
      if (given) setHeaders(response, given);
      applyToResponse(response, exchange.respond(flat(response.getHeaders()), status, { now: now() }));
      rest = rest.filter((part) => typeof part === 'string');
    });
    end();
    return writeHead.call(this, status, ...rest);
  };
  response.once('close', () => {
    if (response.writeHead === writeHead || response.headersSent) return;
    // A variant that is too slow for its clients must not vanish from the records.
    attempt(onError, () => exchange.respond([], 0, { now: now() }));
    end();
  });
}

const ORIGIN = 'http://-';

/** What `begin` reads. Raw headers: Node joins and drops some in `headers`. The host is not a part of the URL: it can have a path in it. */
function seen(request) {
  const raw = request.rawHeaders;
  const list = [];
  for (let i = 0; i < raw.length; i += 2) {
    // HTTP/2 has the target among the headers.
    if (!raw[i].startsWith(':')) list.push([raw[i].toLowerCase(), raw[i + 1]]);
  }
  const target = request.originalUrl ?? request.url;
  const find = (name) => {
    if (name === 'host') return authorityOf(target) ?? list.find(([known]) => known === name)?.[1] ?? request.authority ?? '';
    return list.find(([known]) => known === name)?.[1] ?? null;
  };
  return {
    method: request.method,
    url: ORIGIN + targetOf(target),
    headers: { get: find, [Symbol.iterator]: () => list[Symbol.iterator]() },
  };
}

const ABSOLUTE = /^https?:\/\/([^/?#]*)/i;

/** The authority of a target in absolute form, which goes before the header (RFC 9112, 3.2.2). */
function authorityOf(target) {
  return target.match(ABSOLUTE)?.[1];
}

/** Path and query of a target. */
function targetOf(target) {
  const path = target.replace(ABSOLUTE, '');
  return path.startsWith('/') || path === '*' ? path : `/${path}`;
}

/** Changes a header in all that Node shows of it. */
function changeHeader(request, verb, name, value) {
  // Node makes these of the raw ones when they are first asked for.
  const { rawHeaders: raw, headers, headersDistinct: distinct } = request;
  if (verb !== 'add') {
    for (let i = raw.length - 2; i >= 0; i -= 2) if (raw[i].toLowerCase() === name) raw.splice(i, 2);
  }
  if (verb !== 'remove') raw.push(name, value);
  if (verb === 'remove') delete headers[name];
  else headers[name] = verb === 'add' && name in headers ? `${headers[name]}, ${value}` : value;
  // HTTP/2's requests have none.
  if (!distinct) return;
  if (verb === 'remove') delete distinct[name];
  else distinct[name] = verb === 'add' ? [...(distinct[name] ?? []), value] : [value];
}

function applyToResponse(response, changes) {
  for (const [verb, name, value] of changes) {
    if (verb === 'set') response.setHeader(name, value);
    else if (verb === 'add') response.setHeader(name, [response.getHeader(name) ?? [], value].flat());
    else if (verb === 'remove') response.removeHeader(name);
  }
}

/** As Node's `writeHead` takes headers: an object, names and values in turn, or pairs. What is there goes, and names may repeat. */
function setHeaders(response, headers) {
  if (!Array.isArray(headers)) {
    for (const [name, value] of Object.entries(headers)) if (value !== undefined) response.setHeader(name, value);
    return;
  }
  const pairs = Array.isArray(headers[0]) ? headers : headers.flatMap((name, i) => (i % 2 === 0 ? [[name, headers[i + 1]]] : []));
  for (const [name] of pairs) response.removeHeader(name);
  for (const [name, value] of pairs) {
    const known = response.getHeader(name);
    response.setHeader(name, known === undefined ? value : [known, value].flat());
  }
}

function flat(headers) {
  return Object.entries(headers).flatMap(([name, value]) => [value].flat().map((line) => [name, String(line)]));
}
