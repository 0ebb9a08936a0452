"""Samples in a topic of a real Apache Kafka broker, which is stopped and killed, and so is the gateway: none is lost, each
device's are in order. kafka_sink_test.py has more, with brokers that are played."""

import json
import random
import signal
import threading
import time

import harness
import kafka_broker
from harness import Gateway, check, equal, until
from kafka_client import PARTITIONS, Reader, config, push

DEVICES = ("a", "b", "c")
MESSAGE_BYTES_MAX = 20_000  # of the broker
KILLS = 8

if kafka_broker.why_not():
    harness.skip(kafka_broker.why_not())


class Feeder:
    """Sends numbered samples of each device, and each again until it was answered with 202."""

    def __init__(self, gateway):
        self.gateway = gateway
        self.count = 0  # samples of each device that were answered
        self.stopping = False
        self.thread = threading.Thread(target=self.feed, daemon=True)
        self.thread.start()

    def feed(self):
        while not self.stopping:
            lines = "\n".join(json.dumps({"device": device, "n": self.count}) for device in DEVICES)
            try:
                if self.gateway.post("/ingest/line", lines, headers={"Content-Type": "application/x-ndjson"}).status == 202:
                    self.count += 1
            except Exception:  # a gateway that is killed; http.client has many names for that
                time.sleep(0.01)
            time.sleep(0.002)

    def more(self, wanted, gateway=None):
        """Waits for so many more to be answered, if a gateway is given by it."""
        if gateway:
            self.gateway = gateway
        end = self.count + wanted
        until(lambda: self.count >= end, f"{wanted} samples to be answered", 60)

    def stop(self):
        self.stopping = True
        self.thread.join()
        return self.count


def first_arrivals(numbers):
    """Without those that came before."""
    return list(dict.fromkeys(numbers))


def arrived(reader, count):
    def all_of_them():
        reader.read()
        return {(value["device"], value["n"]) for _, _, value, _ in reader.messages} >= {(device, n) for device in DEVICES for n in range(count)}
    until(all_of_them, f"{count} samples of each device", 60)
    return reader.check_devices()


def test_a_devices_messages_are_in_one_partition_and_in_order():
    with Gateway(config(broker.address, "order", ", compress: zstd")) as gateway:
        for start in range(0, 5000, 500):
            push(gateway, [{"device": f"d{n % 7}", "n": n} for n in range(start, start + 500)])
        reader = Reader(broker.address, "order")
        until(lambda: len(reader.read()) >= 5000, "five thousand messages", 60)
        numbers = reader.check_devices()
    equal(numbers, {f"d{d}": list(range(d, 5000, 7)) for d in range(7)})


def test_a_broker_that_is_stopped_and_killed_gets_every_sample_once_and_in_order():
    with Gateway(config(broker.address, "restarts", ", batch: 100, timeout: 2m, buffer: { memory: 1000000 }")) as gateway:
        feeder = Feeder(gateway)
        feeder.more(200)
        for number in (signal.SIGTERM, signal.SIGKILL):
            broker.stop(number)
            feeder.more(100)
            broker.start()
            feeder.more(200)
        count = feeder.stop()
        numbers = arrived(Reader(broker.address, "restarts"), count)
    for device in DEVICES:
        equal([(n, at) for at, n in enumerate(numbers[device]) if n != at][:10], [], device, "(number, place) of what is out of order:")
        equal(len(numbers[device]), count, device)


def test_a_gateway_that_is_killed_loses_nothing_it_has_answered():
    text = config(broker.address, "kills", ", batch: 100, buffer: { disk: 100MB }", "http: {}, durable: true")
    data_dir = harness.folder() / "data"
    chance = random.Random(1)
    gateway = Gateway(text, data_dir=data_dir)
    feeder = Feeder(gateway)
    for number in range(KILLS):
        feeder.more(chance.randrange(1, 100), gateway)
        if number == KILLS // 2:  # what it sends meanwhile waits on the disk
            broker.stop(signal.SIGKILL)
        gateway.kill()
        if number == KILLS // 2 + 1:
            broker.start()
        gateway = Gateway(text, data_dir=data_dir)
    with gateway:
        feeder.more(50, gateway)
        count = feeder.stop()
        reader = Reader(broker.address, "kills")
        numbers = arrived(reader, count)
    for device in DEVICES:
        # The last one of all may have been taken without the answer arriving.
        equal(first_arrivals(numbers[device])[:count], list(range(count)), device)
    names = [(headers["origin"], headers["seq"]) for *_, headers in reader.messages]
    again = len(names) - count * len(DEVICES)
    print(f"     {KILLS} kills, {count * len(DEVICES)} answered, {len(names)} arrived, {again} of them again ({len(names) - len(set(names))} known by their name)",
          flush=True)


def test_a_message_too_large_for_the_broker_is_refused_alone():
    with Gateway(config(broker.address, "large", ", batch: 100")) as gateway:
        samples = [{"device": "a", "n": n, "text": "x" * (2 * MESSAGE_BYTES_MAX if n == 50 else 100)} for n in range(100)]
        push(gateway, samples)
        until(lambda: gateway.metric("penstock_dead_letters_total") >= 1, "the refusal", 60)
        reader = Reader(broker.address, "large")
        wanted = [n for n in range(100) if n != 50]
        until(lambda: set(reader.numbers()) >= set(wanted), "its neighbours", 60)
        equal(gateway.metric("penstock_dead_letters_total"), 1, "dead letters:")
    equal(first_arrivals(reader.check_devices()["a"]), wanted)


def test_a_batch_larger_than_the_broker_takes_loses_nothing():
    with Gateway(config(broker.address, "batches", ", batch: 1000")) as gateway:
        push(gateway, [{"device": "a", "n": n, "text": "x" * 1000} for n in range(400)])
        reader = Reader(broker.address, "batches")
        until(lambda: len(set(reader.numbers())) + gateway.metric("penstock_dead_letters_total") >= 400, "all of them", 60)
        equal(gateway.metric("penstock_dead_letters_total"), 0, "dead letters:")
    equal(first_arrivals(reader.check_devices()["a"]), list(range(400)))


with kafka_broker.Broker(PARTITIONS, message_max_bytes=MESSAGE_BYTES_MAX) as broker:
    harness.run(globals())
