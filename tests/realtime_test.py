"""OpenAI's realtime API through the gateway to the mock: raw, and with OpenAI's, npm's and PyPI's own clients."""

import pathlib
import shutil
import subprocess

import harness
from harness import check, equal, until
from websocket_client import CLOSE, FIN, TEXT, Refused, WebSocket, frame, tls_listener

KEY = "sk-realtime-0000000001"
PROVIDER_KEY = "sk-provider-key-00000001"
PYTHON = harness.ROOT / ".cache" / "venv" / "bin" / "python"
MODULES = harness.ROOT / ".cache" / "node" / "node_modules"


def config(mock, keys=None):
    keys = keys or f"""
  - {{ name: app, secret: {KEY}, models: [talk, cut, forbidden, missing, broken, dead, "lab/*"] }}
  - {{ name: other, secret: sk-other-0000000000001, models: [chat] }}
  - {{ name: small, secret: sk-small-0000000000001, limits: {{ tpm: 40 }} }}"""
    return f"""
providers:
  lab: {{ type: openai, base_url: {mock.url}, api_key: {PROVIDER_KEY} }}
  gone: {{ type: openai, base_url: http://127.0.0.1:1/v1 }}
models:
  talk:      {{ route: [ {{ to: lab/real model }} ], fallback: [] }}
  cut:       {{ route: [ {{ to: lab/mock-cut }} ] }}
  forbidden: {{ route: [ {{ to: lab/mock-401 }} ] }}
  missing:   {{ route: [ {{ to: lab/missing-model }} ] }}
  broken:    {{ route: [ {{ to: lab/mock-500 }} ] }}
  dead:      {{ route: [ {{ to: gone/model }} ] }}
keys:{keys}
"""


mock = gateway = None


def connect(model="talk", at=None, query="", **more):
    return WebSocket((at or gateway).port, f"/v1/realtime?model={model}{query}", **{"key": KEY, **more})


def respond(ws, tokens=8):
    """One response: its events' types and its usage."""
    ws.text({"type": "response.create", "response": {"max_output_tokens": tokens}})
    types = []
    while True:
        event = ws.event()
        types.append(event["type"])
        if event["type"] == "response.done":
            return types, event["response"]["usage"]


def test_a_conversation_passes_through():
    with connect(protocols="realtime, openai-beta.realtime-v1", query="&intent=talk", offer="permessage-deflate") as ws:
        equal(ws.headers["sec-websocket-protocol"], "realtime")
        check(ws.headers["x-penstock-target"].startswith("lab/"), ws.headers)
        check("x-request-id" in ws.headers)
        equal(ws.event()["type"], "session.created")
        last = mock.last()
        equal(last["path"], "/v1/realtime?model=real%20model&intent=talk")
        equal(last["authorization"], f"Bearer {PROVIDER_KEY}")
        equal(last["body"], "realtime, openai-beta.realtime-v1")
        ws.text({"type": "session.update", "session": {"instructions": "be brief"}})
        equal(ws.event()["type"], "session.updated")
        ws.text({"type": "conversation.item.create", "item": {"content": "ä" * 30000}})
        equal(ws.event()["item"]["content"], "ä" * 30000)
        types, usage = respond(ws)
        equal(types, ["response.created"] + ["response.output_text.delta"] * 8 + ["response.output_text.done", "response.done"])
        again, second = respond(ws)
        equal(again, types)
        ws.close(1000, "thank you")
        equal(ws.closing()[0], 1000)
    total = usage["input_tokens"] + second["input_tokens"]
    until(lambda: gateway.metric("penstock_tokens_total", kind="input", model="talk") == total, "the tokens to be counted")
    equal(gateway.metric("penstock_tokens_total", kind="output", model="talk"), 16)
    equal(gateway.metric("penstock_requests_total", api="openai", model="talk", status="101"), 1)
    check(gateway.metric("penstock_websocket_messages_total", api="openai", direction="out") == 25)
    until(lambda: '"talk"' in harness.request(gateway.admin_port, "GET", "/admin/v1/usage").text(), "a row of usage")
    check(PROVIDER_KEY not in gateway.log() and KEY not in gateway.log(), "a key in the log")


def test_a_browsers_key_is_taken_and_not_passed_on():
    with connect(key=None, protocols=f"realtime, openai-insecure-api-key.{KEY}, openai-organization.org-1") as ws:
        equal(ws.headers["sec-websocket-protocol"], "realtime")
        equal(ws.event()["type"], "session.created")
        equal(mock.last()["body"], "realtime")
    with connect(key=None, query=f"&key={KEY}") as ws:
        equal(ws.event()["type"], "session.created")
        check(KEY not in mock.last()["path"], mock.last())


def refusal(model="talk", **more):
    try:
        connect(model, **more).drop()
    except Refused as error:
        return error.status, harness.json.loads(error.body)["error"]
    raise harness.Failure("the connection was not refused")


def test_refusals_before_the_upgrade_are_plain_answers():
    equal(refusal(key=None)[0], 401)
    equal(refusal(key="sk-wrong")[0], 401)
    equal(refusal(key="sk-other-0000000000001")[0], 403)
    equal(refusal("")[0], 400)
    equal(refusal("lab/nothing%00")[0], 400)
    equal(refusal("nonsense")[0], 403)
    equal(refusal(headers={"Origin": "https://evil.example"})[0], 403)
    equal(gateway.request("GET", "/v1/realtime?model=talk", key=KEY).status, 426)


def test_a_provider_that_refuses():
    status, error = refusal("forbidden")
    check(status in (500, 502) and "gateway's own key" in error["message"], status, error)
    equal(refusal("missing")[0], 404)
    check(refusal("broken")[0] >= 500)
    check(refusal("dead")[0] in (502, 503))


def test_a_provider_that_breaks_off():
    with connect("cut") as ws:
        equal(ws.event()["type"], "session.created")
        ws.text({"type": "response.create"})
        while (event := ws.event())["type"] != "error":
            pass
        equal(event["error"]["type"], "server_error")
        equal(ws.closing()[0], 1011)
    until(lambda: gateway.metric("penstock_requests_total", model="cut", error_type="provider_cut") == 1, "the metric")


def test_a_key_over_its_tokens_is_told_and_closed():
    with connect(key="sk-small-0000000000001") as ws:
        ws.event()
        types = []
        for _ in range(10):
            ws.text({"type": "response.create", "response": {"max_output_tokens": 20}})
            while (event := ws.event())["type"] not in ("response.done", "error"):
                pass
            types.append(event["type"])
            if event["type"] == "error":
                break
        equal(types[0], "response.done")
        equal(event["error"]["code"], "rate_limit_exceeded")
        equal(ws.closing()[0], 1008)
    try:
        connect(key="sk-small-0000000000001")
        raise harness.Failure("the key has no tokens left")
    except Refused as error:
        equal(error.status, 429)


def test_a_revoked_key_is_told_and_closed_and_a_reload_keeps_the_rest():
    with harness.Gateway(config(mock)) as other, connect(at=other) as ws, connect(at=other, key="sk-small-0000000000001") as stays:
        ws.event()
        stays.event()
        other.write(config(mock, """
  - { name: small, secret: sk-small-0000000000001, limits: { tpm: 40000 } }"""))
        event = ws.event()
        equal(event["type"], "error")
        equal(event["error"]["code"], "invalid_api_key")
        equal(ws.closing()[0], 1008)
        check(respond(stays)[1]["output_tokens"] == 8)


def test_wrong_frames_end_both_sides():
    with connect() as ws:
        ws.event()
        ws.raw(frame(FIN | TEXT, b"\xff"))
        equal(ws.closing()[0], 1007)
    until(lambda: gateway.metric("penstock_websocket_connections") == 0, "both sides to end")


def test_a_provider_that_speaks_http2_is_reached_over_http1():
    listen = tls_listener()
    authority = pathlib.Path(listen.split("cert: ")[1].split(",")[0]).with_name("ca.pem")
    with harness.Gateway(config(mock), listen=listen) as provider:
        front = f"""
providers:
  far: {{ type: openai, base_url: "https://127.0.0.1:{provider.port}/v1", api_key: {KEY}, tls: {{ ca: {authority} }} }}
models:
  talk: {{ route: [ {{ to: far/talk }} ] }}
"""
        with harness.Gateway(front) as other:
            for _ in range(2):
                equal(other.request("GET", "/v1/models").status, 200)
                other.chat("talk")  # over HTTP/2
                with connect(at=other, key=None) as ws:
                    equal(ws.event()["type"], "session.created")
                    equal(respond(ws)[1]["output_tokens"], 8)


def test_close_codes_pass_both_ways():
    with connect() as ws:
        ws.event()
        ws.send(FIN | CLOSE, b"\x0f\xa1mine")
        equal(ws.closing()[0], 4001)


def client(*command, more=()):
    done = subprocess.run([*map(str, command), f"http://127.0.0.1:{gateway.port}/v1", KEY, *more], capture_output=True, text=True,
                          timeout=60, check=False)
    print(done.stdout, end="")
    equal(done.returncode, 0, done.stderr[-2000:])


def test_openai_python_and_websockets():
    if not (harness.ROOT / ".cache" / "sdk_python.stamp").exists():
        harness.skip(harness.sdk_reason("python"))
    client(PYTHON, harness.ROOT / "tests" / "sdk" / "realtime_python.py")


def test_openai_node_and_ws():
    if not shutil.which("node") or not (harness.ROOT / ".cache" / "sdk_node.stamp").exists():
        harness.skip(harness.sdk_reason("node"))
    with harness.Gateway(config(mock), listen=tls_listener()) as secure:  # OpenAI's client speaks TLS only
        client("node", harness.ROOT / "tests" / "sdk" / "realtime_node.mjs", MODULES, more=[f"https://127.0.0.1:{secure.port}/v1"])


if __name__ == "__main__":
    with harness.Mock("--api-key", PROVIDER_KEY, "--tokens", "20") as mock, harness.Gateway(config(mock)) as gateway:
        harness.run(globals())
