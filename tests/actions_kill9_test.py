"""Actions at real machines while the gateway is killed: each alarm leads to one write at most, also when what led to it is sent again."""

import json
import pathlib
import random
import re
import subprocess
import textwrap
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


def comes_again(gateway, samples):
    """All samples that earlier gateways were given. The newest alarm may be acted on now, if the gateway was killed before it noted that it
    would; waits for the end of that."""
    offer(gateway, samples)
    until(lambda: taken(gateway) >= len(samples), "what comes again")

    def idle():
        """Without samples the pipeline may not have begun yet."""
        listed = request(gateway.admin_port, "GET", "/admin/v1/actions").json()["actions"]
        return listed and listed[0]["counts"].get("begun", 0) == listed[0]["counts"].get("confirmed", 0)
    until(idle, "the end of what is under way")


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
        whats = [event["what"] for event in history(gateway)]
        made = settled = count()
        # And the next alarm is acted on as ever.
        offer(gateway, [(90, stamp(3 * ROUNDS))])
        until(lambda: len(history(gateway, what="confirmed")) == whats.count("confirmed") + 1, "an action that is confirmed")
        equal(count(), settled + 1)
        told = whats.count("confirmed") + whats.count("unknown")
        check(told >= made, f"{made} writes, of which the history tells {told}")
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


harness.run(globals())
