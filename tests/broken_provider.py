"""A gateway in front of a provider that breaks, and what a client and the log say of it."""

import concurrent.futures
import contextlib
import json

import harness
import scripted_upstream as upstream
from harness import check, equal, until
from scripted_upstream import BODY, ScriptedUpstream, chunked_stream, whole

LIMITS = "first_byte: 400ms, idle: 400ms, total: 1500ms"
PARALLEL = 8


def config(provider, more="outlier: { failures: 0 }", top=""):
    return f"""
providers:
  lab: {{ type: openai, base_url: {provider.url}, {more} }}
models:
  chat: {{ route: [ lab/m ], retry: {{ attempts: 1 }}, timeout: {{ first_byte: 10s, idle: 10s, total: 20s }} }}
  hasty: {{ route: [ lab/m ], retry: {{ attempts: 1 }}, timeout: {{ {LIMITS} }} }}
{top}"""


class Reply:
    """What a client saw of one call."""

    def __init__(self, status, headers, body=b"", events=(), cut=False):
        self.status = status
        self.id = headers.get("x-request-id")
        self.headers = headers
        self.body = body
        self.events = list(events)
        self.cut = cut

    def error(self):
        error = json.loads(self.events[-1] if self.events else self.body).get("error")
        check(isinstance(error, dict) and error.get("message"), "no error in", self)
        return error

    def __repr__(self):
        return f"{self.status} {'cut ' if self.cut else ''}{self.body[:200]!r} {self.events[-2:]!r}"


def ask(gateway, script, stream=False, model="chat", padding=""):
    body = harness.chat_body(model, script, **({"stream": True} if stream else {}), **({"user": padding} if padding else {}))
    if not stream:
        answer = gateway.post("/v1/chat/completions", body)
        return Reply(answer.status, answer.headers, answer.body)
    with harness.Stream(gateway.port, "/v1/chat/completions", body) as answer:
        if answer.status != 200 or "event-stream" not in answer.headers.get("content-type", ""):
            return Reply(answer.status, answer.headers, b"".join(answer.pieces()))
        reply = Reply(answer.status, answer.headers)
        try:
            for _, data in answer.events():
                reply.events.append(data)
        except harness.Cut:
            reply.cut = True
        return reply


def together(calls):
    """Runs the calls a few at a time: their results in order."""
    with concurrent.futures.ThreadPoolExecutor(PARALLEL) as pool:
        return [each.result(60) for each in [pool.submit(call) for call in calls]]


def logged(gateway, replies):
    """The access log's lines of the replies, in their order."""
    wanted = [reply.id for reply in replies]
    check(all(wanted), "an answer without x-request-id")

    def look():
        lines = {}
        for line in gateway.log().splitlines():
            if '"msg":"request"' in line:
                entry = json.loads(line)
                lines[entry["id"]] = entry
        return lines if all(each in lines for each in wanted) else None
    lines = until(look, "the access log")
    return [lines[each] for each in wanted]


@contextlib.contextmanager
def running(play, more="outlier: { failures: 0 }", top="", **options):
    """A gateway in front of a scripted provider; at the end nothing may be left over, and an ordinary call works."""
    def play_or_answer(connection, request, words):
        if words == ["fine"]:
            connection.sendall(chunked_stream() if b'"stream"' in request.body else whole())
            return True
        return play(connection, request, words)
    with ScriptedUpstream(play_or_answer, **options) as provider:
        with harness.Gateway(config(provider, more, top)) as gateway:
            equal(ask(gateway, "fine").status, 200)
            before = settled(gateway)
            memory = upstream.resident_kib(gateway.pid)
            gateway.provider = provider
            yield gateway
            check(gateway.alive(), "the gateway ended")
            for _ in range(3):
                equal(ask(gateway, "fine").body, BODY, "an ordinary call afterwards:")
            equal(ask(gateway, "fine", stream=True).events[-1], b"[DONE]", "an ordinary stream afterwards:")
            # The connection of the metrics may be there or not.
            until(lambda: settled(gateway) <= before + 1, "sockets to be closed")
            check(upstream.resident_kib(gateway.pid) < memory + 64 * 1024, "memory grew from", memory, "KiB to",
                  upstream.resident_kib(gateway.pid))
            equal(gateway.stop(), 0, "exit status:")


def settled(gateway):
    """The gateway's sockets without those of idle upstream connections, once there are no others."""
    def idle():
        kept = gateway.metric("penstock_upstream_connections", state="idle")
        return (kept,) if gateway.metric("penstock_upstream_connections", state="open") == kept else None
    kept = until(idle, "upstream connections to be given back")
    return upstream.sockets(gateway.pid) - kept[0]


def refused(gateway, replies, types, statuses=(502,)):
    """All of them are clean errors of the right kind."""
    for reply, line in zip(replies, logged(gateway, replies)):
        check(reply.status in statuses and not reply.cut, reply, line)
        check(reply.error()["type"] in ("server_error", "rate_limit_error", "invalid_request_error"), reply)
        check(line["error_type"] in types, line, reply)


def answer_with(table):
    """Plays the bytes a script names, and closes."""
    def play(connection, request, words):
        connection.sendall(table[words[0]])
        return False
    return play
