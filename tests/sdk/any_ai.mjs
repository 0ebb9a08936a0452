// Vercel's AI SDK with its providers for OpenAI (chat and responses), Anthropic and Google, with whatever provider behind.
import assert from 'node:assert/strict';
import { askOne, askTwo, behind, checkPump, clock, count, includes, key, load, models, png, pump, root, run, sees, weather } from './any_provider.mjs';

globalThis.AI_SDK_LOG_WARNINGS = false;
const { APICallError, Output, embedMany, generateText, jsonSchema, stepCountIs, streamText, tool } = await load('ai');
const openai = (await load('@ai-sdk/openai')).createOpenAI({ baseURL: `${root}/v1`, apiKey: key });
const anthropic = (await load('@ai-sdk/anthropic')).createAnthropic({ baseURL: `${root}/v1`, apiKey: key });
const google = (await load('@ai-sdk/google')).createGoogleGenerativeAI({ baseURL: `${root}/v1beta`, apiKey: key });
const clients = { chat: (name) => openai.chat(name), responses: (name) => openai.responses(name), anthropic, google };

const tools = {
  get_weather: tool({ description: 'of a city', inputSchema: jsonSchema(weather), execute: async () => '18 C' }),
  get_clock: tool({ description: 'of a zone', inputSchema: jsonSchema(clock), execute: async () => 'noon' }),
};

const tests = {};
for (const [name, client] of Object.entries(clients)) {
  const model = client(models.chat);
  const asked = { model, maxRetries: 0 };
  tests[`${name}: text`] = async () => {
    const answer = await generateText({ ...asked, system: 'Be short.', prompt: 'hello' });
    assert.equal(count(answer.text), 32);
    assert.equal(answer.finishReason, 'stop');
    assert.ok(answer.usage.inputTokens > 0 && answer.usage.outputTokens > 0);
  };
  tests[`${name}: stream`] = async () => {
    const answer = streamText({ ...asked, prompt: 'hello' });
    let text = '';
    for await (const piece of answer.textStream) text += piece;
    assert.equal(count(text), 32);
    assert.equal(await answer.finishReason, 'stop');
  };
  tests[`${name}: tools`] = async () => {
    const messages = [{ role: 'user', content: askOne }];
    const first = await generateText({ ...asked, messages, tools, stopWhen: stepCountIs(4) });
    assert.equal(first.steps.length, 2);
    includes(first.text, '18 C');
    messages.push(...first.response.messages, { role: 'user', content: askTwo });
    const second = streamText({ ...asked, messages, tools, stopWhen: stepCountIs(4) });
    includes(await second.text, 'noon', '18 C');
    assert.deepEqual((await second.steps)[0].toolCalls.map((call) => call.toolName), ['get_clock', 'get_weather']);
  };
  tests[`${name}: vision`] = async () => {
    const content = [{ type: 'text', text: 'What is it?' }, { type: 'image', image: png, mediaType: 'image/png' }];
    includes((await generateText({ ...asked, messages: [{ role: 'user', content }] })).text, sees);
  };
  tests[`${name}: structured`] = async () => {
    checkPump((await generateText({ ...asked, prompt: 'a pump', output: Output.object({ schema: jsonSchema(pump) }) })).output);
  };
  tests[`${name}: errors`] = async () => {
    const limited = generateText({ model: client(models.limited), maxRetries: 0, prompt: 'hello' });
    await assert.rejects(limited, (e) => APICallError.isInstance(e) && e.statusCode === 429 && e.isRetryable);
  };
}
if ('embed' in models) {
  tests.embeddings = async () => {
    const values = ['one pump', 'two pumps'];
    for (const model of [openai.embedding(models.embed), google.textEmbedding(models.embed)])
      assert.equal((await embedMany({ model, values })).embeddings.length, 2, behind);
  };
}
await run(tests);
