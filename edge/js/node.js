// For Node and Deno, which read the module as a file.
import { readFileSync } from 'node:fs';
import { initialise } from './splitway.js';

initialise(readFileSync(new URL('./splitway_edge_bg.wasm', import.meta.url)));
export * from './splitway.js';
