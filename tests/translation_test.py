"""Calls whose provider speaks another dialect, when something goes wrong: what falls back, what the client is told, and that
nothing is made up. An OpenAI client, a provider that speaks Anthropic's dialect, byte by byte as written here."""

import contextlib
import json
import time

import harness
from harness import check, equal, until
from scripted_upstream import CHUNKED, STREAM_HEAD, ScriptedUpstream, chunk, whole

KEY = "sk-translation-0001"
MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [{"type": "text", "text": "hello"}],
           "stop_reason": "end_turn", "stop_sequence": None, "usage": {"input_tokens": 5, "output_tokens": 2}}


def event(kind, **more):
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **more})}\n\n".encode()


START = event("message_start", message={**MESSAGE, "content": [], "stop_reason": None, "usage": {"input_tokens": 5, "output_tokens": 1}})
WORDS = [event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
         event("content_block_delta", index=0, delta={"type": "text_delta", "text": "hel"}),
         event("content_block_delta", index=0, delta={"type": "text_delta", "text": "lo"}),
         event("content_block_stop", index=0)]
END = [event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={"output_tokens": 2}),
       event("message_stop")]
STREAM = [START, *WORDS, *END]
PING = event("ping")
ERROR = event("error", error={"type": "overloaded_error", "message": "busy for now"})


def answer(connection, request, words):
    kind = words[0] if words else "plain"
    if request.path.endswith("count_tokens"):
        connection.sendall(whole(b'{"input_tokens": 77}'))
        return True
    if kind in ("429", "529", "400"):
        error = {"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}, "request_id": "r"}
        status = {"429": "429 Too Many Requests", "529": "529 Overloaded", "400": "400 Bad Request"}[kind]
        connection.sendall(whole(json.dumps(error).encode(), status, ("retry-after: 7", "retry-after-ms: 6500", "x-should-retry: true")))
        return True
    if not json.loads(request.body).get("stream"):
        connection.sendall(whole(json.dumps(MESSAGE).encode()))
        return True
    if kind == "whole":
        connection.sendall(whole(json.dumps(MESSAGE).encode()))
        return True
    events = {"early-error": [START, PING, ERROR], "late-error": [START, *WORDS[:3], ERROR], "no-end": STREAM[:-1],
              "empty": [START, PING]}.get(kind, STREAM)
    data = b"".join(chunk(each) for each in events)
    connection.sendall(STREAM_HEAD + CHUNKED)
    if kind == "cut":
        connection.sendall(data[:int(words[1])])
        return False
    if kind == "bytes":
        for i in range(len(data)):
            connection.sendall(data[i:i + 1])
    elif kind in ("quiet", "murmur"):
        connection.sendall(b"".join(chunk(each) for each in events[:3]))
        for _ in range(8):
            time.sleep(0.1)
            if kind == "murmur":
                connection.sendall(chunk(b": still thinking\n\n"))
        connection.sendall(b"".join(chunk(each) for each in events[3:]))
    else:
        connection.sendall(data)
    connection.sendall(b"0\r\n\r\n")
    return True


@contextlib.contextmanager
def running(route_more="", top=""):
    with ScriptedUpstream(answer) as other, harness.Mock("--tokens", "4") as mock, harness.Gateway(f"""
providers:
  other: {{ type: anthropic, base_url: {other.url}, api_key: sk-other, outlier: {{ failures: 0 }} }}
  lab: {{ type: openai, base_url: {mock.url} }}
models:
  chat: {{ route: [ other/m ], retry: {{ attempts: 1 }}, keep_alive: 200ms, timeout: {{ idle: 3s }} {route_more} }}
  both: {{ route: [ other/m ], fallback: [ lab/m ], retry: {{ attempts: 1 }} {route_more} }}
keys: [ {{ name: app, secret: {KEY} }} ]
{top}""") as gateway:
        gateway.upstream = other
        yield gateway


def ask(gateway, script, model="chat", **more):
    return gateway.post("/v1/chat/completions", harness.chat_body(model, script, **more), KEY)


def stream(gateway, script, model="chat"):
    """The head, the data of the events, and whether the stream was cut."""
    with harness.Stream(gateway.port, "/v1/chat/completions", harness.chat_body(model, script, stream=True), KEY) as answered:
        if answered.status != 200:
            return answered, [b"".join(answered.pieces()).decode()], False
        events = []
        try:
            for _, data in answered.events():
                events.append(data.decode())
        except harness.Cut:
            return answered, events, True
        return answered, events, False


def text_of(events):
    chunks = [json.loads(each) for each in events if each != "[DONE]"]
    return "".join(c["delta"].get("content") or "" for each in chunks for c in each.get("choices", []))


def log_line(gateway, request_id):
    def look():
        for line in gateway.log().splitlines():
            if '"msg":"request"' in line and request_id in line:
                return json.loads(line)
        return None
    return until(look, "the line in the access log")


def test_whole_and_streamed_answers_come_in_the_clients_dialect():
    with running() as gateway:
        got = ask(gateway, "plain")
        equal(got.status, 200)
        body = json.loads(got.body)
        equal(body["choices"][0]["message"]["content"], "hello")
        equal(body["usage"]["total_tokens"], 7)
        for script in ("plain", "bytes"):
            head, events, cut = stream(gateway, script)
            check(not cut and events[-1] == "[DONE]", script, events)
            equal(text_of(events), "hello", script)
            line = log_line(gateway, head.headers["x-request-id"])
            equal((line["input_tokens"], line["output_tokens"], line["estimated"]), (5, 2, False), script)


def test_a_provider_that_sends_a_whole_answer_for_a_stream_is_streamed():
    with running() as gateway:
        _, events, cut = stream(gateway, "whole")
        check(not cut and events[-1] == "[DONE]", events)
        equal(text_of(events), "hello")


def test_nothing_is_promised_before_the_first_word():
    with running() as gateway:
        for script in ("early-error", "empty", "cut 10", f"cut {len(chunk(START))}"):
            head, events, cut = stream(gateway, script, "both")
            check(not cut and events[-1] == "[DONE]", script, events)
            equal(head.headers["x-penstock-target"], "lab/m", script)
            equal(head.headers["x-penstock-attempts"], "2", script)
            head, events, _ = stream(gateway, script)
            check(head.status in (502, 503), script, head.status, events)
            check(json.loads(events[0])["error"]["message"], script)


def test_a_stream_that_breaks_says_so_and_makes_nothing_up():
    with running() as gateway:
        whole_length = sum(len(chunk(each)) for each in STREAM)
        first_word = sum(len(chunk(each)) for each in STREAM[:3])
        for script in ["late-error", "no-end"] + [f"cut {n}" for n in range(first_word, whole_length, 17)]:
            head, events, cut = stream(gateway, script)
            equal(head.status, 200, script)
            check(not cut, script, "the connection was cut without a word")
            last = json.loads(events[-1])
            check(last.get("error", {}).get("message"), script, "no error at the end:", events)
            check("[DONE]" not in events, script)
            # A finish reason only where the provider gave one.
            reasons = [c["finish_reason"] for each in events[:-1] for c in json.loads(each).get("choices", []) if c.get("finish_reason")]
            check(script == "no-end" or not reasons or int(script.split()[1]) >= whole_length - len(chunk(END[1])), script, reasons)
            line = log_line(gateway, head.headers["x-request-id"])
            check(line["error_type"] in ("provider_cut", "provider_5xx"), script, line)
            equal(line["input_tokens"], 5, script)
            check(line["output_tokens"] >= 1, script, line)


def test_quiet_streams_show_signs_of_life():
    with running() as gateway:
        for script in ("quiet", "murmur"):
            with harness.Stream(gateway.port, "/v1/chat/completions", harness.chat_body("chat", script, stream=True), KEY) as answered:
                data = b"".join(answered.pieces())
            signs = data.count(b": ping\n\n")
            check(2 <= signs <= 4, script, signs, data)
            check(data.endswith(b"data: [DONE]\n\n"), data)


def test_errors_keep_their_meaning_and_their_retry_fields():
    with running() as gateway:
        got = ask(gateway, "429")
        equal(got.status, 429)
        error = json.loads(got.body)["error"]
        check("slow down" in error["message"] and error["type"] == "rate_limit_error", error)
        equal(set(error), {"message", "type", "param", "code"})
        equal((got.headers["retry-after"], got.headers["retry-after-ms"], got.headers["x-should-retry"]), ("7", "6500", "true"))
        equal(ask(gateway, "529").status, 503)
        equal(ask(gateway, "400").status, 400)
        equal(ask(gateway, "529", "both").headers["x-penstock-target"], "lab/m")


def test_what_cannot_be_carried_is_named_or_refused():
    with running() as gateway:
        got = ask(gateway, "plain", seed=7, logit_bias={"5": 1}, **{"made\r\nup": 1})
        equal(got.status, 200)
        equal(got.headers["x-penstock-dropped"], "logit_bias, made??up, seed")
        equal(log_line(gateway, got.headers["x-request-id"])["dropped"], "logit_bias, made??up, seed")
        equal(ask(gateway, "plain").headers.get("x-penstock-dropped"), None)
    with running(", strict: true") as gateway:
        got = ask(gateway, "plain", seed=7)
        equal(got.status, 400)
        check("seed" in json.loads(got.body)["error"]["message"], got.body)
        equal(gateway.upstream.requests, [], "nothing was sent:")
        equal(ask(gateway, "plain").status, 200)
        equal(ask(gateway, "plain", "both", seed=7).headers["x-penstock-target"], "lab/m")


def test_a_body_that_cannot_be_read_names_its_fault():
    with running() as gateway:
        for messages, where in ([{"role": "user", "content": 5}], "messages[0].content"), ([{"role": "nobody", "content": "x"}], "messages[0].role"):
            got = gateway.post("/v1/chat/completions", {"model": "chat", "messages": messages}, KEY)
            equal(got.status, 400)
            check(where in json.loads(got.body)["error"]["message"], got.body)


def test_what_one_target_cannot_be_told_another_may():
    with running() as gateway:
        for path, body in (("/v1/completions", {"model": "both", "prompt": "x", "echo": True}),
                           ("/v1/embeddings", {"model": "both", "input": [1, 2, 3]})):
            got = gateway.post(path, body, KEY)
            equal((got.status, got.headers["x-penstock-target"]), (200, "lab/m"), path)
        equal(gateway.upstream.requests, [], "nothing was sent to whom it could not be told:")


def test_a_client_that_leaves_ends_the_upstream_call():
    with running() as gateway:
        with harness.Stream(gateway.port, "/v1/chat/completions", harness.chat_body("chat", "quiet", stream=True), KEY) as answered:
            next(answered.events())
            request_id = answered.headers["x-request-id"]
        line = log_line(gateway, request_id)
        equal(line["error_type"], "caller_cancelled")
        equal(line["input_tokens"], 5)


if __name__ == "__main__":
    harness.run(globals())
