"""OpenAI's client in Python, with whatever provider behind: chat completions, responses, embeddings."""

import json

import openai
from any_provider import (ASK_ONE, ASK_TWO, BEHIND, CLOCK, KEY, MODELS, PNG_BASE64, PUMP, ROOT, SEES, WEATHER, check, check_pump,
                          check_weather, raises, run)

client = openai.OpenAI(base_url=ROOT + "/v1", api_key=KEY, max_retries=0, timeout=30)
HELLO = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "hello"}]
TOOLS = [{"type": "function", "function": {"name": "get_weather", "description": "of a city", "parameters": WEATHER}},
         {"type": "function", "function": {"name": "get_clock", "description": "of a zone", "parameters": CLOCK}}]
FORMAT = {"name": "pump", "schema": PUMP, "strict": True}


def ask(messages, model="chat", **more):
    return client.chat.completions.create(model=MODELS[model], messages=messages, **more)


def chat():
    answer = ask(HELLO, max_completion_tokens=500, temperature=0.5)
    check(answer.object == "chat.completion" and answer.choices[0].message.role == "assistant", answer)
    check(len(answer.choices[0].message.content.split()) == 32 and answer.choices[0].finish_reason == "stop", answer)
    check(answer.usage.prompt_tokens > 0 and answer.usage.completion_tokens > 0, answer.usage)
    check(answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens, answer.usage)
    check(ask(HELLO, max_tokens=3).choices[0].finish_reason == "length", "cut")


def stream():
    plain = ask(HELLO).choices[0].message.content
    text, finish, usage = "", None, None
    for chunk in ask(HELLO, stream=True, stream_options={"include_usage": True}):
        for choice in chunk.choices:
            text += choice.delta.content or ""
            finish = choice.finish_reason or finish
        usage = chunk.usage or usage
    check(len(text.split()) == len(plain.split()) == 32 and finish == "stop", text, finish)
    check(usage.completion_tokens > 0 and usage.prompt_tokens > 0, usage)


def called(message):
    return {call.function.name: json.loads(call.function.arguments) for call in message.tool_calls}


def tools():
    talk = [{"role": "user", "content": ASK_ONE}]
    first = ask(talk, tools=TOOLS)
    check(first.choices[0].finish_reason == "tool_calls", first)
    check_weather(called(first.choices[0].message)["get_weather"])
    talk += [first.choices[0].message,
             {"role": "tool", "tool_call_id": first.choices[0].message.tool_calls[0].id, "content": "18 C"}]
    second = ask(talk, tools=TOOLS)
    check("18 C" in second.choices[0].message.content, second)
    talk += [second.choices[0].message, {"role": "user", "content": ASK_TWO}]
    with client.chat.completions.stream(model=MODELS["chat"], messages=talk, tools=TOOLS) as events:
        third = events.get_final_completion()
    check(third.choices[0].finish_reason == "tool_calls", third)
    check_weather(called(third.choices[0].message)["get_weather"])
    ids = [call.id for call in third.choices[0].message.tool_calls]
    check(len(set(ids)) == 2 and list(called(third.choices[0].message)) == ["get_clock", "get_weather"], third)
    talk += [{"role": "assistant", "tool_calls": [{"id": call.id, "type": "function", "function": {
        "name": call.function.name, "arguments": call.function.arguments}} for call in third.choices[0].message.tool_calls]}]
    talk += [{"role": "tool", "tool_call_id": ids[0], "content": "noon"}, {"role": "tool", "tool_call_id": ids[1], "content": "19 C"}]
    last = ask(talk, tools=TOOLS)
    check("noon" in last.choices[0].message.content and "19 C" in last.choices[0].message.content, last)


def vision():
    answer = ask([{"role": "user", "content": [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {
        "url": f"data:image/png;base64,{PNG_BASE64}", "detail": "low"}}]}])
    check(SEES in answer.choices[0].message.content, answer)


def structured():
    answer = ask(HELLO, response_format={"type": "json_schema", "json_schema": FORMAT})
    check_pump(answer.choices[0].message.content)


def reasoning():
    plain = ask(HELLO, "think", reasoning_effort="high")
    check(plain.choices[0].message.content, plain)
    check(plain.usage.completion_tokens > 0, plain.usage)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in ask(HELLO, "think", stream=True) if chunk.choices)
    check(len(text.split()) == 32, text)


def responses():
    made = client.responses.create(model=MODELS["chat"], instructions="Be short.", input="hello", max_output_tokens=500)
    check(made.status == "completed" and len(made.output_text.split()) == 32, made)
    check(made.usage.input_tokens > 0 and made.usage.output_tokens > 0, made.usage)
    seen = [event for event in client.responses.create(model=MODELS["chat"], input="hello", stream=True)]
    check(seen[0].type == "response.created" and seen[-1].type == "response.completed", [e.type for e in seen])
    check([e.sequence_number for e in seen] == list(range(len(seen))), "numbers of the events")
    deltas = "".join(event.delta for event in seen if event.type == "response.output_text.delta")
    check(deltas == seen[-1].response.output_text and len(deltas.split()) == 32, deltas)


def responses_tools():
    tools_of = [{"type": "function", "name": t["function"]["name"], "parameters": t["function"]["parameters"], "strict": False}
                for t in TOOLS]
    talk = [{"role": "user", "content": ASK_ONE}]
    first = client.responses.create(model=MODELS["chat"], input=talk, tools=tools_of, store=False)
    call = next(item for item in first.output if item.type == "function_call")
    check_weather(json.loads(call.arguments))
    talk += [{"type": "function_call", "call_id": call.call_id, "name": call.name, "arguments": call.arguments},
             {"type": "function_call_output", "call_id": call.call_id, "output": "18 C"}]
    second = client.responses.create(model=MODELS["chat"], input=talk, tools=tools_of, store=False)
    check("18 C" in second.output_text, second)
    talk += [{"role": "assistant", "content": second.output_text}, {"role": "user", "content": ASK_TWO}]
    with client.responses.stream(model=MODELS["chat"], input=talk, tools=tools_of, store=False) as events:
        for _ in events:
            pass
        third = events.get_final_response()
    check([item.name for item in third.output if item.type == "function_call"] == ["get_clock", "get_weather"], third)


def embeddings():
    if "embed" not in MODELS:
        return f"{BEHIND} has none"
    answer = client.embeddings.create(model=MODELS["embed"], input=["one pump", "two pumps"])
    check(len(answer.data) == 2 and len(answer.data[0].embedding) == len(answer.data[1].embedding) > 8, "vectors")
    floats = client.embeddings.create(model=MODELS["embed"], input="one pump", encoding_format="float")
    check(max(abs(a - b) for a, b in zip(floats.data[0].embedding, answer.data[0].embedding)) < 1e-4, "packed or not")


def errors():
    bad = raises(openai.BadRequestError, lambda: ask([]))
    check(isinstance(bad.body, dict) and bad.body.get("message"), bad.body)
    raises(openai.NotFoundError, lambda: client.chat.completions.create(model="no-such-model", messages=HELLO)
           ) if BEHIND != "mock" else None
    raises(openai.RateLimitError, lambda: ask(HELLO, "limited"))
    raises(openai.InternalServerError, lambda: ask(HELLO, "broken"))
    raises(openai.APIError, lambda: list(ask(HELLO, "torn", stream=True)))


def retries():
    if "flaky" not in MODELS:
        return "only behind a gateway"
    patient = client.with_options(max_retries=8)
    for _ in range(4):
        check(patient.chat.completions.create(model=MODELS["flaky"], messages=HELLO).choices[0].message.content)


def cancel():
    if "slow" not in MODELS:
        return "only behind a gateway"
    answer = ask(HELLO, "slow", stream=True)
    next(iter(answer))
    answer.close()


run([chat, stream, tools, vision, structured, reasoning, responses, responses_tools, embeddings, errors, retries, cancel])
