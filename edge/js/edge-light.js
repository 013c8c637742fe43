// For Next.js and Vercel, whose edge runtimes take a module by `?module`.
import module from './splitway_edge_bg.wasm?module';
import { initialise } from './splitway.js';

initialise(module);
export * from './splitway.js';
