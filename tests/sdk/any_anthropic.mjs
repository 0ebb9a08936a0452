// Anthropic's client in Node, with whatever provider behind.
import assert from 'node:assert/strict';
import { askOne, askTwo, behind, checkPump, checkWeather, clock, count, includes, key, load, models, png, pump, root, run, sees, usualNeeds, weather } from './any_provider.mjs';

const Anthropic = (await load('@anthropic-ai/sdk')).default;
const client = new Anthropic({ baseURL: root, apiKey: key, maxRetries: 0, timeout: 30_000 });
const hello = [{ role: 'user', content: 'hello' }];
const tools = [['get_weather', weather], ['get_clock', clock]].map(([name, input_schema]) => ({ name, input_schema }));
const asked = (messages, more = {}, model = 'chat') => ({ model: models[model], max_tokens: 1000, messages, ...more });
const ask = (...given) => client.messages.create(asked(...given));
const words = (message) => message.content.filter((block) => block.type === 'text').map((block) => block.text).join('');
const calls = (message) => message.content.filter((block) => block.type === 'tool_use');

await run({
  async chat() {
    const answer = await ask(hello, { system: 'Be short.' });
    assert.equal(count(words(answer)), 32);
    assert.equal(answer.stop_reason, 'end_turn');
    assert.ok(answer.usage.input_tokens > 0 && answer.usage.output_tokens > 0);
  },
  async stream() {
    const final = await client.messages.stream(asked(hello)).finalMessage();
    assert.equal(count(words(final)), 32);
    assert.equal(final.stop_reason, 'end_turn');
    assert.ok(final.usage.output_tokens > 0);
  },
  async tools() {
    const talk = [{ role: 'user', content: askOne }];
    const first = await ask(talk, { tools });
    assert.equal(first.stop_reason, 'tool_use');
    checkWeather(calls(first)[0].input);
    talk.push({ role: 'assistant', content: first.content }, { role: 'user', content: [{ type: 'tool_result', tool_use_id: calls(first)[0].id, content: '18 C' }] });
    const second = await ask(talk, { tools });
    includes(words(second), '18 C');
    talk.push({ role: 'assistant', content: second.content }, { role: 'user', content: askTwo });
    const third = await client.messages.stream(asked(talk, { tools })).finalMessage();
    assert.deepEqual(calls(third).map((call) => call.name), ['get_clock', 'get_weather']);
    talk.push({ role: 'assistant', content: third.content }, {
      role: 'user', content: calls(third).map((call, i) => ({ type: 'tool_result', tool_use_id: call.id, content: ['noon', '19 C'][i] })),
    });
    includes(words(await ask(talk, { tools })), 'noon', '19 C');
  },
  async vision() {
    const content = [{ type: 'image', source: { type: 'base64', media_type: 'image/png', data: png } }, { type: 'text', text: 'What is it?' }];
    includes(words(await ask([{ role: 'user', content }])), sees);
  },
  async structured() {
    checkPump(words(await ask(hello, { output_config: { format: { type: 'json_schema', schema: pump } } })));
    // Ollama has no choice of tools.
    if (behind !== 'ollama') checkWeather(calls(await ask(hello, { tools, tool_choice: { type: 'tool', name: 'get_weather' } }))[0].input);
  },
  async reasoning() {
    const thinking = { type: 'enabled', budget_tokens: 1024 };
    const final = await client.messages.stream(asked(hello, { max_tokens: 4000, thinking }, 'think')).finalMessage();
    assert.equal(final.content[0].type, 'thinking');
    assert.ok(final.content[0].thinking);
    assert.equal(count(words(final)), 32);
  },
  async errors() {
    await assert.rejects(ask([{ role: 'nobody', content: 'hi' }]), (e) => e instanceof Anthropic.BadRequestError && e.error.error.type === 'invalid_request_error');
    if (behind !== 'mock') await assert.rejects(client.messages.create({ ...asked(hello), model: 'no-such-model' }), Anthropic.NotFoundError);
    await assert.rejects(ask(hello, {}, 'limited'), Anthropic.RateLimitError);
    await assert.rejects(ask(hello, {}, 'broken'), Anthropic.InternalServerError);
    await assert.rejects(client.messages.stream(asked(hello, {}, 'torn')).finalMessage());
  },
  async retries() {
    for (let i = 0; i < 4; ++i) await client.messages.create(asked(hello, {}, 'flaky'), { maxRetries: 8 });
  },
  async cancel() {
    for await (const event of await ask(hello, { stream: true }, 'slow')) if (event.type === 'content_block_delta') break;
  },
}, usualNeeds);
