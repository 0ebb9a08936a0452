"""Streams: every event passes as it is produced, usage is counted without being shown, a client that leaves ends the
call to the provider, and a provider that breaks leaves a well-formed end."""

import contextlib
import http.client
import json
import re
import time

import harness
from harness import check, equal, until

CONFIG = """
providers:
  lab:  {{ type: openai, base_url: {url} }}
  gone: {{ type: openai, base_url: "http://127.0.0.1:1/v1", connect_timeout: 1s }}
models:
  chat:     {{ route: [ {{ to: lab/small }} ] }}
  torn:     {{ route: [ {{ to: lab/mock-cut }} ] }}
  sour:     {{ route: [ {{ to: lab/mock-error-in-stream }} ] }}
  bare:     {{ route: [ {{ to: lab/mock-no-usage }} ] }}
  silent:   {{ route: [ {{ to: lab/mock-hang }} ], timeout: {{ first_byte: 300ms }} }}
  stalled:  {{ route: [ {{ to: lab/mock-stall }} ], timeout: {{ idle: 300ms }} }}
  rescued:  {{ route: [ {{ to: lab/mock-500 }} ], fallback: [ lab/small ] }}
  bridged:  {{ route: [ {{ to: gone/small }} ], fallback: [ lab/small ] }}
  reset:    {{ route: [ {{ to: lab/mock-reset }} ], fallback: [ lab/small ] }}
  broken:   {{ route: [ {{ to: lab/mock-500 }} ], retry: {{ attempts: 3, on: [5xx] }} }}
  refused:  {{ route: [ {{ to: lab/mock-400 }} ], fallback: [ lab/small ] }}
"""


@contextlib.contextmanager
def pair(*options):
    with harness.Mock(*options) as mock, harness.Gateway(CONFIG.format(url=mock.url)) as gateway:
        yield mock, gateway
        check(gateway.alive(), "the gateway ended")


def stream(gateway, model="chat", **more):
    return harness.Stream(gateway.port, "/v1/chat/completions", harness.chat_body(model, stream=True, **more))


def contents(events):
    """The text of the chunks, and how many carried some."""
    texts = []
    for data in events:
        if data == b"[DONE]":
            continue
        for choice in json.loads(data).get("choices", []):
            if choice["delta"].get("content"):
                texts.append(choice["delta"]["content"])
    return texts


def test_events_arrive_as_they_are_produced():
    # 200 tokens take the provider 10 s: whoever has ten events while it is still producing was not made to wait for the end.
    with pair("--tokens", "200", "--per-token", "50ms") as (mock, gateway), stream(gateway) as answer:
        equal(answer.status, 200)
        check(answer.headers["content-type"].startswith("text/event-stream"), answer.headers["content-type"])
        events = answer.events()
        first = [next(events)[1] for _ in range(10)]
        equal(mock.stats()["active"], 1, "calls the provider is still answering:")
        equal(len(contents(first)), 9, "chunks with text:")


def test_two_events_are_never_merged_into_one():
    with pair("--tokens", "20", "--per-token", "20ms") as (_, gateway), stream(gateway) as answer:
        texts = contents(data for _, data in answer.events())
        equal(len(texts), 20, "chunks with text:")
        check(all(len(text.split()) == 1 for text in texts), texts)


def test_a_stream_is_the_same_events_as_the_providers():
    with pair("--tokens", "50") as (mock, gateway):
        body = harness.chat_body("chat", stream=True, stream_options={"include_usage": True})
        with harness.Stream(gateway.port, "/v1/chat/completions", body) as answer:
            ours = [data for _, data in answer.events()]
        sent = mock.last()["body"]
        with harness.Stream(mock.port, "/v1/chat/completions", sent) as answer:
            theirs = [data for _, data in answer.events()]
        equal(len(ours), len(theirs), "events:")
        equal(contents(ours), contents(theirs), "text:")


def test_usage_is_asked_for_and_kept_from_who_did_not_ask():
    with pair() as (mock, gateway):
        with stream(gateway) as answer:
            events = [data for _, data in answer.events()]
        check(json.loads(mock.last()["body"])["stream_options"]["include_usage"], "the provider was not asked for usage")
        for data in events[:-1]:
            chunk = json.loads(data)
            check(not chunk.get("usage"), "usage nobody asked for:", data)
            check(chunk["choices"], "a chunk without choices nobody asked for:", data)
        until(lambda: gateway.metric("penstock_tokens_total", kind="output") == 32, "32 output tokens in the metrics")


def test_usage_is_given_to_who_asked():
    with pair() as (_, gateway), stream(gateway, stream_options={"include_usage": True}) as answer:
        events = [data for _, data in answer.events()]
        usage = json.loads(events[-2])
        equal(usage["choices"], [])
        equal(usage["usage"]["completion_tokens"], 32)
        equal(events[-1], b"[DONE]")


def test_plain_bodies_reach_the_provider_as_the_client_wrote_them():
    with pair() as (mock, gateway):
        body = '{ "messages" : [ {"role":"user", "content":"caf\\u00e9 \u2603"} ],\n "x_unknown":1.0e2, "model" : "chat" , "temperature":0.10 }'
        answer = gateway.post("/v1/chat/completions", body)
        equal(answer.status, 200, answer)
        sent = mock.last()["body"]
        equal(json.loads(sent)["model"], "small")
        equal(re.sub(r'"model"\s*:\s*"small"', "M", sent), re.sub(r'"model"\s*:\s*"chat"', "M", body))


def test_a_client_that_leaves_ends_the_call_to_the_provider():
    with pair("--tokens", "1000", "--per-token", "20ms") as (mock, gateway):
        answer = stream(gateway)
        next(answer.events())
        equal(mock.stats()["active"], 1)
        answer.close()
        until(lambda: mock.stats() == {"requests": 1, "active": 0, "cancelled": 1}, "the provider to see the cancellation")


def test_a_client_that_leaves_before_the_answer_ends_the_call_too():
    with pair("--first-token", "30s") as (mock, gateway):
        connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)
        connection.request("POST", "/v1/chat/completions", json.dumps(harness.chat_body()), {"Content-Type": "application/json"})
        until(lambda: mock.stats()["active"] == 1, "the call to reach the provider")
        connection.close()
        until(lambda: mock.stats()["cancelled"] == 1, "the provider to see the cancellation")


def ends_with_an_error(gateway, model):
    with stream(gateway, model) as answer:
        equal(answer.status, 200)
        events = [data for _, data in answer.events()]  # Cut: the end of the body is missing
    check(len(contents(d for d in events if b'"error"' not in d)) > 3, "no text before the break")
    check(b"[DONE]" not in events, "a broken stream ends as if it were whole")
    error = json.loads(events[-1])["error"]
    check(error["message"] and error["type"], "the error event:", error)
    equal(gateway.chat().status, 200)
    return error


def test_a_provider_that_breaks_off_leaves_an_error_event():
    with pair() as (_, gateway):
        ends_with_an_error(gateway, "torn")


def test_a_provider_that_falls_silent_leaves_an_error_event():
    with pair() as (mock, gateway):
        ends_with_an_error(gateway, "stalled")
        until(lambda: mock.stats()["active"] == 0, "the stalled call to be given up")


def test_a_providers_own_error_event_passes():
    with pair() as (_, gateway):
        ends_with_an_error(gateway, "sour")


def test_a_stream_without_usage_passes():
    with pair() as (_, gateway), stream(gateway, "bare") as answer:
        equal(len(contents(data for _, data in answer.events())), 32)


def test_fallback_before_the_first_byte():
    with pair() as (mock, gateway):
        for model in ("rescued", "bridged", "reset"):
            with stream(gateway, model) as answer:
                equal(answer.status, 200, model)
                equal(answer.headers["x-penstock-target"], "lab/small", model)
                check(int(answer.headers["x-penstock-attempts"]) >= 2, model, answer.headers["x-penstock-attempts"])
                equal(len(contents(data for _, data in answer.events())), 32, model)
            plain = gateway.chat(model)
            equal(plain.status, 200, model)
            equal(plain.headers["x-penstock-target"], "lab/small", model)
        check(mock.stats()["requests"] >= 10, mock.stats())


def test_retries_are_counted_and_end():
    with pair() as (mock, gateway):
        answer = gateway.chat("broken")
        check(answer.status >= 500, answer)
        equal(answer.headers["x-penstock-attempts"], "3")
        equal(mock.stats()["requests"], 3)
        check("provider" in answer.json()["error"]["message"].lower() or "lab" in answer.json()["error"]["message"],
              "the message does not say who refused:", answer)


def test_a_providers_400_is_the_clients_and_not_tried_elsewhere():
    with pair() as (mock, gateway):
        answer = gateway.chat("refused")
        equal(answer.status, 400, answer)
        equal(mock.stats()["requests"], 1)


def test_a_provider_that_never_answers_is_a_timeout():
    with pair() as (mock, gateway):
        begun = time.monotonic()
        answer = gateway.chat("silent")
        equal(answer.status, 504, answer)
        check(time.monotonic() - begun < 10, "the timeout of 300 ms did not hold")
        until(lambda: mock.stats()["active"] == 0, "the call to be given up")


if __name__ == "__main__":
    harness.run(globals())
