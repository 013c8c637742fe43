// On workerd: one request, many decisions.
import { run } from './contenders.js';
import { Splitway } from './pkg/workerd.js';

export default {
  fetch: async (request) => Response.json(run(Splitway, await request.json())),
};
