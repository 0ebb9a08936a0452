"""`connections`: what an open connection costs that does nothing, and ten thousand streams at once."""

import contextlib
import resource
import time

import programs
import proxy
import report
import servers

KEPT = (1000, 5000)
PAIRS = 1000
STREAMS = 10000
EVENTS, GAP_MS = 10, 1000  # of the streams at once
OWN_DESCRIPTORS = 200  # what a proxy has open besides its connections
NGINX_TABLE = 24000  # it begins to close idle connections when a sixteenth of its table is left


def streams_possible():
    """As many as a proxy can have with a descriptor on each side."""
    return min(STREAMS, (resource.getrlimit(resource.RLIMIT_NOFILE)[1] - OWN_DESCRIPTORS) // 2)


START = {
    "nginx": lambda folder, core, upstream: servers.nginx(folder, core, upstream.port, buffering=False, connections=NGINX_TABLE),
    "gateway": lambda folder, core, upstream: servers.penstock(folder, core, proxy.config(upstream)),
}


@contextlib.contextmanager
def held(subject, call, connections, seconds):
    """The load generator, from when every connection has had its answer or its stream's first event."""
    command = programs.load_command(subject.port, proxy.PATH, call.body_file, proxy.HEADERS, stream=call.stream, connections=connections,
                                    each=1, hold=True, sources=8, spread_ms=connections // 5, seconds=seconds)
    with programs.Program(command, call.load_core, call.body_file.with_suffix(".load"), "load holding") as program:
        yield program


def finish(program):
    program.process.wait(120)
    program.reader.join(10)
    return program.line


@contextlib.contextmanager
def fresh(who, stream, **upstream_options):
    """A server that has answered some calls, and how much memory it then has; new for every figure, since memory stays with a process."""
    core, load_core = programs.cores()
    with programs.Folder() as folder, servers.upstream(folder, load_core, **upstream_options) as upstream, START[who](folder, core, upstream) as subject:
        call = proxy.Call(folder, load_core, upstream, stream)
        proxy.Call(folder, load_core, upstream, False).measure(subject, seconds=1, connections=64)
        yield call, subject, subject.memory_mb()["rss_mb"]


def per_connection(who, stream, connections):
    """KiB of resident memory for each connection held, with its upstream connection if it is a stream."""
    with fresh(who, stream, events=2, gap_ms=120_000) as (call, subject, before):
        with held(subject, call, connections, 30):
            time.sleep(0.5)
            return (subject.memory_mb()["rss_mb"] - before) * 1e6 / 1024 / connections


def streams_at_once(who, connections):
    with fresh(who, True, events=EVENTS, gap_ms=GAP_MS) as (call, subject, before):
        cpu = subject.cpu_us()
        with held(subject, call, connections, 1) as load:
            time.sleep(EVENTS * GAP_MS / 2e3)
            resident = subject.memory_mb()["rss_mb"]
            counted = programs.counted(finish(load), who)
        cpu = subject.cpu_us() - cpu
    return {"streams_mb": resident, "streams_kib": (resident - before) * 1e6 / 1024 / connections,
            "delivered": counted["events"] / (connections * (EVENTS + 2)), "failed": counted["failed"],
            "cpu_us_per_event": cpu / counted["events"],
            "event_p50_ms": counted["event_delay"]["p50"] / 1e3, "event_p99_ms": counted["event_delay"]["p99"] / 1e3}


def measure(who, streams):
    result = {f"kept_{count}_kib": per_connection(who, False, count) for count in KEPT}
    result["pair_kib"] = per_connection(who, True, PAIRS)
    return {**result, **streams_at_once(who, streams)}


def connections(options):
    host = report.machine()
    streams = streams_possible()
    rounds = []
    for number in range(options.rounds):
        order = ["nginx", "gateway"] if number % 2 == 0 else ["gateway", "nginx"]
        rounds.append({who: measure(who, streams) for who in order})
        print(f"round {number + 1}: " + ", ".join(f"{who} {v['pair_kib']:.1f} KiB per idle stream pair" for who, v in rounds[-1].items()), flush=True)
    metrics = [
        *((f"kept_{count}_kib", 1, f"memory per idle kept connection, {count:,} of them, KiB") for count in KEPT),
        ("pair_kib", 1, f"memory per idle stream pair, {PAIRS:,} of them, KiB"),
        ("streams_mb", 1, f"resident memory with {streams:,} streams, MB"),
        ("streams_kib", 1, "of which per stream, KiB"),
        ("delivered", 3, "share of all events delivered"),
        ("failed", 0, "failed streams"),
        ("cpu_us_per_event", 2, "CPU, µs per event, opening included"),
        ("event_p50_ms", 2, "from sending to arrival of an event p50, ms"),
        ("event_p99_ms", 2, "the same p99, ms")]
    limit = "" if streams == STREAMS else (f"This machine lets a process have {resource.getrlimit(resource.RLIMIT_NOFILE)[1]:,} descriptors and a stream "
                                           f"needs two: {streams:,} streams instead of {STREAMS:,}.")
    notes = [proxy.SWITCHED_ON, f"nginx has proxy_buffering off and worker_connections {NGINX_TABLE}.",
             "Memory is what a freshly started server gains over what it had after a second of ordinary calls. "
             "An idle connection has had one answer; an idle pair has had the first event of its stream, and both its sides are open.",
             f"The streams at once have {EVENTS} tokens each, {GAP_MS} ms apart. Kernel memory of the sockets is not in these figures.", limit]
    report.write("connections", "Open connections", [n for n in notes if n], rounds,
                 report.table(rounds, ["nginx", "gateway"], metrics, "nginx", without_ratio=("failed", "delivered")), host)
