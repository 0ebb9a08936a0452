// OpenAI's client in Node, with whatever provider behind: chat completions, responses, embeddings.
import assert from 'node:assert/strict';
import { askOne, askTwo, behind, checkPump, checkWeather, clock, count, includes, key, load, models, png, pump, root, run, sees, usualNeeds, weather } from './any_provider.mjs';

const OpenAI = (await load('openai')).default;
const client = new OpenAI({ baseURL: `${root}/v1`, apiKey: key, maxRetries: 0, timeout: 30_000 });
const hello = [{ role: 'system', content: 'Be short.' }, { role: 'user', content: 'hello' }];
const tools = [['get_weather', weather], ['get_clock', clock]].map(([name, parameters]) => ({ type: 'function', function: { name, parameters } }));
const ask = (messages, more = {}, model = 'chat') => client.chat.completions.create({ model: models[model], messages, ...more });

await run({
  async chat() {
    const answer = await ask(hello, { max_tokens: 500 });
    assert.equal(count(answer.choices[0].message.content), 32);
    assert.equal(answer.choices[0].finish_reason, 'stop');
    assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens);
  },
  async stream() {
    let text = ''; let usage = null; let finish = null;
    for await (const chunk of await ask(hello, { stream: true, stream_options: { include_usage: true } })) {
      text += chunk.choices[0]?.delta?.content ?? '';
      finish = chunk.choices[0]?.finish_reason ?? finish;
      usage = chunk.usage ?? usage;
    }
    assert.equal(count(text), 32);
    assert.equal(finish, 'stop');
    assert.ok(usage.completion_tokens > 0);
  },
  async tools() {
    const talk = [{ role: 'user', content: askOne }];
    const first = (await ask(talk, { tools })).choices[0];
    assert.equal(first.finish_reason, 'tool_calls');
    checkWeather(first.message.tool_calls[0].function.arguments);
    talk.push(first.message, { role: 'tool', tool_call_id: first.message.tool_calls[0].id, content: '18 C' });
    const second = (await ask(talk, { tools })).choices[0];
    includes(second.message.content, '18 C');
    talk.push(second.message, { role: 'user', content: askTwo });
    const third = (await client.chat.completions.stream({ model: models.chat, messages: talk, tools }).finalChatCompletion()).choices[0];
    assert.deepEqual(third.message.tool_calls.map((call) => call.function.name), ['get_clock', 'get_weather']);
    talk.push(third.message, ...third.message.tool_calls.map((call, i) => ({ role: 'tool', tool_call_id: call.id, content: ['noon', '19 C'][i] })));
    includes((await ask(talk, { tools })).choices[0].message.content, 'noon', '19 C');
  },
  async vision() {
    const content = [{ type: 'text', text: 'What is it?' }, { type: 'image_url', image_url: { url: `data:image/png;base64,${png}` } }];
    includes((await ask([{ role: 'user', content }])).choices[0].message.content, sees);
  },
  async structured() {
    const answer = await ask(hello, { response_format: { type: 'json_schema', json_schema: { name: 'pump', schema: pump, strict: true } } });
    checkPump(answer.choices[0].message.content);
  },
  async responses() {
    const answer = await client.responses.create({ model: models.think, input: 'hello', reasoning: { effort: 'high', summary: 'auto' } });
    assert.equal(answer.status, 'completed');
    assert.equal(count(answer.output_text), 32);
    const stream = client.responses.stream({ model: models.think, input: 'hello', reasoning: { effort: 'high', summary: 'auto' } });
    const final = await stream.finalResponse();
    assert.deepEqual(final.output.map((item) => item.type), answer.output.map((item) => item.type));
    assert.equal(count(final.output_text), 32);
  },
  async embeddings() {
    const answer = await client.embeddings.create({ model: models.embed, input: ['one pump', 'two pumps'] });
    assert.equal(answer.data.length, 2);
    assert.ok(answer.data[0].embedding.length > 8);
  },
  async errors() {
    await assert.rejects(ask([]), (e) => e instanceof OpenAI.BadRequestError && e.error.message);
    if (behind !== 'mock') await assert.rejects(client.chat.completions.create({ model: 'no-such-model', messages: hello }), OpenAI.NotFoundError);
    await assert.rejects(ask(hello, {}, 'limited'), OpenAI.RateLimitError);
    await assert.rejects(ask(hello, {}, 'broken'), OpenAI.InternalServerError);
    await assert.rejects(async () => { for await (const chunk of await ask(hello, { stream: true }, 'torn')) assert.ok(chunk); });
  },
  async retries() {
    for (let i = 0; i < 4; ++i) await client.chat.completions.create({ model: models.flaky, messages: hello }, { maxRetries: 8 });
  },
  async cancel() {
    for await (const chunk of await ask(hello, { stream: true }, 'slow')) if (chunk.choices[0]?.delta?.content) break;
  },
}, usualNeeds);
