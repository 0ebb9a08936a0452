"""Upstreams as they are in practice: down, back, slow to accept, behind names, full, and left by impatient clients."""

import contextlib
import json
import os
import signal
import socket
import struct
import threading

import harness
from harness import check, equal, until
from scripted_upstream import sockets

ANSWER = json.dumps({"id": "x", "object": "chat.completion", "created": 1, "model": "m",
                     "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
                     "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}).encode()


class Upstream:
    """A provider that can be stopped, started again on its port, told to fail, and told to take its time."""

    def __init__(self, host="127.0.0.1", port=0, start=True):
        self.host = host
        self.status = 200
        self.hold = None  # an event that answers wait for
        self.connects = 0
        self.requests = []
        self.open = set()
        self.listener = None
        self.port = port
        self.listen()
        if not start:
            self.stop()

    @property
    def url(self):
        return f"http://{self.host}:{self.port}/v1"

    def listen(self, backlog=64):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((self.host, self.port))
        self.port = self.listener.getsockname()[1]
        self.listener.listen(backlog)
        threading.Thread(target=self.accept_all, args=(self.listener,), daemon=True).start()

    def accept_all(self, listener):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                self.connects += 1
                self.open.add(connection)
                threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with contextlib.suppress(OSError, ValueError, IndexError):
            file = connection.makefile("rb")
            while line := file.readline():
                length = 0
                while (field := file.readline().strip().lower()):
                    if field.startswith(b"content-length:"):
                        length = int(field[15:])
                file.read(length)
                self.requests.append(line.split()[1].decode())
                if self.hold is not None:
                    self.hold.wait(20)
                head = f"HTTP/1.1 {self.status} X\r\ncontent-type: application/json\r\ncontent-length: {len(ANSWER)}\r\n\r\n"
                connection.sendall(head.encode() + ANSWER)
        self.open.discard(connection)
        connection.close()

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in list(self.open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.stop()


class Full:
    """A listener that accepts nobody and whose backlog is full, until it is opened."""

    def __init__(self, host="127.0.0.1", port=0):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((host, port))
        self.listener.listen(0)
        self.host, self.port = self.listener.getsockname()
        self.fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect((self.host, self.port))
            self.fillers.append(filler)

    def close(self):
        for each in (*self.fillers, self.listener):
            each.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Dns:
    """Answers every question for IPv4 addresses with the same list."""

    def __init__(self, addresses, ttl=60):
        self.addresses = addresses
        self.ttl = ttl
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.asked = 0
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                question, sender = self.socket.recvfrom(512)
                end = question.index(b"\0", 12) + 1
                ipv4 = question[end:end + 2] == b"\0\1"
                self.asked += ipv4
                found = self.addresses if ipv4 else []
                head = question[:2] + struct.pack(">HHHHH", 0x8180, 1, len(found), 0, 0)
                records = b"".join(b"\xc0\x0c\0\1\0\1" + struct.pack(">IH", self.ttl, 4) + socket.inet_aton(a) for a in found)
                self.socket.sendto(head + question[12:end + 4] + records, sender)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def two_providers(a, b, more=""):
    return f"""
providers:
  a: {{ type: openai, base_url: {a}, {more} }}
  b: {{ type: openai, base_url: {b} }}
models:
  chat: {{ route: [ a/m, b/m ], strategy: priority, retry: {{ attempts: 1 }} }}
"""


def one_provider(url, more="connect_timeout: 5s", top=""):
    return f"""
providers:
  a: {{ type: openai, base_url: {url}, {more} }}
models:
  chat: {{ route: [ a/m ], retry: {{ attempts: 1 }} }}
{top}"""


def target(answer):
    return answer.headers["x-penstock-target"]


def asked(gateway):
    answer = gateway.chat()
    equal(answer.status, 200, answer)
    return target(answer)


def test_a_provider_that_is_down_is_ejected_and_comes_back():
    with Upstream(start=False) as a, Upstream() as b:
        with harness.Gateway(two_providers(a.url, b.url, "outlier: { failures: 3, eject: 500ms }")) as gateway:
            equal(gateway.metric("penstock_upstream_healthy", provider="a"), 1)
            for _ in range(3):
                equal(asked(gateway), "b/m")
            equal(gateway.metric("penstock_upstream_ejections_total", provider="a"), 1)
            equal(gateway.metric("penstock_upstream_connect_failures_total", provider="a"), 3)
            until(lambda: "provider ejected" in gateway.log(), "the ejection in the log")
            a.listen()
            until(lambda: asked(gateway) == "a/m", "the provider to be asked again")
            equal(gateway.metric("penstock_upstream_healthy", provider="a"), 1)
            until(lambda: "provider is back" in gateway.log(), "the return in the log")


def test_an_ejected_provider_is_not_asked_while_another_answers():
    with Upstream() as a, Upstream() as b:
        a.status = 500
        with harness.Gateway(two_providers(a.url, b.url, "outlier: { failures: 2, eject: 1h }")) as gateway:
            for _ in range(10):
                equal(asked(gateway), "b/m")
            equal(len(a.requests), 2)
            equal(gateway.metric("penstock_upstream_healthy", provider="a"), 0)
            providers = harness.request(gateway.admin_port, "GET", "/admin/v1/models").json()["providers"]
            equal([p["state"] for p in providers], ["ejected", "up"])
            check(providers[0]["ejected_seconds_left"] > 3000, providers[0])
            # Better an ejected one than none.
            a.status = 200
            b.stop()
            equal(asked(gateway), "a/m")


def test_active_checks_take_a_provider_out_before_a_caller_meets_it():
    with Upstream() as a, Upstream() as b:
        more = "health: { interval: 50ms, timeout: 1s, unhealthy_after: 2, healthy_after: 2 }"
        with harness.Gateway(two_providers(a.url, b.url, more)) as gateway:
            until(lambda: "/v1/models" in a.requests, "a check")
            equal(asked(gateway), "a/m")
            a.status = 503
            until(lambda: gateway.metric("penstock_upstream_healthy", provider="a") == 0, "the provider to be found down")
            equal(asked(gateway), "b/m")
            a.status = 200
            until(lambda: gateway.metric("penstock_upstream_healthy", provider="a") == 1, "the provider to be found up")
            equal(asked(gateway), "a/m")
            check("found down by its health check" in gateway.log() and "found up" in gateway.log(), gateway.log())
            equal(gateway.stop(), 0)


def test_a_name_with_dead_addresses_is_answered_by_the_living_one():
    with Upstream("127.0.0.2") as upstream, Full("127.0.0.1", upstream.port), \
            Dns(["127.0.0.1", "127.0.0.3", "127.0.0.2"]) as dns:
        config = one_provider(f"http://llm.example:{upstream.port}/v1", top=f"dns: {{ servers: [ '127.0.0.1:{dns.port}' ] }}\n")
        with harness.Gateway(config) as gateway:
            for _ in range(3):
                equal(asked(gateway), "a/m")
            equal((upstream.connects, dns.asked), (1, 1))
            equal(gateway.metric("penstock_upstream_dns_lookups_total"), 1)


def test_a_name_that_does_not_exist_says_so():
    with Dns([]) as dns:
        config = one_provider("http://nowhere.example:9/v1", top=f"dns: {{ servers: [ '127.0.0.1:{dns.port}' ] }}\n")
        with harness.Gateway(config) as gateway:
            answer = gateway.chat()
            equal(answer.status, 502)
            check("nowhere.example" in answer.text() and "resolved" in answer.text(), answer)


def test_a_reload_keeps_connections_unless_the_provider_changed():
    with Upstream() as a:
        with harness.Gateway(one_provider(a.url)) as gateway:
            equal(asked(gateway), "a/m")
            def reload(provider, model):
                gateway.write(one_provider(a.url, provider) + f"  {model}: {{ route: [ a/m ] }}\n")
                gateway.send(signal.SIGHUP)
                until(lambda: gateway.chat(model).status == 200, "the reload")

            reload("connect_timeout: 5s", "second")
            reload("connect_timeout: 5s, api_key: other", "third")
            equal(a.connects, 1, "connections:")
            reload("connect_timeout: 6s", "fourth")
            equal(a.connects, 2, "connections:")
            until(lambda: len(a.open) == 1, "the old connection to be closed")


def test_a_slow_accept_is_waited_for():
    with Full() as full:
        with harness.Gateway(one_provider(f"http://127.0.0.1:{full.port}/v1", "connect_timeout: 20s")) as gateway:
            answers = []
            caller = threading.Thread(target=lambda: answers.append(gateway.chat()))
            caller.start()
            until(lambda: gateway.metric("penstock_upstream_connections", state="open") == 1, "the connection being made")
            # The listener comes to life; the kernel sends the lost packet again within seconds.
            upstream = Upstream(start=False)
            upstream.listener = full.listener
            threading.Thread(target=upstream.accept_all, args=(full.listener,), daemon=True).start()
            caller.join(20)
            check(answers and answers[0].status == 200, answers)


def test_a_client_that_leaves_while_connecting_leaves_nothing_behind():
    with Full() as full:
        with harness.Gateway(one_provider(f"http://127.0.0.1:{full.port}/v1", "connect_timeout: 60s")) as gateway:
            before = sockets(gateway.pid)
            body = json.dumps(harness.chat_body()).encode()
            head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode()
            clients = [socket.create_connection(("127.0.0.1", gateway.port)) for _ in range(5)]
            for client in clients:
                client.sendall(head + body)
            until(lambda: gateway.metric("penstock_upstream_connections", state="open") == 5, "the connections being made")
            for client in clients:
                client.close()
            until(lambda: gateway.metric("penstock_upstream_connections", state="open") == 0, "the connections to be given up")
            # Scrapes have their own connections, closed by now or soon.
            until(lambda: sockets(gateway.pid) < before + len(clients), "the sockets to be closed")
            equal(gateway.metric("penstock_upstream_ejections_total", provider="a"), 0)


def test_calls_beyond_the_connections_wait_and_then_are_refused():
    with Upstream() as a:
        a.hold = threading.Event()
        with harness.Gateway(one_provider(a.url, "connections: { max: 1, waiting: 1 }")) as gateway:
            answers = []
            callers = [threading.Thread(target=lambda: answers.append(gateway.chat())) for _ in range(2)]
            callers[0].start()
            until(lambda: len(a.requests) == 1, "the first call")
            callers[1].start()
            until(lambda: gateway.metric("penstock_upstream_waits_total") == 1, "the second call to wait")
            refused = gateway.chat()
            equal(refused.status, 503)
            check("all 1 connections" in refused.text(), refused)
            a.hold.set()
            for caller in callers:
                caller.join(20)
            equal([answer.status for answer in answers], [200, 200])
            equal((a.connects, gateway.metric("penstock_upstream_refusals_total")), (1, 1))
            equal(gateway.metric("penstock_upstream_reused_total"), 1)


def test_a_connection_the_provider_closed_is_replaced_without_the_caller_noticing():
    with Upstream() as a:
        with harness.Gateway(one_provider(a.url)) as gateway:
            for round_number in range(1, 4):
                equal(asked(gateway), "a/m")
                equal(a.connects, round_number)
                a.stop()
                a.listen()
                until(lambda: not a.open, "the connections to end")


if __name__ == "__main__":
    harness.run(globals())
