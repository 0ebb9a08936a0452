"""WebSocket by the rules of RFC 6455 and RFC 7692, case by case, on the path devices use."""

import json
import ssl
import struct

import harness
from harness import check, equal, request, until
from websocket_client import BINARY, CLOSE, FIN, PING, PONG, RSV1, TEXT, Refused, WebSocket, frame, tls_listener

KEY = "sk-device-000000000001"
CONFIG = f"""
sources:
  line: {{ http: {{}} }}
keys:
  - {{ name: device, secret: {KEY} }}
  - {{ name: slow, secret: sk-slow-0000000000001, limits: {{ rpm: 3 }} }}
websocket: {{ message_max: 64KiB, per_key: 3, origins: ["https://app.example"] }}
"""
PATH = "/ingest/line/ws"
READING = {"device": "d1", "temp": 20.5}

gateway = None


def connect(**more):
    return WebSocket(gateway.port, PATH, **{"key": KEY, **more})


def refused(**more):
    try:
        connect(**more).drop()
    except Refused as refusal:
        return refusal
    raise harness.Failure("the connection was not refused")


def answers(data, offer=None):
    """What comes back for these bytes: texts as JSON, pongs, and the close code at the end. Byte by byte too."""
    results = []
    for pieces in (1, None):
        with connect(offer=offer) as ws:
            blob = data(ws) if callable(data) else data
            if pieces and len(blob) < 300:
                for i in range(len(blob)):
                    try:
                        ws.raw(blob[i:i + 1])
                    except (BrokenPipeError, ConnectionResetError):
                        break
            else:
                ws.raw(blob)
            seen = []
            while True:
                opcode, payload = ws.receive()
                if opcode == TEXT:
                    seen.append(json.loads(payload))
                elif opcode == PONG:
                    seen.append(payload)
                elif opcode == CLOSE:
                    seen.append(struct.unpack("!H", payload[:2])[0] if payload else 1005)
                    break
                else:
                    seen.append(None)
                    break
            results.append(seen)
    equal(results[0], results[1], "a split changed the answers")
    return results[0]


BYE = frame(FIN | CLOSE, b"\x03\xe8")
ONE = {"accepted": 1}


def reading(**more):
    return json.dumps({**READING, **more}, ensure_ascii=False).encode()


def test_every_message_is_acknowledged():
    data = frame(FIN | TEXT, reading()) + frame(FIN | TEXT, b"[" + reading() + b"," + reading() + b"]")
    data += frame(FIN | TEXT, reading() + b"\n" + reading() + b"\n" + reading()) + BYE
    equal(answers(data), [ONE, {"accepted": 2}, {"accepted": 3}, 1000])


def test_a_wrong_message_is_answered_and_the_connection_goes_on():
    seen = answers(frame(FIN | TEXT, b"{broken") + frame(FIN | TEXT, reading()) + BYE)
    check("error" in seen[0], seen)
    equal(seen[1:], [ONE, 1000])
    seen = answers(frame(FIN | BINARY, b"\x00\x01") + BYE)
    check("element 0" in seen[0]["error"], seen)


def test_lengths():
    for size in (0, 1, 125, 126, 127, 128, 4095, 4096, 4097, 65000):
        padding = "x" * size
        equal(answers(frame(FIN | TEXT, reading(pad=padding)) + BYE), [ONE, 1000], size)


def test_pings():
    equal(answers(frame(FIN | PING) + BYE), [b"", 1000])
    equal(answers(frame(FIN | PING, b"\x00\xff" * 62 + b"x") + BYE), [b"\x00\xff" * 62 + b"x", 1000])
    equal(answers(frame(FIN | PING, b"x" * 126)), [1002])
    equal(answers(frame(FIN | PONG, b"nobody asked") + BYE), [1000])
    equal(answers(b"".join(frame(FIN | PING, b"%d" % i) for i in range(10)) + BYE), [b"%d" % i for i in range(10)] + [1000])
    equal(answers(frame(PING, b"fragmented")), [1002])


def test_reserved_bits_and_opcodes():
    for bits in (0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70):
        equal(answers(frame(FIN | bits | TEXT, reading())), [1002], bits)
        equal(answers(frame(FIN | bits | PING)), [1002], bits)
        equal(answers(frame(FIN | bits | CLOSE)), [1002], bits)
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        equal(answers(frame(FIN | opcode)), [1002], opcode)
        equal(answers(frame(FIN | TEXT, reading()) + frame(FIN | opcode, b"x")), [ONE, 1002], opcode)


def test_frames_must_be_masked_and_their_lengths_short():
    equal(answers(frame(FIN | TEXT, reading(), mask=b"")), [1002])
    equal(answers(bytes([FIN | TEXT, 0x80 | 126, 0, 5]) + b"\0\0\0\0" + b"12345"), [1002])
    equal(answers(bytes([FIN | TEXT, 0x80 | 127]) + struct.pack("!Q", 300) + b"\0\0\0\0" + b"1" * 300), [1002])
    equal(answers(bytes([FIN | TEXT, 0x80 | 127]) + struct.pack("!Q", 1 << 63) + b"\0\0\0\0" + b"1"), [1002])


def test_fragments():
    body = reading()
    cut = [frame(TEXT, body[:5]), frame(0, b""), frame(0, body[5:9]), frame(FIN, body[9:])]
    equal(answers(b"".join(cut) + BYE), [ONE, 1000])
    equal(answers(cut[0] + frame(FIN | PING, b"between") + cut[1] + cut[2] + cut[3] + BYE), [b"between", ONE, 1000])
    equal(answers(b"".join(frame(TEXT if i == 0 else 0, bytes([c])) for i, c in enumerate(body)) + frame(FIN) + BYE), [ONE, 1000])
    equal(answers(frame(FIN, b"nothing to continue")), [1002])
    equal(answers(frame(0, b"nothing to continue")), [1002])
    equal(answers(frame(TEXT, b"{") + frame(FIN | TEXT, b"}")), [1002])
    equal(answers(frame(TEXT, b"{") + frame(FIN | BINARY, b"}")), [1002])


def test_text_is_utf8():
    for word in ("κόσμε", "日本語", "\U0001f600", "\ud7ff", "\ue000", "\U0010ffff", "\ufffd"):
        equal(answers(frame(FIN | TEXT, reading(note=word)) + BYE), [ONE, 1000], repr(word))
        body = reading(note=word)
        whole = b"".join(frame(TEXT if i == 0 else 0, bytes([c])) for i, c in enumerate(body)) + frame(FIN)
        equal(answers(whole + BYE), [ONE, 1000], repr(word))
    for bad in (b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited", b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf",
                b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80", b"\xf4\x90\x80\x80", b"\xed\xbf\xbf", b"\x80", b"\xfe", b"\xff",
                b"\xc2", b"\xe2\x82", b"\xf0\x9f\x98"):
        equal(answers(frame(FIN | TEXT, bad)), [1007], bad)
        equal(answers(frame(TEXT, bad[:1]) + frame(FIN, bad[1:])), [1007], bad)
    # At once: what follows never comes.
    with connect() as ws:
        ws.raw(frame(TEXT, b"\xce\xba\xff"))
        equal(ws.closing()[0], 1007)


def test_close():
    equal(answers(BYE + frame(FIN | TEXT, reading())), [1000])
    equal(answers(frame(FIN | CLOSE)), [1005])
    equal(answers(frame(FIN | CLOSE, b"\x03")), [1002])
    equal(answers(frame(FIN | CLOSE, b"\x03\xe8" + b"r" * 123)), [1000])
    equal(answers(frame(FIN | CLOSE, b"\x03\xe8" + b"r" * 124)), [1002])
    equal(answers(frame(FIN | CLOSE, b"\x03\xe8\xce\xba\xff")), [1007])
    for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999):
        equal(answers(frame(FIN | CLOSE, struct.pack("!H", code))), [code])
    for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535):
        equal(answers(frame(FIN | CLOSE, struct.pack("!H", code))), [1002], code)
    equal(answers(frame(TEXT, b"half a mess") + BYE), [1000])


def test_after_the_close_the_connection_ends():
    with connect() as ws:
        ws.close(1000, "bye")
        equal(ws.closing()[0], 1000)
        equal(ws.receive(), (None, b""))


def test_messages_have_a_limit():
    equal(answers(frame(FIN | TEXT, b"x" * 65537)), [1009])
    equal(answers(frame(TEXT, b"x" * 40000) + frame(FIN, b"x" * 40000)), [1009])
    equal(answers(bytes([FIN | BINARY, 0x80 | 127]) + struct.pack("!Q", (1 << 63) - 1) + b"\0\0\0\0x"), [1009])
    with connect() as ws:  # the sender of much more sees why
        try:
            ws.raw(frame(FIN | BINARY, b"x" * 8_000_000))
        except (BrokenPipeError, ConnectionResetError):
            pass
        equal(ws.closing()[0], 1009)


OFFERS = ["permessage-deflate", "permessage-deflate; client_max_window_bits", "permessage-deflate; client_max_window_bits=9",
          "permessage-deflate; server_max_window_bits=9", "permessage-deflate; server_max_window_bits=9; client_max_window_bits=9",
          "permessage-deflate; server_no_context_takeover", "permessage-deflate; client_no_context_takeover",
          "permessage-deflate; server_max_window_bits=15, permessage-deflate", "permessage-deflate; server_max_window_bits=8"]


def test_compressed_messages():
    for offer in OFFERS:
        def data(ws):
            blob = b""
            for size in (0, 16, 64, 256, 1024, 8192, 40000):
                blob += frame(FIN | RSV1 | TEXT, ws.deflate.encode(reading(pad="x" * size)))
            coded = ws.deflate.encode(reading(pad="abc" * 100))
            blob += frame(RSV1 | TEXT, coded[:7]) + frame(FIN | PING) + frame(0, b"") + frame(FIN, coded[7:])
            return blob + frame(FIN | TEXT, reading()) + BYE
        equal(answers(data, offer), [ONE] * 7 + [b"", ONE, ONE, 1000], offer)


def test_wrong_compression():
    offer = OFFERS[0]
    coded = lambda ws: ws.deflate.encode(reading())
    equal(answers(lambda ws: frame(RSV1 | TEXT, coded(ws)[:4]) + frame(FIN | RSV1, coded(ws)[4:]), offer), [1002])
    equal(answers(frame(FIN | RSV1 | PING), offer), [1002])
    equal(answers(frame(FIN | RSV1 | TEXT, b"\xff\xff\xff"), offer), [1007])
    equal(answers(lambda ws: frame(FIN | RSV1 | TEXT, ws.deflate.encode(b"\xc3\x28")), offer), [1007])
    equal(answers(lambda ws: frame(FIN | RSV1 | BINARY, ws.deflate.encode(b"\0" * 1_000_000)), offer), [1009])
    for bad in ("permessage-deflate; nonsense", "permessage-deflate; client_max_window_bits=16", "x-webkit-deflate-frame",
                "permessage-deflate; server_max_window_bits", ",;="):
        with connect(offer=bad) as ws:
            equal(ws.headers.get("sec-websocket-extensions"), None, bad)


def test_the_handshake_is_checked():
    for headers, status in (({"Upgrade": None}, 426), ({"Upgrade": "h2c"}, 426), ({"Connection": "close"}, 426),
                            ({"Sec-WebSocket-Version": "8"}, 426), ({"Sec-WebSocket-Version": None}, 426),
                            ({"Sec-WebSocket-Key": "short"}, 400), ({"Sec-WebSocket-Key": None}, 400),
                            ({"Origin": "https://evil.example"}, 403), ({"Origin": "null"}, 403)):
        refusal = refused(headers=headers)
        equal(refusal.status, status, headers)
        check("error" in json.loads(refusal.body), refusal.body)
        if status == 426:
            equal(refusal.headers.get("sec-websocket-version"), "13")
            equal(refusal.headers.get("upgrade"), "websocket")
    plain = request(gateway.port, "GET", PATH, key=KEY)
    equal(plain.status, 426)
    for origin in (f"http://127.0.0.1:{gateway.port}", "https://app.example"):
        connect(headers={"Origin": origin}).drop()


def test_keys_are_checked():
    equal(refused(key=None).status, 401)
    equal(refused(key="sk-wrong").status, 401)
    try:
        WebSocket(gateway.port, "/ingest/lime/ws", key=KEY)
        raise harness.Failure("there is no such source")
    except Refused as refusal:
        equal(refusal.status, 404)
        check("did you mean 'line'" in refusal.body.decode(), refusal.body)


def test_every_message_counts_as_a_request():
    with connect(key="sk-slow-0000000000001") as ws:
        seen = []
        for _ in range(5):
            ws.text(READING)
            seen.append(ws.event())
        check(ONE in seen and any("limit" in one.get("error", "") for one in seen), seen)


def test_connections_of_a_key_are_bounded():
    until(lambda: gateway.metric("penstock_websocket_connections") == 0, "earlier connections to end")
    held = [connect() for _ in range(3)]
    refusal = refused()
    equal(refusal.status, 429)
    check("per_key" in refusal.body.decode(), refusal.body)
    for ws in held:
        ws.drop()
    until(lambda: gateway.metric("penstock_websocket_connections") == 0, "dropped connections to be noticed")
    connect().drop()


def test_metrics_count_what_passes():
    before = gateway.metric("penstock_websocket_messages_total", api="ingest", direction="in")
    connections = gateway.metric("penstock_websocket_connections_total", api="ingest")
    equal(answers(frame(FIN | TEXT, reading()) * 3 + BYE)[-1], 1000)
    until(lambda: gateway.metric("penstock_websocket_messages_total", api="ingest", direction="in") == before + 6, "six messages")
    equal(gateway.metric("penstock_websocket_connections_total", api="ingest"), connections + 2)
    check(gateway.metric("penstock_websocket_closes_total", api="ingest", code="1000") > 0)
    check(gateway.metric("penstock_websocket_bytes_total", api="ingest", direction="out") > 0)
    until(lambda: '"route":"/ingest/{source}/ws"' in gateway.log() and '"status":101' in gateway.log(), "the log")


def test_over_tls():
    with harness.Gateway(CONFIG, listen=tls_listener()) as secure:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with WebSocket(secure.port, PATH, key=KEY, tls=context) as ws:
            for _ in range(3):
                ws.text(reading(pad="y" * 20000))
                equal(ws.event(), ONE)
            ws.close()
            equal(ws.closing()[0], 1000)


def test_a_reload_keeps_connections_and_a_revoked_key_ends_them():
    with harness.Gateway(CONFIG) as other:
        with WebSocket(other.port, PATH, key=KEY) as ws:
            other.write(CONFIG + "\ncompression: { min_bytes: 4096 }\n")
            until(lambda: "configuration reloaded" in other.log(), "the reload")
            ws.text(READING)
            equal(ws.event(), ONE)
            other.write(CONFIG.replace(KEY, "sk-another-000000000001"))
            until(lambda: other.log().count("configuration reloaded") == 2, "the reload")
            ws.text(READING)
            check("error" in ws.event())
            equal(ws.closing()[0], 1008)


def test_draining_says_goodbye():
    other = harness.Gateway(CONFIG)
    with WebSocket(other.port, PATH, key=KEY) as ws:
        ws.text(READING)
        equal(ws.event(), ONE)
        other.send(harness.signal.SIGTERM)
        code, reason = ws.closing()
        equal(code, 1001)
        check("shutting down" in reason, reason)
        ws.close(1001)
    equal(other.wait(), 0)


if __name__ == "__main__":
    with harness.Gateway(CONFIG) as gateway:
        harness.run(globals())
