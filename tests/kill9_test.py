"""kill -9 at random moments while publishers wait for every answer, over HTTP and over MQTT at QoS 1: what was answered
reaches the sink, each device's samples in order, and what the gateway sends again is known by its name. 10 rounds over each; `--rounds 1000` by hand, `--seed 7` for the same
moments again."""

import collections
import contextlib
import json
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

import harness
from harness import Gateway, check, equal, until
from sample_receiver import Receiver, duplicates

DEVICES = ("a", "b", "c")
# Samples of a device that were answered and have not arrived, about: a broker takes them faster than a gateway that is
# killed all the time can store them.
AHEAD_MAX = 1_000
# What a broker has sent and not seen acknowledged, which it sends again after a kill: to the gateway those are others.
IN_FLIGHT = 20


def option(name, fallback):
    if name not in sys.argv:
        return fallback
    at = sys.argv.index(name)
    value = int(sys.argv[at + 1])
    del sys.argv[at:at + 2]
    return value


ROUNDS = option("--rounds", 10)
SEED = option("--seed", random.randrange(1 << 30))


def config(receiver, source):
    return f"""
insecure: true
sources:
  press: {{ {source} }}
pipelines:
  line:
    from: press
    steps: [filter: "n >= 0"]
    to:
      - http: {{ url: {receiver.url}, batch: 50, buffer: {{ disk: 500MB }} }}
"""


class Progress:
    """How far each device's samples have come; looks at every arrival once."""

    def __init__(self, receiver):
        self.receiver = receiver
        self.lock = threading.Lock()
        self.looked_at = 0
        self.reached = dict.fromkeys(DEVICES, 0)  # samples up to the highest one that arrived

    def look(self):
        with self.lock:
            with self.receiver.lock:
                fresh = self.receiver.arrived[self.looked_at:]
            self.looked_at += len(fresh)
            for _, sample in fresh:
                self.reached[sample["device"]] = max(self.reached[sample["device"]], sample["n"] + 1)
            return dict(self.reached)


class Publisher:
    """A sample is sent until it is answered, and only then the next of its device."""

    def __init__(self):
        self.answered = dict.fromkeys(DEVICES, 0)  # samples of each device that were: 0 to n - 1
        self.port = 0  # of the gateway; 0 while there is none
        self.progress = None
        self.stopping = False
        self.threads = [threading.Thread(target=self.publish, args=(device,), daemon=True) for device in DEVICES]

    def start(self):
        for thread in self.threads:
            thread.start()

    def publish(self, device):
        tries = 1
        while not self.stopping:
            if self.answered[device] - self.progress.look()[device] > AHEAD_MAX:
                time.sleep(0.02)
                continue
            # A sample that is sent once more for want of an answer is another one to the gateway.
            sample = json.dumps({"device": device, "n": self.answered[device], "try": tries}).encode()
            if self.send(device, sample):
                self.answered[device] += 1
                tries = 1
            else:
                tries += 1
                time.sleep(0.002)

    def stop(self):
        self.stopping = True
        for thread in self.threads:
            thread.join()


class HttpPublisher(Publisher):
    def send(self, _, sample):
        # http.client has many names for an answer that was cut.
        with contextlib.suppress(Exception):
            return self.port != 0 and harness.request(self.port, "POST", "/ingest/press", sample).status == 202
        return False


class MqttPublisher(Publisher):
    """Waits for the broker's PUBACK; the broker keeps the sample until the gateway has acknowledged it."""

    def __init__(self, broker):
        super().__init__()
        self.sockets = {}
        for device in DEVICES:
            self.sockets[device] = socket.create_connection(("127.0.0.1", broker), timeout=30)
            name = f"publisher-{device}".encode()
            body = b"\x00\x04MQTT\x04\x02\x00\x00" + struct.pack(">H", len(name)) + name
            self.sockets[device].sendall(bytes([0x10, len(body)]) + body)
            equal(self.receive(device)[0], 0x20, "the broker's greeting")

    def receive(self, device):
        head = self.exactly(device, 2)
        return head[0], self.exactly(device, head[1])

    def exactly(self, device, size):
        data = b""
        while len(data) < size:
            more = self.sockets[device].recv(size - len(data))
            check(more, "the broker closed the connection")
            data += more
        return data

    def send(self, device, sample):
        topic = f"plant/{device}".encode()
        number = self.answered[device] % 65535 + 1
        body = struct.pack(">H", len(topic)) + topic + struct.pack(">H", number) + sample
        self.sockets[device].sendall(bytes([0x32, len(body)]) + body)
        equal(self.receive(device), (0x40, struct.pack(">H", number)), "the broker's answer")
        time.sleep(0.001)
        return True


@contextlib.contextmanager
def mosquitto():
    """A broker that is not killed, on a free port."""
    program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
    if not os.access(program, os.X_OK):
        harness.skip("mosquitto is not installed; ./dev setup test installs it")
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    file = harness.folder() / "mosquitto.conf"
    file.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages {IN_FLIGHT}\npersistence false\n")
    process = subprocess.Popen([program, "-c", str(file)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        def accepts():
            with socket.socket() as one:
                return one.connect_ex(("127.0.0.1", port)) == 0
        until(accepts, "the broker")
        yield port
    finally:
        process.terminate()
        process.wait(10)


def connected(gateway):
    return all(one["connected"] for one in harness.request(gateway.admin_port, "GET", "/admin/v1/pipelines").json()["sources"])


def kill_again_and_again(source, publisher, renamed_max):
    chance = random.Random(SEED)
    began = time.monotonic()
    print(f"     seed {SEED}", flush=True)
    data_dir = harness.folder() / "data"
    with Receiver() as receiver:
        progress = publisher.progress = Progress(receiver)
        text = config(receiver, source)
        for number in range(ROUNDS):
            gateway = Gateway(text, data_dir=data_dir)
            if number == 0:
                # A broker keeps nothing for whom it has never met.
                until(lambda: connected(gateway), "the source")
                publisher.start()
            publisher.port = gateway.port
            # The link is down in some of the rounds, and comes back in the middle of others.
            down = chance.random() < 0.3
            if down:
                receiver.cut()
            time.sleep(chance.uniform(0.0, 0.6))
            if down:
                receiver.restore()
            gateway.send(signal.SIGKILL)
            publisher.port = 0
            gateway.wait()
            if (number + 1) % 100 == 0:
                print(f"     round {number + 1}: {sum(publisher.answered.values())} answered", flush=True)
        with Gateway(text, data_dir=data_dir) as gateway:
            publisher.port = gateway.port
            time.sleep(0.2)
            publisher.stop()
            wanted = {(device, n) for device, count in publisher.answered.items() for n in range(count)}
            until(lambda: all(progress.look()[device] >= count for device, count in publisher.answered.items()),
                  "the last of the answered samples", 120)
            until(lambda: gateway.metric("penstock_buffer_records") == 0, "nothing to wait any more", 60)
        judge(receiver.samples(), wanted, renamed_max, time.monotonic() - began)


def figures(samples, wanted):
    """What of `wanted` arrived, in one line for people. The order of a device is broken where a new sample is older than one before it."""
    lost = sorted(wanted - {(s["device"], s["n"]) for s in samples})
    breaks = []
    newest, seen = dict.fromkeys(DEVICES, -1), set()
    for sample in samples:
        device, n = sample["device"], sample["n"]
        if (device, n) not in seen and n < newest[device]:
            breaks.append((device, n, newest[device]))
        newest[device] = max(newest[device], n)
        seen.add((device, n))
    return lost, breaks, len(samples) - len(seen), duplicates(samples)


def judge(samples, wanted, renamed_max, seconds):
    lost, breaks, again, known = figures(samples, wanted)
    names = collections.defaultdict(set)
    for sample in samples:
        names[sample["device"], sample["n"], sample["try"]].add((sample["origin"], sample["seq"]))
    renamed = sum(len(one) - 1 for one in names.values())
    print(f"     {ROUNDS} kills in {seconds:.0f} s, seed {SEED}: {len(wanted)} samples answered, {len(samples)} arrived, {len(lost)} lost, "
          f"{len(breaks)} out of order, {again} again, {known} of them known by their name, {renamed} under another name", flush=True)
    equal(lost[:20], [], len(lost), "answered samples are lost:")
    equal(breaks[:20], [], len(breaks), "samples (device, number, the newest before it) did not arrive in order:")
    check(renamed <= renamed_max, renamed, "samples came again under another name, at most", renamed_max, "can:",
          [one for one in names.items() if len(one[1]) > 1][:5])
    check(len({name for one in names.values() for name in one}) == sum(len(one) for one in names.values()),
          "two samples have one name")
    check(len(wanted) > ROUNDS, "only", len(wanted), "samples were answered")


def test_every_sample_answered_over_http_arrives_and_in_order_when_the_gateway_is_killed_at_any_moment():
    kill_again_and_again("http: {}, durable: true", HttpPublisher(), 0)


def test_every_sample_acknowledged_over_mqtt_arrives_and_in_order_when_the_gateway_is_killed_at_any_moment():
    with mosquitto() as port:
        kill_again_and_again(f"mqtt: 'mqtt://127.0.0.1:{port}', topic: plant/+, qos: 1, client_id: kill9", MqttPublisher(port),
                             IN_FLIGHT * ROUNDS)


if __name__ == "__main__":
    harness.run(globals())
