"""The Responses API: answered by providers of other dialects and kept by the gateway, or passed through to a provider
that has it; who may come back to what, for how long, and after what."""

import contextlib
import http.server
import json
import threading

import harness
import openai_schema
from harness import check, equal, until

KEYS = """
keys:
  - { name: one, secret: first-key-of-the-tests }
  - { name: two, secret: second-key-of-the-tests }
"""
ONE, TWO = "first-key-of-the-tests", "second-key-of-the-tests"
CONFIG = """
providers:
  lab:  {{ type: ollama, base_url: "http://127.0.0.1:{port}" }}
  home: {{ type: openai, base_url: "http://127.0.0.1:{port}/v1", responses: true }}
models:
  chat:   {{ route: [ {{ to: lab/small }} ] }}
  native: {{ route: [ {{ to: home/big }} ] }}
  both:   {{ route: [ {{ to: lab/small }} ], fallback: [ home/big ] }}
"""


class Provider:
    """Speaks Ollama's chat, where it says what it heard, and OpenAI's responses, which it numbers."""

    def __init__(self):
        provider = self
        self.heard = []    # bodies
        self.paths = []
        self.cached = False  # the prompts: then their tokens are not told
        self.kept = {}

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def say(self, body, status=200, kind="application/json"):
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def do_POST(self):
                text = self.rfile.read(int(self.headers.get("content-length", 0)))
                provider.paths.append(f"POST {self.path}")
                if self.path.endswith("/cancel"):
                    return self.say({"error": {"message": "not in the background", "type": "invalid_request_error", "param": None, "code": None}}, 400)
                body = json.loads(text)
                provider.heard.append(body)
                if self.path == "/v1/responses":
                    return self.respond(body)
                if self.path == "/v1/responses/input_tokens":
                    return self.say({"object": "response.input_tokens", "input_tokens": 42})
                said = f"{len(body['messages'])} messages, the last: {body['messages'][-1]['content']}"
                done = {"model": "small", "created_at": "2026-01-01T00:00:00Z", "done": True, "done_reason": "stop",
                        "eval_count": 5, **({} if provider.cached else {"prompt_eval_count": 7})}
                if not body.get("stream"):
                    return self.say({**done, "message": {"role": "assistant", "content": said}})
                pieces = [{"model": "small", "created_at": "2026-01-01T00:00:00Z", "done": False,
                           "message": {"role": "assistant", "content": word}} for word in (said[:5], said[5:])]
                lines = pieces + [{**done, "message": {"role": "assistant", "content": ""}}]
                return self.say(b"".join(json.dumps(line).encode() + b"\n" for line in lines), kind="application/x-ndjson")

            def respond(self, body):
                response = {"id": f"resp_home_{len(provider.kept)}", "object": "response", "status": "completed", "strange": [1, 2],
                            "output": [], "usage": {"input_tokens": 11, "output_tokens": 3, "total_tokens": 14,
                                                    "input_tokens_details": {"cached_tokens": 2}}}
                provider.kept[response["id"]] = response
                if not body.get("stream"):
                    return self.say(response)
                created = {**response, "status": "in_progress", "usage": None}
                return self.say(b"".join(
                    f"event: {name}\ndata: {json.dumps({'type': name, 'sequence_number': i, 'response': it})}\n\n".encode()
                    for i, (name, it) in enumerate([("response.created", created), ("response.completed", response)])),
                    kind="text/event-stream")

            def look(self):
                provider.paths.append(f"{self.command} {self.path}")
                name = self.path.split("/")[3].split("?")[0]
                self.say(provider.kept.get(name) or {"error": {"message": "gone"}}, 200 if name in provider.kept else 404)
                if self.command == "DELETE":
                    provider.kept.pop(name, None)

            do_GET = do_DELETE = look

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


@contextlib.contextmanager
def pair(more=KEYS, data_dir=None):
    provider = Provider()
    try:
        with harness.Gateway(CONFIG.format(port=provider.port) + more, data_dir=data_dir) as gateway:
            yield provider, gateway
            check(gateway.alive(), "the gateway ended")
    finally:
        provider.stop()


def ask(gateway, text, key=ONE, model="chat", **more):
    answer = gateway.post("/v1/responses", {"model": model, "input": text, **more}, key)
    equal(answer.status, 200, answer)
    return answer.json()


def said(response):
    return response["output"][-1]["content"][0]["text"]


def test_an_answer_of_another_dialect_is_a_whole_response():
    mistakes = openai_schema.checker()
    with pair() as (provider, gateway):
        response = ask(gateway, "hi", instructions="be brief", temperature=0.5, metadata={"a": "b"},
                       tools=[{"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}, "strict": True}])
        equal(mistakes("Response", response), [])
        equal(response["status"], "completed")
        equal(said(response), "2 messages, the last: hi")
        equal(response["usage"]["total_tokens"], 12)
        equal((response["instructions"], response["temperature"], response["metadata"], response["store"]), ("be brief", 0.5, {"a": "b"}, True))
        equal([m["role"] for m in provider.heard[-1]["messages"]], ["system", "user"])


def test_events_come_in_the_order_of_the_api_and_fit_its_schema():
    mistakes = openai_schema.checker()
    with pair() as (_, gateway):
        with harness.Stream(gateway.port, "/v1/responses", {"model": "chat", "input": "hi", "stream": True}, ONE) as stream:
            events = [json.loads(data) for _, data in stream.events()]
        equal([event["type"] for event in events], [
            "response.created", "response.in_progress", "response.output_item.added", "response.content_part.added",
            "response.output_text.delta", "response.output_text.delta", "response.output_text.done",
            "response.content_part.done", "response.output_item.done", "response.completed"])
        equal([event["sequence_number"] for event in events], list(range(10)))
        for event in events:
            equal(mistakes("ResponseStreamEvent", event), [], event["type"])
        final = events[-1]["response"]
        equal(said(final), "1 messages, the last: hi")
        kept = gateway.request("GET", f"/v1/responses/{final['id']}", key=ONE)
        equal(kept.json(), final)


def test_a_call_goes_on_from_an_earlier_response_also_after_a_restart():
    provider = Provider()
    with harness.Gateway(CONFIG.format(port=provider.port) + KEYS) as gateway:
        first = ask(gateway, "one", instructions="only then")
        second = ask(gateway, [{"role": "user", "content": "two"}], previous_response_id=first["id"])
        equal([m["content"] for m in provider.heard[-1]["messages"]], ["one", "2 messages, the last: one", "two"])
        equal(second["previous_response_id"], first["id"])
        # Asked for behind everything that was to be kept: what is answered is on the disk.
        equal(gateway.request("GET", f"/v1/responses/{second['id']}", key=ONE).status, 200)
        gateway.kill()  # SIGKILL
        with harness.Gateway(CONFIG.format(port=provider.port) + KEYS, data_dir=gateway.data_dir) as again:
            third = ask(again, "three", previous_response_id=second["id"])
            equal(said(third), "5 messages, the last: three")
            check(third["id"] not in (first["id"], second["id"]), third["id"])
            equal(again.request("GET", f"/v1/responses/{first['id']}", key=ONE).json(), first)
    provider.stop()


def test_references_stand_for_items_of_kept_responses():
    with pair() as (provider, gateway):
        first = ask(gateway, "one")
        ask(gateway, [{"type": "item_reference", "id": first["output"][0]["id"]}, {"role": "user", "content": "two"}])
        equal([m["content"] for m in provider.heard[-1]["messages"]], ["1 messages, the last: one", "two"])
        refused = gateway.post("/v1/responses", {"model": "chat", "input": [{"type": "item_reference", "id": "msg_nobody_0"}]}, ONE)
        equal(refused.status, 400)
        check("input[0].id" in refused.text() and "msg_nobody_0" in refused.text(), refused)


def test_references_are_counted_and_bounded():
    with pair() as (_, gateway):
        first = ask(gateway, [{"role": "user", "content": "x" * 4_000_000}])
        own = gateway.request("GET", f"/v1/responses/{first['id']}/input_items", key=ONE).json()["data"][-1]["id"]
        for name, count, status in ((first["output"][0]["id"], 257, 400), (own, 9, 413)):
            refused = gateway.post("/v1/responses", {"model": "chat", "input": [{"type": "item_reference", "id": name}] * count}, ONE)
            equal(refused.status, status, refused.text()[:200])
            check(("256" if status == 400 else "32 MiB") in refused.text(), refused.text()[:200])


def test_what_is_kept_is_read_only_for_calls_within_the_limits():
    keys = KEYS.replace("secret: first-key-of-the-tests", "secret: first-key-of-the-tests, limits: { rpm: 2 }")
    with pair(keys) as (provider, gateway):
        first = ask(gateway, "one")
        ask(gateway, "two", previous_response_id=first["id"])  # counts once
        for name in (first["id"], "resp_nobody"):
            refused = gateway.post("/v1/responses", {"model": "chat", "input": "x", "previous_response_id": name}, ONE)
            equal(refused.status, 429, refused)
        equal(len(provider.heard), 2)


def test_who_gets_the_name_of_a_key_does_not_get_its_responses():
    provider = Provider()
    config = CONFIG.format(port=provider.port)
    with harness.Gateway(config + KEYS) as gateway:
        path = f"/v1/responses/{ask(gateway, 'one')['id']}"
        equal(gateway.request("GET", path, key=ONE).status, 200)
        gateway.kill()
        with harness.Gateway(config + KEYS.replace(ONE, "another-key-of-the-tests"), data_dir=gateway.data_dir) as again:
            equal(again.request("GET", path, key="another-key-of-the-tests").status, 404)
            equal(again.request("DELETE", path, key="another-key-of-the-tests").status, 404)
    provider.stop()


def test_responses_belong_to_the_key_that_made_them():
    with pair() as (_, gateway):
        first = ask(gateway, "one")
        path = f"/v1/responses/{first['id']}"
        for method, below in (("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("GET", "/input_items")):
            equal(gateway.request(method, path + below, key=TWO).status, 404, method, below)
        refused = gateway.post("/v1/responses", {"model": "chat", "input": "x", "previous_response_id": first["id"]}, TWO)
        equal(refused.status, 400)
        check("previous_response_id" in refused.json()["error"]["message"], refused)
        equal(gateway.request("GET", path, key="nobody's").status, 401)
        equal(gateway.request("GET", path, key=ONE).status, 200)


def test_a_response_is_shown_listed_and_removed():
    with pair() as (_, gateway):
        first = ask(gateway, "one")
        second = ask(gateway, "two", previous_response_id=first["id"])
        path = f"/v1/responses/{second['id']}"
        items = gateway.request("GET", path + "/input_items?order=asc", key=ONE).json()
        equal([(i["role"], i["content"][0]["text"]) for i in items["data"]],
              [("user", "one"), ("assistant", "1 messages, the last: one"), ("user", "two")])
        equal((items["has_more"], items["first_id"], items["last_id"]), (False, items["data"][0]["id"], items["data"][-1]["id"]))
        page = gateway.request("GET", path + "/input_items?limit=2", key=ONE).json()
        equal(([i["id"] for i in page["data"]], page["has_more"]), ([i["id"] for i in items["data"][:0:-1]], True))
        rest = gateway.request("GET", path + f"/input_items?after={page['last_id']}", key=ONE).json()
        equal(([i["id"] for i in rest["data"]], rest["has_more"]), ([items["data"][0]["id"]], False))
        for query in ("limit=0", "limit=x", "limit=101", "order=up", "after=nobody"):
            equal(gateway.request("GET", f"{path}/input_items?{query}", key=ONE).status, 400, query)
        equal(gateway.request("GET", path + "?stream=true", key=ONE).status, 400)
        cancelled = gateway.request("POST", path + "/cancel", key=ONE)
        equal(cancelled.status, 400)
        check("background" in cancelled.text(), cancelled)
        equal(gateway.request("DELETE", path, key=ONE).json(), {"id": second["id"], "object": "response", "deleted": True})
        gone = gateway.request("GET", path, key=ONE)
        equal((gone.status, gone.json()["error"]["type"]), (404, "invalid_request_error"))
        equal(gateway.request("DELETE", path, key=ONE).status, 404)


def test_what_is_not_to_be_kept_is_not():
    with pair() as (_, gateway):
        response = ask(gateway, "one", store=False)
        equal(response["store"], False)
        equal(gateway.request("GET", f"/v1/responses/{response['id']}", key=ONE).status, 404)
        gateway.chat("chat", ONE)
    with pair(KEYS + "responses: { max: 0 }\n") as (_, gateway):
        response = ask(gateway, "one")
        equal(response["store"], False)
        equal(gateway.request("GET", f"/v1/responses/{response['id']}", key=ONE).status, 404)
        equal(gateway.post("/v1/responses", {"model": "chat", "input": "x", "previous_response_id": response["id"]}, ONE).status, 400)


def test_the_oldest_go_when_there_are_too_many_and_all_after_a_while():
    with pair(KEYS + "responses: { max: 4, keep: 1h }\n") as (_, gateway):
        ids = [ask(gateway, f"number {i}")["id"] for i in range(12)]
        there = [gateway.request("GET", f"/v1/responses/{name}", key=ONE).status == 200 for name in ids]
        check(there[-1] and not there[0], there)
        check(sum(there) <= 5, there)
    with pair(KEYS + "responses: { keep: 1s }\n") as (_, gateway):
        name = ask(gateway, "soon gone")["id"]
        until(lambda: gateway.request("GET", f"/v1/responses/{name}", key=ONE).status == 404, "the end of its time")


def test_one_request_id_twice_makes_two_responses():
    with pair() as (_, gateway):
        answers = [gateway.post("/v1/responses", {"model": "chat", "input": text}, ONE, {"x-request-id": "mine"}).json()
                   for text in ("one", "two")]
        check(answers[0]["id"] != answers[1]["id"], answers[0]["id"])
        equal(gateway.request("GET", f"/v1/responses/{answers[0]['id']}", key=ONE).json(), answers[0])


def settled(gateway, **tokens):
    for kind, count in tokens.items():
        until(lambda: gateway.metric("penstock_tokens_total", model="native", kind=kind) == count, f"{count} {kind} tokens")


def test_a_prompt_that_the_provider_had_in_its_cache_is_estimated():
    with pair() as (provider, gateway):
        provider.cached = True
        ask(gateway, "hello there, once more")
        with harness.Stream(gateway.port, "/v1/responses", {"model": "chat", "input": "hi", "stream": True}, ONE) as stream:
            check(list(stream.events()), "no events")
        until(lambda: gateway.metric("penstock_tokens_total", model="chat", kind="output") == 10, "usage")
        check(2 <= gateway.metric("penstock_tokens_total", model="chat", kind="input") < 40, "the input is not estimated")


def test_a_provider_with_the_api_gets_and_gives_every_byte():
    with pair() as (provider, gateway):
        body = '{ "model" : "native", "input":"hi",  "background": false, "strange":1 }'
        answer = gateway.post("/v1/responses", body, ONE)
        equal(answer.body, json.dumps(provider.kept["resp_home_0"]).encode())
        equal(provider.heard[-1], {"model": "big", "input": "hi", "background": False, "strange": 1})
        settled(gateway, input=11, output=3, cached=2)
        with harness.Stream(gateway.port, "/v1/responses", {"model": "native", "input": "hi", "stream": True}, ONE) as stream:
            events = [json.loads(data) for _, data in stream.events()]
        equal([event["type"] for event in events], ["response.created", "response.completed"])
        settled(gateway, input=22, output=6, cached=4)  # as the last event of the stream says
        for name, text in (("resp_home_0", "a"), ("resp_home_1", "b")):
            ask(gateway, text, model="native", previous_response_id=name)
            equal(provider.heard[-1]["previous_response_id"], name)
            shown = gateway.request("GET", f"/v1/responses/{name}", key=ONE)
            equal((shown.status, shown.json()), (200, provider.kept[name]))
            equal(gateway.request("GET", f"/v1/responses/{name}", key=TWO).status, 404)
        equal(gateway.request("POST", "/v1/responses/resp_home_0/cancel", key=ONE).status, 400)
        equal(provider.paths[-1], "POST /v1/responses/resp_home_0/cancel")
        equal(gateway.request("GET", "/v1/responses/resp_home_0/input_items?limit=3", key=ONE).status, 200)
        equal(provider.paths[-1], "GET /v1/responses/resp_home_0/input_items?limit=3")
        equal(gateway.request("DELETE", "/v1/responses/resp_home_0", key=ONE).status, 200)
        equal(provider.paths[-1], "DELETE /v1/responses/resp_home_0")
        equal(gateway.request("GET", "/v1/responses/resp_home_0", key=ONE).status, 404)
        other = gateway.post("/v1/responses", {"model": "chat", "input": "x", "previous_response_id": "resp_home_1"}, ONE)
        equal(other.status, 400)
        check("'home'" in other.text(), other)
        ask(gateway, "x", model="both", previous_response_id="resp_home_1")
        equal(provider.heard[-1]["model"], "big")


def test_tokens_are_counted_by_the_provider_or_estimated():
    with pair() as (_, gateway):
        native = gateway.post("/v1/responses/input_tokens", {"model": "native", "input": "hi"}, ONE)
        equal((native.status, native.json()["input_tokens"]), (200, 42))
        estimated = gateway.post("/v1/responses/input_tokens", {"model": "chat", "input": "hello there"}, ONE)
        equal((estimated.status, estimated.json()["object"]), (200, "response.input_tokens"))
        check(1 <= estimated.json()["input_tokens"] < 20, estimated)


def test_what_cannot_be_is_refused_with_the_name_of_the_field():
    with pair() as (_, gateway):
        for body, name in (({"model": "chat"}, "input"), ({"model": "chat", "input": 1}, "input"),
                           ({"model": "chat", "input": "x", "background": True}, "background"),
                           ({"model": "chat", "input": "x", "store": "no"}, "store"),
                           ({"model": "chat", "input": "x", "previous_response_id": 1}, "previous_response_id"),
                           ({"model": "chat", "input": [{"role": "user", "content": [{"type": "input_image", "image_url": 1}]}]},
                            "input[0].content[0].image_url"),
                           ({"model": "chat", "input": "x", "conversation": "conv_1"}, "conversation")):
            refused = gateway.post("/v1/responses", body, ONE)
            equal(refused.status, 400, body)
            check(name in refused.json()["error"]["message"], refused)


if __name__ == "__main__":
    harness.run(globals())
