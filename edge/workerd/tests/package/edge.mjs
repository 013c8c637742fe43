import { initialise, Splitway } from 'splitway-edge';
import module from 'splitway-edge/splitway_edge_bg.wasm?module';

initialise(module);
const config = { version: 1, unit: [{ header: 'x-unit' }], experiments: [{ id: 'e', variants: [{ id: 'v' }] }] };
const request = new Request('http://shop/', { headers: { 'x-unit': 'u' } });
globalThis.found = { variant: new Splitway(config).decide(request)[0].variant };
