// What `cargo xtask bench edge` compares, the same on workerd and Node. Each contender decides for prepared requests; a
// runtime's clock is not asked, because workerd's stands still while a worker computes.
import { GrowthBook, GrowthBookClient } from './growthbook.js';

const UNITS = 256;

/** A browser's request, by a unit of its own. */
function request(unit) {
  const headers = {
    accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8',
    'accept-encoding': 'gzip, deflate, br, zstd',
    'accept-language': 'de-DE,de;q=0.9,en;q=0.8',
    'cache-control': 'max-age=0',
    cookie: 'theme=dark; session=2c4f8a6e0b1d4c7f9a3e5d7c9b1a3f5e',
    referer: 'https://shop.example/search?q=shoes',
    'sec-fetch-mode': 'navigate',
    'user-agent': 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36',
    'x-forwarded-for': '203.0.113.7',
    'x-user-id': `user-${unit}`,
  };
  return new Request('https://shop.example/checkout/cart?step=2', { headers });
}

/** The contenders for so many experiments, by name. Each gives the variants of a request, as texts. */
export function contenders(Splitway, experiments) {
  const keys = Array.from({ length: experiments }, (_, i) => `experiment-${i}`);
  const splitway = new Splitway({
    version: 1,
    unit: [{ header: 'x-user-id' }],
    experiments: keys.map((id) => ({
      id,
      bucketing: { dialect: 'growthbook_v2', seed: id, weights: [0.5, 0.5] },
      variants: [{ id: 'a' }, { id: 'b', request_headers: { set: { 'x-variant': id } } }],
    })),
  });
  const rule = (key) => ({ key, seed: key, hashVersion: 2, variations: ['a', 'b'], weights: [0.5, 0.5] });
  const features = Object.fromEntries(keys.map((key) => [key, { defaultValue: 'none', rules: [rule(key)] }]));
  const client = new GrowthBookClient().initSync({ payload: { features } });
  const attributes = (request) => ({ id: request.headers.get('x-user-id') });
  return {
    nothing: () => [],
    'splitway, decide': (request) => splitway.decide(request).map(({ variant }) => variant),
    'splitway, a whole exchange': (request) => {
      const exchange = splitway.begin(request);
      exchange.respond([], 200);
      return exchange.stamp.split(', ').map((member) => member.slice(member.indexOf('=') + 1));
    },
    'growthbook, one client for all': (request) => {
      const context = { attributes: attributes(request) };
      return keys.map((key) => client.getFeatureValue(key, 'none', context));
    },
    'growthbook, one per request': (request) => {
      const growthbook = new GrowthBook({ attributes: attributes(request), features });
      const variants = keys.map((key) => growthbook.getFeatureValue(key, 'none'));
      growthbook.destroy();
      return variants;
    },
  };
}

const made = new Map();

/** Lets a contender decide `count` times; gives how often each variant came, and the first unit's variants. */
export function run(Splitway, { contender, experiments, count }) {
  if (!made.has(experiments)) {
    const requests = Array.from({ length: UNITS }, (_, unit) => request(unit));
    made.set(experiments, { requests, all: contenders(Splitway, experiments) });
  }
  const { requests, all } = made.get(experiments);
  const decide = all[contender];
  const seen = {};
  for (let i = 0; i < count; i++) {
    for (const variant of decide(requests[i % UNITS])) seen[variant] = (seen[variant] ?? 0) + 1;
  }
  return seen;
}
