"""What devices push: every format over HTTP and in messages of a WebSocket, coded and uncoded, whole or not at all."""

import gzip
import json
import struct
import zlib

import harness
from harness import check, equal, until
from websocket_client import BINARY, FIN, TEXT, WebSocket, frame

OUT = harness.FOLDER / "out.ndjson"
CONFIG = f"""
keys:
  - {{ name: device, secret: pk-device-0123456789ab }}
sources:
  line: {{ http: {{}} }}
  fixed: {{ http: {{}}, format: line }}
pipelines:
  keep: {{ from: [line, fixed], to: [ {{ file: {{ path: "{OUT}" }} }} ] }}
"""


def cbor(value):
    """The few kinds that a device needs."""
    def head(major, number):
        if number < 24:
            return bytes([major << 5 | number])
        for info, form, limit in ((24, ">B", 1 << 8), (25, ">H", 1 << 16), (26, ">I", 1 << 32), (27, ">Q", 1 << 64)):
            if number < limit:
                return bytes([major << 5 | info]) + struct.pack(form, number)
        raise ValueError(number)
    if isinstance(value, bool):
        return b"\xf5" if value else b"\xf4"
    if isinstance(value, int):
        return head(0, value) if value >= 0 else head(1, -1 - value)
    if isinstance(value, float):
        return b"\xfb" + struct.pack(">d", value)
    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    if isinstance(value, bytes):  # little-endian float32
        return b"\xd8\x55" + head(2, len(value)) + value
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(map(cbor, value))
    return head(5, len(value)) + b"".join(cbor(name) + cbor(one) for name, one in value.items())


def lines():
    return [json.loads(line) for line in OUT.read_text().split("\n")[:-1]] if OUT.exists() else []


def push(body, kind, source="line", **headers):
    return gateway.post(f"/ingest/{source}", body, key="pk-device-0123456789ab", headers={"Content-Type": kind, **headers})


def arrived(mark):
    """The samples with this mark, once there is one."""
    return until(lambda: [one for one in lines() if one.get("mark") == mark], f"samples marked {mark}")


def test_every_format_arrives_as_the_same_sample():
    time = "2026-01-31T12:00:00Z"
    bodies = {
        "application/json": json.dumps({"time": time, "device": "p", "temp": 21.5, "mark": "a"}),
        "application/x-ndjson": json.dumps({"time": time, "device": "p", "temp": 21.5, "mark": "b"}) + "\n",
        "text/csv": f"time,device,temp,mark\n{time},p,21.5,c\n",
        "text/plain; charset=utf-8": 'm,device=p temp=21.5,mark="d" 1769860800000000000\n',
        "application/cbor": cbor({"time": time, "device": "p", "temp": 21.5, "mark": "e"}),
    }
    for mark, (kind, body) in zip("abcde", bodies.items()):
        answer = push(body, kind)
        equal((answer.status, answer.json()), (202, {"accepted": 1}), kind)
        sample = arrived(mark)[0]
        equal((sample["time"], sample["device"], sample["temp"]), ("2026-01-31T12:00:00.000Z", "p", 21.5), kind)


def test_a_burst_of_vibration_comes_as_a_typed_array():
    burst = [0.5, -1.5, 2.0]
    equal(push(cbor([{"mark": "burst", "vib": struct.pack("<3f", *burst)}]), "application/cbor").status, 202)
    equal(arrived("burst")[0]["vib"], burst)


def test_bodies_may_be_compressed():
    text = "\n".join(f'm,device=p v={i},mark="gz"' for i in range(1000)).encode()
    equal(push(gzip.compress(text), "text/plain", **{"Content-Encoding": "gzip"}).json(), {"accepted": 1000})
    equal(push(zlib.compress(cbor([{"mark": "zl"}])), "application/cbor", **{"Content-Encoding": "deflate"}).json(), {"accepted": 1})
    until(lambda: len(arrived("gz")) == 1000, "all of them")


def test_a_body_with_a_mistake_is_refused_whole_and_says_where():
    cases = [
        ("text/plain", "m v=1\nm v=\n", "line 2"),
        ("text/csv", "a,b\n1\n", "line 2"),
        ("application/x-ndjson", '{"a":1}\n{"a":\n', "line 2"),
        ("application/cbor", b"\x82" + cbor({"a": 1}) + cbor(5), "element 1"),
        ("application/cbor", cbor({"a": 1})[:-1], "byte"),
        ("application/cbor", b"\x81" * 500, "nested"),
        ("application/cbor", b"\x9b" + b"\x7f" * 8, "too early"),
        ("image/png", "x", "application/cbor"),
    ]
    for kind, body, why in cases:
        answer = push(body, kind)
        equal(answer.status, 400, kind, body)
        check(why in answer.text(), answer.text(), "does not say", why)
    check(gateway.alive())


def test_a_source_with_a_fixed_format_asks_no_content_type():
    equal(push('m mark="fixed"', "application/json", "fixed").status, 202)
    equal(arrived("fixed")[0]["device"], "fixed")


def test_messages_of_a_websocket_are_text_or_cbor_and_each_is_answered():
    ws = WebSocket(gateway.port, "/ingest/line/ws", key="pk-device-0123456789ab")
    ws.raw(frame(FIN | TEXT, b'{"mark":"ws"}\n{"mark":"ws"}'))
    ws.raw(frame(FIN | BINARY, cbor([{"mark": "ws"}] * 3)))
    ws.raw(frame(FIN | BINARY, b"\x00"))
    ws.raw(frame(FIN | BINARY, cbor({"mark": "ws"})))
    answers = [json.loads(ws.receive()[1]) for _ in range(4)]
    equal([answer.get("accepted") for answer in answers], [2, 3, None, 1])
    check("element 0" in json.dumps(answers[2]), answers[2])
    until(lambda: len(arrived("ws")) == 6, "six samples")


def test_ten_thousand_samples_in_one_request():
    body = "\n".join('{"mark":"many","v":1}' for _ in range(10_000))
    equal(push(body, "application/x-ndjson").json(), {"accepted": 10_000})
    until(lambda: len(arrived("many")) == 10_000, "all of them", 30)
    equal(push(body + chr(10) + "{}", "application/x-ndjson").status, 413)


gateway = harness.Gateway(CONFIG)
harness.run(globals())
