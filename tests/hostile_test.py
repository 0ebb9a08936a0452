"""Hostile and slow clients, and more load than can be served: each is bounded in cost, and somebody else is served all the
time. Attackers come from other loopback addresses than the client that is watched. Each attack prints what it cost."""

import contextlib
import gzip
import http.server
import json
import os
import pathlib
import socket
import threading
import time
import zlib

import harness
import http2
from harness import check, equal, until

KEY, LOW, CRITICAL = "sk-hostile-normal-01", "sk-hostile-low-00001", "sk-hostile-critical"
ATTACKER = "127.0.0.66"
TICKS = os.sysconf("SC_CLK_TCK")

CONFIG = """
http: {{ head_timeout: 1s, body_timeout: 1s, idle_timeout: 1s, write_timeout: 1s, body_rate_min: 10KiB }}
overload: {{ {overload} }}
providers: {{ lab: {{ type: openai, base_url: {url} }} }}
models: {{ chat: {{ route: [ {{ to: lab/small }} ] }} }}
keys:
  - {{ name: app, secret: {key} }}
  - {{ name: batch, secret: {low}, priority: low }}
  - {{ name: line, secret: {critical}, priority: critical }}
"""


class Large(http.server.BaseHTTPRequestHandler):
    """A provider whose answers are large: one of 3 MB, or a stream without an end."""

    protocol_version = "HTTP/1.1"
    answer = json.dumps({"id": "x", "object": "chat.completion", "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "x" * 3_000_000}, "finish_reason": "stop"}]}).encode()

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(200)
        if not request.get("stream"):
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(self.answer)))
            self.end_headers()
            self.wfile.write(self.answer)
            return
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        event = b'data: {"choices":[{"index":0,"delta":{"content":"' + b"y" * 4000 + b'"}}]}\n\n'
        with contextlib.suppress(OSError):
            while True:
                self.wfile.write(event)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def large_provider():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Large)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def gateway(*mock_arguments, overload="", url=None, listen="127.0.0.1:0"):
    with harness.Mock(*mock_arguments) as mock:
        text = CONFIG.format(url=url or mock.url, overload=overload, key=KEY, low=LOW, critical=CRITICAL)
        with harness.Gateway(text, listen=listen) as running:
            yield running
            check(running.alive(), "the gateway ended")
            until(lambda: running.request("GET", "/healthz").status == 200, "health afterwards")


def cpu_seconds(process):
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_mb(process):
    return int(pathlib.Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextlib.contextmanager
def watched(running, what, path="/v1/models"):
    """A client that asks all the time and must be answered each time; says what it all cost."""
    millis, wrong, over = [], [], threading.Event()

    def ask():
        while not over.is_set():
            begun = time.monotonic()
            try:
                answer = running.request("GET", path, key=KEY)
                if answer.status != 200:
                    wrong.append(answer)
            except OSError as error:
                wrong.append(error)
            millis.append((time.monotonic() - begun) * 1e3)
            over.wait(0.02)

    running.request("GET", path, key=KEY)
    cpu, memory = cpu_seconds(running), resident_mb(running)
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    peak = memory
    try:
        yield
        peak = resident_mb(running)
    finally:
        over.set()
        thread.join(15)
    check(millis and not wrong, "the other client got", wrong[:3])
    worst = sorted(millis)[int(len(millis) * 0.99)]
    print(f"     {what}: CPU {cpu_seconds(running) - cpu:.2f} s, memory {peak - memory:+.1f} MB, "
          f"{len(millis)} probes, p99 {worst:.1f} ms", flush=True)


def connect(running, source=ATTACKER, receive_buffer=0):
    sock = socket.socket()
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.settimeout(harness.PATIENCE)
    sock.bind((source, 0))
    sock.connect(("127.0.0.1", running.port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


@contextlib.contextmanager
def connections(running, count, **options):
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(connect(running, **options)) for _ in range(count)]


def send(sock, data):
    try:
        sock.sendall(data)
        return True
    except OSError:
        return False


def rest(sock):
    """Everything until the end of the connection."""
    result = b""
    with contextlib.suppress(ConnectionResetError):
        while part := sock.recv(65536):
            result += part
    return result


def head(path="/v1/chat/completions", *fields, method="POST", key=KEY):
    lines = [f"{method} {path} HTTP/1.1", "Host: x", "Content-Type: application/json", f"Authorization: Bearer {key}", *fields]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def ask(running, data, source=ATTACKER):
    """Bytes of one request after which the gateway ends the connection; the status of its answer."""
    with connect(running, source) as sock:
        send(sock, data)
        answer = rest(sock)
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0


def post(running, body, *fields, path="/v1/chat/completions"):
    return ask(running, head(path, f"Content-Length: {len(body)}", "Connection: close", *fields) + body)


def drip(socks, piece, every=0.1, seconds=harness.PATIENCE):
    """A piece to each connection again and again, until all are closed by the other side."""
    left, answers, end = list(socks), [], time.monotonic() + seconds
    while left:
        check(time.monotonic() < end, len(left), "connections could drip for ever")
        for sock in list(left):
            sock.setblocking(False)
            open_still = send(sock, piece)
            got = b""
            with contextlib.suppress(BlockingIOError):
                try:
                    got = sock.recv(4096)
                    open_still = False
                except ConnectionResetError:
                    open_still = False
            if not open_still:
                answers.append(got)
                left.remove(sock)
        time.sleep(every)
    return answers


# ---- Slow clients --------------------------------------------------------------------------------

def test_heads_that_drip_are_ended():
    with gateway() as running, watched(running, "slow heads, 150"), connections(running, 150) as socks:
        for sock in socks:
            send(sock, b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n")
        answers = drip(socks, b"x-a: b\r\n")
        check(any(answer.startswith(b"HTTP/1.1 408") for answer in answers), "no 408 in", answers[:3])


def test_bodies_that_drip_are_ended_though_no_gap_is_long():
    with gateway() as running, watched(running, "slow bodies, 100"), connections(running, 100) as socks:
        for sock in socks:
            send(sock, head("/v1/chat/completions", "Content-Length: 1000000"))
        answers = drip(socks, b" " * 10)
        check(any(answer.startswith(b"HTTP/1.1 408") for answer in answers), "no 408 in", answers[:3])


def test_a_body_that_is_slow_but_fast_enough_is_taken():
    body = json.dumps(harness.chat_body(text="z" * 60_000)).encode()
    with gateway() as running, connect(running) as sock:
        send(sock, head("/v1/chat/completions", f"Content-Length: {len(body)}", "Connection: close"))
        for at in range(0, len(body), 4000):
            check(send(sock, body[at:at + 4000]), "it was cut")
            time.sleep(0.1)  # longer in all than a gap may be
        check(rest(sock).startswith(b"HTTP/1.1 200"), "no answer")


def test_clients_that_hardly_read_are_cut_and_their_answers_let_go():
    with large_provider() as url, gateway(url=url) as running:
        body = json.dumps(harness.chat_body()).encode()
        request = head("/v1/chat/completions", f"Content-Length: {len(body)}") + body
        with watched(running, "slow readers of 3 MB, 20"), connections(running, 20, receive_buffer=4096) as socks:
            for sock in socks:
                send(sock, request)
            until(lambda: running.metric("penstock_buffered_bytes") > 20_000_000, "answers that wait for their readers")
            for sock in socks:
                sock.recv(1)
            until(lambda: running.metric("penstock_buffered_bytes") == 0, "the end of the answers")
            until(lambda: running.metric("penstock_connections") <= 2, "the end of the connections")


def test_readers_of_a_stream_who_stop_are_cut():
    with large_provider() as url, gateway(url=url) as running:
        body = json.dumps(harness.chat_body(stream=True)).encode()
        request = head("/v1/chat/completions", f"Content-Length: {len(body)}") + body
        with watched(running, "streams nobody reads, 20"), connections(running, 20, receive_buffer=4096) as socks:
            for sock in socks:
                send(sock, request)
            until(lambda: running.metric("penstock_requests_in_flight") >= 20, "the streams")
            until(lambda: running.metric("penstock_requests_in_flight") <= 1, "the end of the streams")


def test_a_quiet_stream_is_not_a_slow_reader():
    with gateway("--per-token", "1500ms", "--tokens", "3") as running:
        with harness.Stream(running.port, "/v1/chat/completions", harness.chat_body(stream=True), KEY) as stream:
            events = [event for _, event in stream.events()]
        equal(events[-1], b"[DONE]")


def test_silent_connections_are_closed():
    with gateway() as running, watched(running, "silent connections, 200"), connections(running, 200) as socks:
        for sock in socks:
            equal(rest(sock), b"")


# ---- Floods --------------------------------------------------------------------------------------

def test_a_flood_of_connections_from_one_address_leaves_room_for_others():
    with gateway(overload="connections_per_address: 50") as running, watched(running, "1,000 connections of one address"):
        with connections(running, 1000):
            until(lambda: running.metric("penstock_connections_refused_total", limit="connections_per_address") >= 100, "refusals")
            check(running.metric("penstock_connections") <= 52, "more connections than one address may have")


def test_at_the_limit_of_connections_health_is_answered_and_calls_get_503():
    with gateway(overload="connections: 40, connections_per_address: 40") as running:
        with watched(running, "all places taken", "/healthz"), contextlib.ExitStack() as stack:
            for number in range(40):
                sock = stack.enter_context(connect(running, f"127.0.1.{number + 1}"))
                send(sock, head("/healthz", "Content-Length: 100000")[:-2])  # a head without its end
            refused = until(lambda: (a := running.chat(key=CRITICAL)).status == 503 and a, "a refusal")
            equal(refused.json()["error"]["code"], "overloaded")
            check(int(refused.headers["retry-after"]) >= 1, "no retry-after")
            equal(running.request("GET", "/readyz").status, 200)
            check(running.metric("penstock_shed_total", reason="connections", **{"class": "critical"}) >= 1, "nothing counted")
        until(lambda: running.chat(key=KEY).status == 200, "an ordinary call afterwards")


def test_refusals_that_nobody_takes_fill_no_places():
    with gateway(overload="requests: 50", listen='{ address: "127.0.0.1:0", h2c: true }') as running, \
            watched(running, "100 refusals nobody takes"), http2.Connection(running.port, window=0) as client:
        streams = [client.request("GET", "/v1/models") for _ in range(100)]
        client.until(lambda: all(client.of(http2.HEADERS, stream) for stream in streams), "the heads of all refusals")
        equal([running.chat(key=key).status for key in (LOW, KEY, CRITICAL)], [200] * 3)
        client.until(lambda: all(client.reset_code(stream) == http2.CANCEL for stream in streams), "the end of all refusals")


def test_a_flood_of_requests_on_one_connection_is_answered_in_turn():
    count = 4000
    with gateway() as running, watched(running, "4,000 pipelined requests"), connect(running) as sock:
        writer = threading.Thread(target=send, args=(sock, head("/healthz", method="GET") * (count - 1) + head("/healthz", "Connection: close", method="GET")))
        writer.start()
        equal(rest(sock).count(b"HTTP/1.1 200"), count)
        writer.join()


def test_wrong_keys_of_one_address_are_slowed_and_right_ones_never():
    with gateway(overload="wrong_keys: 20/min") as running, watched(running, "300 wrong keys"):
        statuses = [ask(running, head("/v1/models", "Connection: close", method="GET", key=f"sk-guess-{n:012}")) for n in range(300)]
        equal(statuses[:20], [401] * 20)
        check(statuses.count(429) >= 270, "hardly any 429 in", statuses)
        equal(ask(running, head("/v1/models", "Connection: close", method="GET", key=CRITICAL)), 200, "a right key from the same address:")
        equal(ask(running, head("/v1/models", "Connection: close", method="GET", key="sk-guess"), "127.0.0.67"), 401, "another address:")
        check(running.metric("penstock_wrong_keys_refused_total") >= 270, "nothing counted")


# ---- Requests that cost more than they look ------------------------------------------------------

def test_headers_in_masses_are_refused():
    with gateway() as running, watched(running, "header floods, 40"):
        for _ in range(20):
            equal(ask(running, head("/healthz", *(f"x-{n}: 1" for n in range(600)), method="GET")), 431)
            equal(ask(running, head("/healthz", "x-long: " + "a" * 100_000, method="GET")), 431)


def test_compressed_bombs_are_refused():
    zeros = b"\0" * 50_000_000
    gzipped = gzip.compress(zeros)
    bombs = [(gzipped, "gzip"), (zlib.compress(zeros), "deflate"), (gzip.compress(gzipped), "gzip, gzip")]
    with gateway() as running, watched(running, "compressed bombs, 12"):
        for bomb, coding in bombs * 4:
            equal(post(running, bomb, f"Content-Encoding: {coding}"), 413, coding)
        equal(post(running, b"x", "Content-Encoding: " + ", ".join(["gzip"] * 50)), 415)


def test_json_that_is_deep_huge_or_wrong_is_refused():
    def chat(value):
        return b'{"model":"chat","messages":[{"role":"user","content":"x"}],"x":' + value + b"}"

    wrong = {"100,000 levels": chat(b"[" * 100_000 + b"]" * 100_000), "100,000 open objects": chat(b'{"a":' * 100_000),
             "1e999999": chat(b"1e999999"), "10 MB of digits": chat(b"9" * 10_000_000), "a number without an end": chat(b"-" * 100_000),
             "invalid UTF-8": chat(b'"\xff\xfe\xc0\x80"'), "a lone surrogate": chat(b'"\\ud800'), "NUL bytes": b"\0" * 1_000_000,
             "NUL in a string": chat(b'"a\0b"'), "1,000,000 spaces": b" " * 1_000_000}
    with gateway() as running, watched(running, f"bad JSON, {len(wrong)} kinds"):
        for what, body in wrong.items():
            equal(post(running, body), 400, what)
        equal(post(running, json.dumps(harness.chat_body(text="s" * 10_000_000)).encode()), 200, "a long text is fine:")
        equal(post(running, b" " * (33 << 20)), 413)


def test_forms_of_too_many_parts_are_refused():
    parts = b"".join(b'--b\r\nContent-Disposition: form-data; name="f%d"\r\n\r\nx\r\n' % n for n in range(20_000)) + b"--b--\r\n"
    with gateway() as running, watched(running, "a form of 20,000 parts"):
        equal(ask(running, head("/v1/audio/transcriptions", f"Content-Length: {len(parts)}", "Connection: close").replace(
            b"application/json", b"multipart/form-data; boundary=b") + parts), 400)


def test_broken_framing_is_refused():
    chunked = head("/v1/chat/completions", "Transfer-Encoding: chunked")
    wrong = {"no size": chunked + b"\r\n", "a negative size": chunked + b"-1\r\n", "a size beyond 64 bits": chunked + b"f" * 17 + b"\r\n",
             "letters": chunked + b"zz\r\n", "an extension of a megabyte": chunked + b"1;" + b"e" * 1_000_000,
             "a trailer of a megabyte": chunked + b"0\r\nx: " + b"t" * 1_000_000,
             "a length beyond 64 bits": head("/v1/chat/completions", "Content-Length: 99999999999999999999")}
    with gateway() as running, watched(running, f"broken framing, {len(wrong)} kinds"):
        for what, data in wrong.items():
            equal(ask(running, data), 400, what)
        equal(ask(running, head("/v1/chat/completions", "Content-Length: 900000000000000000")), 413)


def test_other_protocols_end_their_connection():
    others = {"TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 500, "SSH": b"SSH-2.0-OpenSSH_9.2\r\n", "noise": os.urandom(4096),
              "HTTP/2 and noise": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 1000}
    with gateway() as running, watched(running, "other protocols, 40"):
        for what, data in list(others.items()) * 10:
            with connect(running) as sock:
                send(sock, data)
                sock.shutdown(socket.SHUT_WR)
                check(len(rest(sock)) < 10_000, what)
        equal(ask(running, head("/healthz", "Connection: Upgrade, close", "Upgrade: nonsense/9", method="GET")), 200, "an upgrade nobody knows:")


# ---- More than can be served ---------------------------------------------------------------------

def test_low_is_refused_first_and_what_was_begun_is_finished():
    with gateway("--first-token", "3s", overload="requests: 20") as running:
        begun, answers = [], []

        def call(key):
            answers.append(running.chat(key=key).status)

        def fill(count):
            for _ in range(count):
                begun.append(threading.Thread(target=call, args=(CRITICAL,)))
                begun[-1].start()
            until(lambda: running.metric("penstock_requests_in_flight") >= len(begun), "calls in flight")

        fill(16)  # one more is above 80 % of the limit
        refused = running.chat(key=LOW)
        equal(refused.status, 503)
        equal(refused.json()["error"]["code"], "overloaded")
        check(1 <= int(refused.headers["retry-after"]) <= 3, "retry-after", refused.headers["retry-after"])
        check("retry-after-ms" in refused.headers, "no retry-after-ms")
        equal(running.request("GET", "/v1/models", key=KEY).status, 200, "a normal call:")
        fill(3)  # above 90 %
        equal(running.chat(key=KEY).status, 503, "a normal call at the limit:")
        equal(running.request("GET", "/v1/models", key=CRITICAL).status, 200, "a critical one:")
        equal(running.request("GET", "/healthz").status, 200)
        ready = running.request("GET", "/readyz")
        equal((ready.status, ready.json()), (200, {"ready": True, "shedding": True}))
        for thread in begun:
            thread.join()
        equal(answers, [200] * 19, "what was begun:")
        equal(running.metric("penstock_shed_total", reason="requests", **{"class": "low"}), 1)
        equal(running.metric("penstock_requests_total", error_type="penstock_overload"), 2)
        until(lambda: "some calls were refused" in running.log(), "a line in the log")
        equal(running.chat(key=LOW).status, 200, "afterwards:")


def test_bodies_are_refused_when_all_together_hold_too_much():
    with gateway(overload="buffered: 8MiB") as running:
        with watched(running, "20 bodies of 2 MiB", "/healthz"), connections(running, 20) as socks:
            for sock in socks:
                send(sock, head("/v1/chat/completions", "Content-Length: 2097152"))
                send(sock, b" " * 1_000_000)
            check(running.metric("penstock_buffered_bytes") < (11 << 20), "more is held than may be")
            until(lambda: running.metric("penstock_bodies_refused_total") + running.metric("penstock_shed_total", reason="buffered") > 0, "refusals")
        until(lambda: running.metric("penstock_buffered_bytes") == 0, "all of it let go")
        equal(running.chat(key=KEY).status, 200)


if __name__ == "__main__":
    harness.run(globals())
