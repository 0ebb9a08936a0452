"""Readings of devices published to a real broker at a steady pace, and what comes back from it."""

import datetime
import json
import statistics
import threading
import time

import mqtt_client

PERIOD = 10  # one high reading in so many of a device
STEP_US = 10_000  # of a device's own clock between its readings
BASE_US = 1_700_000_000_000_000


def rfc3339(micros):
    moment = datetime.datetime.fromtimestamp(micros // 1_000_000, datetime.timezone.utc)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{micros % 1_000_000 // 1000:03d}Z"


def paced(total, rate):
    """0 to total - 1, each no earlier than its turn."""
    begun = time.monotonic()
    for number in range(total):
        due = begun + number / rate
        while (now := time.monotonic()) < due:
            time.sleep(min(due - now, 0.0005))
        yield number


class Listener:
    """Receives on its own thread and keeps (seconds, payload)."""

    def __init__(self, port, pattern):
        self.client = mqtt_client.Client(port, "listener")
        self.client.socket.settimeout(None)
        self.client.subscribe(pattern)
        self.received = []
        self.closing = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        try:
            while True:
                _, payload = self.client.receive_publication()
                self.received.append((time.monotonic(), payload))
        except OSError:
            if not self.closing:
                raise

    def close(self):
        self.closing = True
        self.client.socket.shutdown(2)
        self.thread.join(5)
        self.client.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def decisions(received):
    """When each came, by device and event time. Programs name the time differently: an alarm is `at` one, a reading passed on has its own."""
    arrivals = {}
    for at, payload in received:
        message = json.loads(payload)
        if message.get("raised", True):
            message = {**message, **message.get("tags", {}), **message.get("fields", {})}
            arrivals[message["device"], message.get("at") or message["time"]] = at
    return arrivals


def publish(port, seconds, rate, first_step, devices, payload, closes):
    """Readings of `devices` in turn, one of PERIOD of each is high: payload(device, time, high). Returns when each reading that has to
    cause a decision was published, and how many were sent. `closes`: how many readings of a device later that is; 1 if a window has to
    close first."""
    client = mqtt_client.Client(port, "publisher")
    expected = {}
    total = int(seconds * rate)
    for number in paced(total, rate):
        device, step = number % devices, first_step + number // devices
        at = rfc3339(BASE_US + step * STEP_US)
        packet = mqtt_client.publication(f"bench/in/d{device}", payload(device, at, (step + device) % PERIOD == 0))
        if (step - closes + device) % PERIOD == 0 and step >= first_step + closes:
            expected[f"d{device}", at] = time.monotonic()
        client.send(packet)
    client.close()
    return expected, total


def measure_decisions(program, port, seconds, rate, number, devices, payload, closes=1):
    """One round: from the publication of the reading that decides to the arrival of the decision."""
    with Listener(port, "bench/out/+") as listener:
        cpu = program.cpu_us()
        expected, total = publish(port, seconds, rate, 1 + number * 1_000_000, devices, payload, closes)
        end = time.monotonic() + 30
        while len(listener.received) < len(expected) and time.monotonic() < end:
            time.sleep(0.05)
        used = program.cpu_us() - cpu
    arrivals = decisions(listener.received)
    times = [(arrivals[key] - at) * 1e3 for key, at in expected.items() if key in arrivals]
    if not times:
        raise RuntimeError(f"none of {len(expected)} decisions arrived; for example {list(expected)[:2]} and {list(arrivals)[:2]}\n"
                           + program.log.read_text(errors="replace")[-2000:])
    return {**figures(times), "cpu_us_per_message": used / total, "lost": len(expected) - len(times)}


def figures(milliseconds):
    ordered = sorted(milliseconds)
    return {"p50_ms": statistics.median(ordered), "p99_ms": ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))], "max_ms": ordered[-1],
            "count": len(ordered)}
