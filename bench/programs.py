"""Programs a benchmark starts: pinned to a core, measured by their own CPU time, ended by their pid."""

import contextlib
import json
import os
import pathlib
import re
import resource
import shutil
import socket
import subprocess
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("PENSTOCK_BUILD_DIR", ROOT / "build"))
BINARY = os.environ.get("PENSTOCK_BINARY", str(BUILD / "penstock"))
TICK_US = 1e6 / os.sysconf("SC_CLK_TCK")
START_SECONDS = 20
CPUCLOCK_SCHED = 2  # with ~pid << 3, the clock that clock_getcpuclockid(3) returns for a process


class Missing(Exception):
    """Something this machine lacks; said instead of a result."""


def cores():
    """(core of what is measured, core of the load and the upstream). The same one on a machine with one core."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[1 % len(allowed)]


def need(program):
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")
    if not path:
        raise Missing(f"{program} is not installed; ./dev setup test installs it")
    return path


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port, program, seconds=START_SECONDS, every=0.02):
    end = time.monotonic() + seconds
    while time.monotonic() < end and program.process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(every)
    tail = program.log.read_text(errors="replace")[-2000:]
    raise RuntimeError(f"{program.process.args[0]} does not listen on port {port} after {seconds} s\n{tail}")


class Folder:
    """A temporary folder of one benchmark."""

    def __enter__(self):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="penstock-bench-"))
        return self.path

    def __exit__(self, *_):
        shutil.rmtree(self.path, ignore_errors=True)


@contextlib.contextmanager
def pinned(core):
    """What is started inside runs on this core; this process is back where it was afterwards."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def raise_descriptor_limit():
    """To what the machine allows, for this process and all it starts. Returns it."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def clean_environment(**more):
    """Without what would point a program at a provider, an account or a proxy of this machine."""
    kept = {k: v for k, v in os.environ.items() if not re.search(r"_API_KEY$|_TOKEN$|_proxy$|^PENSTOCK_", k, re.I)}
    return {**kept, **more}


class Program:
    """One process, with those it starts, on one core. Its standard error goes to `log`, a file."""

    def __init__(self, command, core, log, ready=None, environment=None):
        self.log = pathlib.Path(log)
        self.line = ""  # the last one on its standard output
        self.match = None
        with pinned(core), open(self.log, "wb") as errors:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE if ready else errors, stderr=errors, text=True,
                env=environment or clean_environment(), start_new_session=True)
        if ready:
            self._await(re.compile(ready), command)

    def _await(self, ready, command):
        found = threading.Event()

        def read():
            for line in self.process.stdout:
                self.line = line
                if self.match is None and (match := ready.search(line)):
                    self.match = match
                    found.set()
            found.set()

        self.reader = threading.Thread(target=read, daemon=True)
        self.reader.start()
        found.wait(START_SECONDS)
        if self.match is None:
            self.stop()
            raise RuntimeError(f"{command[0]} said no ready line: {self.line}\n{self.log.read_text(errors='replace')[-3000:]}")

    def pids(self):
        """Itself and everything below it."""
        found = [self.process.pid]
        for pid in found:
            for children in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
                with contextlib.suppress(OSError):
                    found += [int(child) for child in children.read_text().split()]
        return found

    def cpu_us(self):
        """User and system time of all its threads so far, in microseconds, from the processes' own clocks (nanoseconds)."""
        return sum(time.clock_gettime_ns(~pid << 3 | CPUCLOCK_SCHED) for pid in self.pids()) / 1e3

    def user_us(self):
        """The user part of it; the kernel's tick (10 ms) is the resolution."""
        stats = [pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split() for pid in self.pids()]
        return sum(int(fields[11]) for fields in stats) * TICK_US

    def memory_mb(self):
        """{"rss_mb", "pss_mb"}: resident, and the part of it that is its own when shared pages are divided by their users."""
        sums = {"Rss": 0, "Pss": 0}
        for pid in self.pids():
            for key, kilobytes in re.findall(r"^(Rss|Pss): +(\d+) kB", pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M):
                sums[key] += int(kilobytes) * 1024
        return {"rss_mb": sums["Rss"] / 1e6, "pss_mb": sums["Pss"] / 1e6}

    def signal(self, number):
        if self.process.poll() is None:
            for pid in self.pids():
                os.kill(pid, number)

    def stop(self):
        """Ends it, and by their pids those of its children that outlive it."""
        pids = self.pids()
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for pid in pids[1:]:
            with contextlib.suppress(ProcessLookupError):
                if os.getsid(pid) == self.process.pid:
                    os.kill(pid, 9)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def load_command(port, path, body_file, headers, **options):
    """bench/load.cc's command line; options as there, with underscores, True for a flag."""
    command = [str(BUILD / "load"), "--port", str(port), "--path", path, "--body", str(body_file)]
    for name, value in headers.items():
        command += ["--header", f"{name}: {value}"]
    for name, value in options.items():
        if value:
            command += ["--" + name.replace("_", "-")] + ([] if value is True else [str(value)])
    return command


def counted(line, what):
    """The result of a load run. One failed request makes it worthless."""
    try:
        result = json.loads(line)
    except ValueError:
        raise RuntimeError(f"the load generator failed against {what}: {line[-500:]}") from None
    if result["failed"] or not result["requests"]:
        errors = {k: v for k, v in result.items() if v and (k.startswith("status_") or k in ("connect_errors", "broken", "timeouts"))}
        raise RuntimeError(f"{result['failed']} of {result['requests'] + result['failed']} requests failed: {errors}\nagainst {what}")
    return result


def load(core, port, path, body_file, headers, **options):
    with pinned(core):
        done = subprocess.run(load_command(port, path, body_file, headers, **options), capture_output=True, text=True, check=False)
    return counted(done.stdout.strip().rsplit("\n", 1)[-1] or done.stderr, f"port {port}")


def wrk(core, port, path, body_file, connections, seconds, headers):
    """One run of wrk, with bench/load.lua: a dictionary of what it counted."""
    command = [need("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s",
               "-s", str(ROOT / "bench" / "load.lua"), f"http://127.0.0.1:{port}{path}", "--", str(body_file)]
    for name, value in headers.items():
        command.append(f"{name}: {value}")
    with pinned(core):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    match = re.search(r"^RESULT (.*)$", done.stdout, re.M)
    if not match:
        raise RuntimeError(f"wrk failed: {done.stdout[-500:]} {done.stderr[-500:]}")
    result = dict((key, float(value)) for key, value in (pair.split("=") for pair in match[1].split()))
    failed = result["status_errors"] + result["socket_errors"]
    if result["requests"] == 0 or failed > 0:
        raise RuntimeError(f"{failed:.0f} of {result['requests']:.0f} requests failed on port {port}: a benchmark counts only answers")
    return result
