"""HTTP/1.1 as the real binary speaks it, over raw sockets: what is right is answered in order, what could be understood
in two ways is refused and the connection closed, and nothing of it reaches a provider."""

import contextlib
import json
import re
import socket
import subprocess
import sys
import time

import harness
from harness import check, equal, until

KEY = "sk-http1-000001"
CONFIG = """
providers:
  lab: {{ type: openai, base_url: {url} }}
models:
  chat: {{ route: [ {{ to: lab/small }} ] }}
sources:
  hook: {{ http: {{}} }}
keys:
  - {{ name: app, secret: {key} }}
{more}
"""

HEAD = f"Host: gateway\r\nAuthorization: Bearer {KEY}\r\n"
CHAT = json.dumps(harness.chat_body())


@contextlib.contextmanager
def pair(more="", *mock_arguments):
    with harness.Mock(*mock_arguments) as mock, harness.Gateway(CONFIG.format(url=mock.url, key=KEY, more=more)) as gateway:
        yield mock, gateway
        check(gateway.alive(), "the gateway ended")


class Client:
    """One connection; reads answers with its own eyes."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=harness.PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(data if isinstance(data, bytes) else data.encode("latin1"))
        return self

    def more(self):
        try:
            part = self.socket.recv(65536)
        except ConnectionResetError:
            part = b""
        self.buffer += part
        return bool(part)

    def until(self, mark):
        while mark not in self.buffer:
            check(self.more(), "the connection closed instead of", mark, self.buffer[:300])
        found, self.buffer = self.buffer.split(mark, 1)
        return found

    def exactly(self, count):
        while len(self.buffer) < count:
            check(self.more(), "the connection closed in a body", self.buffer[:300])
        found, self.buffer = self.buffer[:count], self.buffer[count:]
        return found

    def answer(self, method="GET"):
        """(status, fields in lower case, body) of the next answer."""
        lines = self.until(b"\r\n\r\n").decode("latin1").split("\r\n")
        match = re.fullmatch(r"HTTP/1\.1 (\d{3}) .*", lines[0])
        check(match, "no status line:", lines[0])
        fields = {}
        for line in lines[1:]:
            name, _, value = line.partition(": ")
            check(name.lower() not in fields or name.lower() in ("set-cookie",), "twice:", line)
            fields[name.lower()] = value
        status = int(match[1])
        if method == "HEAD" or status < 200 or status in (204, 304):
            return status, fields, b""
        if fields.get("transfer-encoding") == "chunked":
            check("content-length" not in fields, "both lengths:", fields)
            body = b""
            while size := int(self.until(b"\r\n"), 16):
                body += self.exactly(size)
                equal(self.exactly(2), b"\r\n")
            equal(self.exactly(2), b"\r\n", "after the last chunk:")
            return status, fields, body
        if "content-length" in fields:
            return status, fields, self.exactly(int(fields["content-length"]))
        while self.more():
            pass
        body, self.buffer = self.buffer, b""
        return status, fields, body

    def closed(self):
        """Nothing more comes, and the other side closes."""
        while self.more():
            pass
        equal(self.buffer, b"", "after the last answer:")


def post(body=CHAT, fields="", path="/v1/chat/completions", version="1.1"):
    return f"POST {path} HTTP/{version}\r\n{HEAD}{fields}Content-Length: {len(body)}\r\n\r\n{body}"


def chunked(body, fields="", ending="0\r\n\r\n", size=7):
    pieces = [body[i:i + size] for i in range(0, len(body), size)]
    chunks = "".join(f"{len(piece):x}\r\n{piece}\r\n" for piece in pieces)
    return f"POST /v1/chat/completions HTTP/1.1\r\n{HEAD}{fields}Transfer-Encoding: chunked\r\n\r\n{chunks}{ending}"


def text_of(body):
    return json.loads(body)["choices"][0]["message"]["content"]


# ---- What is right -------------------------------------------------------------------------------

def test_a_connection_serves_many_requests():
    with pair() as (mock, gateway), Client(gateway.port) as client:
        for _ in range(20):
            status, fields, body = client.send(post()).answer()
            equal(status, 200, body)
            check("connection" not in fields, "an ordinary answer says nothing about the connection:", fields)
            check("date" in fields, "no Date")
        equal(mock.stats()["requests"], 20)


def test_pipelined_requests_are_answered_in_order():
    with pair("", "--per-token", "20ms", "--tokens", "10") as (_, gateway), Client(gateway.port) as client:
        stream = json.dumps(harness.chat_body(text="slow", stream=True))
        client.send(post(stream) + f"GET /v1/models HTTP/1.1\r\n{HEAD}\r\n" + chunked(CHAT) + "GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n")
        status, fields, body = client.answer()
        equal(status, 200)
        check(fields["content-type"].startswith("text/event-stream") and body.endswith(b"data: [DONE]\n\n"), fields, body[-60:])
        check(b'"list"' in client.answer()[2].replace(b" ", b""), "the second answer is not the list of models")
        equal(json.loads(client.answer()[2])["object"], "chat.completion", "the third answer:")
        equal(client.answer()[0], 404)


def test_requests_may_come_in_any_pieces():
    with pair() as (_, gateway):
        for request in (post(), chunked(CHAT, ending="0\r\nX-Sum: 1\r\n\r\n")):
            for size in (1, 7, 50):
                with Client(gateway.port) as client:
                    for at in range(0, len(request), size):
                        client.send(request[at:at + size])
                    equal(client.answer()[0], 200, "in pieces of", size)


def test_chunked_requests_with_extensions_and_trailers():
    with pair() as (mock, gateway), Client(gateway.port) as client:
        for ending in ("0\r\n\r\n", "000\r\n\r\n", "0;last\r\nX-Checksum: abc\r\nHost: evil\r\nAuthorization: Bearer x\r\n\r\n"):
            status, _, body = client.send(chunked(CHAT, ending=ending)).answer()
            equal(status, 200, body)
        status, _, body = client.send(chunked(CHAT, size=1_000).replace("\r\n{", ';a="b;\\"c";d=e\r\n{', 1)).answer()
        equal(status, 200, body)
        equal(mock.stats()["requests"], 4)
        equal(client.send(post().replace("Content-Length", "cONTENT-lENGTH")).answer()[0], 200)
        equal(client.send(chunked(CHAT).replace("chunked", "Chunked", 1)).answer()[0], 200, "Chunked:")


def test_expectations():
    with pair() as (mock, gateway):
        with Client(gateway.port) as client:
            head, _, body = post(fields="Expect: 100-continue\r\n").partition("\r\n\r\n")
            client.send(head + "\r\n\r\n")
            equal(client.answer()[0], 100)
            equal(client.send(body).answer()[0], 200)
            # A body that is already there needs no invitation.
            equal(client.send(post(fields="Expect: 100-Continue\r\n")).answer()[0], 200)
        with Client(gateway.port) as client:
            client.send(f"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: {len(CHAT)}\r\n\r\n")
            equal(client.answer()[0], 401, "a refusal instead of 100:")
            client.closed()
        with Client(gateway.port) as client:
            equal(client.send(post(fields="Expect: 200-ok\r\n")).answer()[0], 417)
            client.closed()
        equal(mock.stats()["requests"], 2)


def test_head_has_the_fields_of_get_and_no_body():
    with pair() as (_, gateway), Client(gateway.port) as client:
        for path in ("/v1/models", "/healthz", "/nothing"):
            status, fields, body = client.send(f"GET {path} HTTP/1.1\r\n{HEAD}\r\n").answer()
            again = client.send(f"HEAD {path} HTTP/1.1\r\n{HEAD}\r\n").answer("HEAD")
            equal(again[0], status, path)
            equal(again[1].get("content-length"), str(len(body)), path)
            equal(again[1].get("content-type"), fields.get("content-type"), path)
        equal(client.send(f"GET /healthz HTTP/1.1\r\n{HEAD}\r\n").answer()[0], 200, "the connection goes on:")


def test_options_connect_and_trace():
    with pair() as (mock, gateway):
        with Client(gateway.port) as client:
            status, fields, _ = client.send(f"OPTIONS /v1/chat/completions HTTP/1.1\r\n{HEAD}\r\n").answer()
            equal((status, fields.get("allow")), (204, "POST"))
            status, fields, _ = client.send("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").answer()
            check(status in (200, 204) and fields.get("allow"), "OPTIONS *:", status, fields)
            equal(client.send(f"TRACE /v1/models HTTP/1.1\r\n{HEAD}\r\n").answer()[0], 405)
        with Client(gateway.port) as client:
            status, _, body = client.send("CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n").answer()
            check(status in (405, 501), "CONNECT:", status, body)
        for line in ("GET * HTTP/1.1", "CONNECT / HTTP/1.1", "OPTIONS nothing HTTP/1.1"):
            with Client(gateway.port) as client:
                equal(client.send(f"{line}\r\n{HEAD}\r\n").answer()[0], 400, line)
                client.closed()
        equal(mock.stats()["requests"], 0)


def test_absolute_targets():
    with pair() as (_, gateway):
        with Client(gateway.port) as client:
            for target in ("http://gateway/v1/models", "HTTP://GATEWAY/v1/models"):
                equal(client.send(f"GET {target} HTTP/1.1\r\n{HEAD}\r\n").answer()[0], 200, target)
            for target in ("http://gateway", "http://gateway?x"):
                status, _, body = client.send(f"GET {target} HTTP/1.1\r\nHost: gateway\r\n\r\n").answer()
                equal((status, body), (200, b"Ollama is running"), "the path is /")
        for target in ("http://other/v1/models", "http:///v1/models", "http://user@gateway/v1/models", "ftp://gateway/v1/models", "gateway/v1/models"):
            with Client(gateway.port) as client:
                equal(client.send(f"GET {target} HTTP/1.1\r\n{HEAD}\r\n").answer()[0], 400, target)
                client.closed()


def test_when_the_connection_closes():
    with pair() as (_, gateway):
        for version, field, stays in (("1.1", "", True), ("1.1", "Connection: close\r\n", False), ("1.1", "Connection: x, Close , y\r\n", False),
                                      ("1.1", "Connection: x\r\nConnection: close\r\n", False), ("1.1", "Connection: keep-alive\r\n", True),
                                      ("1.0", "", False), ("1.0", "Connection: Keep-Alive\r\n", True), ("1.0", "Connection: keep-alive, close\r\n", False),
                                      ("1.1", "Connection: closed\r\n", True), ("1.1", "Connection:\r\n", True)):
            with Client(gateway.port) as client:
                status, fields, _ = client.send(post(fields=field, version=version)).answer()
                equal(status, 200, version, field)
                if stays:
                    equal(fields.get("connection"), "keep-alive" if version == "1.0" else None, version, field)
                    equal(client.send(post()).answer()[0], 200, "a second request after", version, field)
                else:
                    equal(fields.get("connection"), "close", version, field)
                    client.closed()


def test_http_1_0_without_host_and_a_stream_that_ends_with_the_connection():
    with pair() as (_, gateway):
        with Client(gateway.port) as client:
            equal(client.send("GET /healthz HTTP/1.0\r\n\r\n").answer()[0], 200)
            client.closed()
        with Client(gateway.port) as client:
            stream = json.dumps(harness.chat_body(stream=True))
            status, fields, body = client.send(post(stream, version="1.0")).answer()
            equal(status, 200)
            check("transfer-encoding" not in fields, "chunked in HTTP/1.0:", fields)
            check(body.endswith(b"data: [DONE]\n\n"), body[-60:])


# ---- What is refused -----------------------------------------------------------------------------

# A second request behind every broken one: it must never be seen.
SMUGGLED = post()


def refused(mock, gateway, request, status=b"400"):
    before = mock.stats()["requests"]
    answer = harness.raw(gateway.port, request if isinstance(request, bytes) else request.encode("latin1"), 5)
    check(answer.startswith(b"HTTP/1.1 " + status), request[:300], "->", answer[:300])
    equal(len(re.findall(rb"HTTP/1\.1 \d{3} ", answer)), 1, "answers to", request[:300])
    check(b"connection: close" in answer.lower(), "it does not say that it closes:", answer[:300])
    equal(mock.stats()["requests"], before, "forwarded:", request[:300])


def test_ambiguous_lengths_are_refused():
    fields = ["Content-Length: +5", "Content-Length: -5", "Content-Length: 0x5", "Content-Length: 5, 5", "Content-Length: 5 5", "Content-Length: 5;",
              "Content-Length:", "Content-Length: five", "Content-Length: 5.0", "Content-Length: 1e1", "Content-Length: 5_0", "Content-Length: -0",
              "Content-Length: 99999999999999999999", "Content-Length: 18446744073709551621", "Content-Length: 5\r\nContent-Length: 5",
              "Content-Length: 5\r\nContent-Length: 6", "Content-Length : 5", "Content-Length: \x0b5", "Content-Length: 5\x00", "Content-Length:\r\n 5",
              "Content-Length: 5\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 5",
              "Content-Length: 5\r\nTransfer-Encoding: identity", "Content-Length: 5\r\nTransfer-Encoding:"]
    with pair() as (mock, gateway):
        for field in fields:
            refused(mock, gateway, f"POST /v1/chat/completions HTTP/1.1\r\n{HEAD}{field}\r\n\r\nhello" + SMUGGLED)


def test_odd_transfer_codings_are_refused():
    values = ["identity", "xchunked", "chunked, identity", "gzip, chunked", "chunked, chunked", "chunked,", ",chunked", "chunked;q=1", '"chunked"',
              "chunked\x0b", "\x0bchunked", "chunked\x0c", "chunked\x00", "chunk", "chunkedchunked", "gzip", "", "\xffchunked", "chunked\x85", "chunked\r\n identity",
              "\r\n chunked", "chunked\r\nTransfer-Encoding: chunked", "chunked\r\nTransfer-Encoding: identity", "chunked identity"]
    with pair() as (mock, gateway):
        for value in values:
            refused(mock, gateway, f"POST /v1/chat/completions HTTP/1.1\r\n{HEAD}Transfer-Encoding: {value}\r\n\r\n0\r\n\r\n" + SMUGGLED)
        for line in ("Transfer-Encoding : chunked", "Transfer-Encoding\t: chunked", "Transfer\rEncoding: chunked", " Transfer-Encoding: chunked",
                     "X: y\nTransfer-Encoding: chunked", "X: y\rTransfer-Encoding: chunked", "Transfer-Encoding:\x00chunked"):
            refused(mock, gateway, f"POST /v1/chat/completions HTTP/1.1\r\n{HEAD}{line}\r\n\r\n0\r\n\r\n" + SMUGGLED)
        refused(mock, gateway, chunked(CHAT).replace("HTTP/1.1", "HTTP/1.0") + SMUGGLED)


def test_broken_chunks_are_refused():
    bodies = ["\r\n", "x\r\n", "0x5\r\nhello\r\n0\r\n\r\n", "-1\r\n", "+5\r\nhello\r\n0\r\n\r\n", " 5\r\nhello\r\n0\r\n\r\n", "5 \r\nhello\r\n0\r\n\r\n", "5\t\r\nhello\r\n0\r\n\r\n",
              "5\nhello\r\n0\r\n\r\n", "5\r\nhello\n0\r\n\r\n", "5\r\nhello0\r\n\r\n", "5\r\nhelloX\r\n0\r\n\r\n", "5\rhello\r\n0\r\n\r\n", "ffffffffffffffff\r\n", "10000000000000000\r\n",
              "00000000000000005\r\nhello\r\n0\r\n\r\n", "5;\r\nhello\r\n0\r\n\r\n", "5;a=\r\nhello\r\n0\r\n\r\n", "5;a\nb\r\nhello\r\n0\r\n\r\n", "5;a=\"b\r\nhello\r\n0\r\n\r\n", "5;a\x00\r\nhello\r\n0\r\n\r\n",
              "5_0\r\nhello\r\n0\r\n\r\n", "5;" + "a" * 70_000 + "\r\n", "0\r\n" + "a: b\r\n" * 3_000, "0\r\nno colon\r\n\r\n", "0\r\na : b\r\n\r\n", "0\r\nContent-Length: 5\r\n\r\n",
              "0\r\nTransfer-Encoding: chunked\r\n\r\n", "0\r\na: b\nc: d\r\n\r\n", "0\r\n a: b\r\n\r\n", "0\r\na: \x00\r\n\r\n"]
    with pair() as (mock, gateway):
        for body in bodies:
            refused(mock, gateway, f"POST /v1/chat/completions HTTP/1.1\r\n{HEAD}Transfer-Encoding: chunked\r\n\r\n{body}" + SMUGGLED)


def test_broken_heads_are_refused():
    heads = ["GET /v1/models\r\n\r\n", "GET  /v1/models HTTP/1.1\r\n" + HEAD, "GET /v1/models  HTTP/1.1\r\n" + HEAD, "GET /v1/models HTTP/1.1 \r\n" + HEAD, "GET\t/v1/models HTTP/1.1\r\n" + HEAD,
             " GET /v1/models HTTP/1.1\r\n" + HEAD, "\r\n\r\nGET /v1/models HTTP/1.1\r\n" + HEAD, "GET /v1/\x00models HTTP/1.1\r\n" + HEAD, "GET /v1/mod\xe4ls HTTP/1.1\r\n" + HEAD, "GET /v1/models#x HTTP/1.1\r\n" + HEAD,
             "G@T /v1/models HTTP/1.1\r\n" + HEAD, "M" * 100 + " / HTTP/1.1\r\n" + HEAD, "GET /v1/models http/1.1\r\n" + HEAD, "GET /v1/models HTTP/1\r\n" + HEAD, "GET /v1/models HTTP/01.1\r\n" + HEAD,
             "GET /v1/models HTTP/1.1\n" + HEAD.replace("\r\n", "\n") + "\n", "GET /v1/models HTTP/1.1\r" + HEAD.replace("\r\n", "\r") + "\r", "GET /v1/models HTTP/1.1\r\n" + HEAD + "no colon\r\n", "GET /v1/models HTTP/1.1\r\n" + HEAD + ": empty\r\n",
             "GET /v1/models HTTP/1.1\r\n" + HEAD + "a b: c\r\n", "GET /v1/models HTTP/1.1\r\n" + HEAD + "a: b\r\n c\r\n", "GET /v1/models HTTP/1.1\r\n" + HEAD + "a: b\rc\r\n", "GET /v1/models HTTP/1.1\r\n" + HEAD + "a: b\nc: d\r\n",
             "GET /v1/models HTTP/1.1\r\n" + HEAD + "a: \x00\r\n", "GET /v1/models HTTP/1.1\r\n" + HEAD + "a: \x01\r\n", "GET /v1/models HTTP/1.1\r\n" + HEAD + "a: \x7f\r\n", "GET /v1/models HTTP/1.1\r\n" + HEAD + "\xe4: b\r\n", "GET /v1/models HTTP/1.1\r\n" + HEAD + "Connection: a b\r\n",
             "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"]
    with pair() as (mock, gateway):
        for head in heads:
            refused(mock, gateway, head + "\r\n" + SMUGGLED)
        for version in ("0.9", "1.2", "2.0", "9.9"):
            refused(mock, gateway, f"GET /v1/models HTTP/{version}\r\n{HEAD}\r\n" + SMUGGLED, b"505")


def test_hosts():
    with pair() as (mock, gateway):
        for host in ("", "Host: a\r\nHost: a\r\n", "Host: a\r\nHost: b\r\n", "Host:\r\n", "Host: a b\r\n", "Host: a,b\r\n", "Host: a/b\r\n", "Host: user@a\r\n", "Host: a:b\r\n", "Host: a:65536\r\n",
                     "Host: [::1\r\n", "Host: ::1\r\n", "Host: \x80\r\n", "Host : a\r\n"):
            refused(mock, gateway, f"GET /healthz HTTP/1.1\r\n{host}\r\n" + SMUGGLED)
        with Client(gateway.port) as client:
            for host in ("a", "a.b-c.example:80", "127.0.0.1:8080", "[::1]", "[2001:db8::1]:443", "a_b", "%41", "a:"):
                equal(client.send(f"GET /healthz HTTP/1.1\r\nhost: {host}\r\n\r\n").answer()[0], 200, host)


def test_what_is_wrong_is_refused_before_the_head_is_complete():
    with pair() as (_, gateway):
        for start, status in (("GET / HTTP/5.6", 505), ("GET / HTTP/1.1\r\n Host: foo", 400), ("PUT / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n", 400),
                              ("PUT / HTTP/1.1\r\nContent-Length: 1000000000000000000000\r\n", 400), ("\x16\x03\x01", 400), ("GET / HTTP/1.1\r\nHost: a\rb", 400)):
            with Client(gateway.port) as client:
                begin = time.monotonic()
                equal(client.send(start).answer()[0], status, start)
                check(time.monotonic() - begin < 10, "it waited for more of", start)


# ---- Limits --------------------------------------------------------------------------------------

def test_configured_sizes_have_their_statuses():
    with pair("http: { request_line_max: 200B, head_max: 1KiB, body_max: 2KiB }") as (mock, gateway):
        line = "GET /v1/models?" + "q" * 175 + " HTTP/1.1"
        equal(len(line) + 1, 200, "the longest line that fits, with its carriage return")
        with Client(gateway.port) as client:
            equal(client.send(f"{line}\r\n{HEAD}\r\n").answer()[0], 200)
        refused(mock, gateway, line.replace("?", "?x") + f"\r\n{HEAD}\r\n" + SMUGGLED, b"414")
        refused(mock, gateway, "GET /" + "q" * 100_000, b"414")
        refused(mock, gateway, f"GET /v1/models HTTP/1.1\r\n{HEAD}X: {'x' * 1024}\r\n\r\n" + SMUGGLED, b"431")
        refused(mock, gateway, post("{" + " " * 2048), b"413")
        refused(mock, gateway, chunked("{" + " " * 2048, size=1000) + SMUGGLED, b"413")
    with pair() as (mock, gateway):
        refused(mock, gateway, f"GET /v1/models HTTP/1.1\r\n{HEAD}" + "a: b\r\n" * 600 + "\r\n" + SMUGGLED, b"431")


def test_configured_timeouts_have_their_statuses():
    with pair("http: { head_timeout: 300ms, body_timeout: 300ms, idle_timeout: 300ms }") as (mock, gateway):
        with Client(gateway.port) as client:
            equal(client.send(f"GET /v1/models HTTP/1.1\r\n{HEAD}").answer()[0], 408)
            client.closed()
        with Client(gateway.port) as client:
            equal(client.send(post()[:-5]).answer()[0], 408)
            client.closed()
        with Client(gateway.port) as client:
            equal(client.send(post()).answer()[0], 200)
            client.closed()
        equal(mock.stats()["requests"], 1)


def test_connections_of_one_address_over_its_limit_are_closed():
    with pair("overload: { connections_per_address: 2 }") as (_, gateway):
        request = f"GET /healthz HTTP/1.1\r\n{HEAD}\r\n"
        with Client(gateway.port) as first, Client(gateway.port) as second:
            equal(first.send(request).answer()[0], 200)
            equal(second.send(request).answer()[0], 200)
            with Client(gateway.port) as third:
                third.closed()
            equal(first.send(request).answer()[0], 200)

        def served():
            with contextlib.suppress(harness.Failure), Client(gateway.port) as client:
                return client.send(request).answer()[0] == 200

        until(served, "a place after two left")


# ---- Vectors nobody here wrote -------------------------------------------------------------------

def test_llhttps_own_vectors():
    vectors = harness.SHARED / "data" / "http1" / "llhttp.jsonl"
    if not vectors.exists():
        harness.skip(f"there is no {vectors}")
    with pair("http: { head_timeout: 1s, body_timeout: 1s }") as (mock, gateway):
        wrong = []
        for line in vectors.read_text().splitlines():
            vector = json.loads(line)
            if "latin1" not in vector["raw"]:
                continue
            text = vector["raw"]["latin1"]
            data = text.encode("latin1" if all(ord(c) < 256 for c in text) else "utf-8")
            answer = harness.raw(gateway.port, data, 5)
            status = int(answer[9:12]) if answer.startswith(b"HTTP/1.1 ") else 0
            # What llhttp refuses is refused; nothing is ever an error of the server.
            if status >= 500 and status != 505 or (vector["error"] and 0 < status < 400):
                wrong.append((vector["id"], status, answer[:80]))
        check(not wrong, *wrong)
        equal(mock.stats()["requests"], 0, "forwarded")
    tool = harness.SHARED / "tools" / "run_http1.py"
    if tool.exists():
        with pair() as (_, gateway):
            done = subprocess.run([sys.executable, str(tool), str(gateway.port), str(vectors)], capture_output=True, text=True, timeout=280, check=True)
            check("'fail': 0" in done.stdout, done.stdout)


if __name__ == "__main__":
    harness.run(globals())
