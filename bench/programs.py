"""Programs a benchmark starts: pinned to a core, measured by their own CPU time, ended by their pid."""

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


def wait_for_port(port):
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise RuntimeError(f"nothing listens on port {port} after {START_SECONDS} s")


class Folder:
    """A temporary folder of one benchmark."""

    def __enter__(self):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="penstock-bench-"))
        return self.path

    def __exit__(self, *_):
        shutil.rmtree(self.path, ignore_errors=True)


class Program:
    """One process on one core. Its standard error goes to `log`, a file."""

    def __init__(self, command, core, log, ready=None):
        self.log = pathlib.Path(log)
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=open(self.log, "wb"), text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {core}))
        self.match = None
        if ready:
            self._await(re.compile(ready), command)

    def _await(self, ready, command):
        found = threading.Event()

        def read():
            for line in self.process.stdout:
                if self.match is None and (match := ready.search(line)):
                    self.match = match
                    found.set()
            found.set()

        threading.Thread(target=read, daemon=True).start()
        found.wait(START_SECONDS)
        if self.match is None:
            self.stop()
            raise RuntimeError(f"{command[0]} said no ready line:\n{self.log.read_text(errors='replace')[-3000:]}")

    def times_us(self):
        """(user, system) time of all its threads so far, in microseconds; the kernel's tick (10 ms) is the resolution."""
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return int(fields[11]) * TICK_US, int(fields[12]) * TICK_US

    def cpu_us(self):
        return sum(self.times_us())

    def resident_bytes(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/statm").read_text().split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def mock(folder, core, *options):
    program = Program([BINARY, "mock", "--listen", "127.0.0.1:0", "--dialect", "openai", *options], core, folder / "mock.log",
                      r"mock ready \S+:(\d+)")
    program.port = int(program.match[1])
    return program


def gateway(folder, core, config):
    path = folder / "penstock.yaml"
    path.write_text(f"listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nthreads: 1\n{config}")
    program = Program([BINARY, "run", "--config", str(path), "--data-dir", str(folder / "data")], core, folder / "gateway.log",
                      r"penstock ready data=\S+?:(\d+) admin=\S+?:(\d+)")
    program.port = int(program.match[1])
    program.admin_port = int(program.match[2])
    return program


def nginx(folder, core, upstream_port, buffering):
    """proxy_pass with kept connections and nothing else switched on."""
    port = free_port()
    path = folder / "nginx.conf"
    path.write_text(f"""
daemon off;
master_process off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx_error.log crit;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  keepalive_requests 100000000;
  upstream provider {{ server 127.0.0.1:{upstream_port}; keepalive 512; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://provider;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering {"on" if buffering else "off"};
    }}
  }}
}}
""")
    program = Program([need("nginx"), "-c", str(path), "-p", str(folder), "-e", str(folder / "nginx_start.log")], core, folder / "nginx.log")
    program.port = port
    wait_for_port(port)
    return program


def wrk(core, port, path, body_file, connections, seconds, headers):
    """One run of wrk: a dictionary of what it counted, with its own CPU time."""
    command = [need("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s",
               "-s", str(ROOT / "bench" / "load.lua"), f"http://127.0.0.1:{port}{path}", "--", str(body_file)]
    for name, value in headers.items():
        command.append(f"{name}: {value}")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True, check=False,
                          preexec_fn=lambda: os.sched_setaffinity(0, {core}))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    match = re.search(r"^RESULT (.*)$", done.stdout, re.M)
    if not match:
        raise RuntimeError(f"wrk failed: {done.stdout[-500:]} {done.stderr[-500:]}")
    result = dict((key, float(value)) for key, value in (pair.split("=") for pair in match[1].split()))
    result["load_cpu_us"] = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e6
    failed = result["status_errors"] + result["socket_errors"]
    if result["requests"] == 0 or failed > 0:
        raise RuntimeError(f"{failed:.0f} of {result['requests']:.0f} requests failed on port {port}: a benchmark counts only answers")
    return result
