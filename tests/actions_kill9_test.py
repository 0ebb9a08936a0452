"""Actions at real machines while the gateway is killed: each alarm leads to one write at most, also when what led to it is sent again, and
a look at the machine tells what became of it."""

import json
import pathlib
import random
import re
import socket
import subprocess
import textwrap
import threading
import time

import harness
from harness import Gateway, check, equal, folder, request, until
from receivers import Webhook

ROUNDS = 50
PYTHON = pathlib.Path(__file__).resolve().parent.parent / ".cache" / "venv" / "bin" / "python"

# Requests to write are printed.
SERVER = textwrap.dedent("""
    import asyncio, sys
    from pymodbus.datastore import ModbusSequentialDataBlock, ModbusServerContext
    try:
        from pymodbus.datastore import ModbusDeviceContext as Context
    except ImportError:
        from pymodbus.datastore import ModbusSlaveContext as Context
    from pymodbus.server import ModbusTcpServer
    def watch(sending, pdu):
        if not sending and pdu.function_code in (5, 6, 15, 16):
            print("wrote", pdu, flush=True)
        return pdu
    async def main():
        plain = lambda: ModbusSequentialDataBlock(1, [0] * 100)
        device = Context(co=plain(), di=plain(), ir=plain(), hr=plain())
        try:
            context = ModbusServerContext(devices=device, single=True)
        except TypeError:
            context = ModbusServerContext(slaves=device, single=True)
        server = ModbusTcpServer(context, address=("127.0.0.1", 0), trace_pdu=watch)
        await server.serve_forever(background=True)
        print("ready", server.transport.sockets[0].getsockname()[1], flush=True)
        await asyncio.Event().wait()
    asyncio.run(main())
""")


class Press:
    """A Modbus machine that counts what it was told."""

    def __init__(self):
        if not PYTHON.exists() or subprocess.run([PYTHON, "-c", "import pymodbus"], capture_output=True, check=False).returncode:
            harness.skip("pymodbus is not installed: " + (harness.sdk_reason("python") or "./dev test installs it"))
        self.out = folder() / "writes"
        with open(self.out, "wb") as out:
            self.process = subprocess.Popen([PYTHON, "-c", SERVER], stdout=out, stderr=subprocess.STDOUT)
        ready = until(lambda: re.search(r"^ready (\d+)$", self.out.read_text(), re.M) or self.process.poll() is not None, "the machine")
        check(ready is not True, self.out.read_text())
        self.port = int(ready[1])

    def writes(self):
        return sum(line.startswith("wrote") for line in self.out.read_text().splitlines())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


class Wire:
    """Between the gateway and a Modbus machine. What it swallows gets no answer: "writes" on their way to the machine, the "answers" to them,
    or "all"."""

    def __init__(self, machine):
        self.machine, self.swallows, self.writes = machine, None, 0
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                gateway, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(gateway,), daemon=True).start()

    @staticmethod
    def frame(stream):
        head = stream.read(6)
        return head + stream.read(int.from_bytes(head[4:6], "big")) if len(head) == 6 else b""

    def serve(self, gateway):
        with gateway, socket.create_connection(("127.0.0.1", self.machine)) as machine:
            try:
                asked, answered = gateway.makefile("rb"), machine.makefile("rb")
                while request := self.frame(asked):
                    write = request[7] in (5, 6, 15, 16)
                    self.writes += write
                    if self.swallows == "all" or (write and self.swallows == "writes"):
                        continue
                    machine.sendall(request)
                    answer = self.frame(answered)
                    if not (write and self.swallows == "answers"):
                        gateway.sendall(answer)
            except OSError:
                return

    def source(self):
        return f", plc: {{ modbus: tcp://127.0.0.1:{self.port}, every: 20ms, timeout: 1s, points: {{ stop: 'h40001:rw' }} }}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.close()


def config(source, deed):
    """`max_age` is so long that it is not the age that saves anybody."""
    return f"""
sources: {{ gauges: {{ http: {{}} }}{source} }}
pipelines:
  line:
    from: gauges
    steps:
      - alarm: {{ name: hot, raise: "temp > 80", clear: "temp < 70" }}
      - do: {{ name: stop, on: hot.raised, {deed}, max_age: 1h, confirm_within: 3s }}
"""


def history(gateway, **query):
    words = "&".join(f"{name}={value}" for name, value in query.items())
    return request(gateway.admin_port, "GET", f"/admin/v1/action-history?limit=10000&{words}").json()["events"]


def offer(gateway, samples):
    for temp, at in samples:
        equal(gateway.post("/ingest/gauges", {"device": "press-1", "temp": temp, "time": at}).status, 202)


def taken(gateway):
    """Samples that the pipeline has worked on."""
    return request(gateway.admin_port, "GET", "/admin/v1/pipelines").json()["pipelines"][0]["in"]


def id_of(event):
    return re.search(r"\[([^\]]+)\]", event["why"])[1]


def under_way(gateway):
    """Begun, and not yet how it ended; or to be read back."""
    newest = {}
    for event in history(gateway):
        if event["what"] in ("begun", "confirmed", "failed", "unknown"):
            newest.setdefault(id_of(event), event)
    return [event for event in newest.values() if event["what"] == "begun" or (event["what"] == "unknown" and "it is read back" in event["why"])]


def active(gateway):
    return {alarm["name"] for alarm in request(gateway.admin_port, "GET", "/admin/v1/alarms").json()["active"]}


def comes_again(gateway, samples):
    """All samples that earlier gateways were given. The newest alarm may be acted on now, if the gateway was killed before it noted that it
    would; waits for the end of that."""
    offer(gateway, samples)
    until(lambda: taken(gateway) >= len(samples), "what comes again")
    # Without samples the pipeline may not have begun yet.
    begun = lambda: request(gateway.admin_port, "GET", "/admin/v1/actions").json()["actions"]
    until(lambda: begun() and not under_way(gateway), "the end of what is under way")


def rounds(text, count, seed):
    """Kills the gateway again and again around the action that it makes, and gives each next one all that the others were given, the newest
    alarm last. `count()` is how many writes the machine saw: at most one from an alarm to the next, however often it is told."""
    dice = random.Random(seed)
    data_dir = folder() / "data"
    begin = time.time() - 3 * ROUNDS
    samples, before = [], 0
    stamp = lambda second: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(begin + second))
    for i in range(ROUNDS):
        with Gateway(text, data_dir=data_dir) as gateway:
            comes_again(gateway, samples)
            check(count() - before <= 1, f"round {i}: one alarm, {count() - before} writes")
            before = count()
            samples += [(90, stamp(3 * i))]
            offer(gateway, samples[-1:])
            # Around the intent, the write and the confirmation, which are within some milliseconds.
            time.sleep(dice.uniform(0, 0.03))
            gateway.kill()
        samples += [(60, stamp(3 * i + 1))]
    with Gateway(text, data_dir=data_dir) as gateway:
        comes_again(gateway, samples)
        check(count() - before <= 1, f"the last round: one alarm, {count() - before} writes")
        events = history(gateway)
        whats = [event["what"] for event in events]
        made = settled = count()
        # And the next alarm is acted on as ever.
        offer(gateway, [(90, stamp(3 * ROUNDS))])
        until(lambda: len(history(gateway, what="confirmed")) == whats.count("confirmed") + 1, "an action that is confirmed")
        equal(count(), settled + 1)
        told = {id_of(event) for event in events if event["what"] in ("confirmed", "unknown")}
        check(len(told) >= made, f"{made} writes, of which the history tells {len(told)}")
    print(f"     ({ROUNDS} kills: {made} writes, {whats.count('confirmed')} confirmed, {whats.count('unknown')} unknown, {whats.count('missed')} missed)")
    check(made >= ROUNDS // 10, "the kills came too early to mean anything:", made)
    check(made < ROUNDS or "unknown" in whats, "the kills came too late to mean anything")


def test_calls():
    with Webhook() as hook:
        rounds(config("", f"call: {{ url: '{hook.url}/stop' }}"), lambda: len(hook.calls), 11)
        ids = [body["id"] for body in hook.bodies()]
        equal(len(ids), len(set(ids)))


def test_writes_to_a_machine():
    with Press() as press:
        source = f", plc: {{ modbus: tcp://127.0.0.1:{press.port}, every: 20ms, timeout: 500ms, points: {{ stop: 'h40001:rw' }} }}"
        rounds(config(source, "write: { plc.stop: 1 }"), press.writes, 12)


def test_killed_between_the_intent_and_the_confirmation():
    """Every time: the machine has the call and has not answered."""
    with Webhook() as hook:
        text = config("", f"call: {{ url: '{hook.url}/stop' }}")
        data_dir = folder() / "data"
        now = time.time() - 100
        samples = []
        for i in range(5):
            hook.release.clear()
            with Gateway(text, data_dir=data_dir) as gateway:
                offer(gateway, samples)
                samples.append((90, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now + 2 * i))))
                offer(gateway, samples[-1:])
                until(lambda n=i + 1: len(hook.calls) == n, "the call")
                gateway.kill()
            hook.release.set()
            samples.append((60, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now + 2 * i + 1))))
            with Gateway(text, data_dir=data_dir) as gateway:
                offer(gateway, samples)
                until(lambda: taken(gateway) >= len(samples), "what comes again")
                until(lambda n=i + 1: len(history(gateway, what="unknown")) == n, "what is not known")
                equal(len(hook.calls), i + 1, json.dumps(history(gateway)))
                equal(gateway.stop(), 0)


def stamp(ago):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - ago))


def happened(gateway):
    return [event["what"] for event in reversed(history(gateway))]


def test_killed_after_the_write_the_machine_tells_that_it_was_made():
    with Press() as press, Wire(press.port) as wire:
        wire.swallows = "answers"
        with Gateway(config(wire.source(), "write: { plc.stop: 1 }")) as gateway:
            offer(gateway, [(90, stamp(9))])
            until(lambda: press.writes() == 1, "the write")
            gateway.kill()
        wire.swallows = "all"
        with Gateway(config(wire.source(), "write: { plc.stop: 1 }"), data_dir=gateway.data_dir) as again:
            until(lambda: happened(again) == ["begun", "unknown"], "what is not known")
            equal(active(again), {"hot", "stop-failed"})
            wire.swallows = None
            until(lambda: happened(again) == ["begun", "unknown", "confirmed"], "what the machine tells", 40)
            check("read back: plc.stop reads 1" in history(again)[0]["why"], history(again))
            equal({id_of(event) for event in history(again)}, {id_of(history(again)[0])})
            until(lambda: active(again) == {"hot"}, "all is well")
            equal(again.metric("penstock_actions_total", outcome="confirmed"), 1.0)
            equal((press.writes(), wire.writes), (1, 1))


def test_killed_before_the_write_the_machine_tells_that_it_was_not_made():
    with Press() as press, Wire(press.port) as wire:
        wire.swallows = "writes"
        samples = [(90, stamp(9))]
        with Gateway(config(wire.source(), "write: { plc.stop: 1 }")) as gateway:
            offer(gateway, samples)
            until(lambda: wire.writes == 1, "the write")
            gateway.kill()
        wire.swallows = None
        with Gateway(config(wire.source(), "write: { plc.stop: 1 }"), data_dir=gateway.data_dir) as again:
            until(lambda: happened(again) == ["begun", "unknown", "failed"], "what the machine tells")
            check("plc.stop was to be 1 and reads 0" in history(again)[0]["why"], history(again))
            equal(active(again), {"hot", "stop-failed"})
            offer(again, samples)
            until(lambda: taken(again) == len(samples), "what comes again")
            equal(wire.writes, 1, "nobody writes by himself")
            # The next alarm is a reason, and ends the trouble.
            offer(again, [(60, stamp(5)), (90, stamp(4))])
            until(lambda: happened(again)[-2:] == ["begun", "confirmed"], "the next one")
            equal((press.writes(), active(again)), (1, {"hot"}))


def test_a_link_that_broke_under_a_write_is_asked_when_it_is_back():
    with Press() as press, Wire(press.port) as wire:
        with Gateway(config(wire.source(), "write: { plc.stop: 1 }")) as gateway:
            wire.swallows = "answers"
            offer(gateway, [(90, stamp(9))])
            until(lambda: press.writes() == 1, "the write")
            wire.swallows = "all"
            until(lambda: happened(gateway) == ["begun", "unknown"], "what is not known")
            equal(active(gateway), {"hot", "stop-failed"})
            wire.swallows = None
            until(lambda: happened(gateway) == ["begun", "unknown", "confirmed"], "what the machine tells", 40)
            equal((press.writes(), active(gateway)), (1, {"hot"}))


harness.run(globals())
