"""Black-box tests: starts the real binary and speaks to it over sockets. Python's standard library only.

A test file defines functions called test_*, each of them one sentence about the gateway, and ends with harness.run().
Every process is ended by its own pid. Waiting is for a condition with a generous limit, never for a measured time.
Whatever a test leaves behind ends with it, however it ends itself: see _stand_guard().
"""

import contextlib
import ctypes
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import traceback

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARY = os.environ.get("PENSTOCK_BINARY", str(ROOT / "build" / "penstock"))
SHARED = pathlib.Path(os.environ.get("PENSTOCK_SHARED", ROOT.parent / "shared"))
SKIP = 77
START_SECONDS = 20
PATIENCE = 10


PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


def _children():
    return [int(pid) for pid in pathlib.Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


def _stand_guard():
    """The test goes on in a child of this process. This one waits for its end, be it an exit, an exception or a signal, and
    then ends all that is left of what it started: the system hands orphans of orphans to it."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    test = os.fork()
    if test == 0:
        libc.prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        return
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda got, _: os.kill(test, got))
    status = None
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, how = os.wait()
            if pid == test:
                status = os.waitstatus_to_exitcode(how)
            if status is not None:
                for each in _children():
                    os.kill(each, signal.SIGKILL)
    os._exit(status if status >= 0 else 128 - status)


_stand_guard()

# Only root may look into /proc/PID of a process that hides its memory; tests of ordinary users do so too.
SEEN = "" if os.getuid() == 0 else "security: { core_dumps: true }\n"
# Tests share their machine: that its cores are busy with others is no reason for a gateway to refuse calls.
PATIENT = "overload: { lag: 0s }\n"


# Everything a test writes; removed when all of it passed.
FOLDER = pathlib.Path(tempfile.mkdtemp(prefix="penstock-test-"))
running = False  # a test


def folder():
    return pathlib.Path(tempfile.mkdtemp(dir=FOLDER))


class Failure(AssertionError):
    pass


def check(condition, *what):
    if not condition:
        raise Failure(" ".join(str(w) for w in what))


def equal(got, wanted, *what):
    check(got == wanted, *what, "got", repr(got), "instead of", repr(wanted))


class Skipped(Exception):
    """One test cannot be made here; the others go on."""


def skip(reason):
    """Within a test: leaves it out. Before run(): leaves out the file."""
    if running:
        raise Skipped(reason)
    print(f"SKIP {reason}")
    shutil.rmtree(FOLDER, ignore_errors=True)
    sys.exit(SKIP)


def need(*programs):
    for program in programs:
        if shutil.which(program) is None:
            skip(f"{program} is not installed; ./dev setup test installs it")


def until(condition, what, seconds=PATIENCE):
    """Returns the first true value of condition(); fails after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        check(time.monotonic() < end, "waited in vain for", what)
        time.sleep(0.02)


def run(names):
    """Runs the test_* functions in `names` (globals()) and exits with 1 when one failed, with 77 when none could be made."""
    global running
    if not os.access(BINARY, os.X_OK):
        print(f"FAIL no program at {BINARY}: build it, or set PENSTOCK_BINARY")
        sys.exit(1)
    only = sys.argv[1:]
    failed = passed = skipped = 0
    for name, function in list(names.items()):
        if not name.startswith("test_") or (only and name not in only):
            continue
        running = True
        try:
            function()
            passed += 1
            print(f"ok   {name}", flush=True)
        except Skipped as reason:
            skipped += 1
            print(f"SKIP {name}: {reason}", flush=True)
        except Exception as error:  # a test may fail in any way
            failed += 1
            print(f"FAIL {name}: {error}", flush=True)
            if not isinstance(error, Failure):
                traceback.print_exc(file=sys.stdout)
            for process in Process.running:
                print(process.tail(), flush=True)
            for process in list(Process.running):
                process.kill()
    running = False
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else "") + (f"; logs and data are in {FOLDER}" if failed else ""))
    if not failed:
        shutil.rmtree(FOLDER, ignore_errors=True)
    sys.exit(1 if failed else SKIP if skipped and not passed else 0)


class Process:
    """A program with a ready line on standard output; its standard error goes to a file."""

    running = []

    def __init__(self, arguments, ready, environment=None, prefix=()):
        self.log_file = tempfile.NamedTemporaryFile(dir=FOLDER, suffix=".log", delete=False)
        self.process = subprocess.Popen(
            [*prefix, BINARY, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log_file,
            env={**os.environ, **(environment or {})}, text=True)
        Process.running.append(self)
        self.lines = []
        self.found = threading.Event()
        self.match = None
        self.reader = threading.Thread(target=self._read, args=(re.compile(ready),), daemon=True)
        self.reader.start()
        self.found.wait(START_SECONDS)
        if self.match is None:
            self.kill()
            raise Failure(f"{' '.join(arguments)} said no ready line; exit status {self.process.returncode}\n{self.tail()}")

    def _read(self, ready):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            match = ready.search(line)
            if match and self.match is None:
                self.match = match
                self.found.set()
        self.found.set()

    @property
    def pid(self):
        return self.process.pid

    def alive(self):
        return self.process.poll() is None

    def log(self):
        return pathlib.Path(self.log_file.name).read_text(errors="replace")

    def tail(self):
        return f"--- log of pid {self.pid}\n" + "\n".join(self.log().splitlines()[-20:])

    def send(self, number):
        os.kill(self.pid, number)

    def wait(self, seconds=30):
        status = self.process.wait(seconds)
        self._forget()
        return status

    def stop(self):
        """SIGTERM; returns the exit status."""
        if self.alive():
            self.send(signal.SIGTERM)
        try:
            return self.wait()
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failure(f"pid {self.pid} did not end after SIGTERM") from None

    def kill(self):
        if self.alive():
            self.process.kill()
        self.process.wait()
        self._forget()

    def _forget(self):
        if self in Process.running:
            Process.running.remove(self)
        self.reader.join(5)
        self.log_file.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.alive():
            self.kill()


class Mock(Process):
    """`penstock mock` on a free port. Without a dialect it speaks all of them."""

    def __init__(self, *arguments):
        super().__init__(["mock", "--listen", "127.0.0.1:0", *arguments],
                         r"penstock mock ready (\S+):(\d+)")
        self.port = int(self.match[2])
        self.url = f"http://127.0.0.1:{self.port}/v1"

    def get(self, path):
        return request(self.port, "GET", path).json()

    def stats(self):
        return self.get("/mock/stats")

    def last(self):
        return self.get("/mock/last")


class Gateway(Process):
    """`penstock run` with a configuration text; listen, admin and data_dir are added to it. `prefix` is a command that
    runs it, and becomes it (exec)."""

    def __init__(self, config, data_dir=None, environment=None, listen="127.0.0.1:0", prefix=()):
        self.folder = folder()
        self.data_dir = pathlib.Path(data_dir or self.folder / "data")
        self.config_path = self.folder / "penstock.yaml"
        self.listen = listen
        self.write(config)
        super().__init__(["run", "--config", str(self.config_path), "--data-dir", str(self.data_dir)],
                         r"penstock ready data=\S+?:(\d+) admin=\S+?:(\d+)", environment, prefix)
        self.port = int(self.match[1])
        self.admin_port = int(self.match[2])

    def write(self, config):
        """Replaces the file at once, as editors do."""
        temporary = self.config_path.with_suffix(".new")
        temporary.write_text(f"listen: {self.listen}\nadmin: 127.0.0.1:0\nthreads: 1\n{SEEN if 'security:' not in config else ''}"
                             f"{PATIENT if 'overload:' not in config else ''}{config}")
        temporary.rename(self.config_path)

    def request(self, method, path, body=None, key=None, headers=None):
        return request(self.port, method, path, body, key, headers)

    def post(self, path, body, key=None, headers=None):
        return request(self.port, "POST", path, body, key, headers)

    def chat(self, model="chat", key=None, text="hello", **more):
        return self.post("/v1/chat/completions", chat_body(model, text, **more), key)

    def metrics(self):
        return request(self.admin_port, "GET", "/metrics").text()

    def metric(self, name, **labels):
        """The sum of the samples of `name` that carry `labels`."""
        total = 0.0
        for line in self.metrics().splitlines():
            match = re.match(r"([a-zA-Z0-9_:]+)(?:\{(.*)\})? (\S+)", line)
            if match and match[1] == name:
                have = dict(re.findall(r'(\w+)="([^"]*)"', match[2] or ""))
                if all(have.get(k) == v for k, v in labels.items()):
                    total += float(match[3])
        return total


def stored_usage(data_dir, column="requests"):
    """What the ledger has of one of its sums; its rows per minute, hour and day agree, and the file is whole."""
    with contextlib.closing(sqlite3.connect(pathlib.Path(data_dir) / "ledger.db")) as database:
        equal(database.execute("PRAGMA integrity_check").fetchone()[0], "ok")
        sums = {database.execute(f"SELECT coalesce(sum({column}), 0) FROM usage_{table}").fetchone()[0] for table in ("minute", "hour", "day")}
        equal(len(sums), 1, "rows per minute, hour and day do not agree:", sums)
        return sums.pop()


def chat_body(model="chat", text="hello", **more):
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


class Response:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    def text(self):
        return self.body.decode("utf-8", "replace")

    def json(self):
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise Failure(f"status {self.status}, body is not JSON: {self.body[:300]!r}") from error

    def __repr__(self):
        return f"{self.status} {self.body[:300]!r}"


def encode(body):
    if body is None or isinstance(body, bytes):
        return body
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()


def fields(key, headers):
    result = {"Content-Type": "application/json"}
    if key:
        result["Authorization"] = f"Bearer {key}"
    result.update(headers or {})
    return result


def request(port, method, path, body=None, key=None, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, encode(body), fields(key, headers))
        answer = connection.getresponse()
        return Response(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


class Cut(Failure):
    """The answer ended before its end."""


class Stream:
    """A streamed answer, event by event, each with the time it arrived. Reads the chunks itself: http.client takes a cut
    answer for a whole one."""

    def __init__(self, port, path, body, key=None):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        data = encode(body)
        head = [f"POST {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", f"Content-Length: {len(data)}"]
        head += [f"{name}: {value}" for name, value in fields(key, None).items()]
        self.socket.sendall("\r\n".join(head).encode() + b"\r\n\r\n" + data)
        self.file = self.socket.makefile("rb")
        line = self.file.readline().split(b" ", 2)
        check(len(line) > 1, "no answer")
        self.status = int(line[1])
        self.headers = http.client.parse_headers(self.file)

    def pieces(self):
        if self.headers.get("transfer-encoding") != "chunked":
            yield self.file.read(int(self.headers.get("content-length", -1)))
            return
        while True:
            size = self.file.readline()
            if not size.endswith(b"\r\n"):
                raise Cut("the answer was cut")
            count = int(size, 16)
            data = self.file.read(count + 2)
            if len(data) < count + 2:
                raise Cut("the answer was cut")
            if count == 0:
                return
            yield data[:-2]

    def events(self):
        """Yields (seconds, data lines joined). Cut when the answer has no proper end."""
        rest = b""
        for piece in self.pieces():
            now = time.monotonic()
            rest += piece
            while (end := rest.find(b"\n\n")) >= 0:
                event, rest = rest[:end], rest[end + 2:]
                lines = event.split(b"\n")
                yield now, b"\n".join(line[5:].lstrip(b" ") for line in lines if line.startswith(b"data:"))
        check(not rest, "the stream ended inside an event:", rest)

    def close(self):
        self.file.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def raw(port, data, seconds=10):
    """Bytes in, everything that comes back until the end."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(data)
        result = b""
        with contextlib.suppress(ConnectionResetError, socket.timeout):
            while part := connection.recv(65536):
                result += part
        return result


def command(*arguments, seconds=30, environment=None):
    """Runs the binary to its end: (status, standard output, standard error)."""
    done = subprocess.run([BINARY, *arguments], capture_output=True, text=True, timeout=seconds, stdin=subprocess.DEVNULL,
                          env={**os.environ, **(environment or {})}, check=False)
    return done.returncode, done.stdout, done.stderr


def sdk_reason(language):
    """Why the SDKs of a language are not there: what `./dev setup test` found, or that it did not run."""
    reason = ROOT / ".cache" / f"sdk_{language}.reason"
    if reason.exists():
        return reason.read_text().strip()
    return f"the {language} SDKs are not installed; ./dev setup test fetches them"
