"""Providers whose answers are broken in every way we could think of: the client is told, nobody hangs, nothing is made up,
and the next call works. docs/reliability.md says what to expect of each."""

import contextlib
import email.utils
import gzip
import json
import socket
import time

import harness
import scripted_upstream as upstream
from broken_provider import answer_with, ask, config, logged, refused, running, together
from harness import check, equal, until
from scripted_upstream import BODY, CHUNKED, STREAM_HEAD, ScriptedUpstream, chunk, chunked_stream, whole

STREAMS = {"chunked": chunked_stream(),
           "closed": STREAM_HEAD + b"connection: close\r\n\r\n" + b"".join(upstream.sse_events())}
ANSWERS = {"length": whole(),
           "chunked": b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n" + CHUNKED + chunk(BODY[:50]) + chunk(BODY[50:])
           + b"0\r\n\r\n",
           "closed": upstream.CLOSED}


# --- cuts ---

def cut_at(connection, request, words):
    kind, form, count, how = words
    data = (STREAMS if kind == "stream" else ANSWERS)[form][:int(count)]
    connection.sendall(data)
    if how == "rst":
        upstream.reset(connection)
    elif how == "half":
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)
    return False


def test_an_answer_cut_at_every_byte_is_never_a_whole_one():
    with running(cut_at) as gateway:
        points = [(form, n, how) for form, data in ANSWERS.items() for n in range(len(data)) for how in ("fin", "rst")]
        replies = together([lambda p=p: ask(gateway, f"answer {p[0]} {p[1]} {p[2]}") for p in points])
        check(len(points) > 1500, len(points))
        refused(gateway, replies, ("provider_connect", "provider_cut", "provider_malformed"))
        for (form, n, how), line in zip(points, logged(gateway, replies)):
            if n == 0:
                equal(line["error_type"], "provider_connect", form, n, how)
            elif form != "closed":
                equal(line["error_type"], "provider_cut", form, n, how)
        for form in ANSWERS:
            equal(ask(gateway, f"answer {form} 100000 half").body, BODY, "half-closed after a whole answer:")
            equal(ask(gateway, f"answer {form} 40 half").status, 502, "half-closed within:")


def payload(form, count):
    """What of a stream's events has arrived with so many bytes of the message."""
    data = STREAMS[form][:count]
    _, found, body = data.partition(b"\r\n\r\n")
    if form == "closed" or not found:
        return body
    events = b""
    while b"\r\n" in body:
        size, _, body = body.partition(b"\r\n")
        events += body[:int(size, 16)]
        body = body[int(size, 16) + 2:]
    return events


def test_a_stream_cut_at_every_byte_ends_with_an_error_and_no_finish():
    with running(cut_at) as gateway:
        points = [(form, n, how) for form, data in STREAMS.items() for n in range(len(data)) for how in ("fin", "rst")]
        check(len(points) > 2500, len(points))
        replies = together([lambda p=p: ask(gateway, f"stream {p[0]} {p[1]} {p[2]}", stream=True) for p in points])
        lines = logged(gateway, replies)
        sent = [event[6:-2] for event in upstream.sse_events()]
        for (form, n, how), reply, line in zip(points, replies, lines):
            arrived = payload(form, n).count(b"\n\n")
            where = (form, n, how, reply, line)
            check(not reply.cut, *where)
            if arrived == 0:
                check(reply.status == 502 and reply.error()["type"] == "server_error", *where)
                check(line["error_type"] in ("provider_connect", "provider_cut"), *where)
                continue
            # Usage was not asked for by the client: that event is the gateway's.
            wanted = [event for event in sent[:arrived] if b'"usage"' not in event]
            equal(reply.status, 200, *where)
            if arrived == len(sent):
                equal(reply.events, wanted, *where)
                check("error_type" not in line, *where)
                continue
            equal(reply.events[:-1], wanted, *where)
            equal(reply.error()["code"], "provider_error", *where)
            equal(line["error_type"], "provider_cut", *where)
            check(line["estimated"] or arrived > 3, "usage without a report is marked as an estimate:", *where)


def test_an_upload_answer_and_speech_cut_anywhere_are_never_whole():
    audio = bytes(range(256)) * 8
    forms = {"length": b"HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ncontent-length: 2048\r\n\r\n" + audio,
             "chunked": b"HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\n" + CHUNKED + chunk(audio[:1000]) + chunk(audio[1000:])
             + b"0\r\n\r\n"}

    def play(connection, request, words):
        connection.sendall(forms[words[0]][:int(words[1])])
        if words[2] == "rst":
            upstream.reset(connection)
        return False

    def speak(gateway, form, count, how):
        body = json.dumps({"model": "chat", "input": f"{form} {count} {how}", "voice": "x"}).encode()
        head = f"POST /v1/audio/speech HTTP/1.1\r\nhost: g\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
        return harness.raw(gateway.port, head.encode() + body)

    with running(play) as gateway:
        points = [(form, n, how) for form, data in forms.items() for n in range(0, len(data), 13) for how in ("fin", "rst")]
        for point, got in zip(points, together([lambda p=p: speak(gateway, *p) for p in points])):
            head, _, body = got.partition(b"\r\n\r\n")
            if head.startswith(b"HTTP/1.1 502 "):
                check(b'"error"' in body, point, got[:300])
                continue
            check(head.startswith(b"HTTP/1.1 200 ") and b"chunked" in head.lower(), point, head)
            check(not body.endswith(b"0\r\n\r\n"), "a cut answer that looks whole", point)
        for form in forms:
            check(audio[-900:] in speak(gateway, form, 100000, "fin"), "the whole one")
        until(lambda: gateway.metric("penstock_requests_total", error_type="provider_cut") > len(points) // 2, "the cuts in the metrics")


# --- what is no HTTP, or wrong HTTP ---

def malformed():
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
    te = head + b"transfer-encoding: chunked\r\n\r\n"
    size = b"content-length: %d\r\n" % len(BODY)
    table = {
        "chunk-size-word": te + b"zz\r\n" + BODY,
        "chunk-size-negative": te + b"-5\r\n" + BODY,
        "chunk-size-huge": te + b"FFFFFFFFFFFFFFFFFF\r\n" + BODY,
        "chunk-size-empty": te + b"\r\n" + BODY,
        "chunk-size-0x": te + b"0x10\r\n" + BODY,
        "chunk-without-crlf": te + b"5\r\nhelloXX0\r\n\r\n",
        "chunk-longer-than-said": te + b"5\r\nhelloworld\r\n0\r\n\r\n",
        "two-lengths": head + size + b"content-length: 3\r\n\r\n" + BODY,
        "two-lengths-the-same": head + size + size + b"\r\n" + BODY,
        "length-list": head + b"content-length: 3, 5\r\n\r\n" + BODY,
        "length-and-chunked": head + size + CHUNKED + chunk(BODY) + b"0\r\n\r\n",
        "length-negative": head + b"content-length: -5\r\n\r\n" + BODY,
        "length-plus": head + b"content-length: +5\r\n\r\n" + BODY,
        "length-word": head + b"content-length: many\r\n\r\n" + BODY,
        "length-huge": head + b"content-length: 99999999999999999999999\r\n\r\n" + BODY,
        "coding-unknown": head + b"transfer-encoding: gzip\r\n\r\n" + BODY,
        "chunked-twice": head + b"transfer-encoding: chunked, chunked\r\n\r\n" + chunk(BODY) + b"0\r\n\r\n",
        "obs-fold": head + b"x-long: a\r\n b\r\n" + size + b"\r\n" + BODY,
        "nul": head + b"x: a\0b\r\n" + size + b"\r\n" + BODY,
        "space-before-colon": head + b"content-length : 5\r\n\r\n" + BODY,
        "field-without-colon": head + b"nonsense\r\n" + size + b"\r\n" + BODY,
        "cr-alone": head + b"x: a\rb\r\n" + size + b"\r\n" + BODY,
        "http-0.9": b"<html>hello</html>\r\n\r\n",
        "http-3.0": b"HTTP/3.0 200 OK\r\n" + size + b"\r\n" + BODY,
        "http-2-preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "http-2-frames": b"\0\0\x12\4\0\0\0\0\0\0\3\0\0\0\x64\0\4\0\x10\0\0\0\6\0\1\0\0",
        "status-letters": b"HTTP/1.1 abc OK\r\n" + size + b"\r\n" + BODY,
        "status-short": b"HTTP/1.1 20 OK\r\n" + size + b"\r\n" + BODY,
        "status-long": b"HTTP/1.1 2000 OK\r\n" + size + b"\r\n" + BODY,
        "status-negative": b"HTTP/1.1 -20 OK\r\n" + size + b"\r\n" + BODY,
        "status-000": b"HTTP/1.1 000 OK\r\n" + size + b"\r\n" + BODY,
        "garbage": bytes(range(256)) * 20,
        "zeros": bytes(5000),
        "line-without-end": b"HTTP/1.1 200 " + b"x" * 200_000,
        "field-without-end": head + b"x: " + b"y" * 200_000,
        "tls-alert": b"\x15\3\3\0\2\2\x28",
        "ssh": b"SSH-2.0-OpenSSH_9.2p1\r\n",
        "smtp": b"220 mail.example ESMTP\r\n",
        "ten-thousand-fields": head + b"".join(b"x-%d: y\r\n" % i for i in range(10_000)) + size + b"\r\n" + BODY,
        "interim-storm": b"HTTP/1.1 100 Continue\r\n\r\n" * 1000 + whole(),
        "processing-storm": b"HTTP/1.1 102 Processing\r\n\r\n" * 17 + whole(),
        "switching": b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nhello",
        "encoding-unknown": whole(head=["content-encoding: rot13"]),
        "gzip-that-is-none": whole(head=["content-encoding: gzip"]),
        "gzip-cut": whole(gzip.compress(BODY)[:-9], head=["content-encoding: gzip"]),
        "gzip-bomb": whole(gzip.compress(bytes(300 << 20)), head=["content-encoding: gzip"]),
        "html": whole(b"<html><body>502 Bad Gateway</body></html>", head=["content-type: text/html"]),
        "json-cut-short": whole(BODY[:-1]),
        "json-array": whole(b"[]"), "json-number": whole(b"7"), "json-empty": whole(b""), "json-null": whole(b"null"),
        "json-behind": whole(BODY + b"x"), "json-twice": whole(BODY + BODY),
        "json-deep": whole(b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
        "json-nan": whole(b'{"usage": NaN}'),
        "utf-8-bad": whole(BODY.replace(b"hi", b"h\xff\xfe")), "utf-8-cut": whole(BODY.replace(b"hi", b"\xe2\x82")),
        "utf-8-surrogate": whole(BODY.replace(b"hi", b"\xed\xa0\x80")), "utf-16": whole(BODY.decode().encode("utf-16")),
        "control-in-string": whole(BODY.replace(b"hi", b"h\1i")),
        "length-too-short": whole(length=len(BODY) - 3),
        "no-content": b"HTTP/1.1 204 No Content\r\n\r\n",
        "sse-for-json": chunked_stream(),
    }
    return table


def test_malformed_answers_are_told_as_such():
    table = malformed()
    with running(answer_with(table)) as gateway:
        names = list(table)
        replies = together([lambda n=n: ask(gateway, n, model="hasty") for n in names])
        for name, reply, line in zip(names, replies, logged(gateway, replies)):
            check(reply.status in (502, 504) and not reply.cut, name, reply)
            check(reply.error()["type"] == "server_error" and "lab/m" in reply.error()["message"], name, reply)
            check(line["error_type"] in ("provider_malformed", "provider_cut", "provider_timeout"), name, line)
        kinds = [line["error_type"] for line in logged(gateway, replies)]
        check(kinds.count("provider_malformed") >= len(names) - 8, [k for k in zip(names, kinds) if k[1] != "provider_malformed"])


def test_unusual_but_right_answers_are_taken():
    size = b"content-length: %d\r\n" % len(BODY)
    table = {
        "bare-lf": b"HTTP/1.1 200 OK\ncontent-type: application/json\n" + size.replace(b"\r", b"") + b"\n" + BODY,
        "interim": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" + whole(),
        "no-reason": b"HTTP/1.1 200\r\n" + size + b"\r\n" + BODY,
        "http-1.0": b"HTTP/1.0 200 OK\r\n" + size + b"\r\n" + BODY,
        "chunk-extensions-and-trailers": b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"%x;a=b\r\n%s\r\n0\r\nx: y\r\n\r\n" % (len(BODY), BODY),
        "gzip": whole(gzip.compress(BODY), head=["content-encoding: gzip"]),
        "wrong-type": whole(head=["content-type: text/plain"]),
        "bytes-behind": whole() + b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil",
    }
    with running(lambda connection, request, words: connection.sendall(table[words[0]]) or True) as gateway:
        for name in table:
            reply = ask(gateway, name)
            if name == "bare-lf" and reply.status == 502:
                continue  # RFC 9112 section 2.2: a recipient may take it for a line end, or not
            check(reply.status == 200 and reply.body == BODY, name, reply)
            equal(ask(gateway, "fine").body, BODY, "the next call after", name)


def test_streams_that_are_none_are_told_as_such():
    def stream_of(data):
        return STREAM_HEAD + CHUNKED + chunk(data) + b"0\r\n\r\n"
    first = upstream.sse_events()[0]
    before = {"json": stream_of(BODY), "json-and-line-end": stream_of(BODY + b"\n"),
              "html": stream_of(b"<html>\n\n<body>\n\n</body></html>\n"), "empty": STREAM_HEAD + CHUNKED + b"0\r\n\r\n",
              "comments": stream_of(b": hello\n\n: still here\n\n"), "garbage": stream_of(bytes(range(256)) * 4),
              "html-as-html": whole(b"<html></html>", head=["content-type: text/html"]),
              "error-event": stream_of(b'data: {"error":{"message":"overloaded","type":"server_error"}}\n\n'),
              "named-error": stream_of(b"event: error\ndata: overloaded\n\n"),
              "endless-event": STREAM_HEAD + CHUNKED + chunk(b"data: " + b"x" * (9 << 20)),
              "nothing-but-head": STREAM_HEAD + b"content-length: 0\r\n\r\n"}
    within = {"bad-chunk": chunked_stream([first], b"zz\r\n"), "no-end-of-event": chunked_stream([first, b"data: {"]),
              "endless-event": chunked_stream([first, b"data: " + b"x" * (9 << 20)], b""),
              "error-event": chunked_stream([first, b'data: {"error":{"message":"out of memory"}}\n\n']),
              "closed-without-mark": STREAM_HEAD + b"\r\n" + first}
    table = {**{"before-" + name: data for name, data in before.items()}, **{"within-" + name: data for name, data in within.items()}}
    with running(answer_with(table)) as gateway:
        names = list(table)
        replies = together([lambda n=n: ask(gateway, n, stream=True) for n in names])
        for name, reply, line in zip(names, replies, logged(gateway, replies)):
            # What comes together with the first event may be seen before that went out.
            check(reply.status in ((502,) if name.startswith("before") else (200, 502)), name, reply)
            check(reply.error()["message"] and not reply.cut, name, reply)
            check(line["error_type"] in ("provider_malformed", "provider_cut", "provider_5xx"), name, line)
            check(b"[DONE]" not in reply.events, name, reply)
        equal(logged(gateway, [replies[names.index("within-bad-chunk")]])[0]["error_type"], "provider_malformed")


def test_an_endless_answer_ends_at_the_limit():
    def play(connection, request, words):
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n" + CHUNKED)
        with contextlib.suppress(OSError):
            while True:
                connection.sendall(chunk(b" " * (1 << 20)))
        return False
    with running(play) as gateway:
        reply = ask(gateway, "endless")
        equal(reply.status, 502, reply)
        check("67108864" in reply.error()["message"], reply)
        equal(logged(gateway, [reply])[0]["error_type"], "provider_malformed")


# --- answers that mean something odd ---

def test_redirects_are_not_followed():
    def play(connection, request, words):
        connection.sendall(whole(b"{}", f"{words[0]} Moved", [f"location: http://127.0.0.1:{connection.getsockname()[1]}/v1/chat/completions"]))
        return True
    with running(play) as gateway:
        for status in (300, 301, 302, 303, 307, 308, 399):
            asked = len(gateway.provider.requests)
            reply = ask(gateway, str(status))
            refused(gateway, [reply], ("provider_4xx",))
            check(str(status) in reply.error()["message"], reply)
            equal(len(gateway.provider.requests), asked + 1, "requests after a redirect:")


def test_nonsense_usage_is_not_believed_and_empty_choices_pass():
    nonsense = ["-5", "1e300", "99999999999999999999", "-99999999999999999999", '"7"', "null", "1.5", "true", "[1]", "{}", "1000000000001"]

    def play(connection, request, words):
        usage = b'{"prompt_tokens":%s,"completion_tokens":%s}' % (words[1].encode(), words[1].encode())
        if words[0] == "whole":
            connection.sendall(whole(b'{"choices":[],"usage":' + usage + b"}"))
        else:
            connection.sendall(chunked_stream([upstream.sse_events()[0], b'data: {"choices":[],"usage":' + usage + b"}\n\n", b"data: [DONE]\n\n"]))
        return True
    with running(play) as gateway:
        replies = [ask(gateway, f"whole {n}") for n in nonsense] + [ask(gateway, f"stream {n}", stream=True) for n in nonsense]
        for reply, line in zip(replies, logged(gateway, replies)):
            equal(reply.status, 200, reply)
            check(line["estimated"] and 0 < line["input_tokens"] < 100 and 0 <= line["output_tokens"] < 100, line, reply)


def test_error_answers_of_any_shape_keep_their_status_or_become_502():
    bodies = [b"", b"no", b"{}", b"[]", b"null", b'{"error":null}', b'{"error":"text"}', b'{"error":{"message":"m","type":"t"}}',
              b"<html>x</html>", b"\xff\xfe\0", b"{" * 1000, b" " * 200_000, b"x" * 300_000]

    def play(connection, request, words):
        kind = "application/json" if words[2] == "json" else words[2]
        body = bodies[int(words[1])]
        head = f"HTTP/1.1 {words[0]} X\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        return True
    with running(play) as gateway:
        cases = [(status, i, kind) for status in (400, 401, 403, 404, 408, 413, 418, 422, 429, 451, 500, 502, 503, 504, 529, 599)
                 for i in range(len(bodies)) for kind in ("json", "text/html")]
        replies = together([lambda c=c: ask(gateway, f"{c[0]} {c[1]} {c[2]}") for c in cases])
        for (status, i, kind), reply, line in zip(cases, replies, logged(gateway, replies)):
            where = (status, bodies[i][:20], kind, reply, line)
            check(reply.status in (status, 502) and reply.status >= 400, *where)
            wanted = "provider_429" if status == 429 else "provider_5xx" if status >= 500 else "provider_4xx"
            equal(line["error_type"], wanted, *where)
            if status in (401, 403):
                check(reply.status == 502 and b"gateway's own key" in reply.body, *where)


def test_odd_retry_after_values_do_not_reach_the_client():
    soon = email.utils.formatdate(time.time() + 3600, usegmt=True)
    past = email.utils.formatdate(time.time() - 3600, usegmt=True)
    cases = {"7": "7", "0": "0", "-1": None, "1000000000000": None, "99999999999999999999999999": None, "1.5": None, "soon": None,
             past: None, "Sun, 06 Nov 2094 08:49:37 GMT": None, soon: "about an hour"}
    values = list(cases)

    def play(connection, request, words):
        body = b'{"error":{"message":"busy","type":"rate_limit_error"}}' if words[2] == "json" else b"busy"
        kind = "application/json" if words[2] == "json" else "text/plain"
        connection.sendall((f"HTTP/1.1 {words[0]} Busy\r\nretry-after: {values[int(words[1])]}\r\ncontent-type: {kind}\r\n"
                            f"content-length: {len(body)}\r\n\r\n").encode() + body)
        return True
    with running(play) as gateway:
        for status in (429, 503):
            for i, value in enumerate(values):
                for kind in ("json", "text"):
                    reply = ask(gateway, f"{status} {i} {kind}")
                    check(reply.status in (status, 502), reply)
                    got = reply.headers.get("retry-after")
                    if cases[value] == "about an hour":
                        check(got and 3000 < int(got) <= 3600, value, got, reply)
                    elif cases[value] is None or (kind == "text" and value == "0"):
                        check(got in (None, "1"), value, got, reply)
                    else:
                        equal(got, cases[value], value, reply)


# --- slow ---

def test_drips_are_waited_for_within_the_timeouts_and_no_longer():
    def play(connection, request, words):
        kind, pause = words[0], float(words[1])
        if kind == "silent":
            connection.recv(1)
        elif kind == "drip":
            upstream.drip(connection, whole(), pause)
        elif kind == "stream":
            for piece in [STREAM_HEAD + CHUNKED, *map(chunk, upstream.sse_events()), b"0\r\n\r\n"]:
                connection.sendall(piece)
                time.sleep(pause)
        elif kind == "stall":
            connection.sendall(chunked_stream(upstream.sse_events()[:2], b""))
            connection.recv(1)
        elif kind == "comments":
            connection.sendall(STREAM_HEAD + CHUNKED)
            while True:
                connection.sendall(chunk(b": wait\n\n"))
                time.sleep(pause)
        elif kind == "interim":
            while True:
                connection.sendall(b"HTTP/1.1 102 Processing\r\n\r\n")
                time.sleep(pause)
        return True
    with running(play) as gateway:
        good = [lambda: ask(gateway, "drip 0.002"), lambda: ask(gateway, "stream 0.05", stream=True, model="hasty")]
        bad = [lambda: ask(gateway, "silent 0", model="hasty"), lambda: ask(gateway, "silent 0", stream=True, model="hasty"),
               lambda: ask(gateway, "drip 0.05", model="hasty"), lambda: ask(gateway, "comments 0.1", stream=True, model="hasty"),
               lambda: ask(gateway, "interim 0.1", model="hasty"), lambda: ask(gateway, "stream 0.6", stream=True, model="hasty")]
        broken = [lambda: ask(gateway, "stall 0", stream=True, model="hasty")]
        replies = together(good + bad + broken)
        equal(replies[0].body, BODY, replies[0])
        equal(replies[1].events[-1], b"[DONE]", replies[1])
        refused(gateway, replies[2:8], ("provider_timeout", "provider_malformed"), (504, 502))
        for reply in replies[8:]:
            equal(reply.status, 200)
            check(not reply.cut and reply.error()["code"] == "provider_error", reply)
            equal(logged(gateway, [reply])[0]["error_type"], "provider_timeout")


def test_an_answer_before_the_request_was_read_reaches_the_client():
    body = b'{"error":{"message":"too large","type":"invalid_request_error"}}'

    def play(connection, request, words):
        connection.sendall(whole(body, "413 Too Large", ["connection: close"]))
        how = request.fields["x-how"] if "x-how" in request.fields else "wait"
        if how == "wait":
            time.sleep(0.5)
        return False
    with ScriptedUpstream(play, read_bodies=False) as provider, harness.Gateway(config(provider)) as gateway:
        for size in (1000, 300_000, 8 << 20):
            reply = ask(gateway, "anything", padding="x" * size)
            check(reply.status == 413 and reply.body == body, size, reply)
        equal(gateway.metric("penstock_upstream_connections", state="idle"), 0, "connections kept with half a request on them:")


if __name__ == "__main__":
    harness.run(globals())
