// Exposures to an OpenTelemetry collector: OTLP/HTTP log records in JSON, in batches.

const RETRY = new Set([429, 502, 503, 504]);
/** How often a batch is sent at most. */
const ATTEMPTS = 2;
/** Milliseconds until the next attempt after a failure; each further failure doubles it. */
const FIRST_PAUSE = 200;
const LONGEST_PAUSE = 30_000;
/** Runtimes end what works behind a response after 30 s. */
const LIMIT = 30_000;
/** How long one `flush` may take before it leaves the rest to the next. */
const PATIENCE = 20_000;

/**
 * Gathers exposure records and sends them in batches. Each is delivered, counted as dropped with a reason, or pending;
 * the next batch that is delivered reports how many were dropped.
 */
export class OtlpExposures {
  #endpoint;
  #headers;
  #resource;
  #fetch;
  #timeout;
  #maxBatch;
  #maxBuffer;
  #maxDelay;
  #buffer = [];
  /** Batches to be sent again. */
  #again = [];
  /** Batches that are on their way. */
  #sent = new Set();
  #untold = {};
  /** Until when somebody sees to what waits; after that, it was cancelled together with its request. */
  #senderUntil = 0;
  #failures = 0;
  #pauseUntil = 0;

  /** Records that the collector took. */
  delivered = 0;
  /** Records that it did not, by reason: `buffer_full`, `unreachable`, `rejected`, `cancelled`. */
  dropped = {};

  constructor({
    endpoint,
    headers = {},
    resource = { 'service.name': 'splitway-edge' },
    maxBatch = 500,
    maxBuffer = 5000,
    maxDelay = 1000,
    timeout = 10_000,
    fetch: send = (...args) => fetch(...args),
  }) {
    this.#endpoint = endpoint;
    this.#headers = headers;
    this.#resource = resource;
    this.#fetch = send;
    this.#timeout = timeout;
    this.#maxBatch = maxBatch;
    this.#maxBuffer = maxBuffer;
    this.#maxDelay = maxDelay;
  }

  /** Records that are neither delivered nor dropped yet. */
  get pending() {
    return [...this.#again, ...this.#sent].reduce((sum, { records }) => sum + records.length, this.#buffer.length);
  }

  /**
   * Takes records, as a `Splitway` with the option `otlp` gives them. Gives a promise to hand to `ctx.waitUntil` when the caller is the one
   * whose turn it is to send; `undefined` when somebody else will.
   */
  add(records) {
    const now = Date.now();
    this.#forget(now);
    const room = Math.max(0, this.#maxBuffer - this.pending);
    this.#buffer.push(...records.slice(0, room));
    this.#drop('buffer_full', Math.max(0, records.length - room));
    if (this.#buffer.length + this.#again.length === 0) return undefined;
    if (this.#buffer.length >= this.#maxBatch && now >= this.#pauseUntil) return this.flush();
    if (now < this.#senderUntil) return undefined;
    const pause = Math.max(this.#maxDelay, this.#pauseUntil - now);
    this.#senderUntil = now + pause + 9 * this.#maxDelay;
    return sleep(pause).then(() => this.flush());
  }

  /** Sends all there is, and waits where the collector failed, for 20 s at most; what is left waits for the next call. Never throws. */
  async flush() {
    const end = Date.now() + PATIENCE;
    this.#senderUntil = 0;
    while (this.#buffer.length + this.#again.length > 0) {
      const now = Date.now();
      const pause = this.#pauseUntil - now;
      if (now + Math.max(0, pause) > end) return;
      if (pause > 0) {
        this.#senderUntil = Math.max(this.#senderUntil, this.#pauseUntil + 1000);
        await sleep(pause);
        // From here on, who adds records sees to them.
        this.#senderUntil = 0;
        continue;
      }
      await this.#deliver(this.#again.shift() ?? { records: this.#buffer.splice(0, this.#maxBatch), attempts: 0 });
    }
  }

  /** A batch whose request was cancelled got no answer, and never will. */
  #forget(now) {
    for (const batch of this.#sent) {
      if (now < batch.until) continue;
      this.#sent.delete(batch);
      this.#drop('cancelled', batch.records.length);
      this.#retell(batch.told);
    }
  }

  async #deliver(batch) {
    batch.told = this.#untold;
    this.#untold = {};
    batch.attempts += 1;
    batch.failuresBefore = this.#failures;
    batch.until = Date.now() + this.#timeout + LIMIT;
    this.#sent.add(batch);
    const { failure, isFinal, pause = 0, rejected = 0 } = await this.#send(batch);
    // It took so long that it was given up.
    if (!this.#sent.delete(batch)) return;
    if (failure === undefined) {
      this.#failures = 0;
      this.delivered += batch.records.length - rejected;
      this.#drop('rejected', rejected);
      return;
    }
    this.#retell(batch.told);
    // Batches that were under way at once failed once.
    if (!isFinal && batch.failuresBefore === this.#failures) {
      this.#failures += 1;
      const own = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (this.#failures - 1));
      this.#pauseUntil = Date.now() + Math.max(own, Math.min(LONGEST_PAUSE, pause));
    }
    if (isFinal || batch.attempts >= ATTEMPTS) this.#drop(failure, batch.records.length);
    else this.#again.push(batch);
  }

  #drop(reason, count) {
    if (count === 0) return;
    this.dropped[reason] = (this.dropped[reason] ?? 0) + count;
    this.#retell({ [reason]: count });
  }

  #retell(counts) {
    for (const [reason, count] of Object.entries(counts)) this.#untold[reason] = (this.#untold[reason] ?? 0) + count;
  }

  /** What became of a batch: `failure` is why it was not taken, `isFinal` whether it never will be, `pause` the milliseconds that the collector asks for. */
  async #send({ records, told }) {
    try {
      const answer = await within(this.#timeout, this.#post(this.#message(records, told)));
      if (answer === undefined) return { failure: 'unreachable' };
      const { response, text } = answer;
      if (response.ok) return { rejected: Math.min(records.length, rejectedOf(text)) };
      if (!RETRY.has(response.status)) return { failure: 'rejected', isFinal: true };
      return { failure: 'rejected', pause: 1000 * Number(response.headers.get('retry-after')) || 0 };
    } catch {
      return { failure: 'unreachable' };
    }
  }

  async #post(body) {
    const response = await this.#fetch(this.#endpoint, {
      method: 'POST',
      headers: { ...this.#headers, 'content-type': 'application/json' },
      body,
      signal: AbortSignal.timeout(this.#timeout),
    });
    return { response, text: await response.text() };
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

/** How many records of a message that was taken the collector refused. */
function rejectedOf(answer) {
  try {
    return Math.max(0, Number(JSON.parse(answer).partialSuccess?.rejectedLogRecords ?? 0)) || 0;
  } catch {
    return 0;
  }
}

function sleep(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** What `promise` gives within so many milliseconds, else `undefined`. */
export async function within(milliseconds, promise) {
  let timer;
  const late = new Promise((resolve) => (timer = setTimeout(resolve, milliseconds)));
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
