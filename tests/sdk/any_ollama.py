"""Ollama's client in Python, with whatever provider behind."""

import ollama
from any_provider import (ASK_ONE, ASK_TWO, BEHIND, CLOCK, KEY, MODELS, PNG, PUMP, ROOT, SEES, WEATHER, check, check_pump, check_weather,
                          raises, run)

client = ollama.Client(host=ROOT, headers={"Authorization": f"Bearer {KEY}"}, timeout=30)
HELLO = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "hello"}]
TOOLS = [{"type": "function", "function": {"name": "get_weather", "description": "of a city", "parameters": WEATHER}},
         {"type": "function", "function": {"name": "get_clock", "description": "of a zone", "parameters": CLOCK}}]


def ask(messages, model="chat", **more):
    return client.chat(model=MODELS[model], messages=messages, **more)


def chat():
    answer = ask(HELLO, options={"temperature": 0.5, "num_predict": 500})
    check(answer.done and answer.done_reason == "stop" and len(answer.message.content.split()) == 32, answer)
    check(answer.prompt_eval_count > 0 and answer.eval_count > 0, answer)
    check(ask(HELLO, options={"num_predict": 3}).done_reason == "length", "cut")
    said = client.generate(model=MODELS["chat"], prompt="hello")
    check(said.done and len(said.response.split()) == 32, said)


def stream():
    chunks = list(ask(HELLO, stream=True))
    check(len("".join(chunk.message.content or "" for chunk in chunks).split()) == 32, chunks[:3])
    check([chunk.done for chunk in chunks] == [False] * (len(chunks) - 1) + [True], "done only at the end")
    check(chunks[-1].done_reason == "stop" and chunks[-1].eval_count > 0, chunks[-1])
    said = list(client.generate(model=MODELS["chat"], prompt="hello", stream=True))
    check(len("".join(chunk.response or "" for chunk in said).split()) == 32 and said[-1].done, said[-1])


def calls(messages):
    return [call.function for message in messages for call in message.tool_calls or []]


def tools():
    talk = [{"role": "user", "content": ASK_ONE}]
    first = ask(talk, tools=TOOLS)
    check([call.name for call in calls([first.message])] == ["get_weather"], first)
    check_weather(calls([first.message])[0].arguments)
    talk += [first.message, {"role": "tool", "tool_name": "get_weather", "content": "18 C"}]
    second = ask(talk, tools=TOOLS)
    check("18 C" in second.message.content, second)
    talk += [second.message, {"role": "user", "content": ASK_TWO}]
    messages = [chunk.message for chunk in ask(talk, tools=TOOLS, stream=True)]
    check([call.name for call in calls(messages)] == ["get_clock", "get_weather"], messages)
    talk += [{"role": "assistant", "content": "", "tool_calls": [call for message in messages for call in message.tool_calls or []]}]
    talk += [{"role": "tool", "tool_name": "get_clock", "content": "noon"}, {"role": "tool", "tool_name": "get_weather", "content": "19 C"}]
    last = ask(talk, tools=TOOLS)
    check("noon" in last.message.content and "19 C" in last.message.content, last)


def vision():
    answer = ask([{"role": "user", "content": "What is it?", "images": [PNG]}])
    check(SEES in answer.message.content, answer)


def structured():
    check_pump(ask(HELLO, format=PUMP).message.content)


def reasoning():
    answer = ask(HELLO, "think", think=True)
    check(answer.message.thinking and len(answer.message.content.split()) == 32, answer)
    chunks = list(ask(HELLO, "think", think=True, stream=True))
    check("".join(chunk.message.thinking or "" for chunk in chunks), chunks[:3])


def embeddings():
    if "embed" not in MODELS:
        return f"{BEHIND} has none"
    answer = client.embed(model=MODELS["embed"], input=["one pump", "two pumps"])
    check(len(answer.embeddings) == 2 and len(answer.embeddings[0]) > 8, "vectors")


def models():
    if BEHIND != "mock":
        names = [model.model for model in client.list().models]
        check(any(name.split(":")[0] == MODELS["chat"] for name in names), names)


def errors():
    if BEHIND != "mock":
        check(raises(ollama.ResponseError, lambda: client.chat(model="no-such-model", messages=HELLO)).status_code == 404, "gone")
    check(raises(ollama.ResponseError, lambda: ask(HELLO, "limited")).status_code == 429, "limited")
    check(raises(ollama.ResponseError, lambda: ask(HELLO, "broken")).status_code >= 500, "broken")
    raises(Exception, lambda: list(ask(HELLO, "torn", stream=True)))


def cancel():
    if "slow" not in MODELS:
        return "only behind a gateway"
    answer = ask(HELLO, "slow", stream=True)
    check(next(answer))
    answer.close()


run([chat, stream, tools, vision, structured, reasoning, embeddings, models, errors, cancel])
