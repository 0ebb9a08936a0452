// Feeds messages to Node's own HTTP parser, llhttp, and prints those it does not read as we did, then one line of counts.
// Input, a line per message: request|response, the bytes of the message in hex, what we made of it in hex.
import { readFileSync } from 'node:fs';

const { HTTPParser, allMethods } = process.binding('http_parser');

function read(kind, bytes, atEnd) {
  const parser = new HTTPParser();
  parser.initialize(kind === 'request' ? HTTPParser.REQUEST : HTTPParser.RESPONSE, {});
  const seen = { text: '', heads: 0, messages: 0, upgrade: false, error: '' };
  let early = [];
  let trailers = false;
  // More than 32 fields come in portions.
  parser[HTTPParser.kOnHeaders] = (fields) => { if (!trailers) early = early.concat(fields); };
  parser[HTTPParser.kOnHeadersComplete] = (major, minor, fields, method, url, status, reason, upgrade) => {
    fields = early.concat(fields ?? []);
    trailers = true;
    ++seen.heads;
    seen.upgrade = upgrade || status === 101;
    seen.text += kind === 'request' ? `${allMethods[method]} ${url} 0 ${minor}\n` : `  ${status} ${minor}\n`;
    for (let i = 0; i < fields.length; i += 2) seen.text += `${fields[i]}:${fields[i + 1]}\n`;
    return 0;
  };
  parser[HTTPParser.kOnBody] = (piece) => { seen.text += piece.toString('latin1'); };
  parser[HTTPParser.kOnMessageComplete] = () => { ++seen.messages; };
  const result = parser.execute(bytes);
  if (result instanceof Error) seen.error = `${result.code} ${result.reason}`;
  else if (atEnd) {
    const finished = parser.finish();
    if (finished instanceof Error) seen.error = finished.code;
  }
  parser.close();
  return seen;
}

const count = { agreed: 0, upgrade: 0, method: 0, tab: 0, wrong: 0 };
for (const line of readFileSync(process.argv[2], 'latin1').split('\n')) {
  if (!line) continue;
  const [kind, hex, expectedHex] = line.split(' ');
  const bytes = Buffer.from(hex, 'hex');
  const expected = Buffer.from(expectedHex, 'hex').toString('latin1');
  // A closed list of methods, where any token is one.
  if (kind === 'request' && !allMethods.includes(expected.split(' ')[0])) { ++count.method; continue; }
  // A tab behind a length is white space by RFC 9110; only newer versions of llhttp know.
  if (/^content-length:[^\r]*\t/im.test(bytes.toString('latin1'))) { ++count.tab; continue; }
  const whole = read(kind, bytes, true);
  // It leaves the protocol at an upgrade; we never do.
  if (whole.upgrade) { ++count.upgrade; continue; }
  const cut = read(kind, bytes.subarray(0, bytes.length - 1), false);
  if (whole.error || whole.messages !== 1 || cut.messages !== 0 || whole.text !== expected) {
    ++count.wrong;
    console.log(JSON.stringify({ bytes: bytes.toString('latin1'), expected, whole, early: cut.messages }));
    if (count.wrong === 10) break;
  } else ++count.agreed;
}
console.log(`agreed ${count.agreed} upgrade ${count.upgrade} method ${count.method} tab ${count.tab} wrong ${count.wrong}`);
