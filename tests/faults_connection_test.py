"""Providers that cannot be reached, die and come back: the client is told, and what recovers does so by itself.
docs/reliability.md says what to expect of each."""

import concurrent.futures
import json
import os
import socket
import ssl
import threading
import time

import certificates
import harness
import scripted_upstream as upstream
from broken_provider import ask, config, logged, refused, together
from harness import check, equal, until
from scripted_upstream import BODY, CLOSED, ScriptedUpstream, chunked_stream, whole


# --- connections ---

def test_refused_connections_and_unusable_names_are_502():
    def answer(name):
        return {"nx.example": 3, "fail.example": 2, "refused.example": 5, "garbage.example": b"\0\1", "silent.example": None,
                "empty.example": []}.get(name, ["127.0.0.1"])
    with socket.socket() as closed, upstream.Dns(answer) as dns, ScriptedUpstream(lambda c, r, w: c.sendall(whole()) or True) as provider:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        names = ["nx", "fail", "refused", "garbage", "silent", "empty"]
        lines = "".join(f"  {n}: {{ type: openai, base_url: http://{n}.example:{port}/v1, connect_timeout: 800ms }}\n" for n in names)
        text = (f"providers:\n{lines}  here: {{ type: openai, base_url: http://good.example:{provider.port}/v1 }}\n"
                f"  closed: {{ type: openai, base_url: http://127.0.0.1:{port}/v1 }}\n"
                f"dns: {{ servers: [ '127.0.0.1:{dns.port}' ] }}\n")
        with harness.Gateway(text) as gateway:
            replies = together([lambda n=n: ask(gateway, "x", model=f"{n}/m") for n in [*names, "closed"]])
            refused(gateway, replies, ("provider_connect", "provider_timeout"), (502, 504))
            for name, reply in zip(names, replies):
                check(f"{name}.example" in reply.error()["message"], name, reply)
            equal(ask(gateway, "x", model="here/m").status, 200, "a good name beside them:")
            until(lambda: gateway.metric("penstock_upstream_dns_failures_total") >= 4, "DNS failures in the metrics")
        # No name server at all.
        with harness.Gateway(text.replace(str(dns.port), "1")) as gateway:
            refused(gateway, [ask(gateway, "x", model="silent/m")], ("provider_connect", "provider_timeout"), (502, 504))


def test_tls_that_fails_is_told_with_its_reason():
    made = certificates.Certificates()
    for name, host, dates in (("good", "localhost", None), ("expired", "localhost", certificates.PAST), ("future", "localhost", certificates.FUTURE),
                              ("other", "elsewhere.example", None)):
        made.leaf(name, f"DNS:{host}", dates=dates)
    made.own("self", "DNS:localhost")
    folder = made.folder

    def answer(connection, request, words):
        if words[-1] == "goodbye":
            connection.sendall(CLOSED)
            connection.unwrap()
        elif words[-1] == "rudely":
            connection.sendall(CLOSED)
        else:
            connection.sendall(whole())
        return words[-1] == "x"

    def contexts():
        for name in ("good", "expired", "future", "other", "self"):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
            yield name, context

    def silent(connection):
        connection.recv(4096)
        connection.recv(1)

    def dripping(connection):
        connection.recv(4096)
        upstream.drip(connection, b"\x16\3\3\0\x7a\2\0\0\x76\3\3" + bytes(300), 0.05)

    plays = {"garbage": lambda c: c.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "noise": lambda c: c.sendall(os.urandom(500)),
             "alert": lambda c: (c.recv(4096), c.sendall(b"\x15\3\3\0\2\2\x28")), "warning": lambda c: (c.recv(4096), c.sendall(b"\x15\3\3\0\2\1\0")),
             "closing": lambda c: c.recv(4096), "resetting": lambda c: (c.recv(1), upstream.reset(c)), "silent": silent, "dripping": dripping}
    servers = {name: ScriptedUpstream(answer, tls=context) for name, context in contexts()}
    listeners = {name: upstream.raw_server(play) for name, play in plays.items()}
    ports = {**{n: s.port for n, s in servers.items()}, **{n: s.getsockname()[1] for n, s in listeners.items()}}
    text = "providers:\n" + "".join(
        f"  {n}: {{ type: openai, base_url: 'https://localhost:{p}/v1', connect_timeout: 700ms, outlier: {{ failures: 0 }}, tls: {{ ca: {folder}/ca.pem }} }}\n"
        for n, p in ports.items())
    text = text.replace("connect_timeout: 700ms", "connect_timeout: 5s", 5)
    with harness.Gateway(text) as gateway:
        bad = [name for name in ports if name != "good"]
        before = upstream.sockets(gateway.pid)
        replies = together([lambda n=n: ask(gateway, "x", model=f"{n}/m") for n in bad * 2])
        for name, reply, line in zip(bad * 2, replies, logged(gateway, replies)):
            check(reply.status in (502, 504), name, reply)
            check(line["error_type"] in ("provider_connect", "provider_malformed", "provider_timeout"), name, line)
            words = {"expired": "expired", "future": "not yet valid", "other": "mismatch", "self": "self-signed", "silent": "time", "dripping": ""}
            check(words.get(name, "").lower() in reply.error()["message"].lower(), name, reply)
        equal(ask(gateway, "x", model="good/m").status, 200)
        equal(ask(gateway, "goodbye", model="good/m").body, BODY)
        # Whoever closes without TLS's goodbye may have been cut off by somebody else.
        reply = ask(gateway, "rudely", model="good/m")
        equal(reply.status, 502, reply)
        equal(logged(gateway, [reply])[0]["error_type"], "provider_cut")
        until(lambda: upstream.sockets(gateway.pid) <= before + 2, "sockets to be closed")
    for server in servers.values():
        server.stop()
    for listener in listeners.values():
        listener.close()


# --- dying and coming back ---

class Restartable(harness.Process):
    """`penstock mock` on a given port."""

    def __init__(self, port, *arguments):
        super().__init__(["mock", "--listen", f"127.0.0.1:{port}", *arguments], r"penstock mock ready (\S+):(\d+)")
        self.port = int(self.match[2])
        self.url = f"http://127.0.0.1:{self.port}/v1"


def test_a_killed_provider_breaks_what_is_under_way_and_nothing_after_its_restart():
    first = Restartable(0, "--tokens", "200", "--per-token", "20ms")
    with harness.Gateway(config(first)) as gateway:
        with harness.Stream(gateway.port, "/v1/chat/completions", harness.chat_body("chat", stream=True)) as answer:
            events = answer.events()
            next(events)
            first.kill()
            rest = [data for _, data in events]
            check("error" in json.loads(rest[-1]) and b"[DONE]" not in rest, rest[-1])
            check(not any(b'"finish_reason":"' in data for data in rest), "a finish reason after a cut")
        equal(ask(gateway, "x").status, 502)
        with Restartable(first.port):
            equal(ask(gateway, "x").status, 200, "after the restart:")
            until(lambda: gateway.metric("penstock_upstream_healthy", provider="lab") == 1, "its return")


def pair(a, b, more):
    return f"""
providers:
  a: {{ type: openai, base_url: {a.url}, {more} }}
  b: {{ type: openai, base_url: {b.url}, {more} }}
models:
  chat: {{ route: [ a/m, b/m ], strategy: priority, retry: {{ attempts: 1 }} }}
"""


def test_all_targets_down_is_an_error_until_one_is_back():
    def play(connection, request, words):
        connection.sendall(whole())
        return True
    with ScriptedUpstream(play) as a, ScriptedUpstream(play) as b:
        with harness.Gateway(pair(a, b, "outlier: { failures: 2, eject: 1h }")) as gateway:
            a.stop()
            b.stop()
            for _ in range(6):
                reply = ask(gateway, "x")
                equal(reply.status, 502, reply)
            until(lambda: gateway.metric("penstock_upstream_healthy") == 0, "both out")
            b.listen()
            reply = ask(gateway, "x")
            equal((reply.status, reply.headers["x-penstock-target"]), (200, "b/m"), "ejected for an hour, and the only one:")


def test_a_provider_that_only_begins_streams_is_ejected_and_tried_by_one_call_at_a_time():
    state = {"good": False}
    hold = threading.Event()

    def cutting(connection, request, words):
        if state["good"]:
            hold.wait(10)
            connection.sendall(chunked_stream())
            return True
        connection.sendall(chunked_stream(upstream.sse_events()[:1], b""))
        return False

    def good(connection, request, words):
        connection.sendall(chunked_stream())
        return True

    def target(reply):
        return reply.headers["x-penstock-target"]
    with ScriptedUpstream(cutting) as a, ScriptedUpstream(good) as b:
        with harness.Gateway(pair(a, b, "outlier: { failures: 3, eject: 1s }")) as gateway:
            for _ in range(3):
                reply = ask(gateway, "x", stream=True)
                check(target(reply) == "a/m" and reply.error(), reply)
            until(lambda: gateway.metric("penstock_upstream_ejections_total", provider="a") == 1, "cuts after the first event to count")
            until(lambda: target(ask(gateway, "x", stream=True)) == "b/m", "calls to go to the other one")
            # The trial that follows fails, which the next callers do not notice.
            until(lambda: target(ask(gateway, "x", stream=True)) == "a/m", "the trial")
            until(lambda: gateway.metric("penstock_upstream_ejections_total", provider="a") >= 2, "its ejection")
            state["good"] = True
            asked = len(a.requests)
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                trial = None

                def begun():
                    nonlocal trial
                    trial = trial or pool.submit(ask, gateway, "x", True)
                    if trial.done() and len(a.requests) == asked:
                        trial = None
                    return len(a.requests) > asked
                until(begun, "the next trial")
                # While one call tries it, all the others go to the good one.
                replies = together([lambda: ask(gateway, "x", stream=True)] * 24)
                equal({target(reply) for reply in replies}, {"b/m"})
                equal(len(a.requests), asked + 1, "calls that tried it:")
                providers = harness.request(gateway.admin_port, "GET", "/admin/v1/models").json()["providers"]
                equal([p["state"] for p in providers], ["trial", "up"])
                hold.set()
                equal(target(trial.result(20)), "a/m")
            until(lambda: gateway.metric("penstock_upstream_healthy", provider="a") == 1, "its return")
            replies = together([lambda: ask(gateway, "x", stream=True)] * 8)
            equal({target(reply) for reply in replies}, {"a/m"})
            check("provider ejected" in gateway.log() and "provider is back" in gateway.log(), "both in the log")


def test_a_caller_that_leaves_a_trial_leaves_it_to_the_next():
    state = {"status": "500 X"}
    hold = threading.Event()

    def play(connection, request, words):
        if words == ["leave"]:
            hold.wait(10)
        connection.sendall(whole(status=state["status"]))
        return True
    with ScriptedUpstream(play) as a, ScriptedUpstream(lambda c, r, w: c.sendall(whole()) or True) as b:
        with harness.Gateway(pair(a, b, "outlier: { failures: 2, eject: 300ms }")) as gateway:
            for _ in range(2):
                equal(ask(gateway, "x").status, 200)
            state["status"] = "200 OK"
            time.sleep(0.4)
            body = json.dumps(harness.chat_body("chat", "leave")).encode()
            with socket.create_connection(("127.0.0.1", gateway.port)) as client:
                client.sendall(f"POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
                until(lambda: "leave" in a.requests, "the trial")
            hold.set()
            until(lambda: ask(gateway, "x").headers["x-penstock-target"] == "a/m", "another trial")


if __name__ == "__main__":
    harness.run(globals())
