"""Everything at once, for a while: callers of every kind, rude ones among them, providers that fail in every way, and a
configuration that changes meanwhile. What a caller with a right request gets must be right, or an honest error.

PENSTOCK_SOAK_SECONDS sets how long (10); a line a minute is printed. Memory and descriptors must level off in long runs.
"""

import collections
import contextlib
import gzip
import json
import os
import random
import re
import signal
import socket
import ssl
import threading
import time

import certificates
import harness
import http2
import websocket_client
from harness import Gateway, Mock, check, equal, folder

SECONDS = float(os.environ.get("PENSTOCK_SOAK_SECONDS", "10"))
KEY = "sk-soak-000000000001"
SANITIZERS = re.compile(r"ERROR: \w*Sanitizer|WARNING: ThreadSanitizer|runtime error:")

CONFIG = """\
providers:
  good:  {{ type: openai, base_url: "{good}", api_key: sk-upstream-soak-1 }}
  moody: {{ type: openai, base_url: "{moody}", timeout: 5s, connect_timeout: 1s }}
  rude:  {{ type: openai, base_url: "http://127.0.0.1:{rude}/v1", timeout: 2s, connect_timeout: 1s }}
models:
  chat:      {{ route: [ {{ to: good/gpt }} ] }}
  safe:      {{ route: [ {{ to: rude/gpt }} ], fallback: [ moody/gpt, good/gpt ] }}
  rude:      {{ route: [ {{ to: rude/gpt }} ] }}
  whisper-1: {{ route: [ {{ to: good/whisper-1 }} ] }}
  digits:    {{ path: {models}/digits }}
keys:
  - {{ name: soak, secret: {key}, limits: {{ rpm: 100000000, tpm: 100000000000 }} }}
{more}
sources:
  press: {{ http: {{}}, format: json }}
pipelines:
  guard:
    from: press
    steps:
      - window: {{ last: 2s, every: 1s, by: device, fields: {{ mean: avg(temp) }} }}
      - alarm:  {{ name: hot, raise: "mean > 80", clear: "mean < 60" }}
    to: [ {{ log: {{ every: 5m }} }} ]
http: {{ head_timeout: 2s, body_timeout: 2s, write_timeout: 5s }}
"""


class RudeUpstream:
    """A provider that breaks each answer in another way."""

    OK = json.dumps({"id": "x", "object": "chat.completion", "model": "gpt", "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}}).encode()
    EVENT = b'data: {"id":"x","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self._serve, args=(connection, self.random.random()), daemon=True).start()

    def _serve(self, connection, seed):
        dice = random.Random(seed)
        with connection, contextlib.suppress(OSError, ValueError):
            connection.settimeout(5)
            head = b""
            while b"\r\n\r\n" not in head:
                part = connection.recv(65536)
                if not part:
                    return
                head += part
            whole = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(self.OK), self.OK)
            stream = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n" + \
                b"".join(b"%x\r\n%s\r\n" % (len(self.EVENT), self.EVENT) for _ in range(5))
            kind = dice.randrange(9)
            if kind == 0:
                connection.sendall(whole)
            elif kind in (1, 2):
                answer = whole if kind == 1 else stream
                connection.sendall(answer[:dice.randrange(len(answer))])
                if dice.random() < 0.5:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            elif kind == 3:
                connection.sendall(os.urandom(dice.randrange(1, 500)))
            elif kind == 4:
                connection.sendall(whole.replace(b"content-length: ", b"content-length: 9"))
            elif kind == 5:
                connection.sendall(b"HTTP/1.1 503 busy\r\ncontent-length: 2\r\nretry-after: 0\r\n\r\n{}")
            elif kind == 6:
                for byte in whole[:60]:
                    connection.sendall(bytes([byte]))
                    time.sleep(0.005)
                connection.sendall(whole[60:])
            elif kind == 7:
                connection.recv(1)  # silence
            else:
                connection.sendall(stream + b"zz\r\n")


class Soak:
    def __init__(self, gateway, tls_port):
        self.gateway = gateway
        self.tls_port = tls_port
        self.end = time.monotonic() + SECONDS
        self.done = collections.Counter()
        self.wrong = []
        self.lock = threading.Lock()

    def going(self):
        return time.monotonic() < self.end

    def note(self, kind, right, what=""):
        with self.lock:
            self.done[kind] += 1
            if not right and len(self.wrong) < 50:
                self.wrong.append(f"{kind}: {what}")

    def actor(self, kind, pause, act):
        """Runs act() again and again; it returns nothing when all was right, else what was wrong."""
        def loop():
            while self.going():
                try:
                    wrong = act()
                except Exception as error:  # whatever it is, the gateway owed something better
                    wrong = repr(error)
                self.note(kind, not wrong, wrong)
                time.sleep(pause)
        thread = threading.Thread(target=loop, daemon=True)
        thread.start()
        return thread

    # --- callers with right requests ---

    def chat(self, model="chat", allowed=(200,), **more):
        answer = self.gateway.chat(model, KEY, **more)
        if answer.status not in allowed:
            return answer
        body = answer.json()
        return None if ("choices" in body if answer.status == 200 else "error" in body) else answer

    def stream(self, model="chat", honest=True):
        with harness.Stream(self.gateway.port, "/v1/chat/completions", harness.chat_body(model, stream=True), KEY) as stream:
            if stream.status != 200:
                return None if not honest and stream.status in (502, 503, 504) else f"status {stream.status}"
            if not honest and stream.headers.get("content-type") == "application/json":
                return None if b"".join(stream.pieces()) == RudeUpstream.OK else "an answer that is not a stream, and not whole"
            last = b""
            for _, data in stream.events():
                last = data
            return None if last == b"[DONE]" or (not honest and b'"error"' in last) else f"ends with {last[:200]}"

    def coded(self):
        body = gzip.compress(json.dumps(harness.chat_body("chat", "x" * 50_000)).encode())
        answer = self.gateway.post("/v1/chat/completions", body, KEY, {"Content-Encoding": "gzip", "Accept-Encoding": "gzip"})
        return None if answer.status == 200 else answer

    def upload(self):
        form = (b'--XX\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n--XX\r\nContent-Disposition: '
                b'form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\n') + os.urandom(300_000) + b"\r\n--XX--\r\n"
        answer = self.gateway.post("/v1/audio/transcriptions", form, KEY, {"Content-Type": "multipart/form-data; boundary=XX"})
        return None if answer.status == 200 else answer

    def infer(self):
        body = {"inputs": [{"name": "pixels", "datatype": "FP32", "shape": [1, 64], "data": [0.5] * 64}]}
        answer = self.gateway.post("/v2/models/digits/infer", body, KEY)
        return None if answer.status == 200 else answer

    def ingest(self):
        answer = self.gateway.post("/ingest/press", [{"device": f"d{random.randrange(20)}", "temp": random.random() * 100}], KEY)
        return None if answer.status == 202 or answer.status == 200 else answer

    def over_tls(self):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        body = json.dumps(harness.chat_body()).encode()
        with socket.create_connection(("127.0.0.1", self.tls_port), timeout=30) as plain, context.wrap_socket(plain) as line:
            line.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer %s\r\n"
                         b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (KEY.encode(), len(body), body))
            answer = b""
            while part := line.recv(65536):
                answer += part
        return None if answer.startswith(b"HTTP/1.1 200") else answer[:200]

    def over_http2(self):
        """A plain call, a stream and a refusal on one connection; now and then one is given up."""
        fields = [("authorization", f"Bearer {KEY}"), ("content-type", "application/json")]
        with http2.Connection(self.gateway.port, window=1 << 20) as client:
            streams = [client.request("POST", "/v1/chat/completions", json.dumps(harness.chat_body(stream=flag)).encode(), fields)
                       for flag in (False, True)]
            refused = client.request("POST", "/v1/nothing", b"x" * 5000, fields)
            given_up = client.request("POST", "/v1/chat/completions", json.dumps(harness.chat_body(stream=True)).encode(), fields)
            client.send(http2.frame(http2.RST_STREAM, 0, given_up, http2.CANCEL.to_bytes(4, "big")))
            client.until(lambda: all(client.finished(stream) for stream in streams), "both answers")
            client.until(lambda: client.finished(refused) or client.reset_code(refused) is not None, "the refusal")
            right = all(client.status(stream) == 200 for stream in streams) and b"[DONE]" in client.data(streams[1])
            return None if right else client.frames[-10:]

    def web_socket(self):
        with websocket_client.WebSocket(self.gateway.port, "/ingest/press/ws", KEY, offer="permessage-deflate") as line:
            for _ in range(5):
                line.text([{"device": f"d{random.randrange(20)}", "temp": random.random() * 100}])
                answer = line.event()
                if answer != {"accepted": 1}:
                    return answer
            if random.random() < 0.7:
                line.close()
        return None

    def admin(self):
        return None if "penstock_process_resident_bytes" in self.gateway.metrics() else "no metrics"

    # --- callers who misbehave: nothing is owed to them but an end ---

    def leave_early(self):
        body = json.dumps(harness.chat_body(random.choice(["chat", "safe"]), stream=True)).encode()
        with socket.create_connection(("127.0.0.1", self.gateway.port), timeout=30) as line:
            line.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
                         b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (KEY.encode(), len(body), body))
            line.recv(random.choice([1, 200, 2000]))

    def garbage(self):
        start = random.choice([b"", b"POST /v1/chat/completions HTTP/1.1\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01"])
        harness.raw(random.choice([self.gateway.port, self.tls_port]), start + os.urandom(300), 3)

    def slow_head(self):
        with socket.create_connection(("127.0.0.1", self.gateway.port), timeout=10) as line, contextlib.suppress(OSError):
            for byte in b"GET /v1/models HTTP/1.1\r\nx: " + b"y" * 60:
                line.sendall(bytes([byte]))
                time.sleep(0.1)

    def slow_reader(self):
        with socket.socket() as line, contextlib.suppress(OSError):
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            line.settimeout(10)
            line.connect(("127.0.0.1", self.gateway.port))
            body = json.dumps(harness.chat_body(stream=True)).encode()
            line.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
                         b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (KEY.encode(), len(body), body))
            for _ in range(20):
                if not line.recv(16):
                    break
                time.sleep(0.05)

    # --- the operator ---

    def change(self, texts):
        self.gateway.write(random.choice(texts))
        self.gateway.send(signal.SIGHUP)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def memory(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def test_nothing_breaks_under_everything_at_once():
    rude = RudeUpstream(7)
    made = certificates.local()
    tls_port = free_port()
    # The harness takes the last address for the plain one.
    listen = f"[ {{ address: '127.0.0.1:{tls_port}', tls: {{ {made.pair('server')} }} }}, {{ address: '127.0.0.1:{free_port()}', h2c: true }} ]"
    models = harness.ROOT / "configs" / "models"
    with Mock("--tokens", "16") as good, Mock("--fail", "10%:503", "--fail", "5%:429") as moody:
        texts = [CONFIG.format(good=good.url, moody=moody.url, rude=rude.port, key=KEY, models=models, more=more) for more in
                 ("", "  - { name: other, secret: sk-soak-000000000002, limits: { rpm: 5 } }\n")]
        # ONNX Runtime leaves a few things of its threads behind.
        allowed = folder() / "leaks"
        allowed.write_text("leak:libonnxruntime\n")
        with Gateway(texts[0], listen=listen, environment={"LSAN_OPTIONS": f"suppressions={allowed}"}) as gateway:
            soak = Soak(gateway, tls_port)
            threads = [
                soak.actor("chat", 0.02, soak.chat),
                soak.actor("stream", 0.05, soak.stream),
                soak.actor("fallback", 0.05, lambda: soak.chat("safe")),
                soak.actor("rude provider", 0.05, lambda: soak.chat("rude", (200, 502, 503, 504))),
                soak.actor("rude provider, streamed", 0.05, lambda: soak.stream("rude", honest=False)),
                soak.actor("coded", 0.2, soak.coded),
                soak.actor("upload", 0.3, soak.upload),
                soak.actor("infer", 0.05, soak.infer),
                soak.actor("ingest", 0.05, soak.ingest),
                soak.actor("tls", 0.2, soak.over_tls),
                soak.actor("http2", 0.2, soak.over_http2),
                soak.actor("websocket", 0.2, soak.web_socket),
                soak.actor("admin", 1, soak.admin),
                soak.actor("leaves early", 0.1, soak.leave_early),
                soak.actor("garbage", 0.2, soak.garbage),
                soak.actor("slow head", 0.1, soak.slow_head),
                soak.actor("slow reader", 0.1, soak.slow_reader),
                soak.actor("reload", 3, lambda: soak.change(texts)),
            ]
            started, told, levels = time.monotonic(), 0, []
            while soak.going() and gateway.alive():
                time.sleep(min(1, max(0.1, SECONDS / 20)))
                if time.monotonic() - started >= told:
                    told += 60
                    levels.append(memory(gateway.pid))
                    print(f"     {time.monotonic() - started:5.0f} s  {levels[-1]:.1f} MB  "
                          f"{len(os.listdir(f'/proc/{gateway.pid}/fd'))} descriptors  {sum(soak.done.values())} acts  {len(soak.wrong)} wrong",
                          flush=True)
            for thread in threads:
                thread.join(30)
            print("     " + ", ".join(f"{kind} {count}" for kind, count in sorted(soak.done.items())))
            check(gateway.alive(), "the gateway ended:", gateway.tail())
            check(not soak.wrong, "\n".join(soak.wrong))
            equal(gateway.stop(), 0, "exit status")
            found = SANITIZERS.search(gateway.log())
            check(not found, gateway.log()[found.start():found.start() + 3000] if found else "")


harness.run(globals())
