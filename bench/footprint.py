"""`idle` and `startup`: what a program weighs and costs when nobody asks it anything, and how soon it answers."""

import subprocess
import time

import programs
import proxy
import report
import servers

DEMO = (programs.ROOT / "configs" / "demo.yaml").read_text().replace("configs/models", str(programs.ROOT / "configs" / "models"))
NOWHERE = 9  # a port at which nothing is asked


def minimal():
    return proxy.CONFIG.format(port=NOWHERE, key=proxy.KEY)


def folders(folder, names):
    for name in names:
        (folder / name).mkdir(parents=True, exist_ok=True)
    return [folder / name for name in names]


def at_rest(subjects, seconds):
    """Those given at once: they do nothing, and so do not disturb each other."""
    time.sleep(2)
    before = {who: subject.cpu_us() for who, subject in subjects.items()}
    time.sleep(seconds)
    return {who: {**subject.memory_mb(), "cpu_ms_per_minute": (subject.cpu_us() - before[who]) / 1e3 * 60 / seconds}
            for who, subject in subjects.items()}


def idle(options):
    host = report.machine()
    core, _ = programs.cores()
    seconds = max(10, options.seconds)
    rounds = []
    for number in range(options.rounds):
        with programs.Folder() as folder:
            a, b, c, d = folders(folder, ["gateway", "demo", "nginx", "haproxy"])
            with servers.penstock(a, core, minimal()) as gateway, servers.nginx(c, core, NOWHERE) as nginx, servers.haproxy(d, core, NOWHERE) as haproxy:
                result = at_rest({"gateway": gateway, "nginx": nginx, "haproxy": haproxy}, seconds)
            with servers.penstock(b, core, DEMO) as demo:
                rounds.append({**result, **at_rest({"gateway, demo": demo}, seconds)})
        print(f"round {number + 1}: " + ", ".join(f"{who} {v['rss_mb']:.1f} MB" for who, v in rounds[-1].items()), flush=True)
    metrics = [("rss_mb", 1, "resident memory, MB"), ("pss_mb", 1, "of which its share (PSS), MB"), ("cpu_ms_per_minute", 1, "CPU while idle, ms per minute")]
    notes = [f"Two seconds after the start, then {seconds} s without a request. `gateway` has one provider and one key and no local model; "
             "`gateway, demo` is configs/demo.yaml: a local ONNX model, and pipelines that read this machine every second, so it is not quite idle.",
             "One thread each. Every page counts in RSS; in PSS one that several processes of the machine share counts in part."]
    report.write("idle", "Idle", notes, rounds, report.table(rounds, ["nginx", "haproxy", "gateway", "gateway, demo"], metrics, "nginx"), host)


def until_line(command, core, log):
    """Milliseconds from spawning to the line that says it is ready."""
    begun = time.perf_counter()
    with programs.Program(command, core, log, servers.READY):
        return (time.perf_counter() - begun) * 1e3


def until_port(command, core, log, port):
    begun = time.perf_counter()
    with programs.Program(command, core, log) as program:
        programs.wait_for_port(port, program, every=0.0003)
        return (time.perf_counter() - begun) * 1e3


def until_ended(core):
    begun = time.perf_counter()
    with programs.pinned(core):
        subprocess.run(["true"], check=True)
    return (time.perf_counter() - begun) * 1e3


def startup(options):
    host = report.machine()
    core, _ = programs.cores()
    rounds = []
    for number in range(max(11, options.rounds)):
        with programs.Folder() as folder:
            a, b, c, d = folders(folder, ["gateway", "demo", "nginx", "haproxy"])
            port = programs.free_port()
            ways = {
                "gateway": lambda: until_line(servers.penstock_command(a, minimal()), core, a / "log"),
                "gateway, demo": lambda: until_line(servers.penstock_command(b, DEMO), core, b / "log"),
                "nginx": lambda: until_port(servers.nginx_command(c, port, NOWHERE), core, c / "log", port),
                "haproxy": lambda: until_port(servers.haproxy_command(d, port, NOWHERE), core, d / "log", port),
                "true": lambda: until_ended(core),
            }
            rounds.append({who: {"start_ms": ways[who]()} for who in (ways if number % 2 == 0 else reversed(ways))})
    notes = ["From spawning to the ready line of the gateway, with an empty data folder, and to the first accepted connection of nginx and HAProxy.",
             "`gateway` has one provider and one key; `gateway, demo` is configs/demo.yaml with its local model and pipelines. "
             "`true` starts and ends: what the measuring costs."]
    report.write("startup", "Start", notes, rounds, report.table(
        rounds, ["nginx", "haproxy", "gateway", "gateway, demo", "true"], [("start_ms", 1, "spawn to ready, ms")], "nginx"), host)
