// Exposures to an OpenTelemetry collector: OTLP/HTTP log records in JSON, in batches.

const RETRY = new Set([429, 502, 503, 504]);

/**
 * Gathers exposure records and sends them in batches. Each is delivered, or counted as dropped with a reason;
 * the next batch tells the collector how many were.
 */
export class OtlpExposures {
  #endpoint;
  #headers;
  #resource;
  #fetch;
  #buffer = [];
  #untold = {};
  #waitingSince = 0;
  #maxBatch;
  #maxBuffer;
  #maxDelay;

  /** Records that the collector took. */
  delivered = 0;
  /** Records that it did not, by reason: `buffer_full`, `unreachable`, `rejected`. */
  dropped = {};

  constructor({
    endpoint,
    headers = {},
    resource = { 'service.name': 'splitway-edge' },
    maxBatch = 500,
    maxBuffer = 5000,
    maxDelay = 1000,
    fetch: send = (...args) => fetch(...args),
  }) {
    this.#endpoint = endpoint;
    this.#headers = headers;
    this.#resource = resource;
    this.#fetch = send;
    this.#maxBatch = maxBatch;
    this.#maxBuffer = maxBuffer;
    this.#maxDelay = maxDelay;
  }

  /**
   * Takes records, as a `Splitway` with the option `otlp` gives them. Gives a promise to hand to `ctx.waitUntil` when the caller is the one
   * whose turn it is to send; `undefined` when somebody else will.
   */
  add(records) {
    const room = Math.max(0, this.#maxBuffer - this.#buffer.length);
    this.#buffer.push(...records.slice(0, room));
    this.#drop('buffer_full', Math.max(0, records.length - room));
    if (this.#buffer.length === 0) return undefined;
    if (this.#buffer.length >= this.#maxBatch) return this.flush();
    const now = Date.now();
    // Whoever was to send may have been cancelled together with its request.
    if (this.#waitingSince && now - this.#waitingSince < 10 * this.#maxDelay) return undefined;
    this.#waitingSince = now;
    return new Promise((resolve) => setTimeout(resolve, this.#maxDelay)).then(() => this.flush());
  }

  /** Sends all there is. Never throws. */
  async flush() {
    this.#waitingSince = 0;
    while (this.#buffer.length > 0) {
      const batch = this.#buffer.splice(0, this.#maxBatch);
      const told = this.#untold;
      this.#untold = {};
      const lost = await this.#send(batch, told);
      this.delivered += batch.length - (lost?.count ?? 0);
      if (lost) {
        this.#drop(lost.reason, lost.count);
        if (lost.count === batch.length) for (const [reason, count] of Object.entries(told)) this.#tell(reason, count);
      }
    }
  }

  #drop(reason, count) {
    if (count === 0) return;
    this.dropped[reason] = (this.dropped[reason] ?? 0) + count;
    this.#tell(reason, count);
  }

  #tell(reason, count) {
    this.#untold[reason] = (this.#untold[reason] ?? 0) + count;
  }

  async #send(batch, dropped) {
    const body = this.#message(batch, dropped);
    const all = (reason) => ({ reason, count: batch.length });
    for (const isLast of [false, true]) {
      try {
        const response = await this.#fetch(this.#endpoint, {
          method: 'POST',
          headers: { ...this.#headers, 'content-type': 'application/json' },
          body,
        });
        const answer = await response.text();
        if (response.ok) return partial(answer);
        if (isLast || !RETRY.has(response.status)) return all('rejected');
      } catch {
        if (isLast) return all('unreachable');
      }
    }
  }

  /** The records are JSON already. */
  #message(batch, dropped) {
    const told = Object.entries(dropped).map(([reason, count]) =>
      JSON.stringify({
        // 64 bits are text in OTLP's JSON.
        timeUnixNano: `${Date.now()}000000`,
        eventName: 'splitway.exposures_dropped',
        attributes: [
          { key: 'splitway.drop.reason', value: { stringValue: reason } },
          { key: 'splitway.drop.count', value: { intValue: `${count}` } },
        ],
      }),
    );
    const attributes = Object.entries(this.#resource).map(([key, value]) => ({ key, value: { stringValue: `${value}` } }));
    const resource = JSON.stringify({ attributes });
    const records = [...batch, ...told].join(',');
    return `{"resourceLogs":[{"resource":${resource},"scopeLogs":[{"scope":{"name":"splitway"},"logRecords":[${records}]}]}]}`;
  }
}

function partial(answer) {
  try {
    const count = Number(JSON.parse(answer).partialSuccess?.rejectedLogRecords ?? 0);
    return count > 0 ? { reason: 'rejected', count } : undefined;
  } catch {
    return undefined;
  }
}
