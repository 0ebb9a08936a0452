// What all clients in Node are put through, whatever provider answers: the setting, the questions, and the report.
// Arguments: the folder of modules, the setting as JSON.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [modules, setting] = process.argv.slice(2);
export const { root, key, behind, models } = JSON.parse(setting);
const require = createRequire(pathToFileURL(`${modules}/`));
export const load = async (name) => import(pathToFileURL(require.resolve(name)));

export const weather = {
  type: 'object', properties: { city: { type: 'string' }, unit: { type: 'string', enum: ['C', 'F'] } }, required: ['city', 'unit'],
};
export const clock = { type: 'object', properties: { zone: { type: 'string' } }, required: ['zone'] };
export const pump = {
  type: 'object', additionalProperties: false, required: ['name', 'bars', 'running'],
  properties: { name: { type: 'string' }, bars: { type: 'integer' }, running: { type: 'boolean' } },
};
export const askOne = 'What is the weather in Paris? Please call get_weather.';
export const askTwo = 'Now call get_clock and get_weather.';
export const png = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
export const sees = `[image image/png ${Buffer.from(png, 'base64').length} bytes]`;

export const count = (text) => text.split(' ').length;
export const checkWeather = (given) => {
  const answer = typeof given === 'string' ? JSON.parse(given) : given;
  assert.deepEqual(Object.keys(answer).sort(), ['city', 'unit']);
  assert.ok(['C', 'F'].includes(answer.unit));
};
export const checkPump = (given) => {
  const answer = typeof given === 'string' ? JSON.parse(given) : given;
  assert.deepEqual(Object.keys(answer).sort(), ['bars', 'name', 'running']);
};
export const includes = (text, ...parts) => parts.forEach((part) => assert.ok(text.includes(part), `${part} is not in: ${text}`));

// `tests`: name to function. One that needs a model the setting lacks is left out.
export async function run(tests, needs = {}) {
  let failed = 0;
  for (const [name, test] of Object.entries(tests)) {
    if (needs[name] && !(needs[name] in models)) {
      console.log(`left out ${name}: no model for it behind ${behind}`);
      continue;
    }
    try {
      await test();
      console.log(`ok   ${name}`);
    } catch (error) {
      failed += 1;
      console.log(`FAIL ${name} (${behind}): ${error?.stack ?? error}`);
    }
  }
  process.exit(failed ? 1 : 0);
}
export const usualNeeds = { embeddings: 'embed', retries: 'flaky', cancel: 'slow' };
