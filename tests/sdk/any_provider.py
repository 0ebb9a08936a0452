"""What all clients in Python are put through, whatever provider answers: the setting, the questions, and the report."""

import base64
import json
import struct
import sys
import traceback
import zlib

SETTING = json.loads(sys.argv[1])
ROOT, KEY, BEHIND = SETTING["root"], SETTING["key"], SETTING["behind"]
MODELS = SETTING["models"]

WEATHER = {"type": "object", "properties": {"city": {"type": "string"}, "unit": {"type": "string", "enum": ["C", "F"]}},
           "required": ["city", "unit"]}
CLOCK = {"type": "object", "properties": {"zone": {"type": "string"}}, "required": ["zone"]}
PUMP = {"type": "object", "properties": {"name": {"type": "string"}, "bars": {"type": "integer"},
                                         "running": {"type": "boolean"}},
        "required": ["name", "bars", "running"], "additionalProperties": False}
ASK_ONE = "What is the weather in Paris? Please call get_weather."
ASK_TWO = "Now call get_clock and get_weather."


def png():
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(b"\0\xff\0\0")) + chunk(b"IEND", b""))


PNG = png()
PNG_BASE64 = base64.b64encode(PNG).decode()
SEES = f"[image image/png {len(PNG)} bytes]"


def check(condition, *what):
    if not condition:
        raise AssertionError(" ".join(str(w)[:500] for w in what) or "it does not hold")


def check_pump(text):
    pump = json.loads(text)
    check(sorted(pump) == ["bars", "name", "running"] and isinstance(pump["bars"], int), text)


def check_weather(arguments):
    check(set(arguments) == {"city", "unit"} and arguments["unit"] in ("C", "F"), arguments)


def raises(kinds, call):
    """The exception."""
    try:
        answer = call()
    except kinds as error:
        return error
    raise AssertionError(f"no error came: {str(answer)[:300]}")


def run(functions):
    failed = 0
    for function in functions:
        name = function.__name__
        try:
            left_out = function()
            print(f"ok   {name}" if not left_out else f"left out {name}: {left_out}")
        except Exception as error:  # whatever a client thinks of
            failed += 1
            lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == sys.argv[0]]
            print(f"FAIL {name} ({BEHIND}), lines {lines}: {type(error).__name__}: {str(error)[:1500]}")
    sys.exit(1 if failed else 0)
