// On Node: the same over HTTP, so that both are measured alike.
import { createServer } from 'node:http';
import { run } from './contenders.js';
import { Splitway } from './pkg/node.js';

const server = createServer(async (request, response) => {
  let body = '';
  for await (const part of request) body += part;
  response.end(JSON.stringify(run(Splitway, JSON.parse(body))));
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
