// The worker in Node and Deno, for unit tests.
import './node.js';
export * from './worker.js';
