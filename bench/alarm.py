"""`alarm`: from a sample published to a real broker to the alarm it causes, received from the same broker.

Every device sends a picture of a digit every 10 ms of its own clock; a window of that length makes each sample close the
window of the one before, every window goes through the digits model, and a seven raises the alarm. The time measured is
from the publication of the sample that closed the window with the seven to the arrival of the alarm, and the same loop
without the gateway (publish and receive through the broker) is measured beside it.
"""

import json
import os
import time

import mqtt_client
import programs
import readings
import report
import servers

MODEL = programs.ROOT / "configs" / "models" / "digits"
SAMPLES = programs.ROOT / "configs" / "samples" / "digits_heldout.json"
RATE = 1000  # messages per second in all
DEVICES = 20

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


def picture():
    """The payload of a reading: a seven when it is high, else a zero, each 64 numbers."""
    images = {sample["label"]: sample["request"]["inputs"][0]["data"] for sample in json.loads(SAMPLES.read_text())}
    texts = [("[" + ",".join(f"{x:g}" for x in images[label]) + "]").encode() for label in (0, 7)]
    return lambda device, at, high: b'{"device":"d%d","time":"%s","pixels":%s}' % (device, at.encode(), texts[high])


def echo(port, seconds, rate):
    """The broker alone: the same publisher and listener, publishing what the gateway would."""
    client = mqtt_client.Client(port, "echo")
    sent = []
    with readings.Listener(port, "bench/echo/+") as listener:
        for number in readings.paced(int(seconds * rate), rate):
            sent.append(time.monotonic())
            client.send(mqtt_client.publication("bench/echo/e", b"%d" % number))
        time.sleep(0.3)
    client.close()
    return readings.figures([(at - sent[int(payload)]) * 1e3 for at, payload in listener.received])


def alarm(options):
    host = report.machine()
    core, load_core = programs.cores()
    rate = options.rate or RATE
    rounds = []
    with programs.Folder() as folder, servers.mosquitto(folder, load_core) as broker:
        os.sched_setaffinity(0, {load_core})
        with servers.penstock(folder, core, CONFIG.format(model=MODEL, port=broker.port)) as gateway:
            time.sleep(1)  # the gateway's own connections to the broker
            for number in range(options.rounds):
                ours = readings.measure_decisions(gateway, broker.port, options.seconds, rate, number, DEVICES, picture())
                rounds.append({"gateway": ours, "broker alone": echo(broker.port, max(1, options.seconds // 2), 100)})
                print(f"round {number + 1}: p50 {ours['p50_ms']:.2f} ms, p99 {ours['p99_ms']:.2f} ms over {ours['count']} alarms", flush=True)
    metrics = [("p50_ms", 2, "publish to alarm p50, ms"), ("p99_ms", 2, "publish to alarm p99, ms"), ("max_ms", 2, "largest, ms"),
               ("cpu_us_per_message", 1, "CPU of the gateway, µs per message"), ("count", 0, "alarms measured"), ("lost", 0, "alarms missing")]
    notes = [f"{rate} messages/s of {DEVICES} devices, 64 numbers each, at QoS 0 through Mosquitto; window, ONNX model, alarm, MQTT sink.",
             "`broker alone` is the same Python client publishing to itself through the broker at 100 messages/s: the measuring itself costs that much.",
             "Broker, publisher and listener share one core, the gateway has the other."]
    report.write("alarm", "From sample to alarm over MQTT", notes, rounds,
                 report.table(rounds, ["gateway", "broker alone"], metrics, "broker alone", ("count", "lost")), host)
