export interface OtlpOptions {
  /** The whole URL, such as `https://collector.example/v1/logs`. */
  endpoint: string;
  /** Further request headers, such as an API key's. */
  headers?: Record<string, string>;
  /** Attributes of the resource. Default: `service.name` is `splitway-edge`. */
  resource?: Record<string, string>;
  /** Most records in one message. Default: 500. */
  maxBatch?: number;
  /** Most records that wait; what is beyond is dropped. Default: 5,000. */
  maxBuffer?: number;
  /** How long the first record of a batch waits for others, in milliseconds. Default: 1,000. */
  maxDelay?: number;
  fetch?: typeof fetch;
}

/** Gathers exposure records and sends them in batches. Each is delivered, or counted as dropped. */
export class OtlpExposures {
  constructor(options: OtlpOptions);
  /** Records that the collector took. */
  delivered: number;
  /** Records that it did not, by reason: `buffer_full`, `unreachable`, `rejected`. */
  dropped: Record<string, number>;
  /** Takes records (`exposures` of a `Splitway` with the option `otlp`); gives a promise for `ctx.waitUntil` when it is the caller's turn to send. */
  add(records: string[]): Promise<void> | undefined;
  /** Sends all there is. Never throws. */
  flush(): Promise<void>;
}
