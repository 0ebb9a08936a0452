"""What passes through unread but for the model: moderations, images, rerank, and batches, which belong to a provider. (Audio
and files: bodies_test.py.)"""

import contextlib
import json

import harness
from bodies_test import form, noise
from harness import check, equal, until
from scripted_upstream import STREAM_HEAD, CHUNKED, ScriptedUpstream, chunk, whole

KEY = "sk-through-test-0001"
OTHER = "sk-through-test-0002"
FREE = "sk-through-test-0003"
CONFIG = """
providers:
  lab:  {{ type: openai, base_url: "{url}" }}
  next: {{ type: openai, base_url: "{url}/next" }}
  gone: {{ type: openai, base_url: "http://127.0.0.1:1/v1", connect_timeout: 1s }}
models:
  judge:   {{ route: [ {{ to: lab/judge-of-another-length }} ] }}
  painter: {{ route: [ {{ to: lab/paint }} ] }}
  ranker:  {{ route: [ {{ to: gone/rank }} ], fallback: [ lab/rank ] }}
  secret:  {{ route: [ {{ to: lab/secret }} ] }}
keys:
  - {{ name: one, secret: {key}, models: [judge, painter, ranker, "lab/batches", "lab/moderations"] }}
  - {{ name: two, secret: {other}, models: [chat] }}
  - {{ name: three, secret: {free} }}
"""
USAGE = {"input_tokens": 11, "output_tokens": 4160, "total_tokens": 4171}


class Provider(ScriptedUpstream):
    """Says what it was asked; `answer` when it is set."""

    def __init__(self):
        self.answer = None
        self.asked = []
        super().__init__(self.tell)

    def tell(self, connection, request, _):
        self.asked.append(request)
        said = {"method": request.method, "path": request.path, "type": request.fields.get("content-type"),
                "key": request.fields.get("authorization"), "length": len(request.body)}
        connection.sendall(self.answer or whole(json.dumps(said).encode()))
        return True


@contextlib.contextmanager
def pair():
    with Provider() as provider, harness.Gateway(CONFIG.format(url=provider.url, key=KEY, other=OTHER, free=FREE)) as gateway:
        yield provider, gateway
        check(gateway.alive(), "the gateway ended")


def last_json(provider):
    return json.loads(provider.asked[-1].body)


JSON_CALLS = [
    ("/v1/moderations", "judge", {"input": ["a threat", {"type": "image_url", "image_url": {"url": "data:image/png;base64,QQ=="}}]}),
    ("/v1/images/generations", "painter", {"prompt": "a pump", "n": 2, "size": "1024x1024", "later_field": [1.50, None]}),
    ("/v1/rerank", "ranker", {"query": "pump", "documents": ["valve", {"text": "pump"}], "top_n": 1}),
]
NAMES = {"judge": "judge-of-another-length", "painter": "paint", "ranker": "rank"}


def test_json_goes_on_with_the_providers_name_for_the_model():
    with pair() as (provider, gateway):
        for path, model, more in JSON_CALLS:
            text = ' { "before":1.50 , "model" : "' + model + '",' + json.dumps(more)[1:] + "\n"
            answer = gateway.request("POST", path, text.encode(), KEY, {"Content-Type": "application/json"})
            equal(answer.status, 200, path, answer)
            equal(answer.json()["path"], path)
            equal(answer.json()["type"], "application/json")
            equal(answer.headers["x-penstock-target"], f"lab/{NAMES[model]}")
            equal(provider.asked[-1].body.decode(), text.replace(f'"{model}"', f'"{NAMES[model]}"'), "only the name may change")


def test_the_key_decides_who_may_ask():
    with pair() as (provider, gateway):
        for path, model, more in JSON_CALLS:
            equal(gateway.post(path, {"model": model, **more}, "nobody-knows-this").status, 401, path)
            equal(gateway.post(path, {"model": model, **more}, OTHER).status, 403, path)
            equal(gateway.post(path, {"model": "secret", **more}, KEY).status, 403, path)
            equal(gateway.post(path, {"model": "nothing", **more}, FREE).status, 404, path)
        equal(provider.asked, [])


def test_bodies_without_sense_are_refused():
    with pair() as (provider, gateway):
        for path, model, more in JSON_CALLS:
            for body, why in ((b"[]", "object"), (b"{", ""), (b"", ""), ({"model": 3, **more}, "model"), ({"model": "", **more}, "model"),
                              ({"model": "a\nb", **more}, "control"), (b'{"model":"a","model":"b"}', "model")):
                answer = gateway.post(path, body, FREE)
                equal(answer.status, 400, path, body, answer)
                check(why in answer.json()["error"]["message"], path, body, answer)
        # Which provider's reranker it is nobody could guess.
        answer = gateway.post("/v1/rerank", {"query": "a", "documents": []}, FREE)
        equal(answer.status, 400, answer)
        equal(provider.asked, [])
        for path, size in (("/v1/images/generations", 4 << 20), ("/v1/moderations", 32 << 20)):
            answer = harness.raw(gateway.port, f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
                                 f"Content-Type: application/json\r\nContent-Length: {size + 1}\r\n\r\n{{".encode())
            check(answer.startswith(b"HTTP/1.1 413"), path, answer[:100])
        equal(provider.asked, [])


def test_without_a_model_it_is_the_providers_to_choose():
    with pair() as (provider, gateway):
        for body in ({"input": "hi"}, {"input": "hi", "model": None}):
            equal(gateway.post("/v1/moderations", body, FREE).status, 502, "gone is the first by name")
            answer = gateway.post("/v1/moderations", body, KEY, {"x-penstock-provider": "lab"})
            equal(answer.status, 200, answer)
            equal(last_json(provider), body)
        equal(gateway.post("/v1/images/generations", {"prompt": "hi"}, KEY, {"x-penstock-provider": "lab"}).status, 403)
        equal(gateway.post("/v1/images/generations", {"prompt": "hi"}, FREE, {"x-penstock-provider": "lab"}).status, 200)


def test_reported_tokens_are_accounted_for():
    with pair() as (provider, gateway):
        def tokens(kind):
            return gateway.metric("penstock_tokens_total", model="painter", kind=kind) or 0
        picture = {"created": 1, "data": [{"b64_json": "QUJD" * 200_000}], "usage": USAGE}
        events = [b"event: image_generation.completed\ndata: " + json.dumps({"b64_json": "QQ==", "usage": USAGE}).encode() + b"\n\n"]
        answers = [whole(json.dumps({**picture, "data": []}).encode()), whole(json.dumps(picture).encode()),
                   STREAM_HEAD + CHUNKED + b"".join(chunk(e) for e in events) + b"0\r\n\r\n"]
        for times, provider.answer in enumerate(answers, 1):
            answer = gateway.post("/v1/images/generations", {"model": "painter", "prompt": "x"}, KEY)
            equal(answer.status, 200, answer)
            until(lambda times=times: tokens("input") == 11 * times, f"the input of answer {times}")
            equal(tokens("output"), 4160 * times)
        check(b"image_generation.completed" in answer.body, answer)


def test_forms_with_pictures_pass():
    with pair() as (provider, gateway):
        for path in ("/v1/images/edits", "/v1/images/variations"):
            for size in (1000, 3_000_000):
                parts = (("image", "a.png", noise(size)), ("model", "painter"), ("prompt", "a hat"))
                kind, body = form(*parts)
                answer = gateway.request("POST", path, body, KEY, {"Content-Type": kind})
                equal(answer.status, 200, answer)
                equal(answer.json()["path"], path)
                equal(provider.asked[-1].body, body.replace(b"painter", b"paint"))
            kind, body = form(("image", "a.png", b"x"))
            answer = gateway.request("POST", path, body, KEY, {"Content-Type": kind})
            equal(answer.status, 400, answer)
            check("model" in answer.json()["error"]["message"], answer)


def test_batches_belong_to_a_provider():
    with pair() as (provider, gateway):
        lab = {"x-penstock-provider": "lab"}
        job = {"input_file_id": "file-1", "endpoint": "/v1/chat/completions", "completion_window": "24h"}
        made = gateway.post("/v1/batches", job, KEY, lab)
        equal(made.status, 200, made)
        equal((made.json()["method"], made.json()["path"], made.json()["type"]), ("POST", "/v1/batches", "application/json"))
        equal(last_json(provider), job)
        for method, path in (("GET", "/v1/batches?limit=2&after=b"), ("GET", "/v1/batches/batch_1"), ("POST", "/v1/batches/batch_1/cancel")):
            answer = gateway.request(method, path, None, KEY, lab)
            equal(answer.status, 200, method, path, answer)
            equal((answer.json()["method"], answer.json()["path"], answer.json()["length"]), (method, path, 0))
            equal(answer.json()["key"], None, "the caller's key is the gateway's own")
        equal(provider.asked[-1].fields.get("content-length"), "0")
        equal(gateway.request("GET", "/v1/batches", None, FREE, {"x-penstock-provider": "next"}).json()["path"], "/v1/next/batches")


def test_batches_need_a_key_for_them():
    with pair() as (provider, gateway):
        lab = {"x-penstock-provider": "lab"}
        equal(gateway.request("GET", "/v1/batches", None, OTHER, lab).status, 403)
        equal(gateway.request("GET", "/v1/batches", None, KEY, {"x-penstock-provider": "next"}).status, 403)
        equal(gateway.request("GET", "/v1/files", None, KEY, lab).status, 403, "files are another matter")
        equal(gateway.request("GET", "/v1/batches", None, FREE, {"x-penstock-provider": "nobody"}).status, 404)
        for path in ("/v1/batches/a%2Fb", "/v1/batches/..", "/v1/batches/a%20b/cancel"):
            method = "POST" if path.endswith("cancel") else "GET"
            equal(gateway.request(method, path, None, KEY, lab).status, 404, path)
        equal(provider.asked, [])


def test_the_tokens_of_a_batch_are_not_the_calls():
    with pair() as (provider, gateway):
        provider.answer = whole(json.dumps({"id": "batch_1", "usage": USAGE}).encode())
        for _ in range(3):
            equal(gateway.request("GET", "/v1/batches/batch_1", None, KEY, {"x-penstock-provider": "lab"}).status, 200)
        until(lambda: gateway.metric("penstock_requests_total", api="openai", status="200") == 3, "the calls to be counted")
        check(not gateway.metric("penstock_tokens_total"), "polling costs no tokens")


def test_a_provider_explains_itself():
    with pair() as (provider, gateway):
        provider.answer = whole(b'{"error":{"message":"no such size","type":"invalid_request_error"}}', status="400 Bad Request")
        answer = gateway.post("/v1/images/generations", {"model": "painter", "prompt": "x"}, KEY)
        equal(answer.status, 400)
        equal(answer.json()["error"]["message"], "no such size")


if __name__ == "__main__":
    harness.run(globals())
