// Google's client for Gemini in Node, with whatever provider behind.
import assert from 'node:assert/strict';
import { askOne, askTwo, behind, checkPump, checkWeather, clock, count, includes, key, load, models, png, pump, root, run, sees, usualNeeds, weather } from './any_provider.mjs';

const { GoogleGenAI, ApiError } = await load('@google/genai');
const client = new GoogleGenAI({ apiKey: key, httpOptions: { baseUrl: root, timeout: 30_000 } });
const tools = [{ functionDeclarations: [['get_weather', weather], ['get_clock', clock]].map(([name, parametersJsonSchema]) => ({ name, parametersJsonSchema })) }];
const asked = (contents, config = {}, model = 'chat') => ({ model: models[model], contents, config });
const ask = (...given) => client.models.generateContent(asked(...given));
const result = (call, said) => ({ functionResponse: { id: call.id, name: call.name, response: { result: said } } });

await run({
  async chat() {
    const answer = await ask('hello', { systemInstruction: 'Be short.', maxOutputTokens: 500 });
    assert.equal(count(answer.text), 32);
    assert.equal(answer.candidates[0].finishReason, 'STOP');
    assert.ok(answer.usageMetadata.candidatesTokenCount > 0);
  },
  async stream() {
    let text = ''; let finish = null;
    for await (const chunk of await client.models.generateContentStream(asked('hello'))) {
      text += chunk.text ?? '';
      finish = chunk.candidates?.[0]?.finishReason ?? finish;
    }
    assert.equal(count(text), 32);
    assert.equal(finish, 'STOP');
  },
  async tools() {
    const talk = [{ role: 'user', parts: [{ text: askOne }] }];
    const first = await ask(talk, { tools });
    checkWeather(first.functionCalls[0].args);
    talk.push(first.candidates[0].content, { role: 'user', parts: [result(first.functionCalls[0], '18 C')] });
    const second = await ask(talk, { tools });
    includes(second.text, '18 C');
    talk.push(second.candidates[0].content, { role: 'user', parts: [{ text: askTwo }] });
    const parts = [];
    for await (const chunk of await client.models.generateContentStream(asked(talk, { tools }))) parts.push(...(chunk.candidates?.[0]?.content?.parts ?? []));
    const calls = parts.filter((part) => part.functionCall);
    assert.deepEqual(calls.map((part) => part.functionCall.name), ['get_clock', 'get_weather']);
    talk.push({ role: 'model', parts: calls }, { role: 'user', parts: [result(calls[0].functionCall, 'noon'), result(calls[1].functionCall, '19 C')] });
    includes((await ask(talk, { tools })).text, 'noon', '19 C');
  },
  async vision() {
    includes((await ask([{ role: 'user', parts: [{ inlineData: { data: png, mimeType: 'image/png' } }, { text: 'What is it?' }] }])).text, sees);
  },
  async structured() {
    checkPump((await ask('a pump', { responseMimeType: 'application/json', responseJsonSchema: pump })).text);
  },
  async reasoning() {
    const answer = await ask('hello', { thinkingConfig: { includeThoughts: true, thinkingBudget: 1024 } }, 'think');
    assert.ok(answer.candidates[0].content.parts.some((part) => part.thought));
    assert.equal(count(answer.text), 32);
  },
  async embeddings() {
    const answer = await client.models.embedContent({ model: models.embed, contents: ['one pump', 'two pumps'] });
    assert.equal(answer.embeddings.length, 2);
    assert.ok(answer.embeddings[0].values.length > 8);
  },
  async errors() {
    const status = (wanted) => (e) => e instanceof ApiError && e.status === wanted;
    await assert.rejects(ask([{ role: 'nobody', parts: [{ text: 'hi' }] }]), status(400));
    if (behind !== 'mock') await assert.rejects(client.models.generateContent({ model: 'no-such-model', contents: 'hi' }), status(404));
    await assert.rejects(ask('hello', {}, 'limited'), status(429));
    await assert.rejects(ask('hello', {}, 'broken'), (e) => e instanceof ApiError && e.status >= 500);
    await assert.rejects(async () => { for await (const chunk of await client.models.generateContentStream(asked('hello', {}, 'torn'))) assert.ok(chunk); });
  },
  async retries() {
    const patient = new GoogleGenAI({ apiKey: key, httpOptions: { baseUrl: root, retryOptions: { attempts: 9 } } });
    for (let i = 0; i < 4; ++i) assert.ok((await patient.models.generateContent(asked('hello', {}, 'flaky'))).text);
  },
  async cancel() {
    for await (const chunk of await client.models.generateContentStream(asked('hello', {}, 'slow'))) if (chunk.text) break;
  },
}, usualNeeds);
