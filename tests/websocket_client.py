"""A WebSocket client that sends frames as told, right or wrong. Python's standard library only."""

import base64
import hashlib
import json
import os
import socket
import struct
import zlib

import certificates
from harness import check, equal

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
FIN, RSV1 = 0x80, 0x40


def tls_listener():
    """An address of a configuration with a certificate nobody knows."""
    return f'{{ address: "127.0.0.1:0", tls: {{ {certificates.local().pair("server")} }} }}'


class Refused(Exception):
    def __init__(self, status, headers, body):
        super().__init__(f"{status} {body[:300]!r}")
        self.status, self.headers, self.body = status, headers, body


def frame(first, payload=b"", mask=b"\x11\x22\x33\x44"):
    head = bytes([first])
    bit = 0x80 if mask else 0
    if len(payload) < 126:
        head += bytes([bit | len(payload)])
    elif len(payload) < 65536:
        head += bytes([bit | 126]) + struct.pack("!H", len(payload))
    else:
        head += bytes([bit | 127]) + struct.pack("!Q", len(payload))
    if not mask:
        return head + payload
    repeated = (mask * (len(payload) // 4 + 1))[:len(payload)]
    masked = (int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")).to_bytes(len(payload), "big")
    return head + mask + masked


class Deflate:
    """permessage-deflate as a client speaks it."""

    def __init__(self, answer):
        given = dict((part.strip().split("=") + [""])[:2] for part in answer.split(";")[1:])
        self.forget_out = "client_no_context_takeover" in given
        self.forget_in = "server_no_context_takeover" in given
        self.bits = int(given.get("client_max_window_bits", 15) or 15)
        self.out = zlib.compressobj(wbits=-max(9, self.bits))
        self.into = zlib.decompressobj(wbits=-15)

    def encode(self, data):
        coded = self.out.compress(data) + self.out.flush(zlib.Z_SYNC_FLUSH)
        if self.forget_out:
            self.out = zlib.compressobj(wbits=-max(9, self.bits))
        return coded[:-4]

    def decode(self, data):
        text = self.into.decompress(data + b"\x00\x00\xff\xff")
        if self.forget_in:
            self.into = zlib.decompressobj(wbits=-15)
        return text


class WebSocket:
    def __init__(self, port, path, key=None, headers=None, protocols=None, offer=None, tls=None, seconds=10):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=seconds)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.socket = tls.wrap_socket(self.socket)
        self.nonce = base64.b64encode(os.urandom(16)).decode()
        fields = {"Host": f"127.0.0.1:{port}", "Upgrade": "websocket", "Connection": "Upgrade",
                  "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": self.nonce}
        if key:
            fields["Authorization"] = f"Bearer {key}"
        if protocols:
            fields["Sec-WebSocket-Protocol"] = protocols
        if offer:
            fields["Sec-WebSocket-Extensions"] = offer
        fields.update(headers or {})
        lines = [f"GET {path} HTTP/1.1"] + [f"{name}: {value}" for name, value in fields.items() if value is not None]
        self.socket.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
        self.file = self.socket.makefile("rb")
        self.status = int(self.file.readline().split(b" ")[1])
        self.headers = {}
        while (line := self.file.readline().strip()):
            name, _, value = line.decode().partition(":")
            self.headers[name.lower()] = value.strip()
        if self.status != 101:
            body = self.file.read(int(self.headers.get("content-length", 0)))
            self.drop()
            raise Refused(self.status, self.headers, body)
        accept = hashlib.sha1((self.nonce + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
        equal(self.headers.get("sec-websocket-accept"), base64.b64encode(accept).decode())
        agreed = self.headers.get("sec-websocket-extensions")
        self.deflate = Deflate(agreed) if agreed else None

    def raw(self, data):
        self.socket.sendall(data)

    def send(self, first, payload=b""):
        self.raw(frame(first, payload))

    def text(self, value):
        data = value if isinstance(value, (bytes, str)) else json.dumps(value)
        data = data.encode() if isinstance(data, str) else data
        if self.deflate:
            self.send(FIN | RSV1 | TEXT, self.deflate.encode(data))
        else:
            self.send(FIN | TEXT, data)

    def receive(self):
        """The next frame: (opcode, payload). (None, b"") at the end of the connection."""
        try:
            head = self.file.read(2)
        except ConnectionResetError:
            return None, b""
        if len(head) < 2:
            return None, b""
        check(head[1] & 0x80 == 0, "the server masked a frame")
        check(head[0] & FIN, "the server fragmented a message")
        size = head[1]
        if size == 126:
            size = struct.unpack("!H", self.file.read(2))[0]
        elif size == 127:
            size = struct.unpack("!Q", self.file.read(8))[0]
        payload = self.file.read(size)
        if head[0] & RSV1:
            payload = self.deflate.decode(payload)
        return head[0] & 15, payload

    def event(self):
        """The next text message as JSON."""
        opcode, payload = self.receive()
        equal(opcode, TEXT, payload)
        return json.loads(payload)

    def closing(self):
        """(code, reason) of the close frame that comes now; the code is None when the connection just ends."""
        opcode, payload = self.receive()
        if opcode is None:
            return None, ""
        equal(opcode, CLOSE, payload)
        return (struct.unpack("!H", payload[:2])[0] if payload else 1005), payload[2:].decode()

    def close(self, code=1000, reason=""):
        self.send(FIN | CLOSE, struct.pack("!H", code) + reason.encode())

    def drop(self):
        self.file.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.drop()
