"""Wrong requests get the right status, in the shape of the dialect, with a message that helps; and the next request
works."""

import contextlib
import re

import harness
from harness import check, equal

KEY = "sk-bad-input-0001"
NARROW = "sk-bad-input-0002"
SECRET = "sk-provider-secret-7777"

CONFIG = """
providers:
  lab: {{ type: openai, base_url: {url}, api_key: {secret} }}
models:
  chat:  {{ route: [ {{ to: lab/small }} ] }}
  other: {{ route: [ {{ to: lab/small }} ] }}
keys:
  - {{ name: app, secret: {key} }}
  - {{ name: narrow, secret: {narrow}, models: [other] }}
"""


@contextlib.contextmanager
def gateway():
    """A gateway that must be the same process, and answer, at the end."""
    with harness.Mock() as mock:
        text = CONFIG.format(url=mock.url, secret=SECRET, key=KEY, narrow=NARROW)
        with harness.Gateway(text) as running:
            yield running
            check(running.alive(), "the gateway ended")
            equal(running.chat(key=KEY).status, 200, "an ordinary call afterwards:")


def openai_error(answer, status, code=None, says=()):
    equal(answer.status, status, answer)
    error = answer.json().get("error")
    check(isinstance(error, dict) and isinstance(error.get("message"), str), "not OpenAI's shape:", answer)
    check(isinstance(error.get("type"), str), "no error type:", answer)
    check({"param", "code"} <= error.keys(), "param and code are missing:", answer)
    if code:
        equal(error["code"], code, answer)
    for word in says:
        check(word.lower() in error["message"].lower(), f"the message does not say '{word}':", error["message"])
    check("x-request-id" in answer.headers, "no x-request-id on", answer)
    return error


def test_malformed_json_is_400():
    with gateway() as g:
        for body in (b"", b"{", b"{}x", b"[]", b"null", b"3", b'"a"', b'{"model":"chat",}', b"{'model':'chat'}", b"\x00", b"\xef\xbb\xbf{}",
                     b'{"model":"chat","messages":[}'):
            for path in ("/v1/chat/completions", "/v1/completions", "/v1/embeddings"):
                openai_error(g.post(path, body, KEY), 400)
        openai_error(g.post("/v1/chat/completions", b'{"model":', KEY), 400, says=["json"])


def test_missing_or_wrong_model_field_is_400():
    with gateway() as g:
        for body in ({}, {"messages": []}, {"model": 5, "messages": []}, {"model": None}, {"model": ""}, {"model": ["chat"]}):
            openai_error(g.post("/v1/chat/completions", body, KEY), 400, says=["model"])


def test_a_field_given_twice_is_400():
    with gateway() as g:
        openai_error(g.post("/v1/chat/completions", b'{"model":"chat","messages":[],"model":"other"}', KEY), 400)


def test_unknown_model_is_404_with_a_hint():
    with gateway() as g:
        openai_error(g.chat("chatt", KEY), 404, "model_not_found", says=["chatt", "chat", "did you mean"])
        openai_error(g.chat("x" * 5000, KEY), 404, "model_not_found")
        openai_error(g.chat("nolab/small", KEY), 404, "model_not_found")
        answer = g.request("GET", "/v1/models/nothing", key=KEY)
        openai_error(answer, 404, "model_not_found")


def test_missing_and_wrong_keys_are_401():
    with gateway() as g:
        openai_error(g.chat(), 401)
        for key in ("wrong", KEY + "x", KEY[:-1], KEY.upper(), "x" * 4000):
            error = openai_error(g.chat(key=key), 401)
            check(key not in error["message"], "the message repeats the key")
        openai_error(g.request("GET", "/v1/models"), 401)
        openai_error(g.post("/v1/chat/completions", harness.chat_body(), None, {"Authorization": KEY}), 401)
        openai_error(g.post("/v1/chat/completions", harness.chat_body(), None, {"Authorization": "Basic " + KEY}), 401)


def test_every_dialects_credential_field_works():
    with gateway() as g:
        for headers in ({"x-api-key": KEY}, {"api-key": KEY}, {"x-goog-api-key": KEY}, {"authorization": "bearer " + KEY}):
            equal(g.post("/v1/chat/completions", harness.chat_body(), None, headers).status, 200, headers)
        equal(g.post(f"/v1/chat/completions?key={KEY}", harness.chat_body()).status, 200)


def test_a_model_the_key_may_not_use_is_403():
    with gateway() as g:
        openai_error(g.chat("chat", NARROW), 403, says=["chat", "narrow"])
        equal(g.chat("other", NARROW).status, 200)
        names = [m["id"] for m in g.request("GET", "/v1/models", key=NARROW).json()["data"]]
        check("other" in names and "chat" not in names, "a key sees models it may not use:", names)


def test_oversized_bodies_are_413_and_name_the_limit():
    with gateway() as g:
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer {KEY}\r\nContent-Type: application/json\r\n"
        declared = harness.raw(g.port, (head + "Content-Length: 99999999999\r\n\r\n{").encode())
        check(declared.startswith(b"HTTP/1.1 413 "), declared[:200])
        error = harness.Response(413, {}, declared.split(b"\r\n\r\n", 1)[1]).json()["error"]
        check(isinstance(error, dict) and re.search(r"\d+", error["message"]), "not OpenAI's shape, or the limit is not named:", error)
        chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        grown = harness.raw(g.port, (head + "Transfer-Encoding: chunked\r\n\r\n").encode() + chunk * 1200 + b"0\r\n\r\n")
        check(grown == b"" or grown.startswith(b"HTTP/1.1 413 "), grown[:200])


def test_deep_nesting_is_400():
    with gateway() as g:
        for depth in (1000, 100_000, 1_000_000):
            body = b'{"model":"chat","messages":' + b"[" * depth + b"]" * depth + b"}"
            openai_error(g.post("/v1/chat/completions", body, KEY), 400)
            body = b'{"model":"chat","messages":' + b'{"a":' * depth
            openai_error(g.post("/v1/chat/completions", body, KEY), 400)


def test_bad_utf8_is_400():
    with gateway() as g:
        for bad in (b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82"):
            body = b'{"model":"chat","messages":[{"role":"user","content":"' + bad + b'"}]}'
            openai_error(g.post("/v1/chat/completions", body, KEY), 400)
            body = b'{"model":"' + bad + b'","messages":[]}'
            openai_error(g.post("/v1/chat/completions", body, KEY), 400)


def test_wrong_methods_are_405():
    with gateway() as g:
        for method, path in (("GET", "/v1/chat/completions"), ("DELETE", "/v1/models"), ("PUT", "/v1/embeddings")):
            answer = g.request(method, path, key=KEY)
            openai_error(answer, 405)
            check(answer.headers.get("allow"), "405 without Allow:", path)


def test_unknown_paths_are_404_in_the_dialect_of_their_prefix():
    with gateway() as g:
        openai_error(g.post("/v1/nothing", {}, KEY), 404)
        answer = g.post("/v2/nothing", {}, KEY)
        equal(answer.status, 404)
        check(isinstance(answer.json().get("error"), str), "not the Open Inference Protocol's shape:", answer)
        for path in ("/nothing", "/v1", "/v1/chat", "/%2e%2e/etc/passwd", "/v1/chat/completions/"):
            equal(g.request("GET", path, key=KEY).status, 404, path)


def test_broken_http_is_refused():
    with gateway() as g:
        for data, status in ((b"nonsense\r\n\r\n", b"400"), (b"GET / HTTP/1.1\r\n\r\n", b"400"),
                             (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"400"),
                             (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", b"400"),
                             (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", b"400"),
                             (b"GET / HTTP/1.1\r\nHost: a\r\nx: " + b"y" * 100_000 + b"\r\n\r\n", b"431"),
                             (b"GET /" + b"y" * 100_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", b"414")):
            answer = harness.raw(g.port, data)
            check(answer.startswith(b"HTTP/1.1 " + status), data[:60], "->", answer[:120])


def test_secrets_appear_nowhere():
    with gateway() as g:
        g.chat("chatt", "wrong-" + KEY)
        g.chat("chat", KEY)
        everything = g.log() + g.metrics()
        for path in ("/admin/v1/config", "/admin/v1/keys", "/admin/v1/requests"):
            everything += harness.request(g.admin_port, "GET", path).text()
        for secret in (KEY, NARROW, SECRET):
            check(secret not in everything, "a secret is in a log, the metrics or the admin API")


if __name__ == "__main__":
    harness.run(globals())
