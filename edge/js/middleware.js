// For Node's http servers and what is built on them (Express, Connect): a middleware.

import { Splitway } from './node.js';

/**
 * `splitway` is a Splitway. The request gets its variant's path and headers; the application reads
 * the variant from `x-splitway`, and the cluster from `request.splitway.cluster`.
 */
export function splitwayMiddleware(splitway, { onExposures = () => {}, onError = () => {}, now = () => Date.now() } = {}) {
  return (request, response, next) => {
    let exchange;
    try {
      exchange = splitway.begin(seen(request), { now: now() });
      const [first] = exchange.changes;
      if (first?.[0] === 'answer') {
        for (const [, name, value] of exchange.changes.slice(1)) response.setHeader(name, value);
        response.statusCode = Number(first[1]);
      } else {
        applyToRequest(request, exchange.changes);
      }
    } catch (error) {
      // Whatever fails here, the application answers.
      onError(error);
      return next();
    }
    // Idle ones are followed, too: an application may write our headers into the response.
    if (!exchange.isIdle) request.splitway = exchange;
    const writeHead = response.writeHead;
    response.writeHead = function (status, ...rest) {
      response.writeHead = writeHead;
      try {
        // What is given here would win over what was set, so it is set first.
        const given = rest.find((part) => part !== null && typeof part === 'object');
        for (const [name, value] of given ? pairs(given) : []) response.setHeader(name, value);
        const changes = exchange.respond(flat(response.getHeaders()), status, { now: now() });
        applyToResponse(response, changes);
        if (exchange.exposures.length > 0) onExposures(exchange.exposures);
        return writeHead.call(this, status, ...rest.filter((part) => typeof part === 'string'));
      } catch (error) {
        onError(error);
        return writeHead.call(this, status, ...rest);
      }
    };
    if (exchange.changes[0]?.[0] === 'answer') return response.end();
    return next();
  };
}

export { Splitway };

/** What `begin` reads. Raw headers: Node joins and drops some in `headers`. */
function seen(request) {
  const raw = request.rawHeaders;
  const list = [];
  for (let i = 0; i < raw.length; i += 2) list.push([raw[i].toLowerCase(), raw[i + 1]]);
  const find = (name) => list.find(([known]) => known === name)?.[1] ?? null;
  return {
    method: request.method,
    url: `http://${find('host') ?? ''}${request.url}`,
    headers: { get: find, [Symbol.iterator]: () => list[Symbol.iterator]() },
  };
}

function applyToRequest(request, changes) {
  for (const [verb, name, value] of changes) {
    if (name === ':path') request.url = value;
    else if (name === ':authority') request.headers.host = value;
    else if (verb === 'set') request.headers[name] = value;
    else if (verb === 'add') request.headers[name] = name in request.headers ? `${request.headers[name]}, ${value}` : value;
    else if (verb === 'remove') delete request.headers[name];
  }
}

function applyToResponse(response, changes) {
  for (const [verb, name, value] of changes) {
    if (verb === 'set') response.setHeader(name, value);
    else if (verb === 'add') response.setHeader(name, [response.getHeader(name) ?? [], value].flat());
    else if (verb === 'remove') response.removeHeader(name);
  }
}

function pairs(headers) {
  if (!Array.isArray(headers)) return Object.entries(headers);
  if (Array.isArray(headers[0])) return headers;
  return headers.flatMap((name, i) => (i % 2 === 0 ? [[name, headers[i + 1]]] : []));
}

function flat(headers) {
  return Object.entries(headers).flatMap(([name, value]) => [value].flat().map((line) => [name, String(line)]));
}
