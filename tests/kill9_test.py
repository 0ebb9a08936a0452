"""kill -9 at random moments while a publisher waits for every answer: what was answered with 202 reaches the sink, each
device's samples in order. 20 rounds; `--rounds 1000` by hand, `--seed 7` for the same moments again."""

import json
import random
import signal
import sys
import threading
import time

import harness
from harness import Gateway, check, equal, until
from sample_receiver import Receiver, duplicates

DEVICES = ("a", "b", "c")


def option(name, fallback):
    if name not in sys.argv:
        return fallback
    at = sys.argv.index(name)
    value = int(sys.argv[at + 1])
    del sys.argv[at:at + 2]
    return value


ROUNDS = option("--rounds", 20)
SEED = option("--seed", random.randrange(1 << 30))


def config(receiver):
    return f"""
insecure: true
sources:
  press: {{ http: {{}}, durable: true }}
pipelines:
  line:
    from: press
    steps: [filter: "n >= 0"]
    to:
      - http: {{ url: {receiver.url}, batch: 50, buffer: {{ disk: 500MB }} }}
"""


class Publisher:
    """As one with QoS 1: a sample is sent until it is answered, and only then the next of its device."""

    def __init__(self):
        self.answered = dict.fromkeys(DEVICES, 0)  # samples of each device that were: 0 to n - 1
        self.port = 0
        self.stopping = False
        self.threads = [threading.Thread(target=self.publish, args=(device,), daemon=True) for device in DEVICES]
        for thread in self.threads:
            thread.start()

    def publish(self, device):
        while not self.stopping:
            port = self.port
            if not port:
                time.sleep(0.002)
                continue
            sample = {"device": device, "n": self.answered[device]}
            try:
                if harness.request(port, "POST", "/ingest/press", json.dumps(sample)).status == 202:
                    self.answered[device] += 1
            except OSError:
                time.sleep(0.002)
            except Exception:  # http.client has many names for an answer that was cut
                time.sleep(0.002)

    def stop(self):
        self.stopping = True
        for thread in self.threads:
            thread.join()


def test_every_answered_sample_arrives_and_in_order_when_the_gateway_is_killed_at_any_moment():
    chance = random.Random(SEED)
    print(f"     seed {SEED}", flush=True)
    publisher = Publisher()
    data_dir = harness.folder() / "data"
    with Receiver() as receiver:
        for number in range(ROUNDS):
            gateway = Gateway(config(receiver), data_dir=data_dir)
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
        with Gateway(config(receiver), data_dir=data_dir) as gateway:
            publisher.port = gateway.port
            time.sleep(0.2)
            publisher.stop()
            wanted = {(device, n) for device, count in publisher.answered.items() for n in range(count)}
            until(lambda: wanted <= {(s["device"], s["n"]) for s in receiver.samples()}, "every answered sample", 120)
            until(lambda: gateway.metric("penstock_buffer_records") == 0, "nothing to wait any more", 60)
        samples = receiver.samples()
        for device in DEVICES:
            seen = []
            for sample in samples:
                if sample["device"] == device and (not seen or sample["n"] > seen[-1]):
                    seen.append(sample["n"])
            equal(seen, sorted(set(s["n"] for s in samples if s["device"] == device)), device, "did not arrive in order:")
        again = len(samples) - len({(s["device"], s["n"]) for s in samples})
        check(len(wanted) > ROUNDS, "only", len(wanted), "samples were answered")
        print(f"     {ROUNDS} kills, {len(wanted)} samples answered, {len(samples)} arrived, {again} of them again "
              f"({duplicates(samples)} known by their name), none lost", flush=True)


if __name__ == "__main__":
    harness.run(globals())
