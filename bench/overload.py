"""`overload`: what is left of the gateway when it is asked for more than it can serve, at fixed arrival rates."""

import gzip
import http.client
import json
import statistics
import subprocess
import threading
import time

import programs
import proxy
import report
import servers

FACTORS = (0.5, 1, 2, 5)
RECOVERY = 0.8  # of saturation, at once after the worst of them
CONNECTIONS = 2000
SOURCES = 8
DEADLINE_MS = 1000
PATH = "/ingest/press"
SAMPLES = 600  # of one call
SOURCE = "sources: { press: { http: {} } }\n"
PROBE_EVERY = 0.05


def readings():
    """A batch of a device's readings, as JSON."""
    return json.dumps([{"device": f"press-{n % 20}", "temp": 20 + n / 7, "vibration": n * 0.013, "rpm": 1500 + n} for n in range(SAMPLES)]).encode()


class Probe:
    """Asks for health over a new connection, and for the metrics, again and again, as a balancer and a monitor do."""

    def __init__(self, subject):
        self.targets = {"health": (subject.port, "/healthz"), "admin": (subject.admin_port, "/metrics")}
        self.millis = {name: [] for name in self.targets}
        self.failed = 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        while not self.over.wait(PROBE_EVERY):
            for name, (port, path) in self.targets.items():
                begun = time.monotonic()
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
                try:
                    connection.request("GET", path)
                    answer = connection.getresponse()
                    answer.read()
                    self.failed += answer.status != 200
                    self.millis[name].append((time.monotonic() - begun) * 1e3)
                except OSError:
                    self.failed += 1
                finally:
                    connection.close()

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join(15)

    def figures(self):
        worst = {f"{name}_p99_ms": sorted(values)[int(len(values) * 0.99)] for name, values in self.millis.items() if values}
        return {**worst, "probes_failed": self.failed}


def offer(subject, core, file, headers, rate, seconds):
    """Requests begin at `rate`, whatever becomes of them."""
    command = programs.load_command(subject.port, PATH, file, headers, connections=CONNECTIONS, sources=SOURCES, seconds=seconds,
                                    rate=rate, deadline_ms=DEADLINE_MS, grace=2)
    cpu = subject.cpu_us()
    with Probe(subject) as probe, programs.pinned(core):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    cpu = subject.cpu_us() - cpu
    counted = json.loads(done.stdout.strip().rsplit("\n", 1)[-1])
    offered = rate * seconds
    return {"offered_per_s": rate, "good_per_s": counted["requests"] / seconds, "shed_share": counted.get("status_503", 0) / offered,
            "late_share": counted["expired"] / offered, "p50_ms": counted["latency"]["p50"] / 1e3, "p99_ms": counted["latency"]["p99"] / 1e3,
            "other_failures": counted["failed"] - counted["expired"] - counted.get("status_503", 0),
            "cpu_share": cpu / 1e6 / counted["elapsed_s"], **probe.figures()}


def one_round(seconds):
    core, load_core = programs.cores()
    with programs.Folder() as folder, servers.upstream(folder, load_core) as upstream, servers.penstock(folder, core, proxy.config(upstream) + SOURCE) as gateway:
        file = folder / "body.gz"
        file.write_bytes(gzip.compress(readings(), mtime=0))
        headers = {**proxy.HEADERS, "Content-Encoding": "gzip"}
        peak = programs.load(load_core, gateway.port, PATH, file, headers, connections=64, seconds=seconds)["requests_per_s"]
        result = {}
        for factor in (*FACTORS, RECOVERY):
            name = f"{factor}x" if factor != RECOVERY else f"{factor}x after"
            result[name] = offer(gateway, load_core, file, headers, peak * factor, seconds)
            result[name]["good_of_peak"] = result[name]["good_per_s"] / peak
        for figures in result.values():
            figures["peak_per_s"] = peak
        resident = gateway.memory_mb()["rss_mb"]
        result[f"{RECOVERY}x after"]["resident_mb"] = resident
    return result


METRICS = [
    ("offered_per_s", 0, "offered, calls/s"), ("good_per_s", 0, f"answered 2xx within {DEADLINE_MS} ms, calls/s"),
    ("good_of_peak", 2, "the same, of saturation"), ("shed_share", 2, "refused with 503, of what was offered"),
    ("late_share", 3, "given up by the caller, of what was offered"), ("other_failures", 0, "other failures"),
    ("p50_ms", 1, "served: p50, ms"), ("p99_ms", 1, "served: p99, ms"), ("health_p99_ms", 1, "/healthz over a new connection: p99, ms"),
    ("admin_p99_ms", 1, "admin /metrics: p99, ms"), ("probes_failed", 0, "failed probes"), ("cpu_share", 2, "of the gateway's core"),
    ("resident_mb", 0, "resident at the end, MB")]


def overload(options):
    host = report.machine()
    rounds = []
    for number in range(options.rounds):
        rounds.append(one_round(options.seconds))
        print(f"round {number + 1}: " + ", ".join(f"{name} {figures['good_of_peak']:.2f}" for name, figures in rounds[-1].items()), flush=True)
    names = list(rounds[0])
    lines = ["| metric | " + " | ".join(names) + " |", "|---" * (1 + len(names)) + "|"]
    for metric, digits, label in METRICS:
        cells = [report.series(rounds, name, metric) for name in names]
        lines.append(f"| {label} | " + " | ".join(report.spread(values, digits) if values else "–" for values in cells) + " |")
    peak = statistics.median(figures["peak_per_s"] for r in rounds for figures in r.values())
    notes = [f"Saturation ({peak:.0f} calls/s) is what 64 connections that ask without a pause get in the same round. Then calls begin at fixed times, "
             f"at so many times that rate, over {CONNECTIONS:,} kept connections from {SOURCES} addresses; a caller gives up after {DEADLINE_MS} ms, hangs up and "
             "reconnects. Latency counts from the time a call was due. 'after' follows the heaviest load at once.",
             f"A call brings {SAMPLES} readings of devices ({len(readings()) // 1024} KiB of JSON, gzip-coded): it keeps the gateway's core busy and needs nobody else, and costs "
             "much more than refusing one. No server can refuse a call for nothing, and what it spends on refusing it cannot spend on serving.",
             "Gateway: one loop on a core of its own, with key check, metrics and an access log to a file. Load generator and probes share the other core."]
    report.write("overload", "More load than can be served", notes, rounds, "\n".join(lines), host)
