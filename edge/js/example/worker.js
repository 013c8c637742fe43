import { splitwayWorker } from 'splitway-edge/cloudflare';
import config from './splitway.json';

// Where a KV namespace is bound as SPLITWAY_KV, its config goes before this one.
export default splitwayWorker({ config: () => config });
