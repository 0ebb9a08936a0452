"""Recorded traffic of OpenAI's and Anthropic's APIs, played back by a provider: in its own dialect every byte goes through,
and a client of any other dialect reads in the answer what stands in the recording."""

import base64
import contextlib
import http.client
import json
import re
import struct

import dialect_anthropic
import dialect_gemini
import dialect_ollama
import dialect_openai
import harness
from bodies_test import form
from dialect import Call, Question, Said, Turn, as_json, sse
from harness import check, equal
from scripted_upstream import ScriptedUpstream

FOLDER = harness.SHARED / "data" / "llm"
UPSTREAM = "the-name-upstream"
CHAT = "/v1/chat/completions"
USAGE_WISH = b'"stream_options":{"include_usage":true},'  # as the gateway puts it in


def recordings(name):
    return [json.loads(line) for line in (FOLDER / f"{name}.jsonl").read_text().splitlines()]


class Recording:
    def __init__(self, entry):
        self.name = entry["id"]
        self.path = re.sub("^/openai/deployments/[^/]+", "/v1", entry["url"])
        self.status = entry["status"]
        self.type = entry["content_type"]
        self.answer = entry["response_body"].encode()
        self.request = entry["request_body"].encode()
        self.body = as_json(entry["request_body"])
        self.form = not isinstance(self.body, dict)
        self.stream = self.type.startswith("text/event-stream")

    @property
    def model(self):
        return "whisper" if self.form else self.body["model"]


def http_answer(recording, body=None):
    body = recording.answer if body is None else body
    head = f"HTTP/1.1 {recording.status} {http.client.responses[recording.status]}\r\ncontent-type: {recording.type}\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


class Player(ScriptedUpstream):
    """Answers with `answer`, at once or a byte (of long ones some bytes) at a time, and remembers what was asked."""

    def __init__(self):
        self.answer = b""
        self.by_bytes = False
        self.heard = None
        super().__init__(self.tell)

    def tell(self, connection, request, _):
        self.heard = request
        if self.by_bytes:
            # The longest ones are embeddings: in few enough pieces to be done soon.
            size = 1 + len(self.answer) // 8000
            for i in range(0, len(self.answer), size):
                connection.sendall(self.answer[i:i + size])
        else:
            connection.sendall(self.answer)
        return True


@contextlib.contextmanager
def playing(kind, models):
    with Player() as player, harness.Gateway(f"""
providers:
  lab: {{ type: {kind}, base_url: "{player.url}", api_key: key-of-the-lab, outlier: {{ failures: 0 }} }}
models:
""" + "".join(f"  {json.dumps(name)}: {{ route: [ {{ to: lab/{UPSTREAM} }} ], retry: {{ attempts: 1 }} }}\n" for name in models)) as gateway:
        yield player, gateway
        check(gateway.alive(), "the gateway ended")


def openai():
    return [Recording(entry) for entry in recordings("openai_recorded")]


def renamed(recording):
    """The request as the provider has to get it."""
    name = f'"model": {json.dumps(recording.model)}'.encode()
    equal(recording.request.count(name), 1, recording.name)
    return recording.request.replace(name, f'"model": "{UPSTREAM}"'.encode())


def check_heard(recording, player, wanted):
    heard = player.heard.body
    if recording.stream and b"stream_options" not in wanted:
        equal(heard.count(USAGE_WISH), 1, recording.name, "no usage asked for:", heard)
        heard = heard.replace(USAGE_WISH, b"")
    equal(heard, wanted, recording.name)
    equal(player.heard.path, recording.path)


def test_in_its_own_dialect_every_byte_goes_through():
    every = openai()
    with playing("openai", {each.model for each in every}) as (player, gateway):
        for recording in every:
            for player.by_bytes in (False, True):
                player.answer = http_answer(recording)
                if recording.form:
                    kind, body = form(("model", recording.model), ("file", "a.wav", b"RIFF\0\xff\r\n--"))
                    answer = gateway.post(recording.path, body, headers={"Content-Type": kind})
                else:
                    answer = gateway.post(recording.path, recording.request)
                    check_heard(recording, player, renamed(recording))
                equal((answer.status, answer.body), (recording.status, recording.answer), recording.name)


def test_a_usage_chunk_nobody_asked_for_stays_with_the_gateway():
    every = [each for each in openai() if b"include_usage" in each.request]
    check(every, "nothing recorded with usage")
    with playing("openai", {each.model for each in every}) as (player, gateway):
        for recording in every:
            body = {name: value for name, value in recording.body.items() if name != "stream_options"}
            events = recording.answer.decode().split("\n\n")
            usage = [event for event in events if '"usage":{' in event]
            equal(len(usage), 1, recording.name)
            rest = recording.answer.replace(usage[0].encode() + b"\n\n", b"")
            for player.by_bytes in (False, True):
                player.answer = http_answer(recording)
                answer = gateway.post(recording.path, body)
                equal((answer.status, answer.body), (200, rest), recording.name)
                check(USAGE_WISH in player.heard.body, player.heard.body)
        tokens = as_json(usage[0][6:])["usage"]["prompt_tokens"]
        harness.until(lambda: gateway.metric("penstock_tokens_total", model=recording.model, kind="input") == 2 * tokens, "usage")


# What a client of each dialect finds in an answer: text, thoughts, calls, how it ended, tokens.
CLIENTS = {client.name: client for client in (dialect_openai.Chat(), dialect_openai.Responses(), dialect_anthropic.Messages(),
                                              dialect_gemini.Content(), dialect_ollama.Chat())}


def read(client, answer, stream):
    said = client.said_stream(answer) if stream else client.said(json.loads(answer))
    check(said.ended and not said.error, "no proper end:", said)
    return said


def compare(name, got, wanted):
    equal(got.text, wanted.text, name)
    equal([(call.name, call.arguments) for call in got.calls], [(call.name, call.arguments) for call in wanted.calls], name)
    equal((got.input_tokens, got.output_tokens), (wanted.input_tokens, wanted.output_tokens), name)
    # Ollama has no word for what a filter or a refusal ended.
    equal(got.finish, "stop" if name.endswith("ollama_chat") and wanted.finish == "content_filter" else wanted.finish, name)


def ask(gateway, client, model, stream):
    question = Question([Turn("user", "hello")])
    return gateway.post(client.path(model, stream), client.body(question, model, stream))


def test_a_client_of_another_dialect_reads_what_openai_said():
    every = [each for each in openai() if each.path == CHAT and each.status == 200]
    with playing("openai", {each.model for each in every}) as (player, gateway):
        for recording in every:
            wanted = read(CLIENTS["openai_chat"], recording.answer, recording.stream)
            for name, client in CLIENTS.items():
                if name == "openai_chat":
                    continue
                for player.by_bytes in (False, True):
                    player.answer = http_answer(recording)
                    answer = ask(gateway, client, recording.model, recording.stream)
                    equal(answer.status, 200, recording.name, name, answer)
                    compare(f"{recording.name} to {name}", read(client, answer.body, recording.stream), wanted)


def test_a_refusal_of_openais_keeps_its_status_and_words():
    every = [each for each in openai() if each.status >= 400 and each.path == CHAT]
    with playing("openai", {each.model for each in every}) as (player, gateway):
        for recording in every:
            player.answer = http_answer(recording)
            message = json.loads(recording.answer)["error"]["message"]
            for name, client in CLIENTS.items():
                for stream in (False, True):
                    answer = ask(gateway, client, recording.model, stream)
                    equal(answer.status, recording.status, recording.name, name)
                    check(message in client.error(answer.json()), recording.name, name, answer)


def vector_of(given):
    """Of numbers, or of floats in base64."""
    if isinstance(given, list):
        return given
    raw = base64.b64decode(given)
    return struct.unpack(f"<{len(raw) // 4}f", raw)


def test_recorded_vectors_come_to_clients_of_other_dialects():
    every = [each for each in openai() if each.path == "/v1/embeddings" and each.status == 200]
    with playing("openai", {each.model for each in every}) as (player, gateway):
        for recording in every:
            player.answer = http_answer(recording)
            wanted = [vector_of(each["embedding"]) for each in json.loads(recording.answer)["data"]]
            texts = ["a text"] * len(wanted)
            requests = [{"model": f"models/{recording.model}", "content": {"parts": [{"text": text}]}} for text in texts]
            gemini = gateway.post(f"/v1beta/models/{recording.model}:batchEmbedContents", {"requests": requests})
            ollama = gateway.post("/api/embed", {"model": recording.model, "input": texts})
            equal((gemini.status, ollama.status), (200, 200), recording.name, gemini, ollama)
            for got in ([each["values"] for each in gemini.json()["embeddings"]], ollama.json()["embeddings"]):
                equal([len(vector) for vector in got], [len(vector) for vector in wanted], recording.name)
                worst = max(abs(a - b) for one, other in zip(got, wanted) for a, b in zip(one, other))
                check(worst < 1e-7, recording.name, worst)


ENDINGS = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "tool_use": "tool_calls", "refusal": "content_filter"}


def anthropic_says(recorded):
    """Text, calls, ending and tokens of a recorded stream. The arguments of a call that was cut stay text. Why a model
    refused is text, too: that is what a client is to be shown."""
    text, calls, ending, usage, at = "", {}, "", {}, None
    for _, event in sse(recorded):
        kind, delta = event["type"], event.get("delta", {})
        usage |= event.get("usage") or event.get("message", {}).get("usage", {})
        if kind == "content_block_start" and event["content_block"]["type"] == "tool_use":
            calls[event["index"]] = [event["content_block"]["name"], ""]
        text += delta.get("text") or (delta.get("stop_details") or {}).get("explanation") or ""
        if delta.get("type") == "input_json_delta" and event["index"] in calls:
            calls[event["index"]][1] += delta["partial_json"]
        ending = delta.get("stop_reason", ending)
    return Said(text, "", [Call("", name, as_json(given)) for name, given in calls.values()], ENDINGS[ending], usage["input_tokens"], usage["output_tokens"])


def check_cut_call(client, answer, wanted):
    """Half a call, because the tokens ran out: where arguments are text the client gets what there is, nowhere it is told
    that the answer were whole."""
    said = answer.body.decode()
    if isinstance(client, dialect_openai.Responses):
        final = [event for _, event in sse(answer.body)][-1]["response"]
        equal((final["status"], final["incomplete_details"]["reason"]), ("incomplete", "max_output_tokens"))
        equal(final["output"][-1]["arguments"], wanted.calls[0].arguments)
    elif isinstance(client, dialect_openai.Chat):
        choices = [choice for _, event in sse(answer.body) if event != "[DONE]" for choice in event["choices"]]
        pieces = [call["function"].get("arguments", "") for choice in choices for call in choice["delta"].get("tool_calls", [])]
        equal(("".join(pieces), choices[-1]["finish_reason"]), (wanted.calls[0].arguments, "length"))
    else:
        check("make_file" not in said, "a call with arguments that are not whole:", said)
        check('"finishReason":"MAX_TOKENS"' in said or '"done_reason":"length"' in said, said[-500:])


def anthropic_stream(recorded):
    return b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n" % len(recorded) + recorded


def test_recorded_streams_of_anthropics_go_through_and_are_translated():
    with playing("anthropic", ["claude"]) as (player, gateway):
        for entry in recordings("anthropic_sse_fixtures"):
            recorded = entry["sse"].encode()
            wanted = anthropic_says(recorded)
            player.answer = anthropic_stream(recorded)
            for player.by_bytes in (False, True):
                answer = ask(gateway, dialect_anthropic.Messages(), "claude", True)
                # Some recordings lack the empty line at their end, or both line ends.
                equal((answer.status, answer.body), (200, recorded.rstrip(b"\n") + b"\n\n"), entry["id"])
                for name, client in CLIENTS.items():
                    if name == "anthropic_messages":
                        continue
                    answer = ask(gateway, client, "claude", True)
                    equal(answer.status, 200, entry["id"], name, answer)
                    if any(isinstance(call.arguments, str) for call in wanted.calls):
                        check_cut_call(client, answer, wanted)
                    else:
                        compare(f"{entry['id']} to {name}", read(client, answer.body, True), wanted)


if __name__ == "__main__":
    if not FOLDER.exists():
        harness.skip(f"no recordings at {FOLDER}")
    harness.run(globals())
