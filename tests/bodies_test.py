"""Bodies as they travel: compressed both ways, refused when they grow too much, and passed through in pieces when they are
large."""

import contextlib
import gzip
import http.client
import json
import socket
import time
import zlib

import harness
from harness import check, equal, until
from scripted_upstream import raw_server, say

KEY = "sk-bodies-test-0001"
OTHER = "sk-bodies-test-0002"
FREE = "sk-bodies-test-0003"
CONFIG = """
providers:
  lab:  {{ type: openai, base_url: {url} }}
  gone: {{ type: openai, base_url: "http://127.0.0.1:1/v1", connect_timeout: 1s }}
models:
  chat:    {{ route: [ {{ to: lab/small }} ] }}
  ears:    {{ route: [ {{ to: lab/whisper-of-another-length }} ] }}
  deaf:    {{ route: [ {{ to: lab/mock-413 }} ] }}
  bridged: {{ route: [ {{ to: gone/ears }} ], fallback: [ lab/whisper ] }}
  secret:  {{ route: [ {{ to: lab/whisper }} ] }}
keys:
  - {{ name: one, secret: {key}, models: [chat, ears, deaf, bridged, "lab/files", "gone/files"] }}
  - {{ name: two, secret: {other}, models: [chat] }}
  - {{ name: three, secret: sk-bodies-test-0003 }}
  - {{ name: four, secret: sk-bodies-test-0004, models: ["lab/small/*"] }}
{more}
"""
TRANSCRIBE = "/v1/audio/transcriptions"


@contextlib.contextmanager
def pair(*options, more=""):
    config = CONFIG.format(url="{url}", key=KEY, other=OTHER, more=more)
    with harness.Mock(*options) as mock, harness.Gateway(config.replace("{url}", mock.url)) as gateway:
        yield mock, gateway
        check(gateway.alive(), "the gateway ended")


def raw_deflate(data):
    coder = zlib.compressobj(wbits=-15)
    return coder.compress(data) + coder.flush()


def form(*parts, boundary="xxBOUNDARYxx"):
    """(content type, bytes) of a form; a part is (name, value) or (name, file name, bytes)."""
    body = b""
    for part in parts:
        file = f'; filename="{part[1]}"\r\nContent-Type: audio/wav' if len(part) == 3 else ""
        value = part[-1] if isinstance(part[-1], bytes) else part[-1].encode()
        body += f'--{boundary}\r\nContent-Disposition: form-data; name="{part[0]}"{file}\r\n\r\n'.encode() + value + b"\r\n"
    return f"multipart/form-data; boundary={boundary}", body + f"--{boundary}--\r\n".encode()


def transcribe(gateway, *parts, key=KEY, headers=None, path=TRANSCRIBE):
    kind, body = form(*parts)
    return gateway.request("POST", path, body, key, {"Content-Type": kind, **(headers or {})})


def noise(size, seed=7):
    block = bytes((i * i * seed + i // 251) % 256 for i in range(65536))
    return (block * (size // len(block) + 1))[:size]


def crc(data):
    return f"{zlib.crc32(data):08x}"


# --- coded requests ---------------------------------------------------------------------------------------------------

def test_coded_requests_reach_the_provider_decoded():
    with pair() as (mock, gateway):
        text = json.dumps(harness.chat_body(text="many words " * 500)).encode()
        for coding, body in (("gzip", gzip.compress(text)), ("x-gzip", gzip.compress(text)), ("deflate", zlib.compress(text)),
                             ("deflate", raw_deflate(text)), ("identity", text), ("gzip, gzip", gzip.compress(gzip.compress(text)))):
            answer = gateway.post("/v1/chat/completions", body, KEY, {"Content-Encoding": coding})
            equal(answer.status, 200, coding, answer)
            equal(json.loads(mock.last()["body"]), {**json.loads(text), "model": "small"}, coding)
        until(lambda: f'"bytes_in":{len(text)},' in gateway.log(), "the decoded size in the log")


def test_large_coded_requests_are_decoded_too():
    with pair() as (mock, gateway):
        text = json.dumps(harness.chat_body(text="".join(f"word{i * 7919 % 100003} " for i in range(300_000)))).encode()
        answer = gateway.post("/v1/chat/completions", gzip.compress(text, 1), KEY, {"Content-Encoding": "gzip"})
        equal(answer.status, 200, answer)
        equal(len(json.loads(mock.last()["body"])["messages"][0]["content"]), len(json.loads(text)["messages"][0]["content"]))


def test_unknown_codings_are_415_and_say_what_is_taken():
    with pair() as (mock, gateway):
        for coding in ("lzma", "compress", "gzip, gzip, gzip"):
            answer = gateway.post("/v1/chat/completions", b"x", KEY, {"Content-Encoding": coding})
            equal(answer.status, 415, coding)
            equal(answer.headers["accept-encoding"], "gzip, deflate, br, zstd")
            check(answer.json()["error"]["message"], answer)
        equal(mock.stats()["requests"], 0)


def test_malformed_codings_are_400():
    with pair() as (_, gateway):
        body = gzip.compress(json.dumps(harness.chat_body()).encode())
        for broken in (b"not gzip at all", body[:-4], body + b"tail", body[:20] + b"\xff" + body[21:]):
            answer = gateway.post("/v1/chat/completions", broken, KEY, {"Content-Encoding": "gzip"})
            equal(answer.status, 400, answer)
            check(answer.json()["error"]["message"], answer)
        equal(gateway.chat(key=KEY).status, 200)


def resident(gateway):
    with open(f"/proc/{gateway.pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS"))


def test_bombs_are_413_and_cost_no_memory():
    with pair() as (mock, gateway):
        gateway.chat(key=KEY)
        before = resident(gateway)
        flat = gzip.compress(bytes(200_000_000), 9)
        for coding, bomb in (("gzip", flat), ("gzip, gzip", gzip.compress(flat, 9)), ("deflate", zlib.compress(bytes(100_000_000), 9))):
            answer = gateway.post("/v1/chat/completions", bomb, KEY, {"Content-Encoding": coding})
            equal(answer.status, 413, coding, answer)
        check(resident(gateway) - before < 60_000_000, "resident memory grew by", resident(gateway) - before)
        equal(mock.stats()["requests"], 1)


# --- coded answers ----------------------------------------------------------------------------------------------------

def decoded(answer):
    coding = answer.headers.get("content-encoding")
    return {None: lambda b: b, "gzip": gzip.decompress}[coding](answer.body)


def test_answers_are_coded_for_clients_that_ask():
    with pair("--tokens", "2000") as (_, gateway):
        plain = gateway.chat(key=KEY)
        check(len(plain.body) > 2048 and "content-encoding" not in plain.headers, plain.headers)
        equal(plain.headers["vary"], "accept-encoding")
        coded = gateway.post("/v1/chat/completions", harness.chat_body(), KEY, {"Accept-Encoding": "gzip;q=0.8, lzma"})
        equal(coded.headers["content-encoding"], "gzip")
        equal(json.loads(decoded(coded))["choices"], plain.json()["choices"])
        check(len(coded.body) < len(plain.body), len(coded.body), len(plain.body))
        for accept, coding in (("gzip, deflate, br, zstd", "zstd"), ("br, gzip", "br"), ("*", "zstd"), ("gzip;q=0", None),
                               ("identity", None)):
            answer = gateway.post("/v1/chat/completions", harness.chat_body(), KEY, {"Accept-Encoding": accept})
            equal(answer.headers.get("content-encoding"), coding, accept)


def test_small_answers_and_streams_are_sent_as_they_are():
    with pair("--tokens", "400") as (_, gateway):
        models = gateway.request("GET", "/v1/models", None, KEY, {"Accept-Encoding": "gzip"})
        check("content-encoding" not in models.headers and models.json()["data"], models.headers)
        answer = gateway.post("/v1/chat/completions", harness.chat_body(stream=True), KEY, {"Accept-Encoding": "gzip, br, zstd"})
        check("content-encoding" not in answer.headers and answer.body.startswith(b"data: "), answer.headers)


def test_compression_is_configured():
    with pair("--tokens", "2000", more="compression: { codings: [gzip], min_bytes: 100 }") as (mock, gateway):
        ask = {"Accept-Encoding": "zstd, br, gzip"}

        def coding():
            answer = gateway.post("/v1/chat/completions", harness.chat_body(), KEY, ask)
            equal(answer.status, 200, answer)
            return answer.headers.get("content-encoding")

        equal(coding(), "gzip")
        equal(gateway.request("GET", "/v1/models", None, KEY, ask).headers["content-encoding"], "gzip")
        gateway.write(CONFIG.format(url=mock.url, key=KEY, other=OTHER, more="compression: { responses: false }"))
        until(lambda: coding() is None, "plain answers after the reload")


def test_the_console_is_coded():
    with pair() as (_, gateway):
        page = harness.request(gateway.admin_port, "GET", "/", headers={"Accept-Encoding": "gzip"})
        equal(page.headers["content-encoding"], "gzip")
        check(b"<html" in decoded(page), "no page")


def coded_answer(body, coding):
    return (f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: {coding}\r\nConnection: close\r\n"
            f"Content-Length: {len(body)}\r\n\r\n").encode() + body


def test_answers_a_provider_coded_unasked_are_read():
    text = json.dumps({"id": "1", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}}).encode()
    for body, coding, status in ((gzip.compress(text), "gzip", 200), (gzip.compress(text)[:-3], "gzip", 502), (b"x", "lzma", 502)):
        with raw_server(say(coded_answer(body, coding))) as listener:
            config = f"""
providers:
  lab: {{ type: openai, base_url: "http://127.0.0.1:{listener.getsockname()[1]}/v1" }}
models:
  chat: {{ route: [ {{ to: lab/small }} ], retry: {{ attempts: 1 }} }}
"""
            with harness.Gateway(config) as gateway:
                answer = gateway.chat()
                equal(answer.status, status, coding, answer)
                if status == 200:
                    equal(answer.body, text)
                    until(lambda: gateway.metric("penstock_tokens_total", kind="output") == 4, "the tokens of the answer")


def test_answers_without_a_body_and_coded_ones_pass_through():
    text = json.dumps({"object": "list", "data": [f"word{i * 7919 % 100003}" for i in range(200_000)]}).encode()
    for script, status, body in ((b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", 204, b""),
                                 (b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", 204, b""),
                                 (coded_answer(gzip.compress(text), "gzip"), 200, text)):
        with raw_server(say(script)) as listener:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
            with harness.Gateway(f"providers: {{ lab: {{ type: openai, base_url: '{url}' }} }}\n") as gateway:
                connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
                for _ in range(2):
                    # One connection: bytes too many would be read as the next answer.
                    connection.request("GET", "/v1/files")
                    answer = connection.getresponse()
                    equal((answer.status, answer.read()), (status, body))
                    check(status != 204 or answer.headers["transfer-encoding"] is None, answer.headers)
                connection.close()


# --- uploads ----------------------------------------------------------------------------------------------------------

def test_a_transcription_passes_with_the_providers_name_for_the_model():
    sound = noise(100_000)
    for size in (1_000, 100_000, 3_000_000):
        sound = noise(size)
        with pair() as (_, gateway):
            for parts in ((("model", "ears"), ("file", "a.wav", sound)), (("file", "a.wav", sound), ("model", "ears"))):
                for path in (TRANSCRIBE, "/v1/audio/translations"):
                    answer = transcribe(gateway, *parts, path=path)
                    equal(answer.status, 200, answer)
                    heard = answer.json()
                    equal(heard["model"], "whisper-of-another-length")
                    equal(heard["file"], {"name": "a.wav", "bytes": size, "crc32": crc(sound)})
                    equal(answer.headers["x-penstock-target"], "lab/whisper-of-another-length")


def test_an_upload_is_accounted_for():
    with pair() as (_, gateway):
        kind, body = form(("model", "ears"), ("file", "a.wav", noise(500_000)))
        equal(gateway.request("POST", TRANSCRIBE, body, KEY, {"Content-Type": kind}).status, 200)
        until(lambda: gateway.metric("penstock_requests_total", api="openai", model="ears", status="200") == 1, "the metric")
        until(lambda: f'"bytes_in":{len(body)},' in gateway.log(), "the size in the log")


def test_the_key_decides_which_models_hear():
    with pair() as (mock, gateway):
        sound = ("file", "a.wav", noise(1000))
        equal(transcribe(gateway, ("model", "ears"), sound, key=OTHER).status, 403)
        equal(transcribe(gateway, ("model", "ears"), sound, key="wrong").status, 401)
        equal(transcribe(gateway, ("model", "secret"), sound).status, 403)
        # A second name that only the provider would read.
        twice = transcribe(gateway, ("model", "ears"), ("file", "a.wav", noise(2_000_000)), ("model", "secret"))
        equal(twice.status, 400, twice)
        until(lambda: mock.stats()["active"] == 0, "the provider to be left")
        other = transcribe(gateway, ("file", "a.wav", noise(2_000_000)), ("model", "secret"), headers={"x-penstock-model": "ears"})
        equal(other.status, 400, other)


def test_forms_without_sense_are_refused():
    with pair() as (_, gateway):
        equal(transcribe(gateway, ("file", "a.wav", b"x")).status, 400)
        equal(gateway.post(TRANSCRIBE, {"model": "ears"}, KEY).status, 400)
        kind, body = form(("model", "ears"), ("file", "a.wav", b"x"))
        equal(gateway.request("POST", TRANSCRIBE, b"junk" + body, KEY, {"Content-Type": kind}).status, 400)
        answer = gateway.request("POST", TRANSCRIBE, gzip.compress(body), KEY, {"Content-Type": kind, "Content-Encoding": "gzip"})
        equal(answer.status, 415, answer)
        equal(answer.headers["accept-encoding"], "identity")


def test_a_form_without_its_end_is_the_clients_fault():
    with pair(more="") as (mock, gateway):
        for size in (1_000, 2_000_000):
            kind, body = form(("file", "a.wav", noise(size)), ("model", "lab/whisper"))
            cut = body[:body.rindex(b"\r\n--")]
            for broken in (cut, cut + b"\r\n--xxBOUNDARYxx", body + b"more"):
                for headers in ({}, {"x-penstock-model": "lab/whisper"}):
                    # The same name for gateway and provider: nothing of the form has to be changed.
                    answer = gateway.request("POST", TRANSCRIBE, broken, FREE, {"Content-Type": kind, **headers})
                    equal(answer.status, 400, size, answer)
                    check("boundary" in answer.json()["error"]["message"], size, broken[-30:], headers, answer)
            equal(gateway.request("POST", TRANSCRIBE, body, FREE, {"Content-Type": kind}).status, 200)
        nameless = transcribe(gateway, ("file", "a.wav", noise(2_000_000)), headers={"x-penstock-model": "ears"})
        equal(nameless.status, 400, nameless)
        until(lambda: mock.stats()["active"] == 0, "the provider to be left")
        equal(gateway.metric("penstock_upstream_healthy", provider="lab"), 1)


def test_names_of_models_are_plain_text():
    with pair() as (_, gateway):
        equal(transcribe(gateway, ("model", "ears\nx"), ("file", "a.wav", b"x"), key=FREE).status, 400)
        equal(transcribe(gateway, ("file", "a.wav", b"x"), key=FREE, headers={"x-penstock-model": "ears\tx"}).status, 400)


def test_the_provider_hears_one_boundary():
    with pair() as (mock, gateway):
        kind, body = form(("model", "ears"), ("file", "a.wav", noise(1000)), boundary="one two")
        fine = 'Multipart/Form-Data ; charset=utf-8; Boundary="one two"'
        equal(gateway.request("POST", TRANSCRIBE, body, KEY, {"Content-Type": fine}).status, 200)
        for kind in ('multipart/form-data; boundary="one two"; boundary=other', 'multipart/form-data; boundary="one two"; boundary*=other',
                     'multipart/form-data; boundary ="one two"', 'multipart/form-data; boundary="one two"; x'):
            equal(gateway.request("POST", TRANSCRIBE, body, KEY, {"Content-Type": kind}).status, 400, kind)


def test_a_late_model_is_held_for_up_to_a_bound_or_named_in_a_header():
    with pair() as (_, gateway):
        sound = noise(40 << 20)
        late = (("file", "a.wav", sound), ("model", "ears"))
        answer = transcribe(gateway, *late)
        equal(answer.status, 413, answer)
        check("x-penstock-model" in answer.json()["error"]["message"], answer)
        answer = transcribe(gateway, *late, headers={"x-penstock-model": "ears"})
        equal(answer.status, 200, answer)
        equal(answer.json()["file"]["crc32"], crc(sound))
        equal(answer.json()["model"], "whisper-of-another-length")


def test_an_upload_falls_back_before_it_began():
    with pair() as (_, gateway):
        for size in (1000, 2_000_000):
            sound = noise(size)
            answer = transcribe(gateway, ("model", "bridged"), ("file", "a.wav", sound))
            equal(answer.status, 200, answer)
            equal(answer.headers["x-penstock-target"], "lab/whisper")
            equal(answer.json()["file"]["crc32"], crc(sound))


def start_upload(gateway, size, model="ears", chunked=False, version="1.1"):
    """A socket with the head and the first fields of a form sent; the file's content and the end are missing."""
    kind, whole = form(("model", model), ("file", "a.wav", b"@"))
    before, after = whole.split(b"@")
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(before) + size + len(after)}"
    connection = socket.create_connection(("127.0.0.1", gateway.port), timeout=60)
    connection.sendall(f"POST {TRANSCRIBE} HTTP/{version}\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Type: {kind}\r\n"
                       f"{length}\r\n\r\n".encode())
    send = (lambda b: connection.sendall(b"%x\r\n%s\r\n" % (len(b), b))) if chunked else connection.sendall
    send(before)
    return connection, send, after


def read_answer(connection):
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    return harness.Response(answer.status, answer.headers, answer.read())


def test_200_megabytes_pass_with_little_memory():
    with pair() as (mock, gateway):
        equal(transcribe(gateway, ("model", "ears"), ("file", "a.wav", noise(1_000_000))).status, 200)
        for chunked in (False, True):
            before, most, checksum = resident(gateway), 0, 0
            size, piece = 200 << 20, noise(1 << 20)
            connection, send, after = start_upload(gateway, size, chunked=chunked)
            with connection:
                for i in range(size // len(piece)):
                    send(piece)
                    checksum = zlib.crc32(piece, checksum)
                    if i % 10 == 0:
                        most = max(most, resident(gateway) - before)
                send(after)
                if chunked:
                    connection.sendall(b"0\r\n\r\n")
                answer = read_answer(connection)
            equal(answer.status, 200, answer)
            equal(answer.json()["file"], {"name": "a.wav", "bytes": size, "crc32": f"{checksum:08x}"})
            check(most < 30_000_000, "resident memory grew by", most)
        equal(mock.stats()["active"], 0)


def test_a_slow_upload_is_sent_on_as_it_comes():
    with pair() as (mock, gateway):
        size = 400_000
        connection, send, after = start_upload(gateway, size)
        with connection:
            for i in range(8):
                send(noise(size // 8))
                time.sleep(0.05)
                if i == 6:
                    until(lambda: mock.stats()["active"] == 1, "the provider to hear the first part before the last was sent")
            send(after)
            equal(read_answer(connection).json()["file"]["bytes"], size)


def test_http_1_0_clients_upload_too():
    with pair() as (_, gateway):
        connection, send, after = start_upload(gateway, 300_000, version="1.0")
        with connection:
            send(noise(300_000))
            send(after)
            equal(read_answer(connection).json()["file"]["bytes"], 300_000)


def test_a_client_that_leaves_ends_the_upload_at_the_provider():
    with pair() as (mock, gateway):
        connection, send, _ = start_upload(gateway, 10_000_000)
        send(noise(1_000_000))
        until(lambda: mock.stats()["active"] == 1, "the upload to reach the provider")
        connection.close()
        until(lambda: mock.stats() == {"requests": 1, "active": 0, "cancelled": 1}, "the provider to see the cancellation")


def test_a_provider_that_refuses_early_is_heard_at_once():
    with pair() as (mock, gateway):
        connection, send, _ = start_upload(gateway, 500 << 20, model="deaf")
        with connection:
            # Nothing more is sent: the answer must not wait for the rest of the body.
            send(noise(300_000))
            answer = read_answer(connection)
            equal(answer.status, 413, answer)
            check("mock provider" in answer.json()["error"]["message"], answer)
        until(lambda: mock.stats()["active"] == 0, "the provider to be left")
        equal(gateway.chat(key=KEY).status, 200)


# --- speech and files -------------------------------------------------------------------------------------------------

def test_speech_comes_back_as_bytes_of_any_size():
    with pair() as (_, gateway):
        for size in (3_000, 5_000_000):
            answer = gateway.post("/v1/audio/speech", {"model": "chat", "input": f"{size} bytes", "voice": "a"}, KEY)
            equal(answer.status, 200, answer)
            equal(answer.headers["content-type"], "audio/mpeg")
            equal(answer.body, bytes(i % 251 for i in range(size)), "sound of", size)
            check("content-encoding" not in answer.headers, answer.headers)
        events = gateway.post("/v1/audio/speech", {"model": "chat", "input": "3000 bytes", "stream_format": "sse"}, KEY)
        check(events.headers["content-type"].startswith("text/event-stream"), events.headers)
        check(b"speech.audio.done" in events.body, events)
        equal(gateway.post("/v1/audio/speech", {"model": "secret", "input": "hi"}, KEY).status, 403)
        equal(gateway.post("/v1/audio/speech", {"input": "hi"}, KEY).status, 400)
        equal(gateway.post("/v1/audio/speech", {"model": "chat"}, KEY).status, 400)


def test_files_are_kept_found_and_removed():
    with pair() as (_, gateway):
        lab = {"x-penstock-provider": "lab"}
        for size in (1000, 3_000_000):
            data = noise(size)
            kind, body = form(("purpose", "batch"), ("file", "lines.jsonl", data))
            made = gateway.request("POST", "/v1/files", body, KEY, {"Content-Type": kind, **lab})
            equal(made.status, 200, made)
            equal((made.json()["bytes"], made.json()["filename"], made.json()["purpose"]), (size, "lines.jsonl", "batch"))
            path = "/v1/files/" + made.json()["id"]
            equal(gateway.request("GET", path, None, KEY, lab).json()["bytes"], size)
            equal(gateway.request("GET", path + "/content", None, KEY, lab).body, data)
            check(path.endswith(gateway.request("GET", "/v1/files?limit=5&key=abc", None, KEY, lab).json()["data"][-1]["id"]), "not listed")
            equal(gateway.request("DELETE", path, None, KEY, lab).json()["deleted"], True)
            equal(gateway.request("GET", path, None, KEY, lab).status, 404)


def test_files_belong_to_a_provider_and_need_a_key_for_it():
    with pair() as (mock, gateway):
        # Without the header the first provider by name is asked: "gone".
        equal(gateway.request("GET", "/v1/files", None, KEY).status, 502)
        equal(gateway.request("GET", "/v1/files", None, OTHER, {"x-penstock-provider": "lab"}).status, 403)
        equal(gateway.request("GET", "/v1/files", None, KEY, {"x-penstock-provider": "nobody"}).status, 403)
        # A slash must not turn the permission for one name into that for a provider's files.
        slashed = {"x-penstock-provider": "lab/small"}
        for key in ("sk-bodies-test-0004", FREE):
            equal(gateway.request("GET", "/v1/files", None, key, slashed).status, 404, key)
        equal(gateway.request("GET", "/v1/files", None, KEY, slashed).status, 403)
        equal(gateway.request("GET", "/v1/files", None, FREE, {"x-penstock-provider": "nobody"}).status, 404)
        for path in ("/v1/files/a%5Cb", "/v1/files/a;b", "/v1/files/a%3Bb", "/v1/files/%252e%252e", "/v1/files/...", "/v1/files/a%00",
                     "/v1/files/a%20b/content", "/v1/files/a\\..", "/v1/files/..", "/v1/files/%2e%2e", "/v1/files/a%2Fb", "/v1/files/%2e%2e/content"):
            equal(gateway.request("GET", path, None, KEY, {"x-penstock-provider": "lab"}).status, 404, path)
        equal(mock.stats()["requests"], 0)


if __name__ == "__main__":
    harness.run(globals())
