"""The device lane beside what one would write or take instead: a Python consumer (paho) and Telegraf, through one Mosquitto.

`devices`: from a reading to the decision it causes, at 5,000 readings a second. Every device sends one number every 10 ms of its own
clock; a window of that length makes each reading close the window of the one before, and an average over the limit raises the
alarm. The time is from the publication of the reading that closed the window to the arrival of the alarm. Telegraf has no windows of
event time and no alarms: it passes on the readings that are over the limit, which is less work and needs no later reading.

`flood`: more readings than the target asks for; those that are not negative are averaged per device and second.
"""

import json
import os
import threading
import time

import mqtt_client
import programs
import readings
import report
import servers
import telegraf

RATE = 5_000  # readings per second in all
FLOOD_RATE = 60_000
DEVICES = 100
LIMIT = 5

DECIDE = """
sources:
  press: {{ mqtt: "mqtt://127.0.0.1:{port}", topic: "bench/in/+", format: json }}
pipelines:
  guard:
    from: press
    steps:
      - window: {{ last: 10ms, every: 10ms, by: device, fields: {{ vib: avg(vib) }} }}
      - alarm:  {{ name: shaking, raise: "vib > 5", clear: "vib < 5" }}
    to:
      - mqtt: {{ url: "mqtt://127.0.0.1:{port}", topic: "bench/out/{{device}}", what: alarms }}
"""

AGGREGATE = """
sources:
  press: {{ mqtt: "mqtt://127.0.0.1:{port}", topic: "bench/in/+", format: json }}
pipelines:
  means:
    from: press
    steps:
      - filter: "vib >= 0"
      - window: {{ last: 1s, by: device, fields: {{ vib_mean: avg(vib), vib_count: count(vib) }} }}
    to:
      - mqtt: {{ url: "mqtt://127.0.0.1:{port}", topic: "bench/out/{{device}}" }}
"""

# What one writes without a gateway: one process, one callback, the same arithmetic.
PYTHON = """
import json, sys, time
import paho.mqtt.client as mqtt
%s
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
client.on_message = on_message
client.connect("127.0.0.1", int(sys.argv[1]))
client.subscribe("bench/in/+")
print("ready", flush=True)
client.loop_forever()
"""

PYTHON_DECIDE = PYTHON % """
windows, raised = {}, {}
def on_message(client, _, message):
    reading = json.loads(message.payload)
    device = reading["device"]
    start = reading["time"][:22]  # 10 ms
    window = windows.get(device)
    if window is not None and window[0] != start:
        high = window[1] / window[2] > 5
        if high != raised.get(device, False):
            raised[device] = high
            client.publish("bench/out/" + device, json.dumps({"name": "shaking", "device": device, "raised": high, "at": reading["time"]}))
        window = None
    if window is None:
        window = windows[device] = [start, 0.0, 0]
    window[1] += reading["vib"]
    window[2] += 1
"""

PYTHON_AGGREGATE = PYTHON % """
second, sums = 0, {}
def on_message(client, _, message):
    global second
    reading = json.loads(message.payload)
    if reading["vib"] < 0:
        return
    if int(time.time()) != second:
        second = int(time.time())
        for device, (total, count) in sums.items():
            client.publish("bench/out/" + device, json.dumps({"device": device, "vib_mean": total / count, "vib_count": count}))
        sums.clear()
    sum = sums.setdefault(reading["device"], [0.0, 0])
    sum[0] += reading["vib"]
    sum[1] += 1
"""

TELEGRAF_DECIDE = telegraf.MQTT_IN + f"""
[[outputs.mqtt]]
  {telegraf.MQTT_OUT}
  metricpass = "fields.vib > {LIMIT}.0"
"""

TELEGRAF_AGGREGATE = telegraf.MQTT_IN + f"""
  metricpass = "fields.vib >= 0.0"
[[aggregators.basicstats]]
  period = "1s"
  drop_original = true
  stats = ["mean", "count"]
[[outputs.mqtt]]
  {telegraf.MQTT_OUT}
"""


def python(folder, core, port, text):
    interpreter = programs.ROOT / ".cache" / "venv" / "bin" / "python"
    if not os.access(interpreter, os.X_OK):
        raise programs.Missing("the Python packages are not installed; ./dev setup test fetches them")
    (folder / "consumer.py").write_text(text)
    return programs.Program([str(interpreter), str(folder / "consumer.py"), str(port)], core, folder / "consumer.log", "ready")


def each(name, options, starts, measure):
    """Rounds of measure(program, port, round) over the subjects, each with a broker of its own. Leaves out, and says, what is not here."""
    core, load_core = programs.cores()
    os.sched_setaffinity(0, {load_core})
    rounds, missing = [], {}
    for number in range(options.rounds):
        rounds.append({})
        for who, start in starts.items():
            if who in missing:
                continue
            with programs.Folder() as folder, servers.mosquitto(folder, load_core) as broker:
                try:
                    with start(folder, core, broker.port) as program:
                        time.sleep(1)  # its own connections to the broker
                        rounds[-1][who] = measure(who, program, broker.port, number)
                except programs.Missing as why:
                    missing[who] = str(why)
                    print(f"{who} is left out: {why}", flush=True)
                    continue
            print(f"{name}, round {number + 1}, {who}: " + ", ".join(f"{key} {value:.2f}" for key, value in rounds[-1][who].items()), flush=True)
    return rounds, [who for who in starts if who not in missing], [f"{who} is left out: {why}." for who, why in missing.items()]


def reading(device, at, high):
    return b'{"device":"d%d","time":"%s","vib":%d}' % (device, at.encode(), 9 if high else 1)


def devices(options):
    host = report.machine()
    rate = options.rate or RATE
    starts = {"penstock": lambda folder, core, port: servers.penstock(folder, core, DECIDE.format(port=port)),
              "python": lambda folder, core, port: python(folder, core, port, PYTHON_DECIDE),
              "telegraf": lambda folder, core, port: telegraf.start(folder, core, TELEGRAF_DECIDE.format(port=port))}

    def measure(who, program, port, number):
        return readings.measure_decisions(program, port, options.seconds, rate, number, DEVICES, reading, closes=0 if who == "telegraf" else 1)

    rounds, subjects, missing = each("devices", options, starts, measure)
    metrics = [("p50_ms", 2, "reading to decision p50, ms"), ("p99_ms", 2, "reading to decision p99, ms"), ("max_ms", 2, "largest, ms"),
               ("cpu_us_per_message", 1, "CPU, µs per reading"), ("count", 0, "decisions measured"), ("lost", 0, "decisions missing")]
    notes = [f"{rate} readings/s of {DEVICES} devices at QoS 0 through one Mosquitto; window, alarm, MQTT. `python` is one process with paho and the same arithmetic; "
             f"`telegraf` only passes on what is over the limit, with its buffer written every {telegraf.FLUSH}.", *missing,
             "Broker, publisher and listener share one core, what is measured has the other; readings/s of one core is 10⁶ by the CPU of a reading."]
    report.write("devices", "From a reading to a decision over MQTT", notes, rounds,
                 report.table(rounds, subjects, metrics, "penstock", ("count", "lost")), host)


class Flood:
    """Publishes the same readings again and again at a steady rate, on a thread; one of ten is negative."""

    def __init__(self, port, rate):
        self.client = mqtt_client.Client(port, "publisher")
        self.rate = rate
        self.stopping = False
        self.bursts = [b"".join(mqtt_client.publication(f"bench/in/d{device}", b'{"device":"d%d","vib":%.2f}' % (device, (device + turn) % 10 - 0.5))
                                for device in range(DEVICES)) for turn in range(10)]
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        for turn in readings.paced(1 << 40, self.rate / DEVICES):
            if self.stopping:
                return
            self.client.send(self.bursts[turn % 10])

    def close(self):
        self.stopping = True
        self.thread.join()
        self.client.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def count_of(payload):
    message = json.loads(payload)
    return message.get("fields", message)["vib_count"] / 0.9  # readings, with those that were filtered


def measure_flood(program, port, seconds, rate):
    """Between the first and the last of the moments at which means came: readings that they were made of, CPU time."""
    with readings.Listener(port, "bench/out/+") as listener, Flood(port, rate):
        end = time.monotonic() + seconds + 2
        cpu = []
        while time.monotonic() < end:
            cpu.append((time.monotonic(), program.cpu_us()))
            time.sleep(0.02)
        memory = program.memory_mb()["rss_mb"]
    if not listener.received:
        raise RuntimeError("no mean arrived\n" + program.log.read_text(errors="replace")[-2000:])
    first = listener.received[0][0]
    bursts = []  # (seconds, readings)
    for at, payload in listener.received:
        if not bursts or at - bursts[-1][0] > 0.5:
            bursts.append([at, 0])
        bursts[-1][1] += count_of(payload)
    if len(bursts) < 3:
        raise RuntimeError(f"means came at {len(bursts)} moments only; --seconds is too short")
    last = bursts[-2][0]  # the last one may be half of it
    taken = sum(count for _, count in bursts[1:-1])
    used = [min(cpu, key=lambda sample, moment=moment: abs(sample[0] - moment))[1] for moment in (first, last)]
    return {"readings_s": taken / (last - first), "cpu_us_per_message": (used[1] - used[0]) / taken, "core_percent": (used[1] - used[0]) / (last - first) / 1e4,
            "rss_mb": memory}


def flood(options):
    host = report.machine()
    rate = options.rate or FLOOD_RATE
    starts = {"penstock": lambda folder, core, port: servers.penstock(folder, core, AGGREGATE.format(port=port)),
              "python": lambda folder, core, port: python(folder, core, port, PYTHON_AGGREGATE),
              "telegraf": lambda folder, core, port: telegraf.start(folder, core, TELEGRAF_AGGREGATE.format(port=port))}
    rounds, subjects, missing = each("flood", options, starts, lambda who, program, port, _: measure_flood(program, port, max(5, options.seconds), rate))
    metrics = [("readings_s", 0, "readings taken per second"), ("cpu_us_per_message", 2, "CPU, µs per reading"), ("core_percent", 0, "of one core, %"),
               ("rss_mb", 1, "resident memory, MB")]
    notes = [f"{rate} readings/s of {DEVICES} devices are offered at QoS 0 through one Mosquitto, which keeps what a slow subscriber has not taken; "
             "filter, mean per device and second, MQTT.", *missing, "Broker, publisher and listener share one core, what is measured has the other."]
    report.write("flood", "Readings through a broker", notes, rounds, report.table(rounds, subjects, metrics, "penstock", ("core_percent", "rss_mb")), host)
