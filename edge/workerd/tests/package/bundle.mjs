// webpack as Next.js and Vercel have it for their edge runtimes: the condition `edge-light`, and modules by `?module`.
// The bundle runs in another realm than the one that compiled the module, as there.
import { readFileSync, writeFileSync } from 'node:fs';
import vm from 'node:vm';
import webpack from 'webpack';

writeFileSync('loader.cjs', 'module.exports = () => `export default globalThis.MODULE;`;');
const compiler = webpack({
  mode: 'production',
  entry: './edge.mjs',
  output: { path: `${process.cwd()}/bundled`, filename: 'edge.js' },
  target: ['web', 'es2022'],
  resolve: { conditionNames: ['edge-light', 'import'] },
  module: { rules: [{ test: /\.wasm$/, resourceQuery: /module/, type: 'javascript/auto', use: `${process.cwd()}/loader.cjs` }] },
});
const stats = await new Promise((resolve, reject) => compiler.run((error, stats) => (error ? reject(error) : resolve(stats))));
if (stats.hasErrors()) throw new Error(stats.toString({ all: false, errors: true }));
const MODULE = await WebAssembly.compile(readFileSync('node_modules/splitway-edge/splitway_edge_bg.wasm'));
const globals = { MODULE, Request, Response, Headers, URL, TextEncoder, TextDecoder, crypto, console };
const context = vm.createContext({ ...globals });
vm.runInContext(readFileSync('bundled/edge.js', 'utf8'), context);
console.log(JSON.stringify({ ...context.found, isOurs: vm.runInContext('MODULE instanceof WebAssembly.Module', context) }));
