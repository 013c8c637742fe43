// For Node, Deno and Bun, and for bundles for them: the module is a part of the code, so that no bundler misses it.
import text from './module.js';
import { initialise } from './splitway.js';

initialise(Uint8Array.from(atob(text), (byte) => byte.charCodeAt(0)));
export * from './splitway.js';
