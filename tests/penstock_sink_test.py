"""From one gateway to the next: samples arrive as they were, and none is lost while the other one is away."""

import json
import socket

import harness
from harness import check, equal, until

KEY = "pk-edge-0123456789abcdef"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Hub:
    def __init__(self):
        self.port = free_port()
        self.out = harness.folder() / "out.ndjson"
        self.gateway = None
        self.start()

    def start(self):
        self.gateway = harness.Gateway(f"""
keys: [ {{ name: edge, secret: {KEY} }} ]
sources: {{ plant: {{ http: {{}} }} }}
pipelines: {{ keep: {{ from: plant, to: [ {{ file: {{ path: "{self.out}" }} }} ] }} }}
""", listen=f"127.0.0.1:{self.port}")

    def samples(self):
        """The last line may be half written."""
        return [json.loads(line) for line in self.out.read_text().split("\n")[:-1]] if self.out.exists() else []

    def kept(self, mark):
        return [sample for sample in self.samples() if sample.get("mark") == mark]


def edge(more="", key=KEY):
    return harness.Gateway(f"""
sources: {{ line: {{ http: {{}} }} }}
pipelines:
  up: {{ from: line, to: [ {{ penstock: {{ url: "http://127.0.0.1:{hub.port}", source: plant, key: {key} {more} }} }} ] }}
""")


def push(to, samples):
    answer = to.post("/ingest/line", "\n".join(map(json.dumps, samples)), headers={"Content-Type": "application/x-ndjson"})
    equal(answer.status, 202, answer)


SAMPLE = {"time": "2026-01-31T12:00:00.250Z", "device": "press", "quality": "bad", "temp": 21.5, "vib": [1, -2.5], "on": True, "state": "läuft",
          "units": {"temp": "degC"}, "tags": {"line": "A"}}


def test_samples_arrive_as_they_were():
    for number, more in enumerate(["", ", format: ndjson", ", compress: gzip", ", compress: none, batch: 1"]):
        with edge(more) as gateway:
            push(gateway, [{**SAMPLE, "mark": number}] * 30)
            until(lambda mark=number: len(hub.kept(mark)) == 30, f"thirty with{more}")
            equal(hub.kept(number)[0], {**SAMPLE, "mark": number}, more)


def test_nothing_is_lost_while_the_other_one_is_away():
    with edge() as gateway:
        push(gateway, [{"mark": "away", "n": n} for n in range(100)])
        until(lambda: len(hub.kept("away")) == 100, "the first ones")
        hub.gateway.kill()
        for start in range(100, 2000, 100):
            push(gateway, [{"mark": "away", "n": n} for n in range(start, start + 100)])
        hub.start()
        until(lambda: {sample["n"] for sample in hub.kept("away")} == set(range(2000)), "all of them", 60)
        numbers = [sample["n"] for sample in hub.kept("away")]
        equal(list(dict.fromkeys(numbers)), sorted(set(numbers)), "their order")


def test_a_wrong_key_is_said_and_loses_nothing():
    with edge(key="pk-wrong-0123456789abcd") as gateway:
        push(gateway, [{"mark": "key"}])
        until(lambda: "401" in harness.request(gateway.admin_port, "GET", "/admin/v1/pipelines").text(), "the reason")
        gateway.write(gateway.config_path.read_text().split("\n", 3)[3].replace("pk-wrong-0123456789abcd", KEY))
        push(gateway, [{"mark": "key"}])
        check("pk-wrong" not in gateway.log(), "the key is in the log")


hub = Hub()
harness.run(globals())
