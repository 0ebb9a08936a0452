"""Another process takes over, and a process ends: nobody who asks notices more than a closed connection."""

import contextlib
import http.client
import os
import pathlib
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading
import time

import harness
from harness import check, equal, until
from load import Load

KEY = "sk-upgrade-test-001"


def config(mock, more=""):
    return (f"providers:\n  lab: {{ type: openai, base_url: {mock.url} }}\nmodels:\n  chat: {{ route: [ lab/small ] }}\n"
            f"keys: [ {{ name: app, secret: {KEY} }} ]\n{more}")


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def over_local_socket(path):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        check(client.recv(100).startswith(b"HTTP/1.1 200"), "no answer over the socket")


class Lineage:
    """A gateway and those that took over from it. Only the first is our child; all are ended by pid."""

    def __init__(self, gateway):
        self.gateway = gateway
        self.pids = [gateway.pid]

    def newest(self):
        return self.pids[-1]

    def started(self):
        return [int(pid) for pid in re.findall(r'"upgrade: starting another process","pid":"(\d+)"', self.gateway.log())]

    def begin(self):
        """SIGUSR2; the new process's id."""
        known = len(self.started())
        os.kill(self.newest(), signal.SIGUSR2)
        return until(lambda: self.started()[known:], "the new process")[0]

    def upgrade(self):
        old, lines = self.newest(), len(self.gateway.lines)
        self.pids.append(self.begin())
        until(lambda: len(self.gateway.lines) > lines, "the ready line of the new process", 30)
        return old

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for pid in self.pids[1:]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def replaceable_program():
    """The program as a copy whose file a test may replace."""
    program = harness.folder() / "penstock"
    shutil.copy2(harness.BINARY, program)
    original, harness.BINARY = harness.BINARY, str(program)
    try:
        yield program
    finally:
        harness.BINARY = original


def test_upgrades_under_load_refuse_and_fail_nothing():
    with harness.Mock("--tokens", "8", "--per-token", "2ms") as mock, harness.Gateway(config(mock)) as gateway, Lineage(gateway) as lineage:
        first_line = gateway.lines[0]
        with Load(gateway.port, key=KEY) as load:
            for _ in range(4):
                done = load.done
                old = lineage.upgrade()
                until(lambda: not alive(old) or old == gateway.pid and not gateway.alive(), "the old process to end", 40)
                until(lambda: load.done > done + 20, "answers from the new process")
        check(load.done > 80, "only", load.done, "requests")
        equal(set(gateway.lines), {first_line}, "ready lines:")
        equal(harness.request(gateway.admin_port, "GET", "/healthz").status, 200)
        os.kill(lineage.newest(), signal.SIGTERM)
        until(lambda: not alive(lineage.newest()), "the last process to end", 30)
        equal(harness.stored_usage(gateway.data_dir), load.done, "requests in the usage of all processes:")


def test_a_budget_is_not_overspent_through_an_upgrade_and_nothing_of_it_is_lost():
    with harness.Mock("--tokens", "50", "--first-token", "5ms", "--per-token", "20ms") as mock:
        priced = (f"providers:\n  lab: {{ type: openai, base_url: {mock.url} }}\nmodels:\n  chat: {{ route: [ lab/small ], "
                  f"price: {{ input: 0USD/1M, output: 100USD/1M }} }}\n"
                  f"keys: [ {{ name: app, secret: {KEY}, budget: 0.05USD/day }} ]\n")
        with harness.Gateway(priced) as gateway, Lineage(gateway) as lineage:
            statuses, threads = [], []

            def ask(count):
                more = [threading.Thread(target=lambda: statuses.append(gateway.chat(key=KEY, max_tokens=50).status)) for _ in range(count)]
                for thread in more:
                    thread.start()
                threads.extend(more)

            ask(2)
            old = lineage.upgrade()
            ask(4)
            time.sleep(0.3)
            ask(4)
            until(lambda: not alive(old) or old == gateway.pid and not gateway.alive(), "the old process to end", 40)
            for thread in threads:
                thread.join()
            # Each call costs 0.005 USD: ten are paid for, and as many are granted when asked one after the other.
            time.sleep(1)
            for _ in range(12):
                ask(1)
                threads[-1].join()
            granted = statuses.count(200)
            equal(granted, 10, "calls granted:")
            equal(harness.stored_usage(gateway.data_dir, "cost_micros"), 50_000)
            budget = harness.request(gateway.admin_port, "GET", "/admin/v1/budgets").json()["budgets"][0]
            equal(budget["held"], 0 if isinstance(budget["held"], int) else budget["held"])
            check("0.05" in str(budget["spent"]) or budget["spent"] == 50_000, "spent:", budget["spent"])


def children(pid):
    def parent(entry):
        try:
            return int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            return None
    return [int(entry.name) for entry in pathlib.Path("/proc").iterdir() if entry.name.isdigit() and parent(entry) == pid]


def isolated_workers(pid):
    """What the isolated models of this gateway run in: the process that starts workers, and those."""
    nurseries = [child for child in children(pid) if children(child)]
    return nurseries + [worker for nursery in nurseries for worker in children(nursery)]


def test_an_isolated_model_answers_through_an_upgrade_and_leaves_no_process_behind():
    body = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [0, 1, 2, 3]}]}
    scale = harness.ROOT / "tests" / "models" / "scale"
    with harness.Gateway(f"models:\n  alone: {{ path: {scale}, isolate: true }}\n") as gateway, Lineage(gateway) as lineage:
        statuses, done = [], threading.Event()

        def ask():
            statuses.append(gateway.request("POST", "/v2/models/alone/infer", body).status)

        def keep_asking():
            while not done.is_set():
                ask()

        ask()
        equal(statuses, [200])
        thread = threading.Thread(target=keep_asking)
        thread.start()
        left = []
        for _ in range(2):
            before = isolated_workers(lineage.newest())
            equal(len(before), 2, "a process that starts workers, and one of them:")
            left += before
            old = lineage.upgrade()
            until(lambda: not alive(old) or old == gateway.pid and not gateway.alive(), "the old process to end", 40)
            until(lambda: not any(map(alive, before)), f"the end of the old workers {before}")
            count = len(statuses)
            until(lambda: len(statuses) > count + 5, "answers from the new process")
        done.set()
        thread.join()
        equal(set(statuses), {200})
        last = isolated_workers(lineage.newest())
        equal(len(last), 2, "processes of the last:")
        check(not set(last) & set(left), "a worker was taken over:", last, left)
        os.kill(lineage.newest(), signal.SIGTERM)
        until(lambda: not alive(lineage.newest()), "the last process to end", 30)
        until(lambda: not any(map(alive, last)), f"the end of {last}")


def test_a_second_gateway_on_the_same_data_folder_is_refused():
    with harness.Mock() as mock, harness.Gateway(config(mock)) as gateway:
        status, _, said = harness.command("run", "--config", str(gateway.config_path), "--data-dir", str(gateway.data_dir))
        equal(status, 1)
        check(f"process {gateway.pid}" in said, "the refusal:", said)
        with Lineage(gateway) as lineage:
            lineage.upgrade()
            until(lambda: "took over from another process" in gateway.log(), "the new process to take over", 30)
            status, _, said = harness.command("run", "--config", str(gateway.config_path), "--data-dir", str(gateway.data_dir))
            equal(status, 1)
            check(f"process {lineage.newest()}" in said, "the refusal:", said)


def test_a_new_process_that_dies_while_starting_changes_nothing():
    with replaceable_program() as program, harness.Mock() as mock, harness.Gateway(config(mock)) as gateway, Lineage(gateway) as lineage:
        # What is started does not come as far as taking over, however busy the machine is.
        program.rename(program.with_suffix(".real"))
        program.write_text("#!/bin/sh\nexec sleep 60\n")
        program.chmod(0o755)
        with Load(gateway.port, key=KEY):
            for _ in range(3):
                failed = gateway.log().count("upgrade failed")
                os.kill(lineage.begin(), signal.SIGKILL)
                until(lambda: gateway.log().count("upgrade failed") > failed or not gateway.alive(), "word of the failure")
                check(gateway.alive(), "the old process ended:", gateway.tail())
        program.unlink()
        program.with_suffix(".real").rename(program)
        gateway.write(config(mock, "nonsense: 1\n"))
        until(lambda: "reload refused" in gateway.log(), "the bad file to be noticed")
        failed = gateway.log().count("upgrade failed")
        lineage.begin()
        until(lambda: gateway.log().count("upgrade failed") > failed, "word of the failure")
        equal(gateway.chat(key=KEY).status, 200)
        equal(gateway.stop(), 0)


def test_the_program_of_that_name_is_started_whatever_it_is_now():
    """A file renamed over the program's path is what an upgrade starts."""
    with replaceable_program() as program, harness.Mock() as mock:
        with harness.Gateway(config(mock)) as gateway, Lineage(gateway) as lineage:
            program.rename(program.with_suffix(".old"))
            program.write_text("#!/bin/sh\nexit 3\n")
            program.chmod(0o755)
            lineage.begin()
            until(lambda: "ended with status 3" in gateway.log(), "the other program's status")
            equal(gateway.chat(key=KEY).status, 200)
            program.unlink()
            program.with_suffix(".old").rename(program)
            lineage.upgrade()
            equal(gateway.chat(key=KEY).status, 200)


def test_the_device_lane_runs_once():
    more = "sources:\n  bench: { http: {} }\npipelines:\n  p: { from: bench, to: [ { log: {} } ] }\n"
    with harness.Mock() as mock, harness.Gateway(config(mock, more)) as gateway, Lineage(gateway) as lineage:
        taken, lost, stopping = [0], [0], threading.Event()

        def feed():
            while not stopping.is_set():
                status = gateway.post("/ingest/bench", {"x": 1}, KEY).status
                check(status in (202, 503), "a sample was answered", status)
                (taken if status == 202 else lost)[0] += 1

        feeder = threading.Thread(target=feed, daemon=True)
        feeder.start()
        until(lambda: taken[0] > 20, "samples")
        lineage.upgrade()
        before = taken[0]
        until(lambda: taken[0] > before + 20, "samples in the new process")
        stopping.set()
        feeder.join(20)
        log = until(lambda: "took over from another process" in gateway.log() and gateway.log(), "the hand-over")
        check(log.index("took over from another process") > log.index("another process has taken over"), "the order in the log")


def test_a_local_socket_outlives_its_first_process():
    path = harness.folder() / "http.sock"
    with harness.Mock() as mock:
        with harness.Gateway(config(mock), listen=f"[ unix:{path}, 127.0.0.1:0 ]") as gateway, Lineage(gateway) as lineage:
            old = lineage.upgrade()
            until(lambda: not alive(old) or not gateway.alive(), "the old process to end", 30)
            over_local_socket(path)
            os.kill(lineage.newest(), signal.SIGTERM)
            until(lambda: not alive(lineage.newest()), "the new process to end", 30)
            check(not path.exists(), "the socket's file was left behind")


def test_a_failed_upgrade_leaves_the_files_of_local_sockets_alone():
    path = harness.folder() / "http.sock"
    with harness.Mock() as mock:
        listen = f"[ unix:{path}, 127.0.0.1:0 ]"
        with harness.Gateway(config(mock), listen=listen) as gateway, Lineage(gateway) as lineage:
            # Refused while the file is read, then while listeners are opened: a socket was claimed by then.
            for listen in [f"[ unix:{path}, 127.0.0.1:0, nonsense ]", f"[ unix:{path}, 127.0.0.1:0, unix:/nowhere/at/all.sock ]"]:
                refused, failed = gateway.log().count("reload refused"), gateway.log().count("upgrade failed")
                gateway.listen = listen
                gateway.write(config(mock))
                until(lambda: gateway.log().count("reload refused") > refused, "the bad file to be noticed")
                lineage.begin()
                until(lambda: gateway.log().count("upgrade failed") > failed, "word of the failure", 30)
                over_local_socket(path)
            gateway.listen = f"[ unix:{path}, 127.0.0.1:0 ]"
            gateway.write(config(mock))
            lineage.upgrade()
            until(lambda: not gateway.alive(), "the old process to end", 30)
            over_local_socket(path)
            os.kill(lineage.newest(), signal.SIGTERM)
            until(lambda: not alive(lineage.newest()), "the new process to end", 30)
            check(not path.exists(), "the socket's file was left behind")


def test_a_stop_during_an_upgrade_leaves_nobody_behind():
    with replaceable_program() as program:
        with harness.Mock() as mock, harness.Gateway(config(mock)) as gateway, Lineage(gateway) as lineage:
            # A new process that takes its time, then serves whatever became of the old one.
            program.rename(program.with_suffix(".real"))
            program.write_text(f'#!/bin/sh\nsleep 2\nexec "{program}.real" "$@"\n')
            program.chmod(0o755)
            lineage.pids.append(lineage.begin())
            equal(gateway.stop(), 0)
            check(not alive(lineage.newest()), "the new process was left behind")
            # The shell's own child may hold the listening socket for a moment, and serves nobody.
            with contextlib.suppress(ConnectionRefusedError, ConnectionResetError):
                gateway.request("GET", "/healthz")
                check(False, "somebody still serves")


def test_a_process_that_handed_over_finishes_when_it_is_told_to_stop():
    with harness.Mock("--tokens", "60", "--per-token", "50ms") as mock, harness.Gateway(config(mock)) as gateway, Lineage(gateway) as lineage:
        with harness.Stream(gateway.port, "/v1/chat/completions", harness.chat_body(stream=True), KEY) as answer:
            events = answer.events()
            next(events)
            lineage.upgrade()
            until(lambda: "another process has taken over" in gateway.log(), "the hand-over")
            gateway.send(signal.SIGTERM)
            last = [data for _, data in events][-1]
            equal(last, b"[DONE]", "the last event:")
        equal(gateway.wait(), 0)
        equal(harness.stored_usage(gateway.data_dir), 1, "requests in the usage:")


def test_a_key_is_revoked_while_another_process_is_being_started():
    program = harness.folder() / "penstock"
    shutil.copy2(harness.BINARY, program)
    original, harness.BINARY = harness.BINARY, str(program)
    try:
        with harness.Mock() as mock, harness.Gateway(config(mock)) as gateway, Lineage(gateway) as lineage:
            code, key, error = harness.command("key", "create", "--name", "other", "--data-dir", str(gateway.data_dir))
            equal(code, 0, error)
            until(lambda: gateway.chat(key=key.strip()).status == 200, "the key to be known")
            program.rename(program.with_suffix(".real"))
            program.write_text("#!/bin/sh\nexec sleep 50\n")
            program.chmod(0o755)
            lineage.pids.append(lineage.begin())
            subprocess.run([original, "key", "revoke", "other", "--data-dir", str(gateway.data_dir)], check=True, stdout=subprocess.DEVNULL)
            until(lambda: gateway.chat(key=key.strip()).status == 401, "the key to be refused")
            check(alive(lineage.newest()), "the new process is not being started any more")
            equal(gateway.stop(), 0)
    finally:
        harness.BINARY = original


def test_readiness_ends_before_the_listener_closes():
    with harness.Mock() as mock, harness.Gateway(config(mock, "drain_delay: 2s\n")) as gateway:
        equal(gateway.request("GET", "/readyz").status, 200)
        gateway.send(signal.SIGTERM)
        answer = until(lambda: (lambda a: a if a.status == 503 else None)(gateway.request("GET", "/readyz")), "readyz to say no")
        check("being stopped" in answer.text(), answer)
        equal(gateway.chat(key=KEY).status, 200, "a call during the delay:")
        equal(gateway.wait(), 0)


def test_draining_tells_kept_connections():
    with harness.Mock("--first-token", "1s") as mock, harness.Gateway(config(mock)) as gateway:
        connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)
        connection.request("POST", "/v1/chat/completions", harness.encode(harness.chat_body()), harness.fields(KEY, None))
        until(lambda: mock.stats()["active"] == 1, "the call to reach the provider")
        gateway.send(signal.SIGTERM)
        answer = connection.getresponse()
        equal((answer.status, answer.headers.get("connection")), (200, "close"))
        answer.read()
        equal(gateway.wait(), 0)


def test_a_stream_past_the_bound_ends_with_an_error_event():
    with harness.Mock("--tokens", "400", "--per-token", "50ms") as mock, harness.Gateway(config(mock, "drain_timeout: 300ms\n")) as gateway:
        with harness.Stream(gateway.port, "/v1/chat/completions", harness.chat_body(stream=True), KEY) as answer:
            events = answer.events()
            next(events)
            gateway.send(signal.SIGTERM)
            last = [data for _, data in events][-1]
            check(b'"error"' in last and b"being stopped" in last, "the last event:", last)
        equal(gateway.wait(), 0)


if __name__ == "__main__":
    harness.run(globals())
