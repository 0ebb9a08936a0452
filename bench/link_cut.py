"""`link_cut`: the link upstream is away for 100,000 samples. How fast they follow once it is back, and how long samples that are
measured now are on their way before, meanwhile and afterwards; beside Telegraf with its buffer on the disk.

Samples go in over HTTP, each answered before the next; they go out to an HTTP endpoint of this process. Live ones are sent at a steady
rate while the link is up.
"""

import http.client
import json
import os
import socket
import threading
import time

import programs
import readings
import report
import servers
import telegraf

BACKLOG = 100_000
LIVE_RATE = 200  # samples per second
BATCH = 1_000
FEED = 2_000  # samples of one request while the backlog is made
FLUSH = "100ms"  # of Telegraf
PATIENCE = 180  # seconds for the backlog to arrive

PENSTOCK = """
insecure: true
sources:
  press: {{ http: {{}} }}
pipelines:
  line:
    from: press
    to:
      - http: {{ url: "http://127.0.0.1:{sink}/samples", batch: %d, buffer: {{ disk: 1GB, live_first: true{more} }} }}
""" % BATCH

TELEGRAF = """
[[inputs.http_listener_v2]]
  service_address = "tcp://127.0.0.1:{port}"
  paths = ["/ingest/press"]
  read_timeout = "60s"
  write_timeout = "60s"
  data_format = "json"
  tag_keys = ["device"]
[[outputs.http]]
  url = "http://127.0.0.1:{sink}/samples"
  data_format = "json"
  [outputs.http.headers]
    Content-Type = "application/json"
"""


class Sink:
    """An endpoint that answers 200 to everything and keeps (seconds, body), on one port; the link to it can be cut."""

    def __init__(self):
        self.port = programs.free_port()
        self.bodies = []
        self.listener = None
        self.connections = []
        self.restore()

    def restore(self):
        self.listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def cut(self):
        if self.listener.fileno() >= 0:
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
        for connection in self.connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.connections = []

    def _accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection, connection.makefile("rb") as file:
            try:
                while file.readline():
                    headers = http.client.parse_headers(file)
                    body = file.read(int(headers["content-length"]))
                    self.bodies.append((time.monotonic(), body))
                    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            except (OSError, ValueError):
                pass

    def samples(self):
        """(seconds, device, number) of each, as they came."""
        for at, body in list(self.bodies):
            message = json.loads(body)
            for one in message.get("metrics", [message]) if isinstance(message, dict) else message:
                one = {**one, **one.get("tags", {}), **one.get("fields", {})}
                yield at, one["device"], int(one["n"])

    def close(self):
        self.cut()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Live:
    """Sends samples of a device at a steady rate, on a thread; `sent` has the time of each that was answered."""

    def __init__(self, port, device):
        self.port = port
        self.device = device
        self.sent = []
        self.stopping = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        for number in readings.paced(1 << 40, LIVE_RATE):
            if self.stopping:
                break
            now = time.monotonic()
            post(connection, json.dumps({"device": self.device, "n": number}))
            self.sent.append(now)
        connection.close()

    def stop(self):
        self.stopping = True
        self.thread.join()


def post(connection, body):
    connection.request("POST", "/ingest/press", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    answer.read()
    if answer.status >= 300:
        raise RuntimeError(f"a sample was answered with {answer.status}")


def feed(port):
    end = time.monotonic() + PATIENCE
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for start in range(0, BACKLOG, FEED):
        post(connection, json.dumps([{"device": "backlog", "n": n} for n in range(start, start + FEED)]))
        if time.monotonic() > end:
            raise RuntimeError(f"it took {start + FEED} of {BACKLOG} samples in {PATIENCE} s")
    connection.close()


def await_(condition, what):
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(f"waited {PATIENCE} s in vain for {what}")
        time.sleep(0.1)


class Arrivals:
    """Looks at every body once, and only counts: what is left costs the one core of the measurement."""

    def __init__(self, sink):
        self.sink = sink
        self.looked_at = 0
        self.counts = {}

    def of(self, device):
        while self.looked_at < len(self.sink.bodies):
            _, body = self.sink.bodies[self.looked_at]
            self.looked_at += 1
            for name in (b"before", b"backlog", b"live"):
                self.counts[name] = self.counts.get(name, 0) + body.count(b'"%s"' % name)
        return self.counts.get(device, 0)


def run(sink, port, seconds):
    """Everything that is sent, with the link up, cut and up again. Returns when the link came back and when live samples were sent."""
    arrivals = Arrivals(sink)
    before = Live(port, "before")
    time.sleep(seconds)
    before.stop()
    await_(lambda: arrivals.of(b"before") >= len(before.sent), "the live samples before the cut")
    sink.cut()
    feed(port)
    sink.restore()
    restored = time.monotonic()
    live = Live(port, "live")
    try:
        await_(lambda: arrivals.of(b"backlog") >= BACKLOG, "the backlog")
        time.sleep(seconds)
    finally:
        live.stop()
    await_(lambda: arrivals.of(b"live") >= len(live.sent), "the live samples")
    return restored, before.sent, live.sent


def measure(sink, program, port, seconds):
    cpu = program.cpu_us()
    try:
        restored, before, live = run(sink, port, seconds)
    except (OSError, http.client.HTTPException) as error:
        raise RuntimeError(f"{error!r}\n" + program.log.read_text(errors="replace")[-2000:]) from None
    cpu = program.cpu_us() - cpu
    came = {}  # the first time of each (device, number)
    order, again = [], 0
    for at, device, number in sink.samples():
        if (device, number) in came:
            again += 1
            continue
        came[device, number] = at
        if device == "backlog":
            order.append(number)
    lost = sum((device, n) not in came for device, count in (("before", len(before)), ("backlog", BACKLOG), ("live", len(live))) for n in range(count))
    first, last = (came["backlog", number] for number in (order[0], order[-1]))
    result = {"replay_s": BACKLOG / (last - first), "back_s": first - restored, "cpu_us_per_sample": cpu / (BACKLOG + len(before) + len(live)), "lost": lost,
              "again": again, "out_of_order": sum(a > b for a, b in zip(order, order[1:])), **program.memory_mb()}
    phases = {"before": [(n, at, "before") for n, at in enumerate(before)], "during": [(n, at, "live") for n, at in enumerate(live) if first <= at <= last],
              "after": [(n, at, "live") for n, at in enumerate(live) if at > last]}
    for phase, sent in phases.items():
        times = [(came[device, n] - at) * 1e3 for n, at, device in sent if (device, n) in came]
        if times:
            result.update({f"{key}_{phase}": value for key, value in readings.figures(times).items()})
    return result


def penstock(more=""):
    return lambda folder, core, sink: servers.penstock(folder, core, PENSTOCK.format(sink=sink, more=more))


def peer(more):
    def start(folder, core, sink):
        port = programs.free_port()
        (folder / "buffer").mkdir()
        program = telegraf.start(folder, core, TELEGRAF.format(port=port, sink=sink), batch=BATCH, buffer=2 * BACKLOG, more=more.format(folder=folder), flush=FLUSH)
        program.port = port
        return program
    return start


SUBJECTS = {"penstock": penstock(), "penstock, replay 20000/s": penstock(", replay: 20000/s"),
            "telegraf, disk": peer("buffer_strategy = \"disk\"\n  buffer_directory = \"{folder}/buffer\""), "telegraf, memory": peer("")}


def link_cut(options):
    host = report.machine()
    core, load_core = programs.cores()
    os.sched_setaffinity(0, {load_core})
    rounds, missing = [], {}
    for number in range(options.rounds):
        rounds.append({})
        for who, start in SUBJECTS.items():
            if who in missing:
                continue
            with programs.Folder() as folder, Sink() as sink:
                try:
                    with start(folder, core, sink.port) as program:
                        ours = rounds[-1][who] = measure(sink, program, program.port, options.seconds)
                except (programs.Missing, RuntimeError, OSError) as why:
                    missing[who] = str(why).splitlines()[0]
                    print(f"{who} is left out: {why}", flush=True)
                    continue
            print(f"round {number + 1}, {who}: " + ", ".join(f"{key} {value:.1f}" for key, value in ours.items()), flush=True)
    metrics = [("replay_s", 0, "backlog, samples per second"), ("back_s", 2, "from the link's return to the first of it, s")]
    metrics += [(f"{key}_{phase}", 1, f"live samples {phase} the replay, {key[:3]}, ms") for phase in ("before", "during", "after") for key in ("p50_ms", "p99_ms")]
    metrics += [("count_during", 0, "live samples meanwhile"), ("cpu_us_per_sample", 1, "CPU, µs per sample, in and out"), ("rss_mb", 1, "resident memory at the end, MB"),
                ("lost", 0, "lost"), ("again", 0, "arrived again"), ("out_of_order", 0, "of the backlog, out of order")]
    notes = [f"{BACKLOG} samples in requests of {FEED} while the link is cut, {LIVE_RATE} live ones a second while it is up; batches of {BATCH} to an HTTP endpoint. "
             f"Telegraf writes what it holds every {FLUSH}.", *(f"{who} is left out: {why}." for who, why in missing.items()),
             "Endpoint and sender share one core, what is measured has the other."]
    without = ("back_s", "count_during", "rss_mb", "lost", "again", "out_of_order")
    report.write("link_cut", "A link cut for 100,000 samples", notes, rounds,
                 report.table(rounds, [who for who in SUBJECTS if any(who in one for one in rounds)], metrics, "penstock", without), host)
