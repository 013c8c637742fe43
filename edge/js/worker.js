// A worker in front of an origin, or around an app. Whatever fails here, the origin is served untouched.
// The entry points (cloudflare.js, cloudflare-node.js) initialise the module first.

import { OtlpExposures, within } from './otlp.js';
import { ConfigError, Splitway, withoutStamps } from './splitway.js';

/** The parameter that keeps variants apart in the cache's keys. It never leaves the worker. */
const KEY = '__splitway';

/** Milliseconds after which a read of KV is given up: what works behind a response is ended after as long. */
const READ_TIMEOUT = 30_000;

/** A worker: `export default splitwayWorker()`. */
export function splitwayWorker(options = {}) {
  const state = new State(options);
  return {
    fetch(request, env, ctx) {
      const response = handle(state, request, env, ctx);
      // When the client goes away, the runtime ends what nobody waits for, and with it the exposure.
      behind(ctx, response);
      return response;
    },
    /** Looks for a newer config now: for a cron trigger, or for who is told of changes. */
    renew: (env) => state.renew(env),
    /** For a status page or a test of one's own. */
    status: () => state.status(),
  };
}

class State {
  #kv;
  #text;
  #configKey;
  #killKey;
  #refresh;
  #timeout;
  #origins;
  #parsed = {};
  #checked = -Infinity;
  #isSettled = false;
  #turn = 0;
  #turns = { config: 0, kill: 0 };
  #tried;
  #good;
  #isKilled = false;
  #sink;

  /** The content hash of the config in force; '' without one. */
  version = '';
  /** Cookies that change no answer of the origin. */
  harmlessCookies = new Set();

  constructor({
    kv = (env) => env.SPLITWAY_KV,
    config = (env) => env.SPLITWAY_CONFIG,
    configKey = 'config',
    killKey = 'kill',
    refresh = 10_000,
    timeout = 1000,
    origins = (env) => env.SPLITWAY_ORIGINS,
    origin = (request) => fetch(request),
    originName = () => '',
    exposures = (env) =>
      env.SPLITWAY_OTLP_ENDPOINT ? { endpoint: env.SPLITWAY_OTLP_ENDPOINT } : undefined,
    cache = () => globalThis.caches?.default,
    cacheDespiteCookies = [],
    requestId = () => crypto.randomUUID(),
    now = () => Date.now(),
    log = (line) => console.log(line),
  }) {
    this.splitway = new Splitway(undefined, { otlp: true });
    this.#kv = (env) => kv(env ?? {});
    this.#text = (env) => config(env ?? {});
    this.#configKey = configKey;
    this.#killKey = killKey;
    this.#refresh = refresh;
    this.#timeout = timeout;
    this.#origins = (env) => origins(env ?? {});
    this.origin = origin;
    this.originName = originName;
    this.exposures = (env) => exposures(env ?? {});
    this.cache = cache;
    this.cacheDespiteCookies = cacheDespiteCookies;
    this.requestId = requestId;
    this.now = now;
    this.log = log;
  }

  /** Whether a config is in force, after looking for a newer config where it is time to. */
  async isOn(env, ctx) {
    const now = Date.now();
    const isFirst = !this.#isSettled;
    if (isFirst || now - this.#checked >= this.#refresh) {
      this.#checked = now;
      const renewal = this.renew(env);
      behind(ctx, renewal);
      // A request waits only where there is nothing to go on, or the user wants no delay in updates. It cannot
      // wait for another request's look: workers do not share I/O.
      if (isFirst || this.#refresh === 0) await within(this.#timeout, renewal);
      this.#settle(env);
    }
    return this.version !== '';
  }

  /** Looks for a newer config and for the kill switch: each by itself, so that neither hides the other. Never throws. */
  async renew(env) {
    const turn = ++this.#turn;
    await Promise.all([
      this.#read(env, 'config', this.#configKey, turn, (text) => text !== null && this.#take(text, env)),
      this.#read(env, 'kill', this.#killKey, turn, (text) => this.#kill(isOn(text), env)),
    ]);
    this.#settle(env);
  }

  /** Hands on what KV has at `key`, `null` for nothing. An answer that comes after a newer one is not news. */
  async #read(env, what, key, turn, take) {
    try {
      const kv = this.#kv(env);
      if (!kv) return;
      const value = await within(READ_TIMEOUT, kv.get(key));
      if (value === undefined) throw new Error(`no answer within ${READ_TIMEOUT / 1000} s`);
      if (turn < this.#turns[what]) return;
      this.#turns[what] = turn;
      take(value);
    } catch (error) {
      this.log(`splitway: KV cannot be read at "${key}", what it said before stays: ${error}`);
    }
  }

  /** Without a good config from KV, the one that came with the worker is in force. */
  #settle(env) {
    if (this.#isSettled) return;
    this.#isSettled = true;
    if (this.#good !== undefined) return;
    try {
      const text = this.#text(env);
      if (text) this.#take(text, env);
      else if (!this.#kv(env)) this.log('splitway: no config: SPLITWAY_KV and SPLITWAY_CONFIG are not bound, requests pass untouched');
      else if (this.#tried === undefined) {
        this.log(`splitway: no config: KV has given nothing at "${this.#configKey}" yet and SPLITWAY_CONFIG is not bound, requests pass untouched`);
      }
    } catch (error) {
      this.log(`splitway: the config cannot be read: ${error}`);
    }
  }

  #take(text, env) {
    if (text === this.#tried) return;
    this.#tried = text;
    if (this.#load(text, env)) this.#good = text;
  }

  #kill(isKilled, env) {
    if (isKilled === this.#isKilled) return;
    this.#isKilled = isKilled;
    if (this.#good !== undefined) this.#load(this.#good, env);
  }

  /** Whether the config was taken into force. The kill switch is the config's own, so that it does what it does there. */
  #load(text, env) {
    try {
      const needs = this.splitway.needs(text);
      const problems = needs?.clusters.length ? this.#problemsOf(needs.clusters, env) : [];
      if (problems.length > 0) {
        const kept = this.version === '' ? 'no other is in force here' : `config ${this.version} stays in force`;
        this.log(`splitway: config refused, ${problems.length} problems; ${kept}`);
        for (const problem of problems) this.log(`splitway: ${problem}`);
        return false;
      }
      for (const line of this.splitway.load(this.#isKilled ? killed(text) : text, env ?? {})) this.log(line);
      this.version = this.splitway.version;
      this.harmlessCookies = new Set([needs?.mintedCookie, ...this.cacheDespiteCookies].filter(Boolean));
      return true;
    } catch (error) {
      for (const line of error instanceof ConfigError ? error.problems : [`splitway: config refused: ${error}`]) this.log(line);
      return false;
    }
  }

  /** What keeps the clusters of a config from being reached. */
  #problemsOf(clusters, env) {
    let origins;
    try {
      origins = this.#places(env);
    } catch (error) {
      return [`${error.message} [bad_origins]`];
    }
    return clusters.flatMap((cluster) => {
      const place = Object.hasOwn(origins, cluster) ? origins[cluster] : undefined;
      if (isUrl(place) || typeof place?.fetch === 'function') return [];
      const found = place === undefined ? `none among ${JSON.stringify(Object.keys(origins))}` : JSON.stringify(place);
      return [`origins.${cluster}: expected a URL with https:// or http://, or a service binding, found ${found} [no_origin]`];
    });
  }

  /** URLs and service bindings by cluster. */
  #places(env) {
    const places = this.#origins(env) ?? {};
    if (typeof places !== 'string') return places;
    // A text binding in place of a JSON binding.
    if (this.#parsed.text !== places) this.#parsed = { text: places, places: parsed(places) };
    return this.#parsed.places;
  }

  /** Where a cluster is; `undefined` for the request's own origin. */
  place(cluster, env) {
    if (cluster === '') return undefined;
    const places = this.#places(env);
    if (!Object.hasOwn(places, cluster)) throw new Error(`no origin for the cluster "${cluster}"`);
    return places[cluster];
  }

  sink(env) {
    if (this.#sink === undefined) {
      const options = this.exposures(env);
      this.#sink = options ? new OtlpExposures(options) : null;
    }
    return this.#sink;
  }

  status() {
    return {
      version: this.version,
      killed: this.#isKilled,
      counters: this.splitway.counters(),
      delivered: this.#sink?.delivered ?? 0,
      pending: this.#sink?.pending ?? 0,
      dropped: this.#sink?.dropped ?? {},
    };
  }
}

async function handle(state, request, env, ctx) {
  let exchange;
  let onward;
  let place;
  let isIdle = false;
  try {
    if (await state.isOn(env, ctx)) {
      const begun = state.splitway.begin(request, { now: state.now(), requestId: state.requestId(request) });
      isIdle = begun.isIdle;
      if (!isIdle) {
        place = state.place(begun.cluster, env);
        onward = begun.apply({
          origins: typeof place === 'string' ? { [begun.cluster]: place } : {},
          init: begun.isAssigned ? uncached(request) : undefined,
        });
        exchange = begun;
      }
    }
  } catch (error) {
    state.log(`splitway: ${error?.stack ?? error}`);
  }
  // Without a config, too, the origin is served, and nobody believes what a client made up.
  if (!exchange) return withoutStamps(await state.origin(isIdle ? request : withoutForgeries(request), env, ctx));

  let response;
  if (onward instanceof Response) {
    response = onward;
  } else {
    mirror(state, exchange, onward, env, ctx);
    const send = () => {
      if (place === undefined) return state.origin(onward, env, ctx);
      return typeof place === 'string' ? fetch(onward) : place.fetch(onward);
    };
    try {
      response = await cached(state, exchange, request, ctx, send);
    } catch (error) {
      state.log(`splitway: the origin does not answer: ${error}`);
      response = new Response('upstream connect error', { status: 503, headers: { 'content-type': 'text/plain' } });
    }
  }
  try {
    response = exchange.finish(response, {
      now: state.now(),
      cluster: onward instanceof Response ? '' : place === undefined ? state.originName(env) : exchange.cluster,
    });
    if (exchange.exposures.length > 0) behind(ctx, state.sink(env)?.add(exchange.exposures));
  } catch (error) {
    state.log(`splitway: ${error?.stack ?? error}`);
  }
  return response;
}

/** Work that goes on when the response is there. Outside of a worker, such as in a test, there may be no context. */
function behind(ctx, work) {
  if (work) ctx?.waitUntil?.(Promise.resolve(work).catch(() => {}));
}

function isOn(kill) {
  return !['', '0', 'off', 'false'].includes((kill ?? '').trim());
}

/** A config with its kill switch on. What is no JSON stays, and is refused for that. */
function killed(config) {
  try {
    return JSON.stringify({ ...(typeof config === 'string' ? JSON.parse(config) : config), kill_switch: true });
  } catch {
    return config;
  }
}

function parsed(text) {
  try {
    const places = text.trim() === '' ? {} : JSON.parse(text);
    if (places !== null && typeof places === 'object' && !Array.isArray(places)) return places;
  } catch {
    // What it is not is said below.
  }
  throw new Error(`SPLITWAY_ORIGINS: expected a JSON object such as {"v2": "https://v2.shop.example"}, found ${text.slice(0, 99)}`);
}

function isUrl(text) {
  try {
    return typeof text === 'string' && /^https?:\/\//i.test(text) && new URL(text).host !== '';
  } catch {
    return false;
  }
}

/** A request, without what its client made up of our headers. */
function withoutForgeries(request) {
  const forged = [...request.headers.keys()].filter((name) => name.replaceAll('_', '-').startsWith('x-splitway'));
  // Who reads the request sees what came; only its body can be gone.
  if (forged.length === 0 || request.bodyUsed) return request;
  const headers = new Headers(request.headers);
  for (const name of forged) headers.delete(name);
  return new Request(request, { headers });
}

/**
 * What keeps the platform's own cache out: by URL alone, it would serve one variant's answer to another's units.
 * Workers with a compatibility date before 2024-11-11 throw at `cache`.
 */
function uncached(request) {
  return 'cache' in Request.prototype ? { cache: 'no-store' } : { cf: { ...request.cf, cacheTtl: -1 } };
}

/** Sends a copy of the request to the shadow cluster, whose answer is dropped. Without bodies: they can be read once. */
function mirror(state, exchange, onward, env, ctx) {
  try {
    if (exchange.shadow === '' || onward.body) return;
    const target = state.place(exchange.shadow, env);
    const isText = typeof target === 'string';
    const url = isText ? onward.url.replace(/^https?:\/\/[^/]*/, new URL(target).origin) : onward.url;
    const copy = new Request(new Request(url, onward), { redirect: 'manual', ...uncached(onward) });
    const sent = isText ? fetch(copy) : target.fetch(copy);
    behind(ctx, sent.then((response) => response.body?.cancel()));
  } catch (error) {
    state.log(`splitway: no copy to ${exchange.shadow}: ${error}`);
  }
}

/** The origin's answer to a request in an experiment, from the Cache API where that is allowed. Throws only what the origin throws. */
async function cached(state, exchange, request, ctx, send) {
  let cache;
  let key;
  // The cache is a help: without it the origin answers.
  try {
    if (exchange.isAssigned && !exchange.isOverridden && mayBeCached(request, state.harmlessCookies)) cache = state.cache();
    if (cache) {
      key = cacheKey(request.url, `${state.version} ${exchange.stamp}`, request.headers);
      const found = await cache.match(key);
      if (found) return found;
    }
  } catch {
    cache = undefined;
  }
  const response = await send();
  try {
    if (cache && mayBeKept(response)) behind(ctx, cache.put(key, response.clone()));
  } catch (error) {
    state.log(`splitway: an answer is not kept: ${error}`);
  }
  return response;
}

/** Headers by which origins choose an answer, and that hardly any origin names in `Vary`: in the key, as in Cloudflare's own. */
const KEYED = [
  'origin',
  'forwarded',
  'x-forwarded-host',
  'x-forwarded-port',
  'x-forwarded-prefix',
  'x-forwarded-proto',
  'x-forwarded-scheme',
  'x-forwarded-server',
  'x-host',
  'x-original-host',
  'x-original-url',
  'x-rewrite-url',
];

/** Headers with which a request is for nobody else, or is no GET at all. */
const PAST_THE_CACHE = [
  'authorization',
  'proxy-authorization',
  'range',
  'upgrade',
  'x-http-method',
  'x-http-method-override',
  'x-method-override',
];

/** The key of a request whose unit has these variants. The origin's answer is what is kept under it. */
export function cacheKey(url, variants, headers) {
  const bare = url.split('#', 1)[0];
  let key = variants;
  for (const name of KEYED) if (headers?.has(name)) key += `\n${name}: ${headers.get(name)}`;
  return `${bare}${bare.includes('?') ? '&' : '?'}${KEY}=${encodeURIComponent(key)}`;
}

/** Whether the answer can be for others too: no credentials, and no cookies but `harmless` ones. */
function mayBeCached(request, harmless) {
  if (request.method !== 'GET' || PAST_THE_CACHE.some((name) => request.headers.has(name))) return false;
  if (request.cf?.tlsClientAuth?.certPresented === '1') return false;
  const cookies = (request.headers.get('cookie') ?? '').split(/[;,]/);
  return cookies.every((cookie) => cookie.trim() === '' || harmless.has(cookie.split('=', 1)[0].trim()));
}

/** Headers that speak to some caches in place of `Cache-Control`, or beside it. */
const TARGETED = [
  'cdn-cache-control',
  'cloudflare-cdn-cache-control',
  'edge-control',
  'netlify-cdn-cache-control',
  'surrogate-control',
  'vercel-cdn-cache-control',
];

/**
 * What a shared cache may keep (RFC 9111, 3), and less: only what says that it is for all (`public`, `s-maxage`), only
 * as long as every header allows, and of `Vary` only what the key has, because the Cache API does not know it.
 */
function mayBeKept(response) {
  const { headers } = response;
  if (response.status !== 200 || headers.has('set-cookie')) return false;
  const vary = (headers.get('vary') ?? '').toLowerCase().split(',').map((name) => name.trim());
  if (vary.some((name) => name !== '' && name !== 'accept-encoding' && !KEYED.includes(name))) return false;
  const control = headers.get('cache-control') ?? '';
  const life = lifeOf(control);
  if (!(life > 0) || !/(^|[\s,;])(public|s-maxage)\b/i.test(control) || /no-cache/i.test(headers.get('pragma') ?? '')) return false;
  const targeted = TARGETED.map((name) => headers.get(name)).filter((value) => value !== null);
  if (targeted.some((value) => !(lifeOf(value) >= life))) return false;
  const accel = headers.get('x-accel-expires');
  return accel === null || (/^\d+$/.test(accel) && Number(accel) >= life);
}

/** Seconds for which a header lets a shared cache keep an answer: the least that it says; `undefined` if it does not say, 0 if it forbids. */
function lifeOf(control) {
  const text = control.toLowerCase();
  if (/(^|[\s,;!])(private|no-store|no-cache|bypass-cache)\b/.test(text)) return 0;
  const ages = (name) => [...text.matchAll(new RegExp(`(?:^|[\\s,;])${name}\\s*=\\s*"?(\\d+)`, 'g'))].map((match) => Number(match[1]));
  const shared = ages('s-maxage');
  const all = shared.length > 0 ? shared : ages('max-age');
  return all.length > 0 ? Math.min(...all) : undefined;
}
