"""Providers that speak HTTP/2: Node's server, with TLS and without, and nghttpd."""

import http.client
import json
import socket
import subprocess
import threading
import time

import certificates
import harness
from harness import check, equal, until

SCRIPT = harness.ROOT / "tests" / "peers" / "h2_provider.mjs"
CERTIFICATES = certificates.local()


class Provider:
    def __init__(self, kind="plain", streams=100, also=""):
        self.kind = kind
        self.process = subprocess.Popen(
            ["node", str(SCRIPT), kind, CERTIFICATES.path("server.pem"), CERTIFICATES.path("server.key"), str(streams), also],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        check(line.startswith("ready "), "the provider said", repr(line))
        self.port = int(line.split()[1])
        self.lock = threading.Lock()

    def tell(self, command="stats"):
        with self.lock:
            self.process.stdin.write(command + "\n")
            self.process.stdin.flush()
            return json.loads(self.process.stdout.readline())

    def kill(self):
        self.process.kill()
        self.process.wait()

    def entry(self, more="", name="a"):
        http2 = "" if self.kind == "secure" else "http2: prior_knowledge, "
        tls = f"tls: {{ ca: {CERTIFICATES.path('ca.pem')} }}, " if self.kind == "secure" else ""
        scheme = "https" if self.kind == "secure" else "http"
        return f"  {name}: {{ type: openai, base_url: '{scheme}://127.0.0.1:{self.port}/v1', {http2}{tls}{more} }}\n"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()


def gateway_for(provider, more="", retry=1):
    return harness.Gateway(f"""
providers:
{provider.entry(more)}
models:
""" + "".join(f"  {mode}: {{ route: [ a/{mode} ], retry: {{ attempts: {retry} }} }}\n" for mode in MODES))


MODES = ["plain", "slow", "hold", "stream", "big", "reset-before-head", "reset-after-head", "reset-in-body", "half", "refuse"]


def answers_of(gateway, model, count, at_once=50):
    """Statuses of `count` calls, `at_once` at a time, each client on one connection."""
    statuses = []
    left = iter(range(count))
    lock = threading.Lock()

    def client():
        connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=60)
        while True:
            with lock:
                if next(left, None) is None:
                    break
            connection.request("POST", "/v1/chat/completions", json.dumps(harness.chat_body(model)),
                               {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            statuses.append(answer.status)
        connection.close()

    clients = [threading.Thread(target=client) for _ in range(at_once)]
    for each in clients:
        each.start()
    for each in clients:
        each.join()
    return statuses


def stream_of(gateway, model):
    return harness.Stream(gateway.port, "/v1/chat/completions", harness.chat_body(model, stream=True))


def text_of(event):
    return json.loads(event)["choices"][0]["delta"]["content"]


def chat_and_stream(provider, protocol):
    with gateway_for(provider) as gateway:
        answer = gateway.chat("plain")
        equal(answer.status, 200, answer)
        equal(answer.json()["choices"][0]["message"]["content"], "hi")
        with stream_of(gateway, "stream") as stream:
            equal(stream.status, 200)
            events = list(stream.events())
        if protocol == "h2":
            equal([text_of(e) for _, e in events[:5]], [f"piece {n}" for n in range(5)])
            equal(events[5][1], b"[DONE]")
            gaps = [b - a for (a, _), (b, _) in zip(events[:4], events[1:5])]
            check(sum(gap > 0.01 for gap in gaps) >= 3, "events came in one lump:", gaps)
        seen = provider.tell()
        equal((seen["sessions"] > 0, seen["http1"] > 0), (protocol == "h2", protocol == "http/1.1"), seen)
        equal(gateway.metric("penstock_upstream_protocol_connections", protocol=protocol), 1)
        described = harness.request(gateway.admin_port, "GET", "/admin/v1/models").json()["providers"][0]
        equal((described["protocol"], described["streams"]), (protocol, 0))
        return seen


def test_chat_over_tls_where_the_provider_offers_http2():
    with Provider("secure") as provider:
        equal(chat_and_stream(provider, "h2")["sessions"], 1)


def test_chat_without_tls_by_prior_knowledge():
    with Provider("plain") as provider:
        equal(chat_and_stream(provider, "h2")["sessions"], 1)


def test_http1_is_spoken_when_the_configuration_says_so():
    with Provider("secure", also="http1") as provider:
        with gateway_for(provider, "http2: off") as gateway:
            equal(gateway.chat("plain").status, 200)
            seen = provider.tell()
            equal((seen["requests"], seen["http1"]), (0, 1), seen)
            equal(gateway.metric("penstock_upstream_protocol_connections", protocol="http/1.1"), 1)


def test_a_provider_without_http2_gets_http1():
    import ssl
    import http.server

    class Old(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            self.rfile.read(int(self.headers["content-length"]))
            body = json.dumps({"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": []}).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    for alpn in ([], ["http/1.1"]):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Old)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATES.path("server.pem"), CERTIFICATES.path("server.key"))
        if alpn:
            context.set_alpn_protocols(alpn)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        config = f"""
providers:
  a: {{ type: openai, base_url: 'https://127.0.0.1:{server.server_port}/v1', tls: {{ ca: {CERTIFICATES.path('ca.pem')} }} }}
models:
  chat: {{ route: [ a/m ] }}
"""
        with harness.Gateway(config) as gateway:
            equal([gateway.chat().status for _ in range(3)], [200] * 3)
            equal(gateway.metric("penstock_upstream_protocol_connections", protocol="http/1.1"), 1)
        server.shutdown()
        server.server_close()


def test_five_hundred_calls_share_few_connections():
    with Provider("secure") as provider:
        with gateway_for(provider) as gateway:
            equal(answers_of(gateway, "slow", 500, at_once=120), [200] * 500)
            seen = provider.tell()
            equal(seen["requests"], 500)
            check(seen["sessions"] <= 2, seen)
            check(seen["most"] > 50, "few calls at a time:", seen)
            equal(gateway.metric("penstock_upstream_streams"), 0)
            equal(gateway.metric("penstock_upstream_connections", state="open"), seen["sessions"])


def test_one_stream_at_a_time_is_what_a_provider_may_ask_for():
    with Provider("plain", streams=1) as provider:
        with gateway_for(provider, "connections: { max: 4 }") as gateway:
            equal(answers_of(gateway, "slow", 60, at_once=20), [200] * 60)
            seen = provider.tell()
            check(seen["sessions"] <= 4, seen)
            equal(seen["requests"], 60, "none was refused and sent again:", seen)


def test_a_goodbye_in_the_middle_fails_no_call():
    with Provider("secure") as provider:
        with gateway_for(provider) as gateway:
            statuses = []
            caller = threading.Thread(target=lambda: statuses.extend(answers_of(gateway, "slow", 600, at_once=40)))
            caller.start()
            for _ in range(5):
                seen = provider.tell()["requests"]
                until(lambda: provider.tell()["requests"] >= min(seen + 60, 600) or not caller.is_alive(), "further calls")
                provider.tell("goaway")
            caller.join()
            equal(statuses, [200] * 600)
            check(provider.tell()["sessions"] >= 3, provider.tell())
            check(gateway.metric("penstock_upstream_goaways_total") >= 2, "goodbyes")


def test_resets_are_errors_of_their_call_alone():
    with Provider("plain") as provider:
        with gateway_for(provider) as gateway:
            answer = gateway.chat("reset-before-head")
            equal(answer.status, 502, answer)
            check("INTERNAL_ERROR" in answer.text(), answer)
            for mode in ("reset-after-head", "reset-in-body"):
                with stream_of(gateway, mode) as stream:
                    events = [e for _, e in stream.events()] if stream.status == 200 else []
                    check(stream.status == 502 or b'"error"' in events[-1], mode, stream.status, events)
            equal(gateway.chat("plain").status, 200)
            equal(provider.tell()["sessions"], 1)
            equal(gateway.metric("penstock_upstream_stream_resets_total"), 3)


def test_a_refused_call_is_sent_once_more():
    with Provider("plain") as provider:
        with gateway_for(provider) as gateway:
            equal(gateway.chat("refuse").status, 200)
            seen = provider.tell()
            equal((seen["requests"], seen["sessions"]), (2, 1), seen)


def test_a_slow_reader_holds_back_no_other_call():
    with Provider("plain") as provider:
        with gateway_for(provider) as gateway:
            body = json.dumps(harness.chat_body("big", stream=True)).encode()
            slow = socket.socket()
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.connect(("127.0.0.1", gateway.port))
            slow.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
                         b"content-length: %d\r\n\r\n" % len(body) + body)
            until(lambda: gateway.metric("penstock_upstream_streams") == 1, "the slow call")
            time.sleep(0.3)
            equal(gateway.metric("penstock_upstream_streams"), 1, "16 MiB were taken although nobody reads:")
            for _ in range(3):
                with stream_of(gateway, "big") as stream:
                    equal(sum(1 for _ in stream.events()), 257)
            equal(gateway.chat("plain").status, 200)
            equal(gateway.metric("penstock_upstream_streams"), 1)
            slow.close()
            until(lambda: gateway.metric("penstock_upstream_streams") == 0, "the slow call to end")
            equal(provider.tell()["sessions"], 1)


def test_a_client_that_leaves_ends_its_stream_and_not_the_connection():
    with Provider("secure") as provider:
        with gateway_for(provider) as gateway:
            body = json.dumps(harness.chat_body("hold")).encode()
            head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body)
            clients = [socket.create_connection(("127.0.0.1", gateway.port)) for _ in range(10)]
            for client in clients:
                client.sendall(head + body)
            until(lambda: provider.tell()["open"] == 10, "the calls")
            for client in clients:
                client.close()
            until(lambda: provider.tell()["open"] == 0, "the streams to end")
            seen = provider.tell()
            equal((seen["sessions"], seen["now"], seen["cancelled"]), (1, 1, 10), seen)
            equal(gateway.chat("plain").status, 200)
            equal(provider.tell()["sessions"], 1)


def test_a_provider_killed_in_the_middle_is_an_error_and_is_found_again():
    provider = Provider("plain")
    try:
        with gateway_for(provider) as gateway:
            with stream_of(gateway, "half") as stream:
                events = stream.events()
                equal(text_of(next(events)[1]), "one")
                provider.kill()
                last = [e for _, e in events][-1]
                check(b"error" in last, last)
            equal(gateway.chat("plain").status, 502)
            equal(gateway.metric("penstock_upstream_streams"), 0)
            equal(gateway.metric("penstock_upstream_connections", state="open"), 0)
    finally:
        provider.kill()


def test_an_upload_follows_the_providers_window():
    with Provider("plain") as provider:
        with gateway_for(provider) as gateway:
            size = 20_000_000
            boundary = "b"
            body = (f"--{boundary}\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\nplain\r\n"
                    f"--{boundary}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n").encode() \
                + b"u" * size + f"\r\n--{boundary}--\r\n".encode()
            answer = gateway.request("POST", "/v1/audio/transcriptions", body,
                                     headers={"Content-Type": f"multipart/form-data; boundary={boundary}"})
            equal(answer.status, 200, answer)
            check(provider.tell()["bytes"] >= size, provider.tell())


def test_nghttpd_with_padding_and_trailers():
    harness.need("nghttpd")
    root = harness.folder()
    (root / "v1" / "files").mkdir(parents=True)
    (root / "v1" / "files" / "f1").write_bytes(b"f" * 300_000)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(["nghttpd", "--no-tls", "-a", "127.0.0.1", "-d", str(root), "-b", "200", "--trailer", "x-sum: 7",
                               str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        def listening():
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0
        until(listening, "nghttpd")
        config = f"providers:\n  a: {{ type: openai, base_url: 'http://127.0.0.1:{port}/v1', http2: prior_knowledge }}\n"
        with harness.Gateway(config) as gateway:
            # More than any window, unless what was read is given back.
            for _ in range(100):
                answer = gateway.request("GET", "/v1/files/f1", headers={"x-penstock-provider": "a"})
                equal((answer.status, len(answer.body)), (200, 300_000), answer)
            told = harness.raw(gateway.port, b"GET /v1/files/f1 HTTP/1.1\r\nhost: x\r\nte: trailers\r\nconnection: close\r\n"
                                             b"x-penstock-provider: a\r\n\r\n")
            check(told.lower().endswith(b"x-sum: 7\r\n\r\n"), "no trailers behind the answer:", told[-60:])
            missing = gateway.request("GET", "/v1/files/none", headers={"x-penstock-provider": "a"})
            check(missing.status == 502 and "answered 404" in missing.text(), missing)
            equal(gateway.metric("penstock_upstream_connects_total"), 1)
    finally:
        server.kill()
        server.wait()


def test_a_provider_that_does_not_speak_http2_after_all_says_so():
    with Provider("secure", also="http1") as provider, harness.Mock() as mock:
        config = f"""
providers:
  a: {{ type: openai, base_url: 'http://127.0.0.1:{mock.port}/v1', http2: prior_knowledge }}
{provider.entry("http2: prior_knowledge", name="b")}
models:
  chat: {{ route: [ a/m ], retry: {{ attempts: 1 }} }}
  other: {{ route: [ b/m ], retry: {{ attempts: 1 }} }}
"""
        with harness.Gateway(config) as gateway:
            answer = gateway.chat()
            equal(answer.status, 502, answer)
            check("HTTP/2" in answer.text(), answer)
            equal(gateway.chat("other").status, 200)


if __name__ == "__main__":
    harness.need("node")
    harness.run(globals())
