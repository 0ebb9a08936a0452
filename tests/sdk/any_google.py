"""Google's client for Gemini in Python, with whatever provider behind."""

import json

from any_provider import (ASK_ONE, ASK_TWO, BEHIND, CLOCK, KEY, MODELS, PNG, PUMP, ROOT, SEES, WEATHER, check, check_pump, check_weather,
                          raises, run)
from google import genai
from google.genai import errors as trouble
from google.genai import types

client = genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=ROOT, timeout=30_000))
TOOLS = [types.Tool(function_declarations=[
    types.FunctionDeclaration(name="get_weather", description="of a city", parameters_json_schema=WEATHER),
    types.FunctionDeclaration(name="get_clock", description="of a zone", parameters_json_schema=CLOCK)])]


def config(**more):
    return types.GenerateContentConfig(automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True), **more)


def ask(contents, model="chat", **more):
    return client.models.generate_content(model=MODELS[model], contents=contents, config=config(**more))


def chat():
    answer = ask("hello", system_instruction="Be short.", temperature=0.5, max_output_tokens=500)
    check(len(answer.text.split()) == 32 and answer.candidates[0].finish_reason == types.FinishReason.STOP, answer)
    check(answer.usage_metadata.prompt_token_count > 0 and answer.usage_metadata.candidates_token_count > 0, answer.usage_metadata)
    cut = ask("hello", max_output_tokens=3)
    check(cut.candidates[0].finish_reason == types.FinishReason.MAX_TOKENS, cut)


def stream():
    text, finish, usage = "", None, None
    for chunk in client.models.generate_content_stream(model=MODELS["chat"], contents="hello", config=config()):
        text += chunk.text or ""
        finish = (chunk.candidates[0].finish_reason if chunk.candidates else None) or finish
        usage = chunk.usage_metadata or usage
    check(len(text.split()) == 32 and finish == types.FinishReason.STOP, text, finish)
    check(usage.candidates_token_count > 0, usage)


def tools():
    talk = [types.UserContent(ASK_ONE)]
    first = ask(talk, tools=TOOLS)
    check([c.name for c in first.function_calls] == ["get_weather"], first)
    check_weather(first.function_calls[0].args)
    talk += [first.candidates[0].content, types.Content(role="user", parts=[types.Part(function_response=types.FunctionResponse(
        id=first.function_calls[0].id, name="get_weather", response={"result": "18 C"}))])]
    second = ask(talk, tools=TOOLS)
    check("18 C" in second.text, second)
    talk += [second.candidates[0].content, types.UserContent(ASK_TWO)]
    parts = []
    for chunk in client.models.generate_content_stream(model=MODELS["chat"], contents=talk, config=config(tools=TOOLS)):
        parts += chunk.candidates[0].content.parts if chunk.candidates and chunk.candidates[0].content else []
    calls = [part.function_call for part in parts or [] if part.function_call]
    check([call.name for call in calls] == ["get_clock", "get_weather"], parts)
    check_weather(calls[1].args)
    talk += [types.Content(role="model", parts=[part for part in parts if part.function_call])]
    talk += [types.Content(role="user", parts=[
        types.Part(function_response=types.FunctionResponse(id=call.id, name=call.name, response={"result": said}))
        for call, said in zip(calls, ("noon", "19 C"))])]
    last = ask(talk, tools=TOOLS)
    check("noon" in last.text and "19 C" in last.text, last)


def vision():
    answer = ask([types.Part.from_bytes(data=PNG, mime_type="image/png"), "What is it?"])
    check(SEES in answer.text, answer)


def structured():
    answer = ask("a pump", response_mime_type="application/json", response_json_schema=PUMP)
    check_pump(answer.text)


def reasoning():
    answer = ask("hello", "think", thinking_config=types.ThinkingConfig(include_thoughts=True, thinking_budget=1024))
    parts = answer.candidates[0].content.parts
    check(any(part.thought for part in parts), parts)
    check(len(answer.text.split()) == 32, answer)
    json.loads(answer.model_dump_json())


def count():
    check(client.models.count_tokens(model=MODELS["chat"], contents="hello").total_tokens > 0, "tokens")


def embeddings():
    if "embed" not in MODELS:
        return f"{BEHIND} has none"
    answer = client.models.embed_content(model=MODELS["embed"], contents=["one pump", "two pumps"])
    check(len(answer.embeddings) == 2 and len(answer.embeddings[0].values) > 8, "vectors")


def errors():
    bad = raises(trouble.ClientError, lambda: ask([types.Content(role="nobody", parts=[types.Part(text="hi")])]))
    check(bad.code == 400 and bad.status == "INVALID_ARGUMENT" and bad.message, bad)
    if BEHIND != "mock":
        gone = raises(trouble.ClientError, lambda: client.models.generate_content(model="no-such-model", contents="hi"))
        check(gone.code == 404 and gone.status == "NOT_FOUND", gone)
    check(raises(trouble.ClientError, lambda: ask("hello", "limited")).code == 429, "limited")
    raises(trouble.ServerError, lambda: ask("hello", "broken"))
    raises(Exception, lambda: list(client.models.generate_content_stream(model=MODELS["torn"], contents="hello")))


def retries():
    if "flaky" not in MODELS:
        return "only behind a gateway"
    patient = genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=ROOT, retry_options=types.HttpRetryOptions(
        attempts=9, initial_delay=0.1, max_delay=1.0)))
    for _ in range(4):
        check(patient.models.generate_content(model=MODELS["flaky"], contents="hello").text)


def cancel():
    if "slow" not in MODELS:
        return "only behind a gateway"
    answer = client.models.generate_content_stream(model=MODELS["slow"], contents="hello")
    check(next(answer))
    answer.close()


run([chat, stream, tools, vision, structured, reasoning, count, embeddings, errors, retries, cancel])
