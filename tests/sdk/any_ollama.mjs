// Ollama's client in Node, with whatever provider behind.
import assert from 'node:assert/strict';
import { askOne, askTwo, behind, checkPump, checkWeather, clock, count, includes, key, load, models, png, pump, root, run, sees, usualNeeds, weather } from './any_provider.mjs';

const { Ollama } = await load('ollama');
const client = new Ollama({ host: root, headers: { Authorization: `Bearer ${key}` } });
const hello = [{ role: 'system', content: 'Be short.' }, { role: 'user', content: 'hello' }];
const tools = [['get_weather', weather], ['get_clock', clock]].map(([name, parameters]) => ({ type: 'function', function: { name, description: name, parameters } }));
const ask = (messages, more = {}, model = 'chat') => client.chat({ model: models[model], messages, ...more });

await run({
  async chat() {
    const answer = await ask(hello, { options: { num_predict: 500 } });
    assert.equal(count(answer.message.content), 32);
    assert.ok(answer.done && answer.done_reason === 'stop' && answer.eval_count > 0);
    assert.equal(count((await client.generate({ model: models.chat, prompt: 'hello' })).response), 32);
  },
  async stream() {
    let text = ''; let last = null;
    for await (const part of await ask(hello, { stream: true })) {
      text += part.message.content;
      last = part;
    }
    assert.equal(count(text), 32);
    assert.ok(last.done && last.done_reason === 'stop' && last.eval_count > 0);
  },
  async tools() {
    const talk = [{ role: 'user', content: askOne }];
    const first = await ask(talk, { tools });
    checkWeather(first.message.tool_calls[0].function.arguments);
    talk.push(first.message, { role: 'tool', tool_name: 'get_weather', content: '18 C' });
    const second = await ask(talk, { tools });
    includes(second.message.content, '18 C');
    talk.push(second.message, { role: 'user', content: askTwo });
    const calls = [];
    for await (const part of await ask(talk, { tools, stream: true })) calls.push(...(part.message.tool_calls ?? []));
    assert.deepEqual(calls.map((call) => call.function.name), ['get_clock', 'get_weather']);
    talk.push({ role: 'assistant', content: '', tool_calls: calls }, { role: 'tool', tool_name: 'get_clock', content: 'noon' }, { role: 'tool', tool_name: 'get_weather', content: '19 C' });
    includes((await ask(talk, { tools })).message.content, 'noon', '19 C');
  },
  async vision() {
    includes((await ask([{ role: 'user', content: 'What is it?', images: [png] }])).message.content, sees);
  },
  async structured() {
    checkPump((await ask(hello, { format: pump })).message.content);
  },
  async reasoning() {
    const answer = await ask(hello, { think: true }, 'think');
    assert.ok(answer.message.thinking);
    assert.equal(count(answer.message.content), 32);
  },
  async embeddings() {
    const answer = await client.embed({ model: models.embed, input: ['one pump', 'two pumps'] });
    assert.equal(answer.embeddings.length, 2);
  },
  async errors() {
    const status = (wanted) => (e) => e.name === 'ResponseError' && e.status_code === wanted;
    await assert.rejects(client.chat({ model: '', messages: hello }), status(400));
    if (behind !== 'mock') await assert.rejects(client.chat({ model: 'no-such-model', messages: hello }), status(404));
    await assert.rejects(ask(hello, {}, 'limited'), status(429));
    await assert.rejects(async () => { for await (const part of await ask(hello, { stream: true }, 'torn')) assert.ok(part); });
  },
  async cancel() {
    const stream = await ask(hello, { stream: true }, 'slow');
    await assert.rejects(async () => { for await (const part of stream) if (part.message.content) client.abort(); }, { name: 'AbortError' });
  },
}, usualNeeds);
