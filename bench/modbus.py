"""`modbus`: 100,000 points a second read from simulated devices, through a pipeline that filters and thins them out."""

import json
import time
import urllib.request

import programs
import report
import servers

DEVICES = 20
POINTS = 500  # of each, as 32-bit floats
EVERY_MS = 100
WANTED = DEVICES * POINTS * 1000 // EVERY_MS

CLIENT = """
import asyncio, sys, time
from pymodbus.client import AsyncModbusTcpClient
async def device(port, until, counts):
    client = AsyncModbusTcpClient("127.0.0.1", port=port)
    await client.connect()
    due = time.monotonic()
    while time.monotonic() < until:
        for first in range(0, %d * 2, 124):
            answer = await client.read_holding_registers(first, count=min(124, %d * 2 - first))
            if answer.isError(): raise SystemExit(str(answer))
            client.convert_from_registers(answer.registers, client.DATATYPE.FLOAT32)
            counts[0] += len(answer.registers) // 2
        due += %f
        await asyncio.sleep(max(0, due - time.monotonic()))
async def main():
    counts = [0]
    begun = time.monotonic()
    await asyncio.gather(*(device(int(port), begun + float(sys.argv[1]), counts) for port in sys.argv[2:]))
    print(f"RESULT points={counts[0] / (time.monotonic() - begun)} cpu={time.process_time() * 1e6 / counts[0]}")
asyncio.run(main())
""" % (POINTS, POINTS, EVERY_MS / 1000)


def config(ports):
    points = ", ".join(f"p{i}: 'h#{2 * i}:f32'" for i in range(POINTS))
    sources = "\n".join(f"  plc{n}: {{ modbus: 'tcp://127.0.0.1:{port}', every: {EVERY_MS}ms, points: *points }}" for n, port in enumerate(ports[1:], 1))
    names = ", ".join(f"plc{n}" for n in range(len(ports)))
    return (f"sources:\n  plc0: {{ modbus: 'tcp://127.0.0.1:{ports[0]}', every: {EVERY_MS}ms, points: &points {{ {points} }} }}\n{sources}\n"
            f"pipelines:\n  all: {{ from: [{names}], steps: [ filter: 'p1 >= 0', throttle: {{ every: 10s }} ], to: [ log: {{}} ] }}\n")


def samples(gateway):
    with urllib.request.urlopen(f"http://127.0.0.1:{gateway.admin_port}/admin/v1/pipelines", timeout=5) as answer:
        return json.load(answer)["pipelines"][0]["in"]


def one_round(gateway, seconds):
    begun, before, cpu = time.monotonic(), samples(gateway), gateway.cpu_us()
    time.sleep(seconds)
    took, after, used = time.monotonic() - begun, samples(gateway), gateway.cpu_us() - cpu
    points = (after - before) * POINTS
    return {"points": points / took, "cpu_us": used / points, "core_percent": used / took / 1e4, **gateway.memory_mb()}


def one_peer(folder, ports, core, seconds, python):
    with programs.Program([python, "-c", CLIENT, str(seconds), *ports], core, folder / "pymodbus.log", r"RESULT points=(\S+) cpu=(\S+)") as peer:
        points, cpu = float(peer.match[1]), float(peer.match[2])
    return {"points": points, "cpu_us": cpu, "core_percent": points * cpu / 1e4}


def modbus(options):
    host = report.machine()
    core, load_core = programs.cores()
    python = programs.ROOT / ".cache" / "venv" / "bin" / "python"
    seconds = max(5, options.seconds)
    rounds = []
    with programs.Folder() as folder, programs.Program([str(programs.BUILD / "modbus_devices"), str(DEVICES)], load_core, folder / "devices.log",
                                                       r"modbus_devices ready (.*)") as devices:
        ports = devices.match[1].split()
        for number in range(options.rounds):
            with servers.penstock(folder, core, config(ports)) as gateway:
                time.sleep(2)
                rounds.append({"gateway": one_round(gateway, seconds)})
            if python.exists():
                rounds[-1]["pymodbus"] = one_peer(folder, ports, core, seconds, str(python))
            ours = rounds[-1]["gateway"]
            print(f"round {number + 1}: {ours['points']:.0f} points/s, {ours['cpu_us']:.2f} us each, {ours['rss_mb']:.1f} MB", flush=True)
    subjects = ["gateway"] + (["pymodbus"] if "pymodbus" in rounds[0] else [])
    metrics = [("points", 0, f"points per second ({WANTED} asked for)"), ("cpu_us", 2, "CPU, µs per point"), ("core_percent", 0, "of one core, %"),
               ("rss_mb", 1, "resident memory, MB")]
    notes = [f"{DEVICES} simulated TCP devices of {POINTS} 32-bit floats each, read every {EVERY_MS} ms; in the gateway every sample passes a filter and a throttle.",
             "`pymodbus` is an asyncio client that reads the same registers at the same pace and decodes them, and does nothing else.",
             "The devices share one core, what is measured has the other."]
    report.write("modbus", "Modbus points", notes, rounds, report.table(rounds, subjects, metrics, "gateway", ("points",)), host)
