"""`peers`: the same calls through other gateways and proxies, every one on the same core and before the same upstream."""

import contextlib
import itertools
import signal
import statistics
import time

import peer_programs
import programs
import proxy
import report
import servers

PROMPTS = {"250 B": 250, "4 KB": 4096, "64 KB": 65536}
CONNECTIONS = (1, 64, 512)
TOKENS, PACE_MS = 16, 20  # of a stream
GRACE_SECONDS = 20
WARM_SECONDS = 3  # of each kind of call: runtimes compile and import as they go
MIXES = [(stream, prompt, count) for stream in (False, True) for prompt in PROMPTS for count in CONNECTIONS]


def name(mix):
    stream, prompt, count = mix
    return f"{'stream' if stream else 'plain'}, {prompt}, {count} {'connection' if count == 1 else 'connections'}"


class Stand:
    """Every peer that can be started, and why the others cannot."""

    def __init__(self, stack, only):
        self.core, self.load_core = programs.cores()
        self.folder = stack.enter_context(programs.Folder())
        self.upstream = stack.enter_context(servers.upstream(self.folder, self.load_core, events=TOKENS, gap_ms=PACE_MS))
        self.running, self.about = {}, {}
        for who, (start, version, switched_on) in peer_programs.ALL.items():
            if only and who not in (*only, "direct", "penstock"):
                continue
            self.about[who] = {"on": switched_on}
            try:
                self._start(stack, who, start)
                self.about[who]["version"] = version()
            except (programs.Missing, RuntimeError) as error:
                self.about[who]["missing"] = first_line(error)
            print(f"{who}: {self.about[who].get('missing') or self.about[who]['version'] or 'runs'}", flush=True)

    def _start(self, stack, who, start):
        folder = self.folder / who.replace(" ", "_")
        folder.mkdir()
        if start is None:
            self.running[who] = self.upstream
            return
        begun = time.monotonic()
        subject = stack.enter_context(start(folder, self.core, self.upstream))
        stack.callback(subject.signal, signal.SIGCONT)
        try:
            self._until_it_answers(subject, begun)
        except RuntimeError:
            subject.stop()
            raise
        seconds = time.monotonic() - begun
        time.sleep(1)
        idle = subject.memory_mb()
        self.running[who] = subject
        self.about[who] |= {"start_s": seconds, **{"idle_" + key: value for key, value in idle.items()}, "loaded_rss_mb": 0, "loaded_pss_mb": 0}
        for stream in (False, True):
            self.measure(who, (stream, "4 KB", 16), WARM_SECONDS)

    def _until_it_answers(self, subject, begun):
        while True:
            try:
                return self.call((False, "250 B", 1), subject).measure(subject, connections=1, each=1, seconds=1)
            except RuntimeError as error:
                if time.monotonic() - begun > peer_programs.SLOW_START_SECONDS or subject.process.poll() is not None:
                    raise RuntimeError(f"{first_line(error)} {last_line(subject.log)}") from None
                time.sleep(0.5)

    def call(self, mix, subject):
        stream, prompt, _ = mix
        return proxy.Call(self.folder, self.load_core, self.upstream, stream, PROMPTS[prompt], model=getattr(subject, "model", proxy.MODEL))

    def measure(self, who, mix, seconds):
        """The others are stopped meanwhile: what they do unasked is not on the core of the one measured."""
        subject, count = self.running[who], mix[2]
        others = who != "direct"
        if others:
            subject.signal(signal.SIGCONT)
        try:
            call = self.call(mix, subject)
            result = call.measure(subject, connections=count, seconds=seconds, grace=GRACE_SECONDS, spread_ms=TOKENS * PACE_MS if mix[0] else 0)
            if others:
                for key, value in subject.memory_mb().items():
                    self.about[who]["loaded_" + key] = max(self.about[who]["loaded_" + key], value)
            return result
        except (RuntimeError, OSError) as error:
            return {"error": first_line(error)}
        finally:
            if others and subject.process.poll() is None:
                subject.signal(signal.SIGSTOP)


def first_line(error):
    return str(error).strip().split("\n")[0][:200]


def last_line(log):
    return (log.read_text(errors="replace").strip().split("\n") or [""])[-1][:160]


def run_rounds(options, stand, mixes):
    seconds = max(1, options.seconds // 2)
    rounds = []
    failed = {}
    for number in range(options.rounds):
        order = list(stand.running) if number % 2 == 0 else list(reversed(stand.running))
        result = {}
        for mix, who in itertools.product(mixes, order):
            cell = failed.get((mix, who)) or stand.measure(who, mix, seconds)
            if "error" in cell:
                failed[mix, who] = cell
            result.setdefault(name(mix), {})[who] = cell
        for cells in result.values():
            for who, cell in cells.items():
                if who != "direct" and "error" not in cell and "error" not in cells["direct"]:
                    proxy.add_latency(cell, cells["direct"], "")
                    if "event_p50_us" in cell:
                        proxy.add_latency(cell, cells["direct"], "event_")
                        proxy.add_latency(cell, cells["direct"], "first_")
        rounds.append(result)
        print(f"round {number + 1} of {options.rounds}", flush=True)
    return rounds


def cell_text(values, digits=0):
    return report.spread(values, digits) if values else "–"


def quantiles(cells, what):
    """The median of p50, p99 and p99.9, in one cell."""
    keys = [f"added_{what}{q}_us" for q in proxy.QUANTILES]
    if any(key not in cell for key in keys for cell in cells):
        return "–"
    return " / ".join(f"{statistics.median(cell[key] for cell in cells):,.0f}" for key in keys)


def row(mix, who, cells, ours):
    errors = [c["error"] for c in cells if "error" in c]
    if errors:
        return f"| {name(mix)} | {who} | **failed**: {errors[0]} |" + " |" * 6
    unit = "event" if mix[0] else "request"
    key = f"cpu_us_per_{unit}"
    cpu = [c[key] for c in cells if key in c]
    ratios = [c[key] / o[key] for c, o in zip(cells, ours) if key in c and o.get(key)]
    columns = [name(mix), who, cell_text(cpu, 1), cell_text(ratios, 2), cell_text([c["requests_per_s"] for c in cells]),
               quantiles(cells, "first_" if mix[0] else ""), quantiles(cells, "event_") if mix[0] else "–",
               cell_text([c[f"upstream_cpu_us_per_{unit}"] for c in cells], 1), cell_text([c[f"load_cpu_us_per_{unit}"] for c in cells], 1)]
    return "| " + " | ".join(columns) + " |"


def calls_table(rounds, subjects, mixes):
    lines = ["| calls | through | CPU, µs per request (stream: per event) | / penstock | requests/s | added latency p50 / p99 / p99.9, µs "
             "(stream: to the first event) | added per event p50 / p99 / p99.9, µs | upstream's CPU | generator's CPU |", "|---" * 9 + "|"]
    for mix, who in itertools.product(mixes, subjects):
        cells = [r[name(mix)][who] for r in rounds]
        lines.append(row(mix, who, cells, [r[name(mix)]["penstock"] for r in rounds]))
    return "\n".join(lines)


def about_table(about):
    lines = ["| | version | what is on | first answer after, s | memory idle, RSS / PSS MB | loaded, RSS / PSS MB |", "|---" * 6 + "|"]
    for who, facts in about.items():
        if "missing" in facts:
            lines.append(f"| {who} | | **did not run**: {facts['missing']} | | | |")
        elif who != "direct":
            memory = [f"{facts[f'{when}_rss_mb']:.0f} / {facts[f'{when}_pss_mb']:.0f}" for when in ("idle", "loaded")]
            lines.append(f"| {who} | {facts['version']} | {facts['on']} | {facts['start_s']:.1f} | {memory[0]} | {memory[1]} |")
    return "\n".join(lines)


def peers(options):
    host = report.machine()
    mixes = [mix for mix in MIXES if options.mixes in name(mix)]
    with contextlib.ExitStack() as stack:
        stand = Stand(stack, [who for who in options.peers.split(",") if who])
        if "penstock" not in stand.running:
            raise RuntimeError(stand.about["penstock"]["missing"])
        rounds = run_rounds(options, stand, mixes)
        about, subjects = stand.about, list(stand.running)
    notes = [f"Every peer has one thread or worker on the same core; the others are stopped while one is measured. "
             f"{max(1, options.seconds // 2)} s per run, kept connections, a new request as soon as the last is answered.",
             f"An answer has 300 bytes; a stream {TOKENS} tokens {PACE_MS} ms apart. Added: the quantile less that of `direct` in the same round; with many "
             "connections it is mostly waiting for one's turn, with one it is the way through.",
             f"Before the first round every peer answers {WARM_SECONDS} s of plain and {WARM_SECONDS} s of streamed calls that are not counted.",
             "CPU and memory are summed over a peer's processes; loaded is the most seen after a run. Load generator and upstream share the other core.",
             f"A run with a failed request counts for nothing and is not repeated; an answer has {GRACE_SECONDS} s beyond the run before it counts as failed. The rate is requests over the time until the last was answered."]
    text = about_table(about) + "\n\n" + calls_table(rounds, subjects, mixes)
    report.write("peers", "Peers", notes, rounds, text, host, about=about)
