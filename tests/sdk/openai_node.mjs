// OpenAI's own Node client against a gateway: NODE_MODULES BASE_URL KEY. Exits non-zero at the first surprise.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

const [, , modules, baseURL, apiKey] = process.argv;
const OpenAI = createRequire(`${modules}/`)('openai');
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0, timeout: 20_000 });
const hello = [{ role: 'user', content: 'hello' }];
const weather = [{ role: 'user', content: 'What is the weather in Paris?' }];
const tools = [{
  type: 'function',
  function: { name: 'get_weather', parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] } },
}];

const tests = {
  async chat() {
    const answer = await client.chat.completions.create({ model: 'chat', messages: hello });
    assert.ok(answer.choices[0].message.content);
    assert.equal(answer.choices[0].finish_reason, 'stop');
    assert.ok(answer.usage.total_tokens > 0);
  },
  async streaming() {
    let text = '';
    let usage = null;
    const stream = await client.chat.completions.create({ model: 'chat', messages: hello, stream: true, stream_options: { include_usage: true } });
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta?.content ?? '';
      usage = chunk.usage ?? usage;
    }
    assert.equal(text.split(' ').length, 32);
    assert.equal(usage.completion_tokens, 32);
    for await (const chunk of await client.chat.completions.create({ model: 'chat', messages: hello, stream: true })) {
      assert.ok(!chunk.usage, 'usage nobody asked for');
      assert.equal(chunk.choices.length, 1);
    }
  },
  async tools() {
    const answer = await client.chat.completions.create({ model: 'chat', messages: weather, tools });
    assert.equal(answer.choices[0].finish_reason, 'tool_calls');
    assert.ok(JSON.parse(answer.choices[0].message.tool_calls[0].function.arguments).city);
    const runner = client.chat.completions.stream({ model: 'chat', messages: weather, tools });
    const final = await runner.finalChatCompletion();
    assert.ok(JSON.parse(final.choices[0].message.tool_calls[0].function.arguments).city);
  },
  async embeddings() {
    const packed = await client.embeddings.create({ model: 'embed', input: 'one pump', dimensions: 64 });
    const floats = await client.embeddings.create({ model: 'embed', input: 'one pump', dimensions: 64, encoding_format: 'float' });
    assert.equal(packed.data[0].embedding.length, 64);
    floats.data[0].embedding.forEach((x, i) => assert.ok(Math.abs(x - packed.data[0].embedding[i]) < 1e-6));
  },
  async models() {
    const names = [];
    for await (const model of client.models.list()) names.push(model.id);
    assert.ok(names.includes('chat'), names.join());
  },
  async errors() {
    const create = (model, messages = hello) => client.chat.completions.create({ model, messages });
    await assert.rejects(create('chatt'), (e) => e instanceof OpenAI.NotFoundError && e.code === 'model_not_found');
    await assert.rejects(create('chat', []), OpenAI.BadRequestError);
    await assert.rejects(create('secret'), OpenAI.PermissionDeniedError);
    await assert.rejects(create('limited'), OpenAI.RateLimitError);
    await assert.rejects(create('broken'), OpenAI.InternalServerError);
    const stranger = new OpenAI({ baseURL, apiKey: 'wrong', maxRetries: 0 });
    await assert.rejects(stranger.chat.completions.create({ model: 'chat', messages: hello }), OpenAI.AuthenticationError);
    await assert.rejects(async () => {
      for await (const chunk of await client.chat.completions.create({ model: 'torn', messages: hello, stream: true })) assert.ok(chunk);
    }, OpenAI.APIError);
  },
  async audio() {
    // This client puts the file before the model's name.
    const sound = Buffer.alloc(500_000, 7);
    const heard = await client.audio.transcriptions.create({ model: 'chat', file: new File([sound], 'pump.wav') });
    assert.equal(heard.text, 'The mock provider heard 500000 bytes.');
    const spoken = await client.audio.speech.create({ model: 'chat', voice: 'alloy', input: '300000 bytes' });
    assert.equal((await spoken.arrayBuffer()).byteLength, 300_000);
  },
  async headers() {
    const { data, response } = await client.chat.completions.create({ model: 'chat', messages: hello }).withResponse();
    assert.ok(data.choices[0].message.content);
    assert.equal(response.headers.get('x-penstock-target'), 'lab/small');
    assert.ok(response.headers.get('x-request-id'));
  },
};

let failed = 0;
for (const [name, test] of Object.entries(tests)) {
  try {
    await test();
    console.log(`ok   ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL ${name}: ${error?.stack ?? error}`);
  }
}
process.exit(failed ? 1 : 0);
