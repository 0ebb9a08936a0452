// A provider over HTTP/2, for tests. Arguments: secure|plain, certificate, key, the largest number of streams at a time,
// and "http1" to take HTTP/1.1 as well. The model's name in a request says what to do with it. Says "ready PORT"; each
// line on standard input is a command, answered by one line.
import http2 from "node:http2";
import fs from "node:fs";
import readline from "node:readline";

const [kind, cert, key, streams, also] = process.argv.slice(2);
const settings = { maxConcurrentStreams: Number(streams) };
const { NGHTTP2_INTERNAL_ERROR, NGHTTP2_REFUSED_STREAM, NGHTTP2_CANCEL } = http2.constants;
const tls = kind === "secure" ? { cert: fs.readFileSync(cert), key: fs.readFileSync(key) } : {};
const server = kind === "secure" ? http2.createSecureServer({ ...tls, settings, allowHTTP1: also === "http1" })
                                 : http2.createServer({ settings });
const sessions = new Set();
const held = new Set();
const count = { sessions: 0, http1: 0, requests: 0, most: 0, open: 0, cancelled: 0, refused: 0, bytes: 0 };
const answer = JSON.stringify({
  id: "x", object: "chat.completion", created: 1, model: "m",
  choices: [{ index: 0, message: { role: "assistant", content: "hi" }, finish_reason: "stop" }],
  usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 },
});
const event = (text) => `data: ${JSON.stringify({ id: "x", object: "chat.completion.chunk", created: 1, model: "m",
  choices: [{ index: 0, delta: { content: text }, finish_reason: null }] })}\n\n`;
const json = { ":status": 200, "content-type": "application/json" };
const sse = { ":status": 200, "content-type": "text/event-stream" };

const modes = {
  plain: (s) => { s.respond(json); s.end(answer); },
  slow: (s) => setTimeout(() => modes.plain(s), 50),
  hold: (s) => held.add(s),
  stream: (s) => {
    s.respond(sse);
    let n = 0;
    const timer = setInterval(() => {
      if (s.destroyed) return clearInterval(timer);
      s.write(event(`piece ${n++}`));
      if (n === 5) { clearInterval(timer); s.end("data: [DONE]\n\n"); }
    }, 60);
  },
  big: (s) => {
    s.respond(sse);
    const text = event("b".repeat(64 * 1024));
    let n = 0;
    const more = () => {
      while (n++ < 256) if (!s.write(text)) return s.once("drain", more);
      s.end("data: [DONE]\n\n");
    };
    more();
  },
  "reset-before-head": (s) => s.close(NGHTTP2_INTERNAL_ERROR),
  "reset-after-head": (s) => { s.respond(sse); setTimeout(() => s.close(NGHTTP2_INTERNAL_ERROR), 20); },
  "reset-in-body": (s) => { s.respond(sse); s.write(event("one")); setTimeout(() => s.close(NGHTTP2_CANCEL), 20); },
  "half": (s) => { s.respond(sse); s.write(event("one")); },
  refuse: (s) => {
    if (count.refused++ === 0) s.close(NGHTTP2_REFUSED_STREAM);
    else modes.plain(s);
  },
};

server.on("session", (session) => {
  sessions.add(session);
  count.sessions++;
  session.on("close", () => sessions.delete(session));
  session.on("error", () => {});
});
server.on("sessionError", () => {});
server.on("stream", (stream, head) => {
  count.requests++;
  count.open++;
  count.most = Math.max(count.most, count.open);
  let body = "";
  stream.on("error", () => {});
  stream.on("aborted", () => count.cancelled++);
  stream.on("close", () => { count.open--; held.delete(stream); });
  stream.on("data", (bytes) => { body.length < 1e6 ? body += bytes : 0; count.bytes += bytes.length; });
  stream.on("end", () => {
    const model = /"model"\s*:\s*"([^"]*)"/.exec(body) ?? /name="model"\r\n\r\n([^\r]*)/.exec(body) ?? ["", "plain"];
    (modes[model[1]] ?? modes.plain)(stream);
  });
});
server.on("request", (request, response) => {
  if (request.httpVersionMajor === 2) return;
  count.http1++;
  request.resume();
  request.on("end", () => { response.setHeader("content-type", "application/json"); response.end(answer); });
});
server.listen(0, "127.0.0.1", () => console.log(`ready ${server.address().port}`));

const commands = {
  stats: () => {},
  release: () => { for (const stream of held) modes.plain(stream); },
  goaway: () => { for (const session of sessions) session.close(); },  // GOAWAY; what is under way goes on
  stop: () => server.close(),
};
readline.createInterface({ input: process.stdin }).on("line", (line) => {
  commands[line]();
  console.log(JSON.stringify({ ...count, now: sessions.size }));
}).on("close", () => process.exit(0));
