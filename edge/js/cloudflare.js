// For Cloudflare Workers: the worker, and the module that the runtime compiles.
import './workerd.js';
export * from './worker.js';
