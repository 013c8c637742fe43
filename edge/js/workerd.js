// For workerd, Cloudflare Workers, and bundlers for them, which make a WebAssembly.Module of an import.
import module from './splitway_edge_bg.wasm';
import { initialise } from './splitway.js';

initialise(module);
export * from './splitway.js';
