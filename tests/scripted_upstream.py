"""A provider that does exactly what it is told, byte by byte: for tests of what happens when providers misbehave."""

import contextlib
import json
import os
import re
import socket
import ssl
import struct
import threading
import time

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
BODY = json.dumps({"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [
    {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}], "usage": USAGE}).encode()


def whole(body=BODY, status="200 OK", head=(), length=None):
    lines = [f"HTTP/1.1 {status}", "content-type: application/json", f"content-length: {len(body) if length is None else length}", *head]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


# Ends with the connection.
CLOSED = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n" + BODY


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


def sse_events():
    def event(**more):
        return b"data: " + json.dumps({"id": "x", "object": "chat.completion.chunk", **more}).encode() + b"\n\n"
    return [event(choices=[{"index": 0, "delta": {"content": "he"}, "finish_reason": None}]),
            event(choices=[{"index": 0, "delta": {"content": "llo"}, "finish_reason": None}]),
            event(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}]),
            event(choices=[], usage=USAGE),
            b"data: [DONE]\n\n"]


STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n\r\n"


def chunked_stream(events=None, end=b"0\r\n\r\n"):
    return STREAM_HEAD + CHUNKED + b"".join(chunk(e) for e in (sse_events() if events is None else events)) + end


def reset(connection):
    """Ends the connection with RST instead of FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


class Request:
    def __init__(self, line, fields, body):
        self.method, self.path = line.split()[:2]
        self.fields = fields
        self.body = body

    @property
    def script(self):
        """The text of the last message."""
        with contextlib.suppress(ValueError, KeyError, IndexError, TypeError):
            request = json.loads(self.body)
            content = request["input"] if "input" in request else request["messages"][-1]["content"]
            text = content if isinstance(content, str) else content[0]["text"]
            return text if isinstance(text, str) else ""
        return ""


def read_request(file, with_body=True):
    line = file.readline().decode("latin-1")
    if not line:
        return None
    fields = {}
    while field := file.readline().strip().decode("latin-1"):
        name, _, value = field.partition(":")
        fields[name.lower()] = value.strip()
    return Request(line, fields, file.read(int(fields.get("content-length", 0))) if with_body else b"")


class ScriptedUpstream:
    """`play(connection, request, words)` answers a request whose last message is a script: its words. It returns True
    when the connection goes on. Whatever it raises ends the connection."""

    def __init__(self, play, host="127.0.0.1", port=0, tls=None, read_bodies=True):
        self.play = play
        self.tls = tls
        self.read_bodies = read_bodies
        self.host = host
        self.port = port
        self.requests = []  # scripts, in the order they came
        self.connects = 0
        self.open = set()
        self.listener = None
        self.listen()

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}/v1"

    def listen(self):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((self.host, self.port))
        self.port = self.listener.getsockname()[1]
        self.listener.listen(256)
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def _accept(self, listener):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                self.connects += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        self.open.add(connection)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls is not None:
                plain = connection
                connection = self.tls.wrap_socket(connection, server_side=True)
                self.open.discard(plain)
                self.open.add(connection)
            file = connection.makefile("rb")
            while request := read_request(file, self.read_bodies):
                self.requests.append(request.script)
                if not self.play(connection, request, request.script.split()):
                    break
            file.close()
        except (OSError, ValueError, ssl.SSLError):
            pass
        self.open.discard(connection)
        connection.close()

    def stop(self):
        """Nobody listens any more, and nothing is left open."""
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in list(self.open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def raw_server(play):
    """A listener whose connections `play` gets as they are."""
    listener = socket.create_server(("127.0.0.1", 0))

    def accept():
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()

                def serve(connection=connection):
                    with contextlib.suppress(OSError), connection:
                        play(connection)
                threading.Thread(target=serve, daemon=True).start()
    threading.Thread(target=accept, daemon=True).start()
    return listener


def say(answer):
    """For raw_server(): the same answer whatever was asked, then the end."""
    def play(connection):
        connection.recv(65536)
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass
    return play


def drip(connection, data, seconds):
    """A byte at a time."""
    for i in range(len(data)):
        connection.sendall(data[i:i + 1])
        time.sleep(seconds)


class Dns:
    """A name server on loopback. `answer(name)` gives addresses, an rcode (3 NXDOMAIN, 2 SERVFAIL), bytes sent as they
    are, or None for no answer."""

    def __init__(self, answer):
        self.answer = answer
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.asked = []
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        with contextlib.suppress(OSError):
            while True:
                question, sender = self.socket.recvfrom(512)
                end = question.index(b"\0", 12) + 1
                labels, at = [], 12
                while question[at]:
                    labels.append(question[at + 1:at + 1 + question[at]].decode())
                    at += question[at] + 1
                name = ".".join(labels)
                self.asked.append(name)
                found = self.answer(name)
                if found is None:
                    continue
                if isinstance(found, bytes):
                    self.socket.sendto(found, sender)
                    continue
                rcode = found if isinstance(found, int) else 0
                addresses = [] if isinstance(found, int) or question[end:end + 2] != b"\0\1" else found
                head = question[:2] + struct.pack(">HHHHH", 0x8180 | rcode, 1, len(addresses), 0, 0)
                records = b"".join(b"\xc0\x0c\0\1\0\1" + struct.pack(">IH", 1, 4) + socket.inet_aton(a) for a in addresses)
                self.socket.sendto(head + question[12:end + 4] + records, sender)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


def sockets(pid):
    """How many sockets a process has open. Of other descriptors it opens some more after it said that it is ready."""
    count = 0
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            count += os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:")
    return count


def resident_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read())[1])
