"""Modbus devices of another maker (pymodbus) as a source: what they hold arrives, what they lose is seen."""

import pathlib
import re
import subprocess
import textwrap

import harness
from harness import check, equal, until

PYTHON = pathlib.Path(__file__).resolve().parent.parent / ".cache" / "venv" / "bin" / "python"
if not PYTHON.exists() or subprocess.run([PYTHON, "-c", "import pymodbus"], capture_output=True, check=False).returncode:
    harness.skip("pymodbus is not installed: " + (harness.sdk_reason("python") or "./dev test installs it"))

SERVER = textwrap.dedent("""
    import asyncio, sys
    from pymodbus.datastore import ModbusSequentialDataBlock, ModbusServerContext
    try:
        from pymodbus.datastore import ModbusDeviceContext as Context
    except ImportError:
        from pymodbus.datastore import ModbusSlaveContext as Context
    from pymodbus.server import ModbusTcpServer
    async def main():
        block = lambda values: ModbusSequentialDataBlock(1, values + [0] * (200 - len(values)))
        device = Context(co=block([0] * 16 + [1]), di=block([1, 0, 1]), ir=block([7, 65535]), hr=block([0x4148, 0, 0, 0x4148, 2500]))
        try:
            context = ModbusServerContext(devices=device, single=True)
        except TypeError:
            context = ModbusServerContext(slaves=device, single=True)
        server = ModbusTcpServer(context, address=("127.0.0.1", int(sys.argv[1])))
        await server.serve_forever(background=True)
        port = server.transport.sockets[0].getsockname()[1]
        print("ready", port, flush=True)
        await asyncio.Event().wait()
    asyncio.run(main())
""")


class Device:
    def __init__(self, port=0):
        self.process = subprocess.Popen([PYTHON, "-c", SERVER, str(port)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        match = re.match(r"ready (\d+)", line)
        if not match:
            self.process.kill()
            raise harness.Failure("the device did not start: " + self.process.communicate()[1][-2000:])
        self.port = int(match[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


CONFIG = """
sources:
  plc:
    modbus: tcp://127.0.0.1:%d
    every: 50ms
    timeout: 500ms
    points:
      temp: { at: "h40001:f32", unit: degC }
      turned: "h40003:f32.cdab"
      level: { at: h40005, scale: 0.01 }
      count: i30001
      low: i30002:i16
      running: c17
      door: d10003
pipelines:
  read: { from: plc, to: [ log: { every: 1h } ] }
"""


def pipeline(gate):
    return harness.request(gate.admin_port, "GET", "/admin/v1/pipelines").json()["pipelines"][0]


def test_values_units_and_a_device_that_comes_back():
    with Device() as device:
        port = device.port
        with harness.Gateway(CONFIG % port) as gate:
            last = until(lambda: pipeline(gate)["last"], "a sample")
            wanted = {"temp": 12.5, "turned": 12.5, "level": 25, "count": 7, "low": -1, "running": True, "door": True}
            equal({name: last.get(name) for name in wanted}, wanted)
            equal(last["units"], {"temp": "degC"})
            equal(last["device"], "plc")
            device.__exit__()
            until(lambda: (pipeline(gate)["last"] or {}).get("quality") == "bad", "the loss")
            sources = harness.request(gate.admin_port, "GET", "/admin/v1/pipelines").json()["sources"]
            check(not sources[0]["connected"] and str(port) in sources[0]["detail"], sources)
            with Device(port):
                until(lambda: (pipeline(gate)["last"] or {}).get("temp") == 12.5 and "quality" not in pipeline(gate)["last"], "its return")


ACT = """
  dev: { http: {} }
pipelines:
  read: { from: plc, to: [ log: { every: 1h } ] }
  guard:
    from: dev
    steps:
      - alarm: { name: hot, raise: "temp > 80" }
      - do: { on: hot.raised, write: { plc.running: false, plc.turned: 7.5 }, confirm_within: 3s }
"""


def test_an_action_is_written_and_read_back():
    with Device() as device:
        config = CONFIG.replace("running: c17", "running: c17:rw").replace("h40003:f32.cdab", "h40003:f32.cdab:rw")
        with harness.Gateway(config.split("pipelines:")[0].rstrip("\n") % device.port + ACT) as gate:
            read = lambda: next(p for p in harness.request(gate.admin_port, "GET", "/admin/v1/pipelines").json()["pipelines"] if p["name"] == "read")["last"]
            until(lambda: (read() or {}).get("running") is True, "the machine to run")
            equal(gate.post("/ingest/dev", {"device": "press-1", "temp": 90}).status, 202)
            until(lambda: read()["running"] is False and read()["turned"] == 7.5, "the machine to be stopped")
            done = until(lambda: harness.request(gate.admin_port, "GET", "/admin/v1/action-history").json()["events"], "the action in the history")
            check("confirmed" in str(done) or "done" in str(done), done)


def test_check_says_what_is_wrong_with_points():
    path = harness.folder() / "bad.yaml"
    path.write_text(CONFIG.replace("c17", "c17:f32") % 502)
    status, out, errors = harness.command("check", str(path))
    equal(status, 2)
    check("bad.yaml:13:16: sources.plc.points.running: 'c17:f32': a bit is a bool" in out + errors or
          "bad.yaml:13:16: 'c17:f32': a bit is a bool" in out + errors, out, errors)


if __name__ == "__main__":
    harness.run(globals())
