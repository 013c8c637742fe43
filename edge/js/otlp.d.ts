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
  /** How long the collector may take to answer, in milliseconds. Default: 10,000. */
  timeout?: number;
  fetch?: typeof fetch;
}

/** Gathers exposure records and sends them in batches. Each is delivered, counted as dropped, or pending. */
export class OtlpExposures {
  constructor(options: OtlpOptions);
  /** Records that the collector took. */
  delivered: number;
  /**
   * Records that it did not, by reason: `buffer_full`, `unreachable` (no answer in time either), `rejected`, `cancelled` (the
   * runtime ended the request that sent them).
   */
  dropped: Record<string, number>;
  /** Records that wait, or are on their way. */
  readonly pending: number;
  /** Takes records (`exposures` of a `Splitway` with the option `otlp`); gives a promise for `ctx.waitUntil` when it is the caller's turn to send. */
  add(records: string[]): Promise<void> | undefined;
  /** Sends all there is, and tries again where the collector fails, for 20 s at most. Never throws. */
  flush(): Promise<void>;
}
