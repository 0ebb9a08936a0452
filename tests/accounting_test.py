"""What a call is charged: a test for each rule of docs/accounting.md, by what the access log says it used and cost."""

import contextlib
import json
import socket
import threading

import harness
import scripted_upstream as upstream
from harness import check, equal, until
from scripted_upstream import CHUNKED, STREAM_HEAD, ScriptedUpstream, chunk, whole

# 1 USD a million tokens of input, 2 of output: a micro-dollar and two for each.
PRICE = "{ input: 1USD/1M, output: 2USD/1M, cached: 0.5USD/1M, cache_write: 3USD/1M, reasoning: 4USD/1M }"
CONFIG = """
providers:
  lab: {{ type: openai, base_url: "{url}", outlier: {{ failures: 0 }} }}
  near: {{ type: anthropic, base_url: "{url}", outlier: {{ failures: 0 }} }}
prices:
  models:
    lab/*: {price}
    near/*: {price}
    lab/dear: {{ input: 10USD/1M, output: 20USD/1M }}
    lab/painter: {{ image: 0.04USD }}
models:
  chat:    {{ route: [ lab/m ], retry: {{ attempts: 1 }} }}
  again:   {{ route: [ lab/m ], retry: {{ attempts: 2 }} }}
  two:     {{ route: [ lab/m ], fallback: [ lab/dear ], retry: {{ attempts: 1 }} }}
  far:     {{ route: [ near/m ], retry: {{ attempts: 1 }} }}
  unknown: {{ route: [ lab/m ], price: unknown }}
  strict:  {{ route: [ lab/m ], price: unknown, unpriced: refuse }}
  painter: {{ route: [ lab/painter ] }}
keys:
  - {{ name: free, secret: sk-accounting-free-01 }}
  - {{ name: poor, secret: sk-accounting-poor-01, budget: 1USD/day }}
  - {{ name: terse, secret: sk-accounting-terse-1, limits: {{ output: 5 }} }}
{more}
"""
FREE, POOR, TERSE = "sk-accounting-free-01", "sk-accounting-poor-01", "sk-accounting-terse-1"


def completion(usage, text="hello"):
    body = {"id": "x", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]}
    return json.dumps({**body, "usage": usage} if usage is not None else body).encode()


def event(**more):
    return b"data: " + json.dumps({"id": "x", "object": "chat.completion.chunk", **more}).encode() + b"\n\n"


def word(text):
    return event(choices=[{"index": 0, "delta": {"content": text}, "finish_reason": None}])


class Provider(ScriptedUpstream):
    """Answers with what `answer(request)` gives, bytes or a function of the connection; remembers the bodies."""

    def __init__(self, answer):
        self.bodies = []
        self.gone = 0
        super().__init__(self._play)
        self.answer = answer

    def _play(self, connection, request, words):
        self.bodies.append(request.body)
        answer = self.answer(request)
        if callable(answer):
            return answer(connection)
        connection.sendall(answer)
        return True

    def wait_for_leaving(self, connection):
        """Until the gateway closes the connection."""
        connection.settimeout(20)
        with contextlib.suppress(OSError):
            while connection.recv(4096):
                pass
        self.gone += 1
        return False


@contextlib.contextmanager
def running(answer, more=""):
    with Provider(answer) as provider, harness.Gateway(CONFIG.format(url=provider.url, price=PRICE, more=more)) as gateway:
        gateway.provider = provider
        yield gateway
        check(gateway.alive(), "the gateway ended")


def lines(gateway):
    return [json.loads(line) for line in gateway.log().splitlines() if '"msg":"request"' in line]


def used(gateway, count=1):
    """(input, output, cost in micro-dollars, estimated) of the last call of `count`."""
    line = until(lambda: lines(gateway)[count - 1] if len(lines(gateway)) >= count else None, "the access log")
    cost = line.get("cost_usd")
    return line["input_tokens"], line["output_tokens"], None if cost is None else round(float(cost) * 1e6), line["estimated"]


def stream_of(*events):
    return STREAM_HEAD + CHUNKED + b"".join(chunk(e) for e in events) + b"0\r\n\r\n"


# --- whole answers ---

def test_a_whole_answer_costs_what_is_reported():
    with running(lambda _: whole(completion({"prompt_tokens": 100, "completion_tokens": 20}))) as gateway:
        answer = gateway.chat(key=FREE)
        equal(answer.status, 200, answer)
        equal(answer.headers["x-penstock-cost-usd"], "0.000140")
        equal(used(gateway), (100, 20, 140, False))


def test_an_answer_without_usage_is_estimated():
    with running(lambda _: whole(completion(None, "x" * 400))) as gateway:
        equal(gateway.chat(key=FREE).status, 200)
        counted, output, cost, estimated = used(gateway)
        check(counted > 0 and estimated, counted, estimated)
        equal(output, 100, "four bytes a token:")
        equal(cost, counted + 200)


def test_absurd_usage_is_not_believed():
    reports = [{"prompt_tokens": -5, "completion_tokens": 2}, {"prompt_tokens": 5, "completion_tokens": 10 ** 15},
               {"prompt_tokens": "many", "completion_tokens": None}, {"prompt_tokens": 5, "completion_tokens": 900_000_000}]
    with running(lambda request: whole(completion(reports[int(request.script)], "four words of text"))) as gateway:
        for i in range(len(reports)):
            equal(gateway.chat(key=FREE, text=str(i)).status, 200)
            counted, output, cost, estimated = used(gateway, i + 1)
            check(estimated and 0 < counted < 100 and 0 < output < 100, reports[i], counted, output)
            equal(cost, counted + 2 * output)


def test_each_kind_of_token_costs_its_own_rate_once():
    usage = {"prompt_tokens": 1000, "completion_tokens": 100, "prompt_tokens_details": {"cached_tokens": 400},
             "completion_tokens_details": {"reasoning_tokens": 30}}
    with running(lambda _: whole(completion(usage))) as gateway:
        equal(gateway.chat(key=FREE).status, 200)
        equal(used(gateway), (1000, 100, 600 + 200 + 70 * 2 + 30 * 4, False))


def test_refusals_cost_nothing():
    statuses = ["400 Bad Request", "401 Unauthorized", "429 Too Many Requests"]
    with running(lambda request: whole(b'{"error":{"message":"no"}}', statuses[int(request.script)])) as gateway:
        for i in range(len(statuses)):
            check(gateway.chat(key=FREE, text=str(i)).status >= 400, statuses[i])
            equal(used(gateway, i + 1)[:2], (0, 0), statuses[i])


def test_retries_cost_nothing():
    tries = []

    def answer(request):
        tries.append(1)
        return whole(b"{}", "500 Oops") if len(tries) == 1 else whole(completion({"prompt_tokens": 10, "completion_tokens": 5}))
    with running(answer) as gateway:
        equal(gateway.chat("again", key=FREE).status, 200)
        equal(len(tries), 2)
        equal(used(gateway), (10, 5, 20, False))


def test_a_fallback_costs_its_own_price():
    def answer(request):
        if json.loads(request.body)["model"] == "m":
            return whole(b"{}", "500 Oops")
        return whole(completion({"prompt_tokens": 10, "completion_tokens": 5}))
    with running(answer) as gateway:
        equal(gateway.chat("two", key=FREE).status, 200)
        equal(used(gateway), (10, 5, 200, False))


# --- streams ---

def test_a_stream_costs_what_is_reported():
    # The last report counts.
    events = [word("a"), event(choices=[], usage={"prompt_tokens": 1, "completion_tokens": 1}), word("b"),
              event(choices=[], usage={"prompt_tokens": 50, "completion_tokens": 10}), b"data: [DONE]\n\n"]
    with running(lambda _: stream_of(*events)) as gateway:
        with harness.Stream(gateway.port, "/v1/chat/completions", harness.chat_body(stream=True), FREE) as answer:
            list(answer.events())
        equal(used(gateway), (50, 10, 70, False))


def test_a_cut_stream_costs_what_was_forwarded_once():
    arrived = threading.Event()

    def cut_stream(connection):
        connection.sendall(STREAM_HEAD + CHUNKED + b"".join(chunk(word(f"word{i} ")) for i in range(10)))
        arrived.wait(10)
        upstream.reset(connection)
        return False
    with running(lambda _: cut_stream) as gateway:
        with harness.Stream(gateway.port, "/v1/chat/completions", harness.chat_body(stream=True), FREE) as answer:
            events = answer.events()
            for _ in range(10):
                next(events)
            arrived.set()
            with contextlib.suppress(harness.Cut):
                list(events)
        counted, output, cost, estimated = used(gateway)
        check(estimated and counted > 0, counted)
        check(5 <= output <= 20, "ten events were forwarded, and counted once:", output)
        equal(cost, counted + 2 * output)


def test_a_client_that_leaves_a_stream_pays_what_it_got():
    def endless(connection):
        connection.sendall(STREAM_HEAD + CHUNKED + b"".join(chunk(word(f"word{i} ")) for i in range(10)))
        return gateway.provider.wait_for_leaving(connection)
    with running(lambda _: endless) as gateway:
        with harness.Stream(gateway.port, "/v1/chat/completions", harness.chat_body(stream=True), FREE) as answer:
            events = answer.events()
            for _ in range(5):
                next(events)
        until(lambda: gateway.provider.gone, "the provider to be cancelled")
        counted, output, cost, estimated = used(gateway)
        check(estimated and counted > 0 and 5 <= output <= 20, counted, output)
        equal(cost, counted + 2 * output)


def test_a_client_that_leaves_before_the_answer_pays_the_question():
    with running(lambda _: lambda connection: gateway.provider.wait_for_leaving(connection)) as gateway:
        answering = harness.encode(harness.chat_body())
        with socket.create_connection(("127.0.0.1", gateway.port)) as client:
            head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {FREE}\r\ncontent-length: {len(answering)}\r\n\r\n"
            client.sendall(head.encode() + answering)
            until(lambda: gateway.provider.bodies, "the provider to be asked")
        until(lambda: gateway.provider.gone, "the provider to be cancelled")
        counted, output, cost, estimated = used(gateway)
        check(estimated and counted > 0, counted)
        equal((output, cost), (0, counted))


def test_an_error_within_a_stream_costs_what_went_before():
    events = [word("a"), word("b"), word("c"), event(error={"message": "broke", "type": "server_error"})]
    with running(lambda _: stream_of(*events)) as gateway:
        with harness.Stream(gateway.port, "/v1/chat/completions", harness.chat_body(stream=True), FREE) as answer:
            with contextlib.suppress(harness.Cut):
                list(answer.events())
        counted, output, cost, estimated = used(gateway)
        check(estimated and 3 <= output <= 8, output)
        equal(cost, counted + 2 * output)


# --- other dialects ---

def anthropic_events(cut=False):
    def say(kind, **more):
        return f"event: {kind}\ndata: {json.dumps({'type': kind, **more})}\n\n".encode()
    start = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None,
             "usage": {"input_tokens": 100, "cache_creation_input_tokens": 20, "cache_read_input_tokens": 30, "output_tokens": 1}}
    return [say("message_start", message=start),
            say("content_block_start", index=0, content_block={"type": "text", "text": ""}),
            say("content_block_delta", index=0, delta={"type": "text_delta", "text": "hello"}),
            say("content_block_stop", index=0),
            say("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 12}),
            say("message_stop")]


def test_usage_in_several_events_counts_once():
    with running(lambda _: stream_of(*anthropic_events())) as gateway:
        body = {"model": "far", "max_tokens": 100, "stream": True, "messages": [{"role": "user", "content": "hello"}]}
        with harness.Stream(gateway.port, "/v1/messages", body, FREE) as answer:
            equal(answer.status, 200)
            list(answer.events())
        # 100 fresh, 20 written to the cache, 30 read from it.
        equal(used(gateway), (150, 12, 100 + 20 * 3 + 15 + 24, False))


def test_a_translated_call_costs_its_targets_price():
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [{"type": "text", "text": "hi"}],
               "stop_reason": "end_turn", "usage": {"input_tokens": 40, "output_tokens": 5}}
    with running(lambda _: whole(json.dumps(message).encode())) as gateway:
        answer = gateway.chat("far", key=FREE)
        equal(answer.status, 200, answer)
        equal(answer.headers["x-penstock-cost-usd"], "0.000050")
        equal(used(gateway), (40, 5, 50, False))


def test_counting_is_free():
    with running(lambda _: whole(b'{"input_tokens": 77}')) as gateway:
        body = {"model": "far", "messages": [{"role": "user", "content": "hello"}]}
        answer = gateway.post("/v1/messages/count_tokens", body, FREE)
        equal((answer.status, answer.json()["input_tokens"]), (200, 77))
        equal(used(gateway)[:2], (0, 0))


def test_embeddings_cost_their_input():
    body = {"object": "list", "model": "m", "data": [{"object": "embedding", "index": 0, "embedding": [0.1]}],
            "usage": {"prompt_tokens": 9, "total_tokens": 9}}
    with running(lambda _: whole(json.dumps(body).encode())) as gateway:
        equal(gateway.post("/v1/embeddings", {"model": "chat", "input": "hello"}, FREE).status, 200)
        equal(used(gateway), (9, 0, 9, False))


def test_pictures_cost_by_the_picture():
    with running(lambda _: whole(b'{"created":1,"data":[{"b64_json":""},{"b64_json":""}]}')) as gateway:
        answer = gateway.post("/v1/images/generations", {"model": "painter", "prompt": "a cat", "n": 2}, FREE)
        equal(answer.status, 200, answer)
        equal(answer.headers["x-penstock-cost-usd"], "0.080000")


def test_files_are_requests():
    with running(lambda _: whole(b'{"object":"list","data":[]}')) as gateway:
        equal(gateway.request("GET", "/v1/files", key=POOR, headers={"x-penstock-provider": "lab"}).status, 200)
        equal(used(gateway)[:2], (0, 0))


def test_a_batch_is_refused_by_a_budget_in_money():
    with running(lambda _: whole(b'{"id":"batch_1","object":"batch"}')) as gateway:
        ask = {"input_file_id": "f", "endpoint": "/v1/chat/completions", "completion_window": "24h"}
        headers = {"x-penstock-provider": "lab"}
        equal(gateway.request("POST", "/v1/batches", ask, FREE, headers).status, 200)
        check(400 <= gateway.request("POST", "/v1/batches", ask, POOR, headers).status < 500, "a batch of unknown cost")
        equal(len(gateway.provider.bodies), 1, "requests at the provider:")


# --- what is asked before ---

def test_a_model_without_a_price_is_refused_where_money_counts():
    with running(lambda _: whole(completion({"prompt_tokens": 1, "completion_tokens": 1}))) as gateway:
        answer = gateway.chat("unknown", key=FREE)
        equal(answer.status, 200)
        check("x-penstock-cost-usd" not in answer.headers, answer.headers)
        equal(used(gateway)[2], None, "the cost of an unknown price:")
        check(400 <= gateway.chat("unknown", key=POOR).status < 500, "no price, but a budget in money")
        answer = gateway.chat("strict", key=FREE)
        check(400 <= answer.status < 500 and "lab/m" in answer.text(), answer)
        equal(len(gateway.provider.bodies), 1, "requests at the provider:")


def test_a_larger_wish_is_lowered_and_nothing_else_changes():
    text = '{ "model":"chat" , "messages":[{"role":"user","content":"hé\\u0020llo"}],  "max_tokens" : 500 ,"x":[1, 2.50] }'
    with running(lambda _: whole(completion({"prompt_tokens": 1, "completion_tokens": 1}))) as gateway:
        answer = gateway.post("/v1/chat/completions", text.encode(), TERSE)
        equal((answer.status, answer.headers.get("x-penstock-output-max")), (200, "5"), answer)
        equal(gateway.provider.bodies[-1].decode(), text.replace('"chat"', '"m"').replace("500", "5"))
        small = text.replace("500", "3")
        answer = gateway.post("/v1/chat/completions", small.encode(), TERSE)
        equal((answer.status, answer.headers.get("x-penstock-output-max")), (200, None), answer)
        equal(gateway.provider.bodies[-1].decode(), small.replace('"chat"', '"m"'))
        unsaid = text.replace(' "max_tokens" : 500 ,', "")
        equal(gateway.post("/v1/chat/completions", unsaid.encode(), TERSE).status, 200)
        equal(json.loads(gateway.provider.bodies[-1])["max_completion_tokens"], 5)


def test_a_hard_budget_bounds_what_nothing_else_bounds():
    with running(lambda _: whole(completion({"prompt_tokens": 1, "completion_tokens": 1})),
                 "accounting: { output_assumed: 700 }") as gateway:
        equal(gateway.chat(key=POOR).status, 200)
        equal(json.loads(gateway.provider.bodies[-1])["max_completion_tokens"], 700)
        equal(gateway.chat(key=POOR, max_tokens=30).status, 200)
        asked = json.loads(gateway.provider.bodies[-1])
        equal((asked["max_tokens"], "max_completion_tokens" in asked), (30, False))
        equal(gateway.chat(key=FREE).status, 200)
        check("max_completion_tokens" not in json.loads(gateway.provider.bodies[-1]), "no budget, no bound")


def test_a_targets_limit_moves_calls_to_the_next():
    more = "  - {{ name: x, secret: sk-accounting-x-00001 }}\n".format()
    config = CONFIG.replace("two:     {{ route: [ lab/m ]", "two:     {{ route: [ {{ to: lab/m, limits: {{ rpm: 2 }} }} ]")
    check(config != CONFIG)
    with Provider(lambda _: whole(completion({"prompt_tokens": 1, "completion_tokens": 1}))) as provider:
        with harness.Gateway(config.format(url=provider.url, price=PRICE, more=more)) as gateway:
            targets = [gateway.chat("two", key=FREE).headers["x-penstock-target"] for _ in range(4)]
            equal(targets, ["lab/m", "lab/m", "lab/dear", "lab/dear"])
            answer = gateway.chat("chat", key=FREE)
            equal(answer.status, 429, "the same target by another route:", answer)
            check(int(answer.headers["retry-after"]) >= 1, answer.headers)


def test_a_targets_budget_bounds_the_answer():
    config = CONFIG.replace('lab:  {{ type: openai,', 'lab: {{ budget: 0.02USD/day, type: openai,').replace(
        '  lab: {{ type: openai,', '  lab: {{ budget: 0.02USD/day, type: openai,')
    check(config != CONFIG)
    with Provider(lambda _: whole(completion({"prompt_tokens": 1, "completion_tokens": 4000}))) as provider:
        with harness.Gateway(config.format(url=provider.url, price=PRICE, more="")) as gateway:
            equal(gateway.chat(key=FREE).status, 200)
            equal(json.loads(provider.bodies[-1])["max_completion_tokens"], 4096)
            until(lambda: lines(gateway), "the access log")
            equal(gateway.chat(key=FREE, max_tokens=500).status, 200, "0.008001 of 0.02 USD are gone")
            answer = gateway.chat(key=FREE, max_tokens=4000)
            equal(answer.status, 429, answer)
            check(int(answer.headers["retry-after"]) >= 1, answer.headers)
            equal(answer.json()["error"]["type"], "insufficient_quota", answer)
            answer = gateway.chat(key=FREE, max_tokens=400_000)
            equal((answer.status, answer.headers.get("retry-after")), (429, None), "more than there ever is:", answer)
            answer = gateway.chat("unknown", key=FREE)
            equal(answer.status, 403, "its price is not known:", answer)


def test_a_number_of_answers_that_is_none_is_refused():
    with running(lambda _: whole(completion({"prompt_tokens": 1, "completion_tokens": 1}))) as gateway:
        messages = [{"role": "user", "content": "x"}]
        for n in (100.0, "100", 0, -1, True, [2]):
            for path, field, body in (("/v1/chat/completions", "n", {"model": "chat", "messages": messages}),
                                      ("/v1/completions", "best_of", {"model": "chat", "prompt": "x"}),
                                      ("/v1/images/generations", "n", {"model": "painter", "prompt": "x"})):
                answer = gateway.post(path, {**body, field: n}, POOR)
                equal(answer.status, 400, path, n, answer)
                check(f"'{field}'" in answer.text(), answer)
            body = {"contents": [{"parts": [{"text": "x"}]}], "generationConfig": {"candidateCount": n}}
            answer = gateway.post("/v1beta/models/chat:generateContent", body, POOR)
            equal(answer.status, 400, n, answer)
            check("candidateCount" in answer.text(), answer)
        equal(gateway.provider.bodies, [])
        for n in (None, 1, 3):
            equal(gateway.chat(key=POOR, n=n).status, 200, n)


def test_each_prompt_has_an_answer_of_its_own():
    body = json.loads(completion({"prompt_tokens": 1, "completion_tokens": 1}))
    text = json.dumps({**body, "object": "text_completion", "choices": [{"index": 0, "text": "a", "finish_reason": "stop"}]})
    with running(lambda _: whole(text.encode())) as gateway:
        ask = {"model": "chat", "max_tokens": 10_000}
        for prompt, status in (("x", 200), (["x"], 200), ([1, 2, 3] * 50, 200), (["x"] * 20, 200), (["x"] * 60, 429),
                               ([[1, 2]] * 60, 429)):
            answer = gateway.post("/v1/completions", {**ask, "prompt": prompt}, POOR)
            equal(answer.status, status, str(prompt)[:20], answer)


def test_under_a_hard_budget_an_answer_nobody_saw_costs_what_was_held():
    with running(lambda _: lambda connection: gateway.provider.wait_for_leaving(connection)) as gateway:
        calls = (("/v1/chat/completions", harness.chat_body(max_tokens=1000), 4000),
                 ("/v1/images/generations", {"model": "painter", "prompt": "a picture", "n": 3}, 120_000))
        for i, (path, body, least) in enumerate(calls):
            body = harness.encode(body)
            with socket.create_connection(("127.0.0.1", gateway.port)) as client:
                head = f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {POOR}\r\ncontent-length: {len(body)}\r\n\r\n"
                client.sendall(head.encode() + body)
                until(lambda: len(gateway.provider.bodies) > i, "the provider to be asked")
            until(lambda: gateway.provider.gone > i, "the provider to be cancelled")
            counted, output, cost, estimated = used(gateway, i + 1)
            check(estimated and counted > 0, counted)
            check(least < cost + 1 and cost < least + 1000, path, cost)
        spent = harness.request(gateway.admin_port, "GET", "/admin/v1/budgets").json()["budgets"][0]
        check(124_000 <= spent["spent"] <= 125_000 and spent["held"] == 0, spent)


def test_pictures_by_the_token_are_reserved_each():
    more = "  - {{ name: small, secret: sk-accounting-small-1, budget: 20000tokens/day }}".format()
    picture = json.dumps({"created": 1, "data": [{"b64_json": "x"}] * 2, "usage": {"input_tokens": 5, "output_tokens": 400}})
    with running(lambda _: whole(picture.encode()), more) as gateway:
        for n, status in ((3, 200), (4, 429)):
            answer = gateway.post("/v1/images/generations", {"model": "chat", "prompt": "x", "n": n}, "sk-accounting-small-1")
            equal(answer.status, status, n, answer)


def test_more_pictures_than_asked_for_are_paid():
    picture = json.dumps({"created": 1, "data": [{"url": "x"}] * 3})
    with running(lambda _: whole(picture.encode())) as gateway:
        answer = gateway.post("/v1/images/generations", {"model": "painter", "prompt": "x", "n": 2}, POOR)
        equal((answer.status, answer.headers["x-penstock-cost-usd"]), (200, "0.120000"), answer)


def test_sound_is_reserved_by_its_size():
    # 10 tokens for each 16 kB: 1,250 of input at 1,000 USD a million.
    config = CONFIG.replace("lab/dear:", "lab/ear: {{ input: 1000USD/1M, output: 1USD/1M }}\n    lab/dear:").replace(
        "  painter: {{", "  ear: {{ route: [ lab/ear ] }}\n  painter: {{")
    form = '--XX\r\ncontent-disposition: form-data; name="{}"{}\r\n\r\n{}\r\n'
    with Provider(lambda _: whole(json.dumps({"text": "x", "usage": {"input_tokens": 5, "output_tokens": 4}}).encode())) as provider:
        with harness.Gateway(config.format(url=provider.url, price=PRICE, more="")) as gateway:
            for size, status in ((100_000, 200), (2_000_000, 429)):
                data = form.format("model", "", "ear") + form.format("file", '; filename="a.mp3"', "A" * size) + "--XX--\r\n"
                answer = harness.request(gateway.port, "POST", "/v1/audio/transcriptions", data.encode(), POOR,
                                         {"Content-Type": "multipart/form-data; boundary=XX"})
                equal(answer.status, status, size, answer)


if __name__ == "__main__":
    harness.run(globals())
