"""`alarm`: from a sample published to a real broker to the alarm it causes, received from the same broker.

Every device sends a picture of a digit every 10 ms of its own clock; a window of that length makes each sample close the
window of the one before, every window goes through the digits model, and a seven raises the alarm. The time measured is
from the publication of the sample that closed the window with the seven to the arrival of the alarm, and the same loop
without the gateway (publish and receive through the broker) is measured beside it.
"""

import datetime
import json
import os
import statistics
import threading
import time

import mqtt_client
import programs
import report
import servers

MODEL = programs.ROOT / "configs" / "models" / "digits"
SAMPLES = programs.ROOT / "configs" / "samples" / "digits_heldout.json"
RATE = 1000  # messages per second in all
DEVICES = 20
PERIOD = 10  # one seven in so many messages of a device

CONFIG = """
models:
  digits: {{ path: {model} }}
sources:
  camera: {{ mqtt: "mqtt://127.0.0.1:{port}", topic: "bench/in/+", format: json }}
pipelines:
  sevens:
    from: camera
    steps:
      - window: {{ last: 10ms, every: 10ms, by: device }}
      - infer:  {{ model: digits, input: {{ pixels: "pixels[]" }}, output: {{ score: "probabilities[7]" }}, timeout: 1s, on_error: skip }}
      - alarm:  {{ name: seven, raise: "score > 0.5" }}
    to:
      - mqtt: {{ url: "mqtt://127.0.0.1:{port}", topic: "bench/out/{{device}}", what: alarms }}
"""


def pictures():
    """(a seven, a zero), each 64 numbers."""
    images = {sample["label"]: sample["request"]["inputs"][0]["data"] for sample in json.loads(SAMPLES.read_text())}
    return images[7], images[0]


class Listener:
    """Receives on its own thread and keeps the time of each raised alarm by device and event time."""

    def __init__(self, port, pattern):
        self.client = mqtt_client.Client(port, "listener")
        self.client.socket.settimeout(None)
        self.client.subscribe(pattern)
        self.arrivals = {}
        self.closing = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        try:
            while True:
                topic, payload = self.client.receive_publication()
                now = time.monotonic()
                message = json.loads(payload)
                if message.get("raised", True):
                    self.arrivals[(topic.rsplit("/", 1)[1], message["at"])] = now
        except OSError:
            if not self.closing:
                raise

    def close(self):
        self.closing = True
        self.client.socket.shutdown(2)
        self.thread.join(5)
        self.client.close()


def rfc3339(micros):
    moment = datetime.datetime.fromtimestamp(micros // 1_000_000, datetime.timezone.utc)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{micros % 1_000_000 // 1000:03d}Z"


def publish(port, seconds, rate, first_step):
    """Sends at a steady rate; returns when each expected alarm's closing sample was published, and how many were sent."""
    client = mqtt_client.Client(port, "publisher")
    seven, other = pictures()
    payloads = [("[" + ",".join(f"{x:g}" for x in image) + "]").encode() for image in (other, seven)]
    base = 1_700_000_000_000_000
    expected = {}
    begun = time.monotonic()
    total = int(seconds * rate)
    for number in range(total):
        due = begun + number / rate
        while (now := time.monotonic()) < due:
            time.sleep(min(due - now, 0.0005))
        device, step = number % DEVICES, first_step + number // DEVICES
        at = base + step * 10_000
        is_seven = (step + device) % PERIOD == 0
        payload = b'{"device":"d%d","time":"%s","pixels":%s}' % (device, rfc3339(at).encode(), payloads[is_seven])
        if (step - 1 + device) % PERIOD == 0 and step > first_step:
            expected[(f"d{device}", rfc3339(at))] = time.monotonic()
        client.send(mqtt_client.publication(f"bench/in/d{device}", payload))
    client.close()
    return expected, total


def echo(port, seconds, rate):
    """The broker alone: the same publisher and listener, publishing what the gateway would."""
    listener = Listener(port, "bench/echo/+")
    client = mqtt_client.Client(port, "echo")
    sent = {}
    for number in range(int(seconds * rate)):
        key = ("e", str(number))
        sent[key] = time.monotonic()
        client.send(mqtt_client.publication("bench/echo/e", json.dumps({"at": str(number)}).encode()))
        time.sleep(1 / rate)
    time.sleep(0.3)
    listener.close()
    client.close()
    return [(listener.arrivals[k] - sent[k]) * 1e3 for k in sent if k in listener.arrivals]


def figures(milliseconds):
    ordered = sorted(milliseconds)
    return {"p50_ms": statistics.median(ordered), "p99_ms": ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))], "max_ms": ordered[-1],
            "count": len(ordered)}


def one_round(gateway, broker, options, rate, number):
    listener = Listener(broker.port, "bench/out/+")
    cpu = gateway.cpu_us()
    expected, total = publish(broker.port, options.seconds, rate, 1 + number * 1_000_000)
    end = time.monotonic() + 5
    while len(listener.arrivals) < len(expected) and time.monotonic() < end:
        time.sleep(0.05)
    used = gateway.cpu_us() - cpu
    listener.close()
    times = [(listener.arrivals[k] - at) * 1e3 for k, at in expected.items() if k in listener.arrivals]
    if len(times) < 0.99 * len(expected) or not times:
        raise RuntimeError(f"{len(times)} of {len(expected)} alarms arrived; for example {list(expected)[:2]} and {list(listener.arrivals)[:2]}\n"
                           + gateway.log.read_text(errors="replace")[-2000:])
    result = {"gateway": {**figures(times), "cpu_us_per_message": used / total, "lost": len(expected) - len(times)}}
    result["broker alone"] = figures(echo(broker.port, max(1, options.seconds // 2), 100))
    return result


def alarm(options):
    host = report.machine()
    core, load_core = programs.cores()
    rate = options.rate or RATE
    rounds = []
    with programs.Folder() as folder:
        port = programs.free_port()
        (folder / "mosquitto.conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nlog_type error\nset_tcp_nodelay true\nmax_queued_messages 0\n")
        with programs.Program([programs.need("mosquitto"), "-c", str(folder / "mosquitto.conf")], load_core, folder / "mosquitto.log") as broker:
            broker.port = port
            programs.wait_for_port(port, broker)
            os.sched_setaffinity(0, {load_core})
            with servers.penstock(folder, core, CONFIG.format(model=MODEL, port=port)) as gateway:
                time.sleep(1)  # the gateway's own connections to the broker
                for number in range(options.rounds):
                    rounds.append(one_round(gateway, broker, options, rate, number))
                    ours = rounds[-1]["gateway"]
                    print(f"round {number + 1}: p50 {ours['p50_ms']:.2f} ms, p99 {ours['p99_ms']:.2f} ms over {ours['count']} alarms", flush=True)
    metrics = [("p50_ms", 2, "publish to alarm p50, ms"), ("p99_ms", 2, "publish to alarm p99, ms"), ("max_ms", 2, "largest, ms"),
               ("cpu_us_per_message", 1, "CPU of the gateway, µs per message"), ("count", 0, "alarms measured"), ("lost", 0, "alarms missing")]
    notes = [f"{rate} messages/s of {DEVICES} devices, 64 numbers each, at QoS 0 through Mosquitto; window, ONNX model, alarm, MQTT sink.",
             "`broker alone` is the same Python client publishing to itself through the broker at 100 messages/s: the measuring itself costs that much.",
             "Broker, publisher and listener share one core, the gateway has the other."]
    report.write("alarm", "From sample to alarm over MQTT", notes, rounds,
                 report.table(rounds, ["gateway", "broker alone"], metrics, "broker alone", ("count", "lost")), host)
