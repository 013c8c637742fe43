// Splitway for runtimes with Request and Response. `initialise` comes first; the entry points
// (workerd.js, node.js) do that. What this file adds to the compiled module is the way from and to
// Request and Response, nothing else. In the package it is one file with the module's glue.

import { Engine, initSync } from './splitway_edge.js';

/** Takes the compiled `splitway_edge_bg.wasm`, a WebAssembly.Module or its bytes. */
export function initialise(module) {
  initSync({ module });
}

// By the Fetch standard a header's text has a character per byte; workerd decodes UTF-8. One that is
// strict refuses characters beyond a byte.
const HEADERS_ARE_LATIN1 = (() => {
  try {
    new Headers({ x: '\u20ac' });
    return false;
  } catch {
    return true;
  }
})();

/** Why a config was refused; `problems` has a line each. */
export class ConfigError extends Error {
  constructor(problems) {
    super(`the config is refused; \`splitway validate\` says more:\n${problems.join('\n')}`);
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

// workerd hands on what an origin has encoded; elsewhere `fetch` decodes it, and leaves the headers as they were.
const DECODES = typeof WebSocketPair === 'undefined';
const CODINGS = /^((x-)?gzip|deflate|br)(, *((x-)?gzip|deflate|br))*$/i;

let REASONS;

/** A config in force, and what is counted under it. */
export class Splitway {
  #engine;
  #names;

  constructor(config, { latin1 = HEADERS_ARE_LATIN1, otlp = false, env } = {}) {
    this.#engine = new Engine(latin1, otlp);
    if (config !== undefined) this.load(config, env);
  }

  /**
   * Takes a config (text or object) into force; its `{ env: NAME }` are texts of `env`. One with problems throws, and
   * the last good one stays.
   */
  load(config, env = {}) {
    const variables = Object.entries(env).filter(([, value]) => typeof value === 'string' && !value.includes('\0'));
    const taken = this.#engine.load(encoder.encode(textOf(config)), encoder.encode(variables.flat().join('\0')));
    const log = lines(this.#engine.takeLog());
    if (!taken) throw new ConfigError(log);
    this.#names = undefined;
    return log;
  }

  /** What a host must have for a config, without taking it into force; `undefined` for one that `load` refuses. */
  needs(config) {
    const text = this.#engine.needs(encoder.encode(textOf(config)));
    const [mintedCookie, ...clusters] = text.split(' ');
    return text === '' ? undefined : { mintedCookie, clusters: [...new Set(clusters)] };
  }

  /** The content hash of the config in force; '' without one. */
  get version() {
    return this.#engine.version();
  }

  /** All counters by name. */
  counters() {
    return Object.fromEntries(
      lines(this.#engine.counters()).map((line) => {
        const blank = line.lastIndexOf(' ');
        return [line.slice(0, blank), Number(line.slice(blank + 1))];
      }),
    );
  }

  /** The variants of a request, without acting on it or counting it. */
  decide(request, now = Date.now()) {
    this.#names ??= this.#engine
      .names()
      .split('\n')
      .map((line) => line.split(' '));
    const [reads, ...experiments] = this.#names;
    REASONS ??= Engine.reasons().split('\n');
    // Most headers change no decision, and each costs a crossing.
    let head = firstOf(request);
    for (const name of reads) {
      const value = name ? request.headers.get(name) : null;
      if (value != null) head += `\0${name}\0${value}`;
    }
    const flat = this.#engine.decide(bytesOf(head), now);
    const assignments = [];
    for (let i = 0; i < flat.length; i += 4) {
      const names = experiments[flat[i]];
      assignments.push({
        experiment: names[0],
        variant: names[flat[i + 1] + 1],
        bucket: flat[i + 2],
        reason: REASONS[flat[i + 3]],
      });
    }
    return assignments;
  }

  /** Decides for a request that shall be acted on. */
  begin(request, { now = Date.now(), requestId } = {}) {
    return new Exchange(request, this.#engine.begin(headOf(request, requestId), now), requestId);
  }
}

/** A request and its response under one config. `apply` and `finish` are called once each, in this order. */
export class Exchange {
  #request;
  #handle;
  #requestId;
  #cluster = '';
  #readsResponse = false;

  /** What to do with the request: [verb, name, value] each. For those who have no `Request`. */
  changes = [];
  /** Whether nothing has to be done: no experiment can touch the request, and nothing forged is to be removed. */
  isIdle = true;
  /** Whether the request is in an experiment. */
  isAssigned = false;
  /** Whether an allow-list or a QA token chose a variant. */
  isOverridden = false;
  /** The exposure records, a line of JSON each. There after `finish`. See `otlp`. */
  exposures = [];

  constructor(request, handle, requestId) {
    this.#request = request;
    this.#requestId = requestId;
    if (!handle) return;
    const text = handle.request();
    const bits = text.charCodeAt(0);
    this.changes = triples(text.slice(1));
    this.isIdle = (bits & 1) !== 0;
    this.isAssigned = (bits & 2) !== 0;
    this.isOverridden = (bits & 4) !== 0;
    this.#readsResponse = (bits & 8) !== 0;
    // Not left to the garbage collector, which does not see the module's memory.
    if (this.isIdle) handle.free();
    else this.#handle = handle;
  }

  /** The cluster that a variant routes to; '' if none does. */
  get cluster() {
    return this.#last('x-splitway-cluster') ?? '';
  }

  /** The cluster that gets a copy of the request; '' if none does. */
  get shadow() {
    return this.#last('x-splitway-shadow') ?? '';
  }

  /** The stamp, such as `button=big, search=control`; '' outside of experiments. */
  get stamp() {
    return this.#last('x-splitway') ?? '';
  }

  #last(name) {
    return this.changes.findLast(([verb, known]) => verb === 'set' && known === name)?.[2];
  }

  /**
   * The request as it goes on, or the Response that answers it. `origins` has a URL (whose origin
   * counts) by cluster; a cluster that it does not have is reached at the request's own. `init` is what else the
   * request is made with.
   */
  apply({ origins = {}, init } = {}) {
    const request = this.#request;
    const [first] = this.changes;
    if (first?.[0] === 'answer') {
      return new Response(null, {
        status: Number(first[1]),
        headers: this.changes.slice(1).map(([, name, value]) => [name, value]),
      });
    }
    if (this.changes.length === 0 && !this.#requestId && !init) return request;
    const path = this.#last(':path');
    const host = this.#last(':authority');
    const origin = Object.hasOwn(origins, this.cluster) ? origins[this.cluster] : undefined;
    let url = request.url;
    if (path !== undefined || host !== undefined || origin !== undefined) {
      const base = origin === undefined ? url : new URL(origin).origin;
      const authority = authorityOf(base, origin === undefined ? request.headers : undefined);
      url = `${base.split(':', 1)}://${host ?? authority}${path ?? pathOf(request)}`;
    }
    // All that can fail comes before the body changes hands: a caller that catches can still send the request.
    const headers = new Headers(request.headers);
    if (this.#requestId) headers.set('x-request-id', this.#requestId);
    change(headers, this.changes);
    // A proxy hands redirects on.
    const onward = new Request(url === request.url ? request : new Request(url, request), { redirect: 'manual', ...init, headers });
    if (origin !== undefined) this.#cluster = this.cluster;
    return onward;
  }

  /** The response as the client gets it. `cluster` is what answered, if `apply` cannot know. */
  finish(response, { now = Date.now(), cluster = this.#cluster } = {}) {
    // A switched protocol is no message that could be changed.
    if (response.status === 101) return response;
    const changes = this.respond(response.headers, response.status, { now, cluster });
    // What `fetch` has decoded is not encoded any more.
    if (DECODES && response.url && response.body && CODINGS.test(response.headers.get('content-encoding'))) {
      changes.push(['remove', 'content-encoding'], ['remove', 'content-length']);
    }
    if (changes.length === 0) return response;
    const finished = new Response(response.body, response);
    change(finished.headers, changes);
    return finished;
  }

  /** As `finish`, for those who have no `Response`: the changes to a response with these headers. */
  respond(headers, status, { now = Date.now(), cluster = this.#cluster } = {}) {
    const handle = this.#handle;
    const forged = forgedIn(headers);
    if (!handle) return forged;
    this.#handle = undefined;
    // Frees the handle.
    const told = handle.finish(endOf(cluster, this.#readsResponse ? headers : []), status, now);
    const end = told.indexOf('\0');
    this.exposures = lines(told.slice(end + 1));
    return [...forged, ...triples(told.slice(0, end))];
  }
}

const STAMPS = ['x-splitway', 'x-splitway-cluster', 'x-splitway-shadow', 'x-splitway-explain'];

/** No application has a say in these: the changes that take them off a response with `headers`. */
function forgedIn(headers) {
  const has = typeof headers.has === 'function' ? (name) => headers.has(name) : (name) => headers.some?.(([known]) => known === name);
  return STAMPS.filter(has).map((name) => ['remove', name, '']);
}

/** A response without what an application wrote in our place, where there is no exchange to finish it. */
export function withoutStamps(response) {
  if (response.status === 101) return response;
  const changes = forgedIn(response.headers);
  if (changes.length === 0) return response;
  const cleaned = new Response(response.body, response);
  change(cleaned.headers, changes);
  return cleaned;
}

/** Applies changes, as in `Exchange.changes`, to Headers. */
export function change(headers, changes) {
  for (const [verb, name, value] of changes) {
    if (name.startsWith(':')) continue;
    if (verb === 'set') headers.set(name, value);
    else if (verb === 'add') headers.append(name, value);
    else if (verb === 'remove') headers.delete(name);
  }
}

/** The authority in a URL. workerd writes the `Host` header there as it came, and it can have a `/` in it. */
function authorityOf(url, headers) {
  const start = url.indexOf('//') + 2;
  const host = headers?.get('host');
  if (host && url.startsWith(host, start)) return host;
  const end = url.indexOf('/', start);
  return end < 0 ? url.slice(start) : url.slice(start, end);
}

/** Path and query as they were sent: not by `URL`, which would resolve `..`. */
function pathOf({ url, headers }) {
  const path = url.slice(url.indexOf('//') + 2 + authorityOf(url, headers).length).split('#', 1)[0];
  return path === '' ? '/' : path;
}

/** Method, path and host: names and values with a NUL, which none of them can contain, between each. */
function firstOf(request) {
  const { method, url, headers } = request;
  return `:method\0${method}\0:path\0${pathOf(request)}\0:authority\0${headers.get('host') ?? authorityOf(url)}`;
}

/** As `firstOf`, and all headers. */
function headOf(request, requestId) {
  let head = firstOf(request);
  if (requestId) head += `\0x-request-id\0${requestId}`;
  for (const [name, value] of request.headers) {
    if (requestId === undefined || name !== 'x-request-id') head += `\0${name}\0${value}`;
  }
  return bytesOf(head);
}

/** The cluster that answered, and the response's headers. */
function endOf(cluster, headers) {
  let text = cluster;
  for (const [name, value] of headers) text += `\0${name}\0${value}`;
  return bytesOf(text);
}

const encoder = new TextEncoder();
let scratch = new Uint8Array(16_384);

/** UTF-8, until the next call: the module copies it. Its own glue would take each character by itself. */
function bytesOf(text) {
  if (scratch.length < 3 * text.length) scratch = new Uint8Array(3 * text.length);
  return scratch.subarray(0, encoder.encodeInto(text, scratch).written);
}

function textOf(config) {
  return typeof config === 'string' ? config : JSON.stringify(config);
}

function lines(text) {
  return text === '' ? [] : text.trimEnd().split('\n');
}

function triples(text) {
  if (text === '') return [];
  const parts = text.split('\n');
  const list = [];
  for (let i = 0; i < parts.length; i += 3) list.push([parts[i], parts[i + 1], parts[i + 2]]);
  return list;
}
