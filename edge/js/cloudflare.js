// A Cloudflare Worker in front of an origin. Whatever fails here, the origin is served untouched.

import { OtlpExposures } from './otlp.js';
import { ConfigError, Splitway, withoutStamps } from './workerd.js';

/** The parameter that keeps variants apart in the cache's keys. It never leaves the worker. */
const KEY = '__splitway';

/** A worker: `export default splitwayWorker()`. */
export function splitwayWorker(options = {}) {
  const state = new State(options);
  return {
    fetch: (request, env, ctx) => handle(state, request, env, ctx),
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
  #checked = -Infinity;
  #isSettled = false;
  #tried;
  #good;
  #isKilled = false;
  #sink;

  constructor({
    kv = (env) => env.SPLITWAY_KV,
    config = (env) => env.SPLITWAY_CONFIG,
    configKey = 'config',
    killKey = 'kill',
    refresh = 10_000,
    origins = (env) => env.SPLITWAY_ORIGINS ?? {},
    origin = (request, env, init) => fetch(request, init),
    originName = () => '',
    exposures = (env) =>
      env.SPLITWAY_OTLP_ENDPOINT ? { endpoint: env.SPLITWAY_OTLP_ENDPOINT } : undefined,
    cache = () => caches.default,
    requestId = () => crypto.randomUUID(),
    now = () => Date.now(),
    log = (line) => console.log(line),
  }) {
    this.splitway = new Splitway(undefined, { otlp: true });
    this.#kv = kv;
    this.#text = config;
    this.#configKey = configKey;
    this.#killKey = killKey;
    this.#refresh = refresh;
    this.origins = origins;
    this.origin = origin;
    this.originName = originName;
    this.exposures = exposures;
    this.cache = cache;
    this.requestId = requestId;
    this.now = now;
    this.log = log;
  }

  /** Whether a config is in force, after looking for a newer config where it is time to. */
  async isOn(env, ctx) {
    const now = Date.now();
    if (!this.#isSettled || now - this.#checked >= this.#refresh) {
      this.#checked = now;
      // A request waits only where there is nothing to go on, or the user wants no delay in updates. It cannot
      // wait for another request's look: workers do not share I/O.
      const waits = !this.#isSettled || this.#refresh === 0 || this.#tried === undefined;
      const renewal = this.renew(env);
      if (waits) await renewal;
      else ctx.waitUntil(renewal);
    }
    return this.splitway.version !== '';
  }

  async renew(env) {
    const kv = this.#kv(env);
    let text;
    let isKilled = this.#isKilled;
    try {
      if (kv) {
        const [stored, kill] = await Promise.all([kv.get(this.#configKey), kv.get(this.#killKey)]);
        text = stored;
        isKilled = !['', '0', 'off', 'false'].includes((kill ?? '').trim());
      }
    } catch (error) {
      this.log(`splitway: KV cannot be read, the config stays: ${error}`);
    }
    this.#isSettled = true;
    // A KV that is empty or out of reach does not take back what is in force.
    text ??= this.#tried === undefined ? this.#text(env) : undefined;
    const isNew = text !== undefined && text !== null && text !== this.#tried;
    if (isNew) this.#tried = text;
    if (isNew && this.#load(text, isKilled, env)) this.#good = text;
    else if (isKilled !== this.#isKilled && this.#good !== undefined) this.#load(this.#good, isKilled, env);
    this.#isKilled = isKilled;
  }

  /** Whether the config was taken into force. The kill switch is the config's own, so that it does what it does there. */
  #load(text, isKilled, env) {
    try {
      for (const line of this.splitway.load(isKilled ? killed(text) : text, env)) this.log(line);
      return true;
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      for (const line of error.problems) this.log(line);
      return false;
    }
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
      version: this.splitway.version,
      killed: this.#isKilled,
      counters: this.splitway.counters(),
      delivered: this.#sink?.delivered ?? 0,
      dropped: this.#sink?.dropped ?? {},
    };
  }
}

async function handle(state, request, env, ctx) {
  let exchange;
  let onward = request;
  let origins;
  try {
    if (await state.isOn(env, ctx)) {
      exchange = state.splitway.begin(request, { now: state.now(), requestId: state.requestId(request) });
      if (exchange.isIdle) exchange = undefined;
    }
    if (exchange) {
      origins = state.origins(env);
      const urls = Object.entries(origins).filter(([, origin]) => typeof origin === 'string');
      onward = exchange.apply({ origins: Object.fromEntries(urls) });
    }
  } catch (error) {
    state.log(`splitway: ${error?.stack ?? error}`);
    exchange = undefined;
    onward = request;
  }
  if (!exchange) return withoutStamps(await state.origin(request, env));

  const binding = Object.hasOwn(origins, exchange.cluster) ? origins[exchange.cluster] : undefined;
  const service = binding && typeof binding !== 'string' ? binding : undefined;
  let response;
  if (onward instanceof Response) {
    response = onward;
  } else {
    const shadow = mirror(state, exchange, onward, origins);
    if (shadow) ctx.waitUntil(shadow);
    // By URL alone, the runtime's own cache would serve one variant's answer to another's units.
    const init = exchange.isAssigned ? { cache: 'no-store' } : undefined;
    const send = () => {
      if (service) return service.fetch(onward, init);
      return binding === undefined ? state.origin(onward, env, init) : fetch(onward, init);
    };
    try {
      response = await cached(state, exchange, request, onward, ctx, send);
    } catch (error) {
      state.log(`splitway: the origin does not answer: ${error}`);
      response = new Response('upstream connect error', { status: 503, headers: { 'content-type': 'text/plain' } });
    }
  }
  try {
    const finished = exchange.finish(response, {
      now: state.now(),
      cluster: onward instanceof Response ? '' : binding === undefined ? state.originName(env) : exchange.cluster,
    });
    const sending = exchange.exposures.length > 0 ? state.sink(env)?.add(exchange.exposures) : undefined;
    if (sending) ctx.waitUntil(sending);
    return finished;
  } catch (error) {
    state.log(`splitway: ${error?.stack ?? error}`);
    return response;
  }
}

/** A config with its kill switch on. What is no JSON stays, and is refused for that. */
function killed(config) {
  try {
    return JSON.stringify({ ...(typeof config === 'string' ? JSON.parse(config) : config), kill_switch: true });
  } catch {
    return config;
  }
}

/** A copy of the request to the shadow cluster, whose answer is dropped. Without bodies: they can be read once. */
function mirror(state, exchange, onward, origins) {
  const target = exchange.shadow && Object.hasOwn(origins, exchange.shadow) ? origins[exchange.shadow] : undefined;
  if (target === undefined || onward.body) return undefined;
  const isUrl = typeof target === 'string';
  const url = isUrl ? onward.url.replace(/^https?:\/\/[^/]*/, new URL(target).origin) : onward.url;
  const copy = new Request(new Request(url, onward), { redirect: 'manual' });
  const sent = isUrl ? fetch(copy, { cache: 'no-store' }) : target.fetch(copy);
  return sent.then((response) => response.body?.cancel()).catch(() => {});
}

/** The origin's answer to a request in an experiment, from the Cache API where that is allowed. */
async function cached(state, exchange, request, onward, ctx, send) {
  const cache = exchange.isAssigned && !exchange.isOverridden && mayBeCached(request) ? state.cache() : undefined;
  if (!cache) return send();
  const key = cacheKey(request.url, `${state.splitway.version} ${exchange.stamp}`);
  // The cache is a help: without it the origin answers.
  const found = await cache.match(key).catch(() => undefined);
  if (found) return found;
  const response = await send();
  if (mayBeKept(response)) ctx.waitUntil(cache.put(key, response.clone()).catch(() => {}));
  return response;
}

/** The key of a request whose unit has these variants. The origin's answer is what is kept under it. */
export function cacheKey(url, variants) {
  const bare = url.split('#', 1)[0];
  return `${bare}${bare.includes('?') ? '&' : '?'}${KEY}=${encodeURIComponent(variants)}`;
}

function mayBeCached(request) {
  const headers = request.headers;
  return request.method === 'GET' && !['authorization', 'range', 'upgrade'].some((name) => headers.has(name));
}

/** What a shared cache may keep (RFC 9111, 3), and less: the Cache API does not know `Vary`. */
function mayBeKept(response) {
  if (response.status !== 200 || response.headers.has('set-cookie')) return false;
  const vary = (response.headers.get('vary') ?? '').toLowerCase().split(',').map((name) => name.trim());
  if (vary.some((name) => name !== '' && name !== 'accept-encoding')) return false;
  const control = (response.headers.get('cache-control') ?? '').toLowerCase();
  if (/\b(private|no-store|no-cache)\b/.test(control)) return false;
  const age = control.match(/\bs-maxage\s*=\s*"?(\d+)/) ?? control.match(/\bmax-age\s*=\s*"?(\d+)/);
  return age !== null && Number(age[1]) > 0;
}
