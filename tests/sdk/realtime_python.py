"""OpenAI's Python client and the websockets package talk to a realtime model. Arguments: base URL, key."""

import sys

import openai
from websockets.sync.client import connect

base_url, key = sys.argv[1:]
client = openai.OpenAI(base_url=base_url, api_key=key)
with client.realtime.connect(model="talk") as connection:
    assert connection.recv().type == "session.created"
    connection.conversation.item.create(
        item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Say hello!"}]})
    connection.response.create()
    text = ""
    for event in connection:
        if event.type == "response.output_text.delta":
            text += event.delta
        elif event.type == "response.output_text.done":
            assert event.text == text, (event.text, text)
        elif event.type == "response.done":
            assert event.response.usage.output_tokens == 20, event.response.usage
            break
print("ok   openai-python: realtime.connect")

url = base_url.replace("http:", "ws:") + "/realtime?model=talk"
for compression in ("deflate", None):
    with connect(url, additional_headers={"Authorization": f"Bearer {key}"}, compression=compression,
                 subprotocols=["realtime"]) as socket:
        assert socket.subprotocol == "realtime"
        assert "session.created" in socket.recv()
        for size in (10, 1000, 100000):
            socket.send('{"type":"conversation.item.create","item":{"text":"%s"}}' % ("ü" * size))
            assert "ü" * size in socket.recv()
        socket.ping().wait(10)
print("ok   websockets: with and without compression")
