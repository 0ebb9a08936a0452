"""As much MQTT 3.1.1 as the benchmark needs: connect, subscribe and publish at QoS 0."""

import socket
import struct


def text(value):
    data = value.encode()
    return struct.pack(">H", len(data)) + data


def packet(kind, body):
    length, size = b"", len(body)
    while True:
        size, digit = divmod(size, 128)
        length += bytes([digit | 0x80 if size else digit])
        if not size:
            return bytes([kind]) + length + body


def publication(topic, payload):
    return packet(0x30, text(topic) + payload)


class Client:
    def __init__(self, port, name):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.send(packet(0x10, text("MQTT") + bytes([4, 2]) + struct.pack(">H", 0) + text(name)))
        kind, body = self.receive()
        if kind != 0x20 or body[1] != 0:
            raise RuntimeError(f"the broker refused the connection: {kind:#x} {body!r}")

    def send(self, data):
        self.socket.sendall(data)

    def subscribe(self, pattern):
        self.send(packet(0x82, struct.pack(">H", 1) + text(pattern) + b"\0"))
        kind, _ = self.receive()
        if kind != 0x90:
            raise RuntimeError(f"expected SUBACK, got {kind:#x}")

    def _fill(self):
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("the broker closed the connection")
        self.buffer += data

    def receive(self):
        """The next packet: (first byte, body)."""
        while True:
            at, size, shift = 1, 0, 0
            while at < len(self.buffer):
                digit = self.buffer[at]
                size |= (digit & 0x7F) << shift
                shift += 7
                at += 1
                if digit < 0x80:
                    if len(self.buffer) >= at + size:
                        kind, body = self.buffer[0], self.buffer[at:at + size]
                        self.buffer = self.buffer[at + size:]
                        return kind, body
                    break
            self._fill()

    def receive_publication(self):
        """The next (topic, payload)."""
        while True:
            kind, body = self.receive()
            if kind & 0xF0 == 0x30:
                size = struct.unpack(">H", body[:2])[0]
                return body[2:2 + size].decode(), body[2 + size + (2 if kind & 6 else 0):]

    def close(self):
        self.socket.close()
