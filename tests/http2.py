"""HTTP/2 written by hand: frames as bytes, for tests that say what no client would. Requests are encoded without a table
(RFC 7541 section 6.2.2), so no HPACK library is needed; of answers only the status and the data are looked at."""

import contextlib
import socket
import struct
import time

import harness
from harness import Failure, check

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
FRAME_MAX = 16384
END_STREAM, ACK, END_HEADERS = 1, 1, 4
NO_ERROR, PROTOCOL_ERROR, CANCEL, ENHANCE_YOUR_CALM = 0, 1, 8, 11
STATIC_STATUS = {0x88: 200, 0x89: 204, 0x8A: 206, 0x8B: 304, 0x8C: 400, 0x8D: 404, 0x8E: 500}


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def field(name, value):
    name, value = name.encode(), value.encode()
    check(len(name) < 127)
    return b"\x10" + bytes([len(name)]) + name + integer(len(value)) + value


def integer(number):
    """A length of seven bits or more."""
    if number < 127:
        return bytes([number])
    out, number = b"\x7f", number - 127
    while number >= 128:
        out, number = out + bytes([number % 128 + 128]), number // 128
    return out + bytes([number])


def head(method, path, fields=()):
    pairs = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "localhost"), *fields]
    return b"".join(field(name, value) for name, value in pairs)


class Connection:
    """A connection that reads what comes into `frames`, and gives windows only when told to."""

    def __init__(self, port, window=65535):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=harness.PATIENCE)
        self.rest = b""
        self.frames = []
        self.ended = False
        self.next_stream = 1
        self.socket.sendall(PREFACE + frame(SETTINGS, 0, 0, struct.pack(">HI", 4, window)))

    def send(self, *pieces):
        self.socket.sendall(b"".join(pieces))

    def request(self, method, path, body=None, fields=(), end=True):
        """Sends a request and returns its stream's number."""
        stream = self.next_stream
        self.next_stream += 2
        block = head(method, path, fields)
        parts = [block[at:at + FRAME_MAX] for at in range(0, len(block), FRAME_MAX)]
        for at, part in enumerate(parts):
            flags = END_HEADERS if at + 1 == len(parts) else 0
            if at == 0:
                self.send(frame(HEADERS, flags | (END_STREAM if body is None and end else 0), stream, part))
            else:
                self.send(frame(CONTINUATION, flags, stream, part))
        if body is not None:
            self.send(frame(DATA, END_STREAM if end else 0, stream, body))
        return stream

    def read(self, seconds=harness.PATIENCE):
        """Takes what comes next; False at the end or when nothing came in time."""
        self.socket.settimeout(seconds)
        try:
            got = self.socket.recv(65536)
        except TimeoutError:
            return False
        except ConnectionResetError:
            got = b""
        self.ended = not got
        self.rest += got
        while len(self.rest) >= 9:
            size = int.from_bytes(self.rest[:3], "big")
            if len(self.rest) < 9 + size:
                break
            kind, flags, stream = self.rest[3], self.rest[4], int.from_bytes(self.rest[5:9], "big")
            payload, self.rest = self.rest[9:9 + size], self.rest[9 + size:]
            self.frames.append((kind, flags, stream, payload))
            if kind == SETTINGS and not flags & ACK:
                with contextlib.suppress(OSError):
                    self.send(frame(SETTINGS, ACK))
        return bool(got)

    def until(self, condition, what):
        end = time.monotonic() + harness.PATIENCE
        while not condition():
            if time.monotonic() > end or self.ended:
                raise Failure(f"{what} did not happen; frames: {[f[:3] for f in self.frames][-20:]}")
            self.read(1)

    def of(self, kind, stream=0):
        return [f for f in self.frames if f[0] == kind and f[2] == stream]

    def data(self, stream):
        return b"".join(f[3] for f in self.of(DATA, stream))

    def finished(self, stream):
        return any(f[2] == stream and f[0] in (DATA, HEADERS) and f[1] & END_STREAM for f in self.frames)

    def status(self, stream):
        """Of the answer, when it is one of those the static table has."""
        heads = self.of(HEADERS, stream)
        return STATIC_STATUS.get(heads[-1][3][0]) if heads else None

    def reset_code(self, stream):
        resets = self.of(RST_STREAM, stream)
        return int.from_bytes(resets[0][3], "big") if resets else None

    def goaway_code(self):
        """The error of the last GOAWAY; None without one."""
        all_of_them = self.of(GOAWAY)
        return int.from_bytes(all_of_them[-1][3][4:8], "big") if all_of_them else None

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
