"""`reload`: what 200 reloads do to the latency of the requests that run meanwhile.

The same gateway and the same load at a fixed rate, first alone, then with a reload every few milliseconds: the file
changes each time (a key's limits, a provider's timeout, a listener that comes and goes), so that every reload does all its
work. One failed request makes the run worthless.
"""

import signal
import threading
import time

import programs
import proxy
import report
import servers

RELOADS = 200
RATE = 2000  # requests per second


def variant(text, turn, extra_port):
    text = text.replace("rpm: 1000000000", f"rpm: {1_000_000_000 + turn}").replace("sk-upstream-0000001 }", f"sk-upstream-0000001, timeout: {60 + turn % 7}s }}")
    if turn % 2:
        text = text.replace("listen: ", f"listen: [ 127.0.0.1:{extra_port}, ", 1).replace("\nadmin", " ]\nadmin", 1)
    return text


def reload_all(gateway, path, begin, seconds):
    """`RELOADS` reloads spread evenly; returns how many the gateway says it took."""
    text, extra_port = path.read_text(), programs.free_port()
    before = gateway.log.read_text(errors="replace").count('"configuration reloaded"')
    for turn in range(1, RELOADS + 1):
        temporary = path.with_suffix(".new")
        temporary.write_text(variant(text, turn, extra_port))
        temporary.rename(path)
        gateway.process.send_signal(signal.SIGHUP)
        time.sleep(max(0, begin + turn * seconds / RELOADS - time.monotonic()))
    path.write_text(text)
    return gateway.log.read_text(errors="replace").count('"configuration reloaded"') - before


def one_round(gateway, path, call, rate, seconds, reloading):
    taken = []
    begin = time.monotonic()
    reloader = threading.Thread(target=lambda: taken.append(reload_all(gateway, path, begin, seconds)))
    if reloading:
        reloader.start()
    result = call.measure(gateway, rate=rate, seconds=seconds, connections=64)
    if reloading:
        reloader.join()
        result["reloads"] = taken[0]
        if taken[0] < RELOADS // 2:
            raise RuntimeError(f"only {taken[0]} of {RELOADS} reloads were taken\n" + gateway.log.read_text(errors="replace")[-1000:])
    return result


def reload(options):
    host = report.machine()
    core, load_core = programs.cores()
    rate = options.rate or RATE
    rounds = []
    with programs.Folder() as folder, servers.upstream(folder, load_core) as upstream, \
            servers.penstock(folder, core, proxy.config(upstream)) as gateway:
        call = proxy.Call(folder, load_core, upstream, False)
        call.measure(gateway, seconds=1)
        for number in range(options.rounds):
            rounds.append({who: one_round(gateway, folder / "penstock.yaml", call, rate, options.seconds, who == "reloading")
                           for who in ("quiet", "reloading")})
            quiet, busy = rounds[-1]["quiet"], rounds[-1]["reloading"]
            print(f"round {number + 1}: p99 {quiet['p99_us']:.0f} us quiet, {busy['p99_us']:.0f} us with {busy['reloads']} reloads", flush=True)
    metrics = [("p50_us", 0, "p50, µs"), ("p99_us", 0, "p99, µs"), ("p999_us", 0, "p99.9, µs"),
               ("cpu_us_per_request", 1, "CPU of the gateway, µs per request"), ("requests", 0, "requests, none failed"), ("reloads", 0, "reloads taken")]
    notes = [f"Plain chat completions at {rate} requests/s over 64 connections; {RELOADS} SIGHUPs spread over {options.seconds} s, each with a changed file "
             "(a key's limits, a provider's timeout, a second listener that comes and goes). Signals that arrive during a reload are one reload."]
    report.write("reload", "Reloads under load", notes, rounds, report.table(rounds, ["quiet", "reloading"], metrics, "quiet", ("requests", "reloads")), host)
