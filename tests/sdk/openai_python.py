"""OpenAI's own Python client against a gateway: BASE_URL KEY. Exits non-zero at the first surprise."""

import base64
import json
import math
import struct
import sys

import openai

client = openai.OpenAI(base_url=sys.argv[1], api_key=sys.argv[2], max_retries=0, timeout=20)
HELLO = [{"role": "user", "content": "hello"}]
WEATHER = [{"role": "user", "content": "What is the weather in Paris?"}]
TOOLS = [{"type": "function", "function": {
    "name": "get_weather", "description": "Weather of a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}, "unit": {"enum": ["C", "F"]}},
                   "required": ["city", "unit"]}}}]


def chat():
    answer = client.chat.completions.create(model="chat", messages=HELLO)
    assert answer.object == "chat.completion" and answer.choices[0].message.role == "assistant"
    assert answer.choices[0].message.content and answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0
    assert len(client.chat.completions.create(model="chat", messages=HELLO, n=2).choices) == 2
    assert client.chat.completions.create(model="chat", messages=HELLO, max_tokens=3).choices[0].finish_reason == "length"
    form = client.chat.completions.create(model="chat", messages=HELLO, response_format={"type": "json_object"})
    json.loads(form.choices[0].message.content)


def streaming():
    plain = client.chat.completions.create(model="chat", messages=HELLO, temperature=0)
    text, usage, last = "", None, None
    stream = client.chat.completions.create(model="chat", messages=HELLO, stream=True, stream_options={"include_usage": True})
    for chunk in stream:
        if chunk.choices:
            text += chunk.choices[0].delta.content or ""
            last = chunk.choices[0].finish_reason or last
        usage = chunk.usage or usage
    assert len(text.split()) == len(plain.choices[0].message.content.split()) and last == "stop", text
    assert usage is not None and usage.completion_tokens > 0
    chunks = list(client.chat.completions.create(model="chat", messages=HELLO, stream=True))
    assert all(chunk.usage is None for chunk in chunks), "usage nobody asked for"
    assert all(chunk.choices for chunk in chunks), "an empty chunk nobody asked for"


def tools():
    answer = client.chat.completions.create(model="chat", messages=WEATHER, tools=TOOLS)
    call = answer.choices[0].message.tool_calls[0]
    assert answer.choices[0].finish_reason == "tool_calls" and call.function.name == "get_weather"
    assert json.loads(call.function.arguments)["unit"] in ("C", "F")
    follow = WEATHER + [answer.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "18 C"}]
    assert client.chat.completions.create(model="chat", messages=follow, tools=TOOLS).choices[0].message.content
    name, arguments, finish = None, "", None
    for chunk in client.chat.completions.create(model="chat", messages=WEATHER, tools=TOOLS, stream=True):
        for part in chunk.choices[0].delta.tool_calls or []:
            name = part.function.name or name
            arguments += part.function.arguments or ""
        finish = chunk.choices[0].finish_reason or finish
    assert name == "get_weather" and finish == "tool_calls" and "city" in json.loads(arguments)


def completions():
    assert client.completions.create(model="chat", prompt="Once").choices[0].text
    assert "".join(c.choices[0].text for c in client.completions.create(model="chat", prompt="Once", stream=True))


def embeddings():
    # The client asks for base64 by itself and decodes it.
    packed = client.embeddings.create(model="embed", input=["one pump", "two pumps"])
    assert [e.index for e in packed.data] == [0, 1] and packed.usage.total_tokens > 0
    floats = client.embeddings.create(model="embed", input="one pump", encoding_format="float", dimensions=64)
    vector = floats.data[0].embedding
    assert len(vector) == 64 and math.isclose(sum(x * x for x in vector), 1, rel_tol=1e-3)
    text = client.embeddings.create(model="embed", input="one pump", encoding_format="base64", dimensions=64).data[0].embedding
    decoded = struct.unpack("<64f", base64.b64decode(text)) if isinstance(text, str) else text
    assert all(math.isclose(a, b, abs_tol=1e-6) for a, b in zip(decoded, vector))


def models():
    names = {model.id for model in client.models.list()}
    assert {"chat", "embed"} <= names, names
    assert client.models.retrieve("chat").id == "chat"


def raises(kind, call, code=None):
    try:
        call()
    except kind as error:
        assert code is None or error.code == code, error.code
        assert str(error) and error.request_id, "no message or no request id"
        return error
    raise AssertionError(f"expected {kind.__name__}")


def errors():
    create = client.chat.completions.create
    raises(openai.NotFoundError, lambda: create(model="chatt", messages=HELLO), "model_not_found")
    raises(openai.BadRequestError, lambda: create(model="chat", messages=[]))
    raises(openai.AuthenticationError, lambda: client.with_options(api_key="wrong").chat.completions.create(model="chat", messages=HELLO))
    raises(openai.PermissionDeniedError, lambda: create(model="secret", messages=HELLO))
    raises(openai.RateLimitError, lambda: create(model="limited", messages=HELLO))
    raises(openai.InternalServerError, lambda: create(model="broken", messages=HELLO))
    try:
        for _ in create(model="torn", messages=HELLO, stream=True):
            pass
    except openai.APIError as error:
        assert error.message
    else:
        raise AssertionError("a torn stream looked complete")


def headers():
    answer = client.chat.completions.with_raw_response.create(model="chat", messages=HELLO)
    assert answer.headers["x-request-id"] and answer.headers["x-penstock-target"] == "lab/small"
    assert int(answer.headers["x-penstock-attempts"]) == 1 and int(answer.headers["x-penstock-overhead-us"]) >= 0
    assert answer.headers["x-penstock-cache"] in ("hit", "miss", "off")
    assert answer.parse().choices[0].message.content


def audio():
    sound = bytes(i % 251 for i in range(300_000))
    heard = client.audio.transcriptions.create(model="chat", file=("pump.wav", sound))
    assert heard.text == "The mock provider heard 300000 bytes.", heard
    assert client.audio.translations.create(model="chat", file=("pump.wav", sound[:1000])).text
    spoken = client.audio.speech.create(model="chat", voice="alloy", input="300000 bytes")
    assert spoken.read() == sound
    with client.audio.speech.with_streaming_response.create(model="chat", voice="alloy", input="300000 bytes") as answer:
        assert b"".join(answer.iter_bytes()) == sound
    raises(openai.PermissionDeniedError, lambda: client.audio.transcriptions.create(model="secret", file=("a.wav", sound)))


def judged_and_painted():
    assert client.moderations.create(model="chat", input="violence").results[0].flagged
    assert not client.moderations.create(input="peace", extra_headers={"x-penstock-provider": "lab"}).results[0].flagged
    drawn = client.images.generate(model="chat", prompt="a pump", n=2)
    assert len(drawn.data) == 2 and base64.b64decode(drawn.data[0].b64_json).startswith(b"\x89PNG")
    assert drawn.usage.output_tokens == 32


def batches():
    made = client.batches.create(input_file_id="file-1", endpoint="/v1/chat/completions", completion_window="24h")
    assert made.id in [batch.id for batch in client.batches.list()]
    assert client.batches.retrieve(made.id).status == "in_progress"
    assert client.batches.cancel(made.id).status == "cancelling"
    raises(openai.NotFoundError, lambda: client.batches.retrieve("batch_nobody"))


def files():
    lines = b'{"custom_id":"1"}\n' * 40_000
    made = client.files.create(file=("lines.jsonl", lines), purpose="batch")
    assert made.bytes == len(lines) and made.filename == "lines.jsonl" and made.purpose == "batch"
    assert made.id in [file.id for file in client.files.list()]
    assert client.files.retrieve(made.id).bytes == len(lines)
    assert client.files.content(made.id).read() == lines
    assert client.files.delete(made.id).deleted
    raises(openai.NotFoundError, lambda: client.files.retrieve(made.id))


failed = 0
for test in (chat, streaming, tools, completions, embeddings, models, errors, headers, audio, judged_and_painted, batches, files):
    try:
        test()
        print(f"ok   {test.__name__}", flush=True)
    except Exception as problem:
        failed += 1
        print(f"FAIL {test.__name__}: {type(problem).__name__}: {problem} (line {problem.__traceback__.tb_next.tb_lineno})", flush=True)
sys.exit(1 if failed else 0)
