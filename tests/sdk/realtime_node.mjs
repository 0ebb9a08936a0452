// OpenAI's Node client and the ws package talk to a realtime model. Arguments: folder of modules, base URL, key, base
// URL over TLS.
import assert from 'node:assert';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [modules, baseURL, apiKey, secureURL] = process.argv.slice(2);
const require = createRequire(pathToFileURL(`${modules}/`));
const { OpenAI } = require('openai');
const { OpenAIRealtimeWS } = require('openai/realtime/ws');
const WebSocket = require('ws');

setTimeout(() => { console.error('no answer'); process.exit(1); }, 30000).unref();

const realtime = new OpenAIRealtimeWS({ model: 'talk', options: { rejectUnauthorized: false } },
  new OpenAI({ baseURL: secureURL, apiKey }));
await new Promise((resolve, reject) => {
  let text = '';
  realtime.on('error', reject);
  realtime.on('session.created', () => realtime.send({ type: 'response.create' }));
  realtime.on('response.output_text.delta', (event) => { text += event.delta; });
  realtime.on('response.done', (event) => {
    assert.equal(event.response.usage.output_tokens, 20);
    assert.ok(text.length > 0);
    realtime.close();
    resolve();
  });
});
console.log('ok   openai-node: OpenAIRealtimeWS');

const url = `${baseURL.replace('http:', 'ws:')}/realtime?model=talk`;
for (const perMessageDeflate of [true, false, { serverNoContextTakeover: true, clientMaxWindowBits: 10 }]) {
  const socket = new WebSocket(url, ['realtime', `openai-insecure-api-key.${apiKey}`], { perMessageDeflate });
  const next = () => new Promise((resolve) => socket.once('message', (data) => resolve(JSON.parse(data))));
  assert.equal((await next()).type, 'session.created');
  assert.equal(socket.protocol, 'realtime');
  for (const size of [10, 1000, 100000]) {
    socket.send(JSON.stringify({ type: 'conversation.item.create', item: { text: 'ö'.repeat(size) } }));
    assert.equal((await next()).item.text, 'ö'.repeat(size));
  }
  const pong = new Promise((resolve) => socket.once('pong', resolve));
  socket.ping('here');
  assert.equal(String(await pong), 'here');
  const closed = new Promise((resolve) => socket.once('close', (code) => resolve(code)));
  socket.close(4002, 'done');
  assert.equal(await closed, 4002);
}
console.log('ok   ws: three kinds of compression');
process.exit(0);
