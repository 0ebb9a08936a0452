"""HTTP/2 on the data listener: real clients, streams that do not disturb one another, and clients that mean harm."""

import contextlib
import json
import signal
import struct
import subprocess

import certificates
import harness
import http2
from harness import check, equal, until
from http2 import frame

LISTEN = '{ address: "127.0.0.1:0", h2c: true }'
CONFIG = """
providers:
  lab: {{ type: openai, base_url: {url} }}
models:
  chat: {{ route: [ {{ to: lab/small }} ] }}
http: {{ head_timeout: 1s, body_timeout: 2s, write_timeout: 2s, idle_timeout: 3s {more} }}
"""
CHAT = "/v1/chat/completions"


@contextlib.contextmanager
def pair(*options, more=""):
    with harness.Mock(*options) as mock, harness.Gateway(CONFIG.format(url=mock.url, more=more), listen=LISTEN) as gateway:
        yield mock, gateway
        check(gateway.alive(), "the gateway ended")


def chat(**more):
    return json.dumps(harness.chat_body(**more)).encode()


def run(*arguments):
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
    equal(done.returncode, 0, arguments[0], done.stdout[-500:], done.stderr[-500:])
    return done.stdout


# --- clients ----------------------------------------------------------------------------------------------------------

def test_curl_speaks_it_without_tls():
    harness.need("curl")
    with pair() as (_, gateway):
        url = f"http://127.0.0.1:{gateway.port}{CHAT}"
        out = run("curl", "-sS", "--http2-prior-knowledge", "-w", "\n%{http_version} %{http_code}", "-d", chat().decode(), url)
        body, _, facts = out.rpartition("\n")
        equal(facts, "2 200")
        check(json.loads(body)["choices"][0]["message"]["content"], body)
        # HTTP/1.1 on the same listener.
        equal(gateway.chat().status, 200)


def test_curl_agrees_on_it_in_the_handshake():
    harness.need("curl")
    made = certificates.local()
    listen = f'{{ address: "127.0.0.1:0", tls: {{ {made.pair("server")} }} }}'
    with harness.Mock() as mock, harness.Gateway(CONFIG.format(url=mock.url, more=""), listen=listen) as gateway:
        url = f"https://127.0.0.1:{gateway.port}{CHAT}"
        for option, version in (("--http2", "2"), ("--http1.1", "1.1")):
            out = run("curl", "-sS", "--cacert", made.path("ca.pem"), option, "-o", "/dev/null", "-w",
                      "%{http_version} %{http_code}", "-d", chat().decode(), url)
            equal(out, f"{version} 200", option)


def test_h2load_gets_all_its_answers():
    harness.need("h2load")
    with pair() as (_, gateway):
        body = harness.folder() / "body.json"
        body.write_bytes(chat())
        out = run("h2load", "-n", "600", "-c", "3", "-m", "30", "-d", str(body), "-H", "content-type: application/json",
                  f"http://127.0.0.1:{gateway.port}{CHAT}")
        check("600 succeeded, 0 failed" in out and "600 2xx" in out, out)


def test_an_upload_goes_through_curl():
    harness.need("curl")
    with pair() as (mock, gateway):
        sound = harness.folder() / "sound.wav"
        sound.write_bytes(bytes(range(256)) * 8192)
        out = run("curl", "-sS", "--http2-prior-knowledge", "-w", "\n%{http_version} %{http_code}", "-F", "model=chat", "-F",
                  f"file=@{sound}", f"http://127.0.0.1:{gateway.port}/v1/audio/transcriptions")
        check(out.endswith("\n2 200"), out)
        equal(mock.stats()["requests"], 1)


# --- streams ----------------------------------------------------------------------------------------------------------

def test_events_arrive_one_by_one():
    with pair("--tokens", "200", "--per-token", "50ms") as (mock, gateway), http2.Connection(gateway.port) as client:
        stream = client.request("POST", CHAT, chat(stream=True))
        client.until(lambda: client.data(stream).count(b"\n\n") >= 10, "ten events")
        equal(mock.stats()["active"], 1, "calls the provider is still answering:")
        check(not client.finished(stream))
        # The client gives the stream up: so does the gateway with its call.
        client.send(frame(http2.RST_STREAM, 0, stream, struct.pack(">I", http2.CANCEL)))
        until(lambda: mock.stats()["active"] == 0 and mock.stats()["cancelled"] == 1, "the call to the provider to end")
        again = client.request("GET", "/healthz")
        client.until(lambda: client.finished(again), "the next answer")
        equal(client.status(again), 200)


def test_a_hundred_streams_share_a_connection():
    with pair("--tokens", "5", "--per-token", "20ms") as (mock, gateway), http2.Connection(gateway.port) as client:
        client.send(frame(http2.WINDOW_UPDATE, 0, 0, struct.pack(">I", 10_000_000)))
        streams = [client.request("POST", CHAT, chat(stream=True)) for _ in range(100)]
        client.until(lambda: all(client.finished(s) for s in streams), "all answers")
        for stream in streams:
            check(client.data(stream).endswith(b"data: [DONE]\n\n"), client.data(stream)[-100:])
        equal(mock.stats()["requests"], 100)


def test_streams_over_the_limit_are_refused():
    with pair("--tokens", "200", "--per-token", "50ms", more=", h2_streams_max: 2") as (_, gateway), \
            http2.Connection(gateway.port) as client:
        streams = [client.request("POST", CHAT, chat(stream=True)) for _ in range(3)]
        client.until(lambda: client.reset_code(streams[2]) is not None, "the refusal")
        equal(client.reset_code(streams[2]), 7, "REFUSED_STREAM:")
        client.until(lambda: all(client.data(s) for s in streams[:2]), "events of the others")


def test_a_slow_reader_holds_back_only_its_stream():
    with pair("--tokens", "2000") as (_, gateway), http2.Connection(gateway.port, window=3000) as client:
        slow = client.request("POST", CHAT, chat())
        client.until(lambda: len(client.data(slow)) == 3000, "a window of data")
        quick = client.request("GET", "/healthz")
        client.until(lambda: client.finished(quick), "the other stream's answer")
        client.send(frame(http2.WINDOW_UPDATE, 0, slow, struct.pack(">I", 1_000_000)))
        client.until(lambda: client.finished(slow), "the rest")
        check(json.loads(client.data(slow))["usage"]["completion_tokens"] == 2000)


def test_a_reader_that_stops_loses_its_stream_only():
    with pair("--tokens", "2000") as (_, gateway), http2.Connection(gateway.port, window=0) as client:
        stuck = client.request("POST", CHAT, chat())
        client.until(lambda: client.reset_code(stuck) is not None, "the end of the stuck stream")
        equal(client.reset_code(stuck), http2.CANCEL)
        client.send(frame(http2.SETTINGS, 0, 0, struct.pack(">HI", 4, 65535)))
        quick = client.request("GET", "/healthz")
        client.until(lambda: client.finished(quick), "the other stream's answer")


def test_trailers_of_a_request_are_taken():
    with pair() as (_, gateway), http2.Connection(gateway.port) as client:
        stream = client.request("POST", CHAT, chat(), end=False)
        client.send(frame(http2.HEADERS, http2.END_HEADERS | http2.END_STREAM, stream, http2.field("x-sum", "1")))
        client.until(lambda: client.finished(stream), "the answer")
        equal(client.status(stream), 200)


def test_what_was_refused_unread_does_not_use_up_the_window():
    with pair() as (_, gateway), http2.Connection(gateway.port) as client:
        for _ in range(60):
            stream = client.request("POST", "/v1/nothing", b"x" * 16_000)
            client.until(lambda: client.finished(stream) or client.reset_code(stream) is not None, "the refusal")
        last = client.request("POST", CHAT, chat())
        client.until(lambda: client.finished(last), "the answer after many refusals")
        equal(client.status(last), 200)


def test_an_answer_over_tls_may_take_longer_than_a_handshake():
    harness.need("curl")
    made = certificates.local()
    listen = f'{{ address: "127.0.0.1:0", tls: {{ {made.pair("server")} }} }}'
    with harness.Mock("--tokens", "25", "--per-token", "100ms") as mock, \
            harness.Gateway(CONFIG.format(url=mock.url, more=""), listen=listen) as gateway:
        out = run("curl", "-sSN", "--http2", "--cacert", made.path("ca.pem"), "-w", "%{http_version} %{http_code}",
                  "-d", chat(stream=True).decode(), f"https://127.0.0.1:{gateway.port}{CHAT}")
        check(out.endswith("2 200") and "[DONE]" in out, out[-300:])


def test_requests_over_a_limit_are_answered():
    with pair(more=", body_max: 1000B") as (_, gateway), http2.Connection(gateway.port) as client:
        large = client.request("POST", CHAT, b"x" * 2000)
        client.until(lambda: client.finished(large), "the refusal")
        check(b"larger than the limit" in client.data(large), client.data(large))
        head = client.request("GET", "/healthz", fields=[("x-large", "v" * 15_000)] * 3)
        client.until(lambda: client.finished(head) or client.reset_code(head), "the refusal")
        check(b"header fields are larger" in client.data(head), client.frames[-5:])
        client.send(frame(http2.WINDOW_UPDATE, 0, 0, struct.pack(">I", 1000)))
        fine = client.request("GET", "/healthz")
        client.until(lambda: client.finished(fine), "the next answer")


def test_a_drain_lets_streams_end():
    with harness.Mock("--tokens", "20", "--per-token", "50ms") as mock, \
            harness.Gateway(CONFIG.format(url=mock.url, more=""), listen=LISTEN) as gateway, \
            http2.Connection(gateway.port) as client:
        stream = client.request("POST", CHAT, chat(stream=True))
        client.until(lambda: client.data(stream), "the first event")
        gateway.send(signal.SIGTERM)
        client.until(lambda: client.of(http2.GOAWAY), "the announcement")
        last = client.request("GET", "/healthz")  # sent before the client could know
        client.send(*[frame(http2.PING, http2.ACK, 0, f[3]) for f in client.of(http2.PING) if not f[1]])
        client.until(lambda: client.finished(stream), "the end of the stream")
        client.until(lambda: client.finished(last), "the last answer")
        client.until(lambda: client.ended, "the end of the connection")
        check(client.data(stream).endswith(b"data: [DONE]\n\n"))
        equal(client.goaway_code(), http2.NO_ERROR)
        equal(gateway.wait(), 0, "exit status:")


# --- harm -------------------------------------------------------------------------------------------------------------

def cut_off(name, attack, prepare=lambda client: None):
    """The connection ends with ENHANCE_YOUR_CALM, the metric counts it, and others are served."""
    with pair() as (_, gateway):
        with http2.Connection(gateway.port) as client:
            prepare(client)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                for piece in attack(client):
                    client.send(piece)
                    while client.read(0.001):
                        pass
                    if client.ended or client.goaway_code() is not None:
                        break
            with contextlib.suppress(ConnectionResetError):
                client.until(lambda: client.ended or client.goaway_code() is not None, f"the end after {name}")
            equal(client.goaway_code(), http2.ENHANCE_YOUR_CALM, name)
        until(lambda: gateway.metric("penstock_http2_abuse_total") == 1, "the metric")
        check("a client was cut off" in gateway.log())
        equal(gateway.request("GET", "/healthz").status, 200)


def test_rapid_resets_are_cut_off():
    def attack(client):
        for _ in range(60):
            pieces = b""
            for _ in range(10):
                stream, client.next_stream = client.next_stream, client.next_stream + 2
                pieces += frame(http2.HEADERS, 5, stream, http2.head("GET", "/healthz"))
                pieces += frame(http2.RST_STREAM, 0, stream, struct.pack(">I", http2.CANCEL))
            yield pieces
    cut_off("rapid resets", attack)


def test_resets_made_by_the_server_are_cut_off():
    def attack(client):
        for _ in range(60):
            pieces = b""
            for _ in range(10):
                stream, client.next_stream = client.next_stream, client.next_stream + 2
                pieces += frame(http2.HEADERS, 4, stream, http2.head("POST", CHAT))
                pieces += frame(http2.WINDOW_UPDATE, 0, stream, struct.pack(">I", 0x7FFFFFFF))
            yield pieces
            # Streams beyond the limit would be another fault.
            client.until(lambda last=stream: client.reset_code(last) is not None or client.of(http2.GOAWAY), "the resets")
    cut_off("resets made by the server", attack)


def test_floods_are_cut_off():
    floods = {
        "PING": lambda stream: frame(http2.PING, 0, 0, b"12345678"),
        "SETTINGS": lambda stream: frame(http2.SETTINGS),
        "PRIORITY": lambda stream: frame(http2.PRIORITY, 0, 1001, struct.pack(">IB", 0, 1)),
        "unknown": lambda stream: frame(77, 0, 0, b"x"),
        "WINDOW_UPDATE": lambda stream: frame(http2.WINDOW_UPDATE, 0, stream, struct.pack(">I", 1)),
        "empty DATA": lambda stream: frame(http2.DATA, 0, stream),
    }
    for name, one in floods.items():
        state = {}

        def prepare(client, state=state):
            state["stream"] = client.request("POST", CHAT, end=False)

        def attack(_client, one=one, state=state):
            for _ in range(400):
                yield one(state["stream"]) * 20

        cut_off(name, attack, prepare)


def test_an_endless_head_is_cut_off():
    def attack(client):
        yield frame(http2.HEADERS, 1, 1, http2.head("GET", "/healthz"))
        for _ in range(100):
            yield frame(http2.CONTINUATION, 0, 1, http2.field("x", "y" * 100))
    # The acknowledgement of the settings must not come in between.
    cut_off("CONTINUATION frames", attack, lambda client: client.until(lambda: client.of(http2.SETTINGS), "settings"))


def test_a_header_bomb_is_cut_off():
    def attack(client):
        yield frame(http2.HEADERS, 5, 1, http2.head("GET", "/healthz") + b"\x40\x01x" + http2.integer(4000) + b"v" * 4000 +
                    b"\xbe" * 9000)
    cut_off("a header bomb", attack)


def test_a_head_that_stops_ends_the_connection():
    with pair() as (_, gateway), http2.Connection(gateway.port) as client:
        client.send(frame(http2.HEADERS, 1, 1, http2.head("GET", "/healthz")))
        client.until(lambda: client.ended, "the end of the connection")


def test_a_connection_without_streams_ends():
    with pair() as (_, gateway), http2.Connection(gateway.port) as client:
        client.until(lambda: client.ended, "the end of the connection")
        equal(client.goaway_code(), http2.NO_ERROR)


def test_without_h2c_the_preface_is_no_request():
    with harness.Gateway("providers: {}\n") as gateway:
        answer = harness.raw(gateway.port, http2.PREFACE)
        check(answer.startswith(b"HTTP/1.1 400") or answer.startswith(b"HTTP/1.1 505"), answer[:200])


if __name__ == "__main__":
    harness.run(globals())
