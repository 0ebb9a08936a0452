"""Anthropic's client in Python, with whatever provider behind."""

import anthropic
from any_provider import (ASK_ONE, ASK_TWO, BEHIND, CLOCK, KEY, MODELS, PNG_BASE64, PUMP, ROOT, SEES, WEATHER, check, check_pump,
                          check_weather, raises, run)

client = anthropic.Anthropic(base_url=ROOT, api_key=KEY, max_retries=0, timeout=30)
HELLO = [{"role": "user", "content": "hello"}]
TOOLS = [{"name": "get_weather", "description": "of a city", "input_schema": WEATHER},
         {"name": "get_clock", "description": "of a zone", "input_schema": CLOCK}]


def ask(messages, model="chat", **more):
    return client.messages.create(**{"model": MODELS[model], "max_tokens": 1000, "messages": messages, **more})


def words(message):
    return "".join(block.text for block in message.content if block.type == "text")


def chat():
    answer = ask(HELLO, system="Be short.")
    check(answer.type == "message" and answer.role == "assistant" and answer.stop_reason == "end_turn", answer)
    check(len(words(answer).split()) == 32, answer)
    check(answer.usage.input_tokens > 0 and answer.usage.output_tokens > 0, answer.usage)
    check(ask(HELLO, max_tokens=3).stop_reason == "max_tokens", "cut")


def stream():
    with client.messages.stream(model=MODELS["chat"], max_tokens=1000, messages=HELLO) as events:
        text = "".join(events.text_stream)
        final = events.get_final_message()
    check(len(text.split()) == 32 and words(final) == text and final.stop_reason == "end_turn", final)
    check(final.usage.output_tokens > 0, final.usage)
    kinds = [event.type for event in ask(HELLO, stream=True) if event.type != "ping"]
    check(kinds[:2] == ["message_start", "content_block_start"], kinds)
    check(kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"], kinds)


def calls(message):
    return {block.name: block for block in message.content if block.type == "tool_use"}


def tools():
    talk = [{"role": "user", "content": ASK_ONE}]
    first = ask(talk, tools=TOOLS)
    check(first.stop_reason == "tool_use", first)
    check_weather(calls(first)["get_weather"].input)
    talk += [{"role": "assistant", "content": first.content},
             {"role": "user", "content": [{"type": "tool_result", "tool_use_id": calls(first)["get_weather"].id, "content": "18 C"}]}]
    second = ask(talk, tools=TOOLS)
    check("18 C" in words(second), second)
    talk += [{"role": "assistant", "content": second.content}, {"role": "user", "content": ASK_TWO}]
    with client.messages.stream(model=MODELS["chat"], max_tokens=1000, messages=talk, tools=TOOLS) as events:
        third = events.get_final_message()
    check(third.stop_reason == "tool_use" and list(calls(third)) == ["get_clock", "get_weather"], third)
    check_weather(calls(third)["get_weather"].input)
    results = {"get_clock": "noon", "get_weather": [{"type": "text", "text": "19 C"}]}
    talk += [{"role": "assistant", "content": third.content}, {"role": "user", "content": [
        {"type": "tool_result", "tool_use_id": block.id, "content": results[name]} for name, block in calls(third).items()]}]
    last = words(ask(talk, tools=TOOLS))
    check("noon" in last and "19 C" in last, last)


def vision():
    answer = ask([{"role": "user", "content": [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG_BASE64}},
        {"type": "text", "text": "What is it?"}]}])
    check(SEES in words(answer), answer)


def structured():
    check_pump(words(ask(HELLO, output_config={"format": {"type": "json_schema", "schema": PUMP}})))
    if BEHIND == "ollama":
        return "the second half: Ollama has no choice of tools"
    answer = ask(HELLO, tools=TOOLS, tool_choice={"type": "tool", "name": "get_weather"})
    check_weather(calls(answer)["get_weather"].input)


def reasoning():
    thinking = {"type": "enabled", "budget_tokens": 1024}
    answer = ask(HELLO, "think", max_tokens=4000, thinking=thinking)
    kinds = [block.type for block in answer.content]
    check(kinds[-1] == "text" and len(words(answer).split()) == 32, answer)
    with client.messages.stream(model=MODELS["think"], max_tokens=4000, messages=HELLO, thinking=thinking) as events:
        streamed = events.get_final_message()
    check([block.type for block in streamed.content] == kinds, kinds, streamed)
    check("thinking" in kinds, kinds)
    again = ask(HELLO + [{"role": "assistant", "content": answer.content}, {"role": "user", "content": "go on"}], "think",
                max_tokens=4000, thinking=thinking)
    check(words(again), again)


def count():
    check(client.messages.count_tokens(model=MODELS["chat"], messages=HELLO).input_tokens > 0, "tokens")


def errors():
    bad = raises(anthropic.BadRequestError, lambda: ask([{"role": "nobody", "content": "hi"}]))
    check(bad.body["type"] == "error" and bad.body["error"]["type"] == "invalid_request_error" and bad.body["error"]["message"], bad.body)
    if BEHIND != "mock":
        gone = raises(anthropic.NotFoundError, lambda: client.messages.create(model="no-such-model", max_tokens=9, messages=HELLO))
        check(gone.body["error"]["type"] == "not_found_error", gone.body)
    raises(anthropic.RateLimitError, lambda: ask(HELLO, "limited"))
    raises(anthropic.InternalServerError, lambda: ask(HELLO, "broken"))
    raises(Exception, lambda: list(ask(HELLO, "torn", stream=True)))


def retries():
    if "flaky" not in MODELS:
        return "only behind a gateway"
    patient = client.with_options(max_retries=8)
    for _ in range(4):
        check(words(patient.messages.create(model=MODELS["flaky"], max_tokens=100, messages=HELLO)))


def cancel():
    if "slow" not in MODELS:
        return "only behind a gateway"
    answer = ask(HELLO, "slow", stream=True)
    for event in answer:
        if event.type == "content_block_delta":
            break
    answer.close()


run([chat, stream, tools, vision, structured, reasoning, count, errors, retries, cancel])
