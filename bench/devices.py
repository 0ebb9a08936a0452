"""`devices`: from a reading at a real broker to the alarm it causes, received from the same broker, at 5,000 readings a second;
beside a Python consumer (paho) that does the same arithmetic.

Every device sends one number every 10 ms of its own clock; a window of that length makes each reading close the window of
the one before, and an average over the limit raises the alarm. The time is from the publication of the reading that closed
the window to the arrival of the alarm.
"""

import os
import time

import alarm
import mqtt_client
import programs
import report
import servers

RATE = 5000  # readings per second in all
DEVICES = 100
PERIOD = 10  # one high reading in so many of a device

CONFIG = """
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

# What one writes without a gateway: one process, one callback, the same decision.
CONSUMER = """
import json, sys, time
import paho.mqtt.client as mqtt
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
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
client.on_message = on_message
client.connect("127.0.0.1", int(sys.argv[1]))
client.subscribe("bench/in/+")
print("ready", flush=True)
client.loop_forever()
"""


def publish(port, seconds, rate, first_step):
    """Sends at a steady rate; returns when each expected alarm's closing reading was published, and how many were sent."""
    client = mqtt_client.Client(port, "publisher")
    base = 1_700_000_000_000_000
    expected = {}
    total = int(seconds * rate)
    begun = time.monotonic()
    for number in range(total):
        due = begun + number / rate
        while (now := time.monotonic()) < due:
            time.sleep(min(due - now, 0.0005))
        device, step = number % DEVICES, first_step + number // DEVICES
        at = alarm.rfc3339(base + step * 10_000)
        payload = b'{"device":"d%d","time":"%s","vib":%d}' % (device, at.encode(), 9 if (step + device) % PERIOD == 0 else 1)
        if (step - 1 + device) % PERIOD == 0 and step > first_step:
            expected[f"d{device}", step] = time.monotonic()
        client.send(mqtt_client.publication(f"bench/in/d{device}", payload))
    client.close()
    return expected, total


def measure(program, port, options, rate, number):
    """Alarms are matched by their order: a device's alarms are raised one after the other."""
    arrivals = {}
    listener = alarm.Listener(port, "bench/out/+")
    cpu = program.cpu_us()
    expected, total = publish(port, options.seconds, rate, 1 + number * 1_000_000)
    end = time.monotonic() + 30
    while len(listener.arrivals) < len(expected) and time.monotonic() < end:
        time.sleep(0.05)
    used = program.cpu_us() - cpu
    listener.close()
    for (device, _), at in listener.arrivals.items():
        arrivals.setdefault(device, []).append(at)
    times, missing = [], 0
    for device in {device for device, _ in expected}:
        sent = sorted(at for (of, _), at in expected.items() if of == device)
        came = sorted(arrivals.get(device, []))
        missing += max(0, len(sent) - len(came))
        if len(sent) == len(came):
            times += [(b - a) * 1e3 for a, b in zip(sent, came)]
    if not times:
        raise RuntimeError(f"{len(listener.arrivals)} of {len(expected)} alarms arrived\n{program.log.read_text(errors='replace')[-2000:]}")
    return {**alarm.figures(times), "cpu_us_per_message": used / total, "lost": missing}


def consumer(folder, core, port):
    python = programs.ROOT / ".cache" / "venv" / "bin" / "python"
    if not os.access(python, os.X_OK):
        raise programs.Missing("the Python packages are not installed; ./dev setup test fetches them")
    (folder / "consumer.py").write_text(CONSUMER)
    return programs.Program([str(python), str(folder / "consumer.py"), str(port)], core, folder / "consumer.log", "ready")


def devices(options):
    host = report.machine()
    core, load_core = programs.cores()
    rate = options.rate or RATE
    rounds = []
    with programs.Folder() as folder:
        port = programs.free_port()
        (folder / "mosquitto.conf").write_text(
            f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nlog_type error\nset_tcp_nodelay true\nmax_queued_messages 0\n")
        with programs.Program([programs.need("mosquitto"), "-c", str(folder / "mosquitto.conf")], load_core, folder / "mosquitto.log") as broker:
            programs.wait_for_port(port, broker)
            os.sched_setaffinity(0, {load_core})
            starts = {"penstock": lambda: servers.penstock(folder, core, CONFIG.format(port=port)), "python": lambda: consumer(folder, core, port)}
            for number in range(options.rounds):
                rounds.append({})
                for who, start in starts.items():
                    with start() as program:
                        time.sleep(1)  # its own connections to the broker
                        rounds[-1][who] = measure(program, port, options, rate, number)
                    ours = rounds[-1][who]
                    print(f"round {number + 1}, {who}: p50 {ours['p50_ms']:.2f} ms, p99 {ours['p99_ms']:.2f} ms over {ours['count']} alarms", flush=True)
    metrics = [("p50_ms", 2, "reading to alarm p50, ms"), ("p99_ms", 2, "reading to alarm p99, ms"), ("max_ms", 2, "largest, ms"),
               ("cpu_us_per_message", 1, "CPU, µs per reading"), ("count", 0, "alarms measured"), ("lost", 0, "alarms missing")]
    notes = [f"{rate} readings/s of {DEVICES} devices at QoS 0 through one Mosquitto; window, alarm, MQTT. `python` is one process with paho and the same arithmetic.",
             "Broker, publisher and listener share one core, what is measured has the other; readings/s of one core is 10⁶ by the CPU of a reading."]
    report.write("devices", "From a reading to a decision over MQTT", notes, rounds,
                 report.table(rounds, ["penstock", "python"], metrics, "python", ("count", "lost")), host)
