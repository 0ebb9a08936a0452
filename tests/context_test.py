"""Calls that are too long for a model: refused in the client's dialect, taken by a larger model, or told to the provider
without the oldest part of their history. Every dialect of a client in front of every dialect of a provider; the mock refuses
conversations that are none."""

import contextlib
import json

import dialect_anthropic
import dialect_gemini
import dialect_ollama
import dialect_openai
import harness
from dialect import Call, Question, Result, Tool, Turn
from harness import Gateway, Mock, check, equal, until

CLIENTS = [dialect_openai.Chat(), dialect_openai.Responses(), dialect_anthropic.Messages(), dialect_gemini.Content(),
           dialect_ollama.Chat()]
PROVIDERS = {"openai": "/v1", "anthropic": "/v1", "gemini": "/v1beta", "ollama": ""}
LISTS = {"openai_chat": "messages", "openai_responses": "input", "anthropic_messages": "messages", "gemini_content": "contents",
         "ollama_chat": "messages"}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
# About 100 tokens, whether they are counted or estimated.
FILLER = " and so on and on it went" * 16


def readers():
    return {"/v1/chat/completions": CLIENTS[0], "/v1/responses": CLIENTS[1], "/v1/messages": CLIENTS[2]}


def heard(mock):
    last = mock.last()
    path = last["path"]
    reader = CLIENTS[3] if path.startswith("/v1beta") else CLIENTS[4] if path.startswith("/api") else readers()[path]
    return reader.heard(json.loads(last["body"]))


def conversation(turns=8):
    """Questions and answers, every second one with two calls of a tool at once."""
    said = []
    for i in range(turns):
        said.append(Turn("user", f"question {i}{FILLER}"))
        if i % 2:
            ids = [f"call_{i}_{k}" for k in range(2)]
            said.append(Turn("assistant", calls=[Call(each, "get_weather", {"city": f"Ulm {each}"}) for each in ids]))
            said.append(Turn("tool", results=[Result(each, "get_weather", f"12 degrees {each}{FILLER}") for each in ids]))
        said.append(Turn("assistant", f"answer {i}{FILLER}"))
    return Question([*said, Turn("user", "the last question")], system="You are kept.", tools=[Tool("get_weather", SCHEMA)])


@contextlib.contextmanager
def lab(models, top=""):
    """A provider of each dialect; in `models` every line is a model."""
    with Mock() as mock:
        text = "providers:\n"
        for provider, base in PROVIDERS.items():
            more = {"ollama": "", "openai": ", api_key: key-of-the-lab, responses: true"}.get(provider, ", api_key: key-of-the-lab")
            text += f"  {provider}: {{ type: {provider}, base_url: \"http://127.0.0.1:{mock.port}{base}\"{more} }}\n"
        with Gateway(text + "models:\n" + "".join(f"  {line}\n" for line in models) + top) as gateway:
            gateway.mock = mock
            yield gateway


def each_provider(context):
    return [f"{provider}-m: {{ route: [ {provider}/{provider}-m ], context: {context} }}" for provider in PROVIDERS]


def ask(gateway, client, model, question, stream=False):
    return gateway.post(client.path(model, stream), client.body(question, model, stream))


def told_of_calls(asked):
    calls, results = [call.id for call in asked.calls], [result.id for result in asked.results]
    equal(len(calls), len(results), "every call has its result")
    return calls


def test_every_client_is_told_in_its_own_words_that_the_prompt_is_too_long():
    words = {"openai_chat": "maximum context length is 700 tokens", "openai_responses": "maximum context length is 700 tokens",
             "anthropic_messages": "prompt is too long: ", "gemini_content": "exceeds the maximum number of tokens allowed (600)",
             "ollama_chat": "exceeds the context length"}
    with lab(each_provider("{ window: 700, reserve: 100 }")) as gateway:
        for client in CLIENTS:
            for provider in PROVIDERS:
                for stream in (False, True):
                    got = ask(gateway, client, f"{provider}-m", conversation(), stream)
                    equal(got.status, 400, client.name, provider, got)
                    check(words[client.name] in client.error(got.json()), client.name, got)
                    body = got.json()["error"]
                    if client.name.startswith("openai"):
                        equal((body["type"], body["code"]), ("invalid_request_error", "context_length_exceeded"))
                    elif client.name == "anthropic_messages":
                        equal(body["type"], "invalid_request_error")
                    elif client.name == "gemini_content":
                        equal((body["code"], body["status"]), (400, "INVALID_ARGUMENT"))
                    equal(ask(gateway, client, f"{provider}-m", Question([Turn("user", "short")]), stream).status, 200)
        asked = len(CLIENTS) * len(PROVIDERS) * 2
        equal(gateway.mock.stats()["requests"], asked, "only the short ones went out")
        until(lambda: gateway.metric("penstock_context_refused_total") == asked, "the metric")


def test_the_oldest_turns_are_left_out_and_what_is_left_is_a_conversation():
    question = conversation()
    with lab(each_provider("{ window: 900, reserve: 100, over: trim, keep: { last: 2 } }")) as gateway:
        for client in CLIENTS:
            for provider in PROVIDERS:
                for stream in (False, True):
                    got = ask(gateway, client, f"{provider}-m", question, stream)
                    what = (client.name, provider, stream, got)
                    equal(got.status, 200, *what)
                    said = client.said_stream(got.body) if stream else client.said(got.json())
                    check(said.text and said.ended, *what)
                    check(int(got.headers["x-penstock-trimmed"]) >= 4, *what)
                    asked = heard(gateway.mock)
                    texts = [text for _, text in asked.texts if text]
                    check("the last question" in texts[-1] and "answer 7" in texts[-2], *what, texts)
                    check("You are kept." in asked.system, *what, asked.system)
                    check(not any("question 0" in text or "question 1" in text for text in texts), *what, texts)
                    check("question 7" in "".join(texts) and len(told_of_calls(asked)) >= 2, *what, texts)
        lines = until(lambda: [line for line in gateway.log().splitlines() if '"trimmed":' in line], "a line of the access log")
        check(json.loads(lines[0])["trimmed"] >= 4, lines[0])
        until(lambda: gateway.metric("penstock_context_trimmed_total", model="openai-m") == 2 * len(CLIENTS), "the metric")


def spans(text, name):
    """Where the elements of the list begin."""
    decoder = json.JSONDecoder()
    at = text.index("[", text.index(f'"{name}"')) + 1
    begins = []
    while True:
        while text[at] in " \t\r\n,":
            at += 1
        if text[at] == "]":
            return begins
        begins.append(at)
        at = decoder.raw_decode(text, at)[1]


def test_in_the_providers_own_dialect_the_clients_bytes_are_only_cut():
    own = {"openai_chat": "openai", "openai_responses": "openai", "anthropic_messages": "anthropic", "gemini_content": "gemini",
           "ollama_chat": "ollama"}
    with lab(each_provider("{ window: 900, reserve: 100, over: trim, keep: { last: 2 } }")) as gateway:
        for client in CLIENTS:
            model = own[client.name] + "-m"
            body = client.body(conversation(), model, False)
            body = {**{k: v for k, v in body.items() if k != "model"}, "model": body["model"]} if "model" in body else body
            sent = json.dumps(body, indent=3, separators=(" ,", " : ")).replace("question", "qu\\u0065stion")
            got = gateway.post(client.path(model, False), sent)
            equal(got.status, 200, client.name, got)
            begins = spans(sent, LISTS[client.name])
            first = 1 if client.name in ("openai_chat", "ollama_chat") else 0  # behind the instructions
            dropped = int(got.headers["x-penstock-trimmed"])
            expected = sent[:begins[first]] + sent[begins[first + dropped]:]
            equal(gateway.mock.last()["body"], expected, client.name)


def test_what_is_rewritten_for_the_provider_still_is():
    """The places that the gateway changes stand before and behind the list that is cut."""
    question = conversation()
    route = "{ route: [ openai/other-m ], context: { window: 900, reserve: 100, over: trim } }"
    with lab([f"a: {route}"]) as gateway:
        sent = CLIENTS[0].body(question, "a", True)
        order = [["model", "messages", "stream_options", "stream"], ["messages", "stream", "stream_options", "model"]]
        for keys in order:
            body = {**{key: {**sent, "stream_options": {"include_usage": False}}[key] for key in keys}, "tools": sent["tools"]}
            got = gateway.post("/v1/chat/completions", body)
            equal(got.status, 200, got)
            check(got.headers["x-penstock-trimmed"], got)
            arrived = json.loads(gateway.mock.last()["body"])
            equal((arrived["model"], arrived["stream_options"], arrived["tools"]),
                  ("other-m", {"include_usage": True}, sent["tools"]))


def test_what_may_not_be_left_out_is_refused_with_the_numbers():
    with lab(["a: { route: [ openai/m ], context: { window: 900, reserve: 100, over: trim, keep: { last: 20 } } }"]) as gateway:
        got = ask(gateway, CLIENTS[0], "a", conversation())
        equal(got.status, 400, got)
        check("of 900" in got.text() and "oldest messages" in got.text(), got)
        got = ask(gateway, CLIENTS[0], "a", Question([Turn("user", "word " * 4000)]))
        equal(got.status, 400, got)
        equal(gateway.mock.stats()["requests"], 0)


def test_steps_of_a_long_run_of_tools_are_left_out_and_the_task_stays():
    said = [Turn("user", "the task")]
    for i in range(20):
        said.append(Turn("assistant", calls=[Call(f"call_{i}", "get_weather", {"city": "Ulm"})]))
        said.append(Turn("tool", results=[Result(f"call_{i}", "get_weather", f"result {i}{FILLER}")]))
    question = Question(said, tools=[Tool("get_weather", SCHEMA)])
    with lab(each_provider("{ window: 900, reserve: 100, over: trim }")) as gateway:
        for client in CLIENTS:
            for provider in PROVIDERS:
                got = ask(gateway, client, f"{provider}-m", question)
                equal(got.status, 200, client.name, provider, got)
                asked = heard(gateway.mock)
                equal([text for _, text in asked.texts if text][0], "the task")
                results = [result.text for result in asked.results]
                check(3 <= len(results) < 12 and "result 19" in results[-1], client.name, provider, results)
                told_of_calls(asked)


def test_a_larger_model_takes_what_a_smaller_one_cannot():
    prices = """prices:
  models:
    openai/small: { input: 0USD/1M, output: 0USD/1M, context: 700 }
    anthropic/large: { input: 0USD/1M, output: 0USD/1M, context: 100000 }
"""
    with lab(["a: { route: [ openai/small ], fallback: [ anthropic/large ], context: { reserve: 100 } }"], prices) as gateway:
        got = ask(gateway, CLIENTS[0], "a", conversation())
        equal((got.status, got.headers["x-penstock-target"]), (200, "anthropic/large"), got)
        equal(got.headers["x-penstock-attempts"], "1")
        check(not got.headers["x-penstock-trimmed"], got)
        got = ask(gateway, CLIENTS[0], "a", Question([Turn("user", "short")]))
        equal(got.headers["x-penstock-target"], "openai/small", got)


def test_each_target_is_told_what_fits_into_its_own_window():
    prices = """prices:
  models:
    openai/mock-503: { input: 0USD/1M, output: 0USD/1M, context: 900 }
    anthropic/large: { input: 0USD/1M, output: 0USD/1M, context: 100000 }
"""
    route = "{ route: [ openai/mock-503 ], fallback: [ anthropic/large ], retry: { attempts: 1 }"
    with lab([f"a: {route}, context: {{ reserve: 100, over: trim }} }}"], prices) as gateway:
        got = ask(gateway, CLIENTS[0], "a", conversation())
        equal((got.status, got.headers["x-penstock-target"]), (200, "anthropic/large"), got)
        check(not got.headers["x-penstock-trimmed"], got)
        check(any("question 0" in text for _, text in heard(gateway.mock).texts), "all of it")
        first, second = [json.loads(each["body"]) for each in gateway.mock.get("/mock/requests?n=2")][:2]
        small, large = sorted((first, second), key=lambda body: len(json.dumps(body)))
        check("question 0" not in json.dumps(small) and "question 0" in json.dumps(large), "each its own")


def test_the_history_of_kept_responses_counts_and_is_trimmed():
    client = CLIENTS[1]
    with lab(["a: { route: [ anthropic/m ], context: { window: 900, reserve: 100, over: trim } }",
              "b: { route: [ anthropic/m ], context: { window: 900, reserve: 100 } }"]) as gateway:
        previous = None
        for i in range(8):
            more = {"previous_response_id": previous} if previous else {}
            got = gateway.post("/v1/responses", {"model": "a", "input": f"question {i}{FILLER}{FILLER}", **more})
            equal(got.status, 200, i, got)
            previous = got.json()["id"]
        check(int(got.headers["x-penstock-trimmed"]) >= 2, got.headers)
        texts = [text for _, text in heard(gateway.mock).texts]
        check("question 7" in texts[-1] and not any("question 0" in text for text in texts), texts)
        got = gateway.post("/v1/responses", {"model": "b", "input": "and?", "previous_response_id": previous})
        equal(got.status, 400, got)
        equal(got.json()["error"]["code"], "context_length_exceeded")
        check("maximum context length" in client.error(got.json()), got)


def test_the_answers_room_is_what_the_client_asks_for():
    with lab(["a: { route: [ openai/m ], context: { window: 1000 } }"]) as gateway:
        question = Question([Turn("user", "short")])
        for most, status in ((900, 200), (1000, 400)):
            question.parameters = {"max_tokens": most}
            equal(ask(gateway, CLIENTS[0], "a", question).status, status, most)
        equal(ask(gateway, CLIENTS[0], "a", Question([Turn("user", FILLER * 7)])).status, 200)
        equal(ask(gateway, CLIENTS[0], "a", Question([Turn("user", FILLER * 9)])).status, 400, "a quarter is kept free")


def test_prompts_and_texts_to_embed_are_only_refused():
    with lab(["a: { route: [ openai/m ], context: { window: 200, reserve: 50, over: trim } }"]) as gateway:
        equal(gateway.post("/v1/completions", {"model": "a", "prompt": "short"}).status, 200)
        got = gateway.post("/v1/completions", {"model": "a", "prompt": FILLER * 3})
        equal((got.status, got.json()["error"]["code"]), (400, "context_length_exceeded"))
        equal(gateway.post("/v1/embeddings", {"model": "a", "input": [FILLER] * 9}).status, 200, "each text is one input")
        got = gateway.post("/v1/embeddings", {"model": "a", "input": ["short", FILLER * 4]})
        equal((got.status, got.json()["error"]["code"]), (400, "context_length_exceeded"))


def test_known_encodings_are_counted_to_the_token():
    def window(tokens, over="refuse", keep=""):
        return [f"a: {{ route: [ openai/gpt-4o ], context: {{ window: {tokens}, reserve: 10, over: {over}{keep} }} }}"]

    def needs(gateway, question):
        got = ask(gateway, CLIENTS[0], "a", question)
        equal(got.status, 400, got)
        return int(got.text().split("the request needs ")[1].split(":")[0])

    question = conversation()
    question.tools = []
    question.turns = [turn for turn in question.turns if not turn.calls and not turn.results]
    with lab(window(20)) as gateway:
        if "about" in ask(gateway, CLIENTS[0], "a", question).text():
            harness.skip("the tables of the encodings are not there: ./dev setup")
        whole = needs(gateway, question)
        without_one = needs(gateway, Question(question.turns[2:], system=question.system))
    with lab(window(whole)) as gateway:
        equal(ask(gateway, CLIENTS[0], "a", question).status, 200, "it just fits")
    with lab(window(whole - 1)) as gateway:
        equal(ask(gateway, CLIENTS[0], "a", question).status, 400)
    for room, dropped in ((whole, None), (whole - 1, "2"), (without_one, "2"), (without_one - 1, "4")):
        with lab(window(room, "trim", ", keep: { last: 1 }")) as gateway:
            got = ask(gateway, CLIENTS[0], "a", question)
            equal((got.status, got.headers["x-penstock-trimmed"]), (200, dropped), room)


def test_mistakes_in_the_configuration_are_named_and_check_shows_the_rule():
    def checked(context):
        path = harness.folder() / "c.yaml"
        path.write_text("providers: { lab: { type: openai, base_url: http://127.0.0.1:9 } }\n"
                        f"models:\n  a:\n    route: [ lab/m ]\n    context: {context}\n")
        return harness.command("check", str(path))

    for context, words in (("{ window: 0 }", "out of range"), ("{ window: -5 }", "out of range"), ("{ window: 4k }", "whole number"),
                           ("{ over: trimm }", "did you mean 'trim'?"), ("{ windw: 9 }", "did you mean 'window'?"),
                           ("{ window: 100, reserve: 100 }", "leave nothing"), ("{ keep: { last: 2 } }", "over: trim"),
                           ("{ over: trim, keep: { last: -1 } }", "out of range"), ("{ over: trim, keep: { lst: 1 } }", "last")):
        status, _, errors = checked(context)
        check(status != 0 and words in errors and "c.yaml:5:" in errors, context, status, errors)
    status, shown, errors = checked("{ window: 8000, reserve: 500, over: trim, keep: { first: 1, last: 6 } }")
    equal(status, 0, errors)
    check("context: 8000 tokens, 500 of them for the answer, trimmed beyond" in shown, shown)
    status, shown, _ = checked("{ over: pass }")
    check(status == 0 and "context:" not in shown, shown)


if __name__ == "__main__":
    harness.run(globals())
