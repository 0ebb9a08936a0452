"""What the gateway stands on gives way: descriptors, disk, clock, database, files, threads, memory. docs/reliability.md
says what to expect of each."""

import contextlib
import gzip
import json
import os
import pathlib
import random
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading
import time

import harness
from harness import check, equal, until

BASE = "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nthreads: 1\n"
LEFT_OUT = []


def config(mock, more=""):
    return (f"providers:\n  lab: {{ type: openai, base_url: {mock.url} }}\n"
            f"models:\n  chat: {{ route: [ {{ to: lab/small }} ], retry: {{ attempts: 1 }} }}\n{more}")


def needs(*tools, root=False):
    """Why a test cannot run here; nothing when it can."""
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        return f"{', '.join(missing)} is not installed"
    if root and os.geteuid() != 0:
        return "only root may mount"
    if root and subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode != 0:
        return "this machine allows no mount namespace of one's own"
    return None


def skip_for(reason):
    """Leaves the test out when there is a reason."""
    if reason:
        harness.skip(reason)


def start(data_dir, text=BASE, prefix=()):
    """Starts the gateway, which must refuse within seconds: (exit status, what it said)."""
    path = harness.folder() / "penstock.yaml"
    path.write_text(text)
    path.parent.chmod(0o755)
    done = subprocess.run([*prefix, harness.BINARY, "run", "--config", str(path), "--data-dir", str(data_dir)],
                          capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL, check=False)
    check("ready" not in done.stdout, "it started:", done.stdout, done.stderr)
    return done.returncode, done.stderr


def refuses(data_dir, *words, text=BASE, prefix=()):
    status, said = start(data_dir, text, prefix)
    equal(status, 1, said)
    for word in words:
        check(word in said, f"'{word}' is not said:", said)
    return said


def make_key(data_dir, *arguments):
    status, out, err = harness.command("key", "create", "--name", "app", "--data-dir", str(data_dir), *arguments)
    equal(status, 0, out, err)
    return out.strip()


def ends_cleanly(gateway):
    """After the fault: an ordinary call, and a drain."""
    equal(gateway.chat().status, 200, "an ordinary call afterwards:")
    equal(gateway.stop(), 0, "exit status:")


# --- descriptors ---

def chat_request(model, text="hello"):
    body = json.dumps(harness.chat_body(model, text)).encode()
    return f"POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


def descriptors_of(gateway):
    return [int(name) for name in os.listdir(f"/proc/{gateway.pid}/fd")]


def test_without_descriptors_calls_are_refused_and_nobody_is_blamed():
    with harness.Mock() as mock, harness.Mock() as second:
        text = config(mock, "  other: { route: [ two/small ], retry: { attempts: 1 } }\n")
        text = text.replace("models:", f"  two: {{ type: openai, base_url: {second.url}, outlier: {{ failures: 1 }} }}\nmodels:")
        with harness.Gateway(text) as gateway:
            equal(gateway.chat().status, 200)
            before = len(descriptors_of(gateway))
            crowd = [socket.create_connection(("127.0.0.1", gateway.port), timeout=20) for _ in range(40)]
            until(lambda: len(descriptors_of(gateway)) >= before + 38, "the crowd to be accepted")
            old = resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE)
            # The limit is on the number of a descriptor: whatever is free below it is taken by those who come next.
            resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE, (max(descriptors_of(gateway)) + 1, old[1]))
            waiting = [socket.create_connection(("127.0.0.1", gateway.port), timeout=20) for _ in range(10)]
            time.sleep(0.2)
            crowd[0].sendall(chat_request("other"))  # wants a connection of its own
            got = crowd[0].recv(65536)
            check(got.startswith(b"HTTP/1.1 503 ") and b"no socket is left" in got, got[:300])
            crowd[1].sendall(chat_request("chat"))  # the kept one will do
            check(crowd[1].recv(65536).startswith(b"HTTP/1.1 200 "), "a call on a kept connection")
            check('"error_type":"penstock_overload"' in until(lambda: "no socket" in gateway.log() and gateway.log(), "the log"), "ours")
            for each in crowd:
                each.close()
            for each in waiting:
                each.sendall(chat_request("other"))
                check(each.recv(65536).startswith(b"HTTP/1.1 200 "), "a client that waited")
                each.close()
            resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE, old)
            equal(gateway.metric("penstock_upstream_ejections_total"), 0, "ejections for what was not theirs:")
            ends_cleanly(gateway)


def test_too_few_descriptors_to_start_are_told():
    skip_for(needs("prlimit"))
    for count in (8, 12, 16):
        status, said = start(harness.folder() / "data", prefix=["prlimit", f"--nofile={count}"])
        check(status in (1, 2) and said.strip(), count, status, said)


# --- disk ---

def small_disk(folder, size="600k"):
    return ["unshare", "-m", "sh", "-c", f'mount -t tmpfs -o size={size} none {folder} && exec "$@"', "sh"]


def inside(gateway, *command):
    done = subprocess.run(["nsenter", "-t", str(gateway.pid), "-m", *command], capture_output=True, text=True, check=False)
    equal(done.returncode, 0, command, done.stderr)


def usage_in(gateway, folder):
    """What the database on the gateway's own disk has."""
    copy = harness.folder()
    inside(gateway, "cp", "-r", f"{folder}/data", str(copy))
    return harness.stored_usage(copy / "data")


def test_a_disk_that_takes_nothing_stops_nothing_and_loses_no_usage():
    skip_for(needs("unshare", "nsenter", "mount", root=True))
    folder = harness.folder()
    with harness.Mock() as mock, harness.Gateway(config(mock), data_dir=folder / "data", prefix=small_disk(folder)) as gateway:
        equal(gateway.chat().status, 200)
        until(lambda: gateway.metric("penstock_usage_waiting_rows") == 0, "the first usage to be written")
        total = 1
        def fill():
            with contextlib.suppress(OSError):
                with open(f"/proc/{gateway.pid}/root{folder}/fill", "wb", buffering=0) as file:
                    while True:
                        file.write(bytes(512))
        size = resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE)
        faults = {"full": (fill, lambda: inside(gateway, "rm", f"{folder}/fill")),
                  "refusing": (lambda: resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, (1, size[1])),
                               lambda: resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, size))}
        for name, (breaks, mends) in faults.items():
            failures = gateway.metric("penstock_usage_write_failures_total")
            breaks()
            for _ in range(60):
                equal(gateway.chat(text="x" * 3).status, 200, name)
                total += 1
            # A new row of usage needs room sooner or later; an old one may fit where it is.
            if name == "refusing":
                until(lambda: gateway.metric("penstock_usage_write_failures_total") > failures, f"failed writes, {name}")
                check(gateway.metric("penstock_usage_waiting_rows") > 0, "usage that waits")
            mends()
            until(lambda: gateway.metric("penstock_usage_waiting_rows") == 0, f"usage to be written after it was {name}")
        until(lambda: usage_in(gateway, folder) == total, "all usage in the database")
        ends_cleanly(gateway)


def test_a_read_only_data_folder_at_the_start_is_refused_with_words():
    skip_for(needs("unshare", "mount", root=True))
    folder = harness.folder()
    prefix = ["unshare", "-m", "sh", "-c", f'mount -t tmpfs -o ro none {folder} && exec "$@"', "sh"]
    refuses(folder / "data", str(folder), prefix=prefix)
    status, _, err = harness.command("key", "create", "--name", "first", "--data-dir", str(folder / "data"))
    equal(status, 0, err)
    prefix = ["unshare", "-m", "sh", "-c", f'mount --bind {folder} {folder} && mount -o remount,bind,ro {folder} && exec "$@"', "sh"]
    refuses(folder / "data", "data/lock", "Read-only", prefix=prefix)
    full = ["unshare", "-m", "sh", "-c", f'mount -t tmpfs -o size=4k none {folder} && head -c 4k /dev/zero > {folder}/x; exec "$@"', "sh"]
    refuses(folder / "data", prefix=full)


def test_files_that_may_not_grow_do_not_end_the_program():
    skip_for(needs("prlimit"))
    with harness.Mock() as mock, harness.Gateway(config(mock), prefix=["prlimit", "--fsize=262144"]) as gateway:
        for _ in range(1000):
            equal(gateway.chat().status, 200)
        until(lambda: gateway.metric("penstock_log_lines_dropped_total") > 0, "log lines that found no room")
        check(gateway.alive(), "SIGXFSZ ended it")
        ends_cleanly(gateway)


# --- database ---

def test_a_database_another_process_keeps_is_told_at_the_start():
    folder = harness.folder()
    with contextlib.closing(sqlite3.connect(folder / "penstock.db", isolation_level=None)) as holder:
        holder.execute("CREATE TABLE x (y)")
        holder.execute("BEGIN EXCLUSIVE")
        refuses(folder, "penstock.db", "locked", "another process")
    whole = harness.folder()
    make_key(whole)
    with contextlib.closing(sqlite3.connect(whole / "penstock.db", isolation_level=None)) as holder:
        holder.execute("PRAGMA locking_mode=EXCLUSIVE")
        holder.execute("BEGIN IMMEDIATE")
        holder.execute("DELETE FROM usage")
        refuses(whole, "penstock.db", "locked", "another process")
    with contextlib.closing(sqlite3.connect(harness.folder() / "ledger.db", isolation_level=None)) as holder:
        holder.execute("CREATE TABLE x (y)")
        holder.execute("BEGIN EXCLUSIVE")
        refuses(pathlib.Path(holder.execute("PRAGMA database_list").fetchone()[2]).parent, "ledger.db", "locked", "another process")


def test_a_database_another_process_keeps_delays_usage_and_nothing_else():
    with harness.Mock() as mock, harness.Gateway(config(mock)) as gateway:
        key = make_key(gateway.data_dir)
        until(lambda: gateway.chat(key=key).status == 200 and gateway.chat().status == 401, "the key to be known")
        with contextlib.closing(sqlite3.connect(gateway.data_dir / "penstock.db", isolation_level=None)) as keys, \
                contextlib.closing(sqlite3.connect(gateway.data_dir / "ledger.db", isolation_level=None)) as usage:
            keys.execute("BEGIN EXCLUSIVE")
            usage.execute("BEGIN EXCLUSIVE")
            for _ in range(20):
                equal(gateway.chat(key=key).status, 200)
            until(lambda: gateway.metric("penstock_usage_write_failures_total") > 0, "a write that failed")
            check(gateway.metric("penstock_usage_waiting_rows") > 0, "usage that waits")
            until(lambda: "usage cannot be written" in gateway.log(), "a word of it in the log")
            # A reload meanwhile changes nothing about who may call.
            gateway.write(config(mock, "  second: { route: [ lab/small ] }\n"))
            until(lambda: gateway.chat("second", key=key).status == 200, "the reload")
            equal(gateway.chat().status, 401)
            usage.execute("COMMIT")
            keys.execute("COMMIT")
        until(lambda: gateway.metric("penstock_usage_waiting_rows") == 0, "usage to be written")
        equal(gateway.stop(), 0)
        check(harness.stored_usage(gateway.data_dir) >= 22, "usage was lost")


def test_stored_keys_that_cannot_be_read_again_stay_as_they_were():
    with harness.Mock() as mock, harness.Gateway(config(mock)) as gateway:
        key = make_key(gateway.data_dir)
        until(lambda: gateway.chat(key=key).status == 200 and gateway.chat().status == 401, "the key to be known")
        with contextlib.closing(sqlite3.connect(gateway.data_dir / "penstock.db", isolation_level=None)) as other:
            other.execute("ALTER TABLE keys RENAME TO gone")
            gateway.write(config(mock, "  second: { route: [ lab/small ] }\n"))
            until(lambda: gateway.chat("second", key=key).status == 200, "the reload, with the key as it was")
            equal(gateway.chat().status, 401, "nobody else gets in:")
            check("stored keys cannot be read" in gateway.log(), "no word of it in the log")
            # Revoked while the rows cannot be read: noticed when they can.
            other.execute("BEGIN")
            other.execute("UPDATE counters SET value = value + 1 WHERE name = 'revision'")
            other.execute("UPDATE gone SET revoked = 1, revision = (SELECT value FROM counters WHERE name = 'revision')")
            other.execute("COMMIT")
            time.sleep(1)  # it looks at once
            equal(gateway.chat(key=key).status, 200, "a key that was read before:")
            other.execute("ALTER TABLE gone RENAME TO keys")
            until(lambda: gateway.chat(key=key).status == 401, "the revocation to be noticed")
        equal(gateway.stop(), 0)


def damage_database(path):
    """Ways to damage it: name, what to do, words of the refusal (None: the gateway may also start, with all keys)."""
    data = path.read_bytes()

    def sql(*statements):
        def run():
            with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
                for statement in statements:
                    database.execute(statement)
        return run
    middle = len(data) // 2
    return [("garbage", lambda: path.write_bytes(os.urandom(8192)), "damaged"),
            ("text", lambda: path.write_text("hello " * 100), "damaged"),
            ("empty", lambda: path.write_bytes(b""), "empty"),
            ("missing", path.unlink, "missing"),
            ("a directory", lambda: (path.unlink(), path.mkdir()), "penstock.db"),
            ("truncated-header", lambda: path.write_bytes(data[:60]), "damaged"),
            ("truncated-page", lambda: path.write_bytes(data[:4096]), "damaged"),
            ("truncated-middle", lambda: path.write_bytes(data[:middle]), None),
            ("page-of-zeros", lambda: path.write_bytes(data[:4096] + bytes(4096) + data[8192:]), None),
            ("schema-of-garbage", lambda: path.write_bytes(data[:200] + os.urandom(3896) + data[4096:]), "damaged"),
            ("newer", sql("PRAGMA user_version=99"), "newer version"),
            ("older", sql("PRAGMA user_version=0"), "damaged"),
            ("negative", sql("PRAGMA user_version=-5"), "penstock.db"),
            ("no-keys", sql("DROP TABLE keys"), "no such table"),
            ("no-usage", sql("DROP TABLE usage"), "no such table"),
            ("other-columns", sql("ALTER TABLE secrets RENAME COLUMN hash TO digest"), "no such column")]


def starts_with_key(folder, mock, key):
    with harness.Gateway(config(mock), data_dir=folder) as gateway:
        equal(gateway.chat(key=key).status, 200, "the key:")
        equal(gateway.chat().status, 401, "without a key:")
        equal(gateway.stop(), 0)


def test_a_damaged_database_never_opens_the_door():
    with harness.Mock() as mock:
        kept = harness.folder()
        key = make_key(kept)
        with harness.Gateway(config(mock), data_dir=kept) as gateway:
            equal(gateway.chat(key=key).status, 200)
            equal(gateway.stop(), 0)
        count = len(damage_database(kept / "penstock.db"))
        for i in range(count):
            folder = harness.folder()
            shutil.copytree(kept, folder, dirs_exist_ok=True)
            name, damage, word = damage_database(folder / "penstock.db")[i]
            damage()
            status, said = 0, ""
            try:
                starts_with_key(folder, mock, key)
            except harness.Failure as failure:
                check("no ready line" in str(failure), name, failure)
                status, said = start(folder)
            check(status == 1 if word else status in (0, 1), name, status, said)
            check(word is None or word in said, name, said)
            check(status == 0 or str(folder) in said, "the file is not named:", name, said)
        # The log beside it is one file that may be lost: what was in it and nowhere else is gone, the rest stands.
        (kept / "penstock.db-wal").write_bytes(os.urandom(10_000))
        (kept / "penstock.db-shm").write_bytes(os.urandom(32768))
        starts_with_key(kept, mock, key)


def test_a_lost_or_damaged_hash_key_is_told_while_stored_keys_need_it():
    with harness.Mock() as mock:
        folder = harness.folder()
        key = make_key(folder)
        secret = folder / "secret.key"
        good = secret.read_bytes()
        for damage, words in ((secret.unlink, ("missing", "1 stored keys", "revoke")), (lambda: secret.write_bytes(good[:20]), ("damaged",)),
                              (lambda: secret.write_bytes(b""), ("damaged",)), (lambda: (secret.unlink(), secret.mkdir()), ("secret.key",))):
            damage()
            refuses(folder, "secret.key", *words)
            status, _, err = harness.command("key", "create", "--name", "other", "--data-dir", str(folder))
            check(status == 1 and "secret.key" in err, "a key that would fit another secret:", status, err)
            if secret.is_dir():
                secret.rmdir()
            secret.write_bytes(good)
        starts_with_key(folder, mock, key)
        # The way out it names.
        secret.unlink()
        equal(harness.command("key", "revoke", "app", "--data-dir", str(folder))[0], 0)
        starts_with_key(folder, mock, make_key(folder))


# --- configuration ---

def test_a_configuration_file_that_goes_away_changes_nothing():
    with harness.Mock() as mock, harness.Gateway(config(mock)) as gateway:
        path = gateway.config_path

        def back(model):
            if path.is_dir():
                path.rmdir()
            else:
                path.unlink(missing_ok=True)
            gateway.write(config(mock, f"  {model}: {{ route: [ lab/small ] }}\n"))
            until(lambda: gateway.chat(model).status == 200, "the file that came back")
        faults = {"deleted": (lambda: path.unlink(), "configuration file is gone"), "directory": (lambda: (path.unlink(), path.mkdir()), "is not a file"),
                  "pipe": (lambda: (path.unlink(), os.mkfifo(path)), "is not a file"),
                  "nowhere": (lambda: (path.unlink(), path.symlink_to("/nonexistent")), "configuration file is gone"),
                  "empty": (lambda: path.write_bytes(b""), "reload refused"), "noise": (lambda: path.write_bytes(os.urandom(5000)), "reload refused"),
                  "huge": (lambda: path.write_bytes(b"# x\n" * 2_000_000), "reload refused")}
        for name, (breaks, words) in faults.items():
            said = gateway.log().count(words)
            breaks()
            until(lambda: gateway.log().count(words) > said, f"a word about it in the log: {name}")
            equal(gateway.chat().status, 200, name)
            gateway.send(signal.SIGHUP)
            equal(gateway.chat().status, 200, name, "after SIGHUP")
            back(name)
        ends_cleanly(gateway)


# --- standard descriptors ---

def test_closed_standard_descriptors_are_nobody_elses():
    with harness.Mock() as mock:
        for closed in ("2>&-", "0<&- 2>&-", "0<&- 1>&- 2>&-"):
            folder = harness.folder()
            with socket.socket() as one:
                one.bind(("127.0.0.1", 0))
                port = one.getsockname()[1]
            path = folder / "penstock.yaml"
            path.write_text(BASE.replace("listen: 127.0.0.1:0", f"listen: 127.0.0.1:{port}") + config(mock))
            process = subprocess.Popen(["sh", "-c", f'exec "$@" {closed}', "sh", harness.BINARY, "run", "--config", str(path), "--data-dir", str(folder)],
                                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                def ready():
                    with contextlib.suppress(OSError):
                        return harness.request(port, "GET", "/healthz").status == 200
                    return False
                until(ready, "the gateway without " + closed)
                for i in range(3):
                    if f"{i}>&-" in closed or f"{i}<&-" in closed:
                        equal(os.readlink(f"/proc/{process.pid}/fd/{i}"), "/dev/null", closed, i)
                for _ in range(20):
                    equal(harness.request(port, "POST", "/v1/chat/completions", harness.chat_body()).status, 200)
                process.send_signal(signal.SIGTERM)
                equal(process.wait(20), 0)
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()
            for name in ("penstock.db", "ledger.db"):
                check(b'"msg":"request"' not in (folder / name).read_bytes(), "log lines in the database", name)
            equal(harness.stored_usage(folder), 20)


def test_a_log_nobody_reads_stops_nothing():
    with harness.Mock() as mock:
        path = harness.folder() / "penstock.yaml"
        path.write_text(BASE + config(mock))
        with subprocess.Popen([harness.BINARY, "run", "--config", str(path), "--data-dir", str(path.parent / "data")],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            try:
                words = process.stdout.readline().split()
                port, admin = (int(word.rsplit(":", 1)[1]) for word in words[2:])
                process.stdout.close()  # nor the ready line's pipe
                for _ in range(400):
                    equal(harness.request(port, "POST", "/v1/chat/completions", harness.chat_body()).status, 200)

                def dropped():
                    text = harness.request(admin, "GET", "/metrics").text()
                    return any(line.startswith("penstock_log_lines_dropped_total") and float(line.split()[-1]) > 0 for line in text.splitlines())
                until(dropped, "dropped lines in the metrics")
                process.send_signal(signal.SIGTERM)
                equal(process.wait(30), 0)
            finally:
                if process.poll() is None:
                    process.kill()
                process.stderr.close()


# --- clock ---

def faketime_library():
    for path in pathlib.Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"):
        return path
    return None


def test_clock_jumps_end_keys_and_nothing_else():
    library = faketime_library()
    skip_for(None if library else "faketime is not installed")
    folder = harness.folder()
    clock = folder / "clock"
    clock.write_text("+0")
    faked = {"LD_PRELOAD": str(library), "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
             "DONT_FAKE_MONOTONIC": "1"}
    data = folder / "data"
    key = make_key(data, "--expires", "1h")
    limited = ("keys:\n  - { name: slow, secret: sk-clock-test-000001, limits: { rpm: 2 } }\n"
               "  - { name: steady, secret: sk-clock-test-000002 }\n")
    with harness.Mock("--tokens", "40", "--per-token", "30ms") as mock:
        with harness.Gateway(config(mock, limited), data_dir=data, environment=faked) as gateway:
            equal(gateway.chat(key=key, max_tokens=1).status, 200)
            slow = [gateway.chat(key="sk-clock-test-000001", max_tokens=1).status for _ in range(3)]
            equal(slow, [200, 200, 429])
            for jump, status in (("+2h", 401), ("-2h", 200), ("+400d", 401), ("-9000d", 200), ("+0", 200)):
                with harness.Stream(gateway.port, "/v1/chat/completions", harness.chat_body(stream=True), key="sk-clock-test-000002") as answer:
                    events = answer.events()
                    next(events)
                    clock.write_text(jump)
                    until(lambda: gateway.chat(key=key, max_tokens=1).status == status, f"{status} after a jump of {jump}")
                    equal(gateway.chat(key="sk-clock-test-000001", max_tokens=1).status, 429, "limits follow the steady clock:", jump)
                    equal([data for _, data in events][-1], b"[DONE]", "a stream across the jump", jump)
            equal(gateway.stop(), 0)
        check(harness.stored_usage(data) > 5, "usage across the jumps")


# --- threads, memory, name servers ---

def test_too_few_threads_to_start_are_told():
    skip_for(needs("prlimit", "setpriv", root=True))
    for path in (harness.FOLDER, harness.folder()):
        path.chmod(0o777)
    path.chmod(0o777)
    for i, count in enumerate((1, 2, 3)):
        prefix = ["prlimit", f"--nproc={count}", "setpriv", "--reuid=54321", "--regid=54321", "--clear-groups"]
        refuses(path / f"data{i}", "limits of tasks", prefix=prefix)


def test_threads_that_cannot_be_had_later_refuse_what_needs_them():
    skip_for(needs("prlimit", "setpriv", root=True))
    prefix = ["prlimit", "--nproc=4", "setpriv", "--reuid=54322", "--regid=54322", "--clear-groups"]
    with harness.Mock() as mock:
        folder = harness.folder()
        harness.FOLDER.chmod(0o777)
        folder.chmod(0o777)
        text = config(mock).replace("models:", "  named: { type: openai, base_url: 'http://name.example:9/v1', outlier: { failures: 1 } }\nmodels:")
        path = folder / "penstock.yaml"
        path.write_text(BASE + text)
        real = harness.folder
        harness.folder = lambda: folder  # readable for the other user
        try:
            gateway = harness.Gateway(text, prefix=prefix)
        finally:
            harness.folder = real
        with gateway:
            equal(gateway.chat().status, 200)
            answer = gateway.chat("named/m")
            check(answer.status == 503 and "thread" in answer.text(), answer)
            body = gzip.compress(json.dumps(harness.chat_body(text="x" * 300_000)).encode() + b" " * 100, 0)
            answer = gateway.post("/v1/chat/completions", body, headers={"Content-Encoding": "gzip"})
            check(answer.status == 503 and "thread" in answer.text(), answer)
            equal(gateway.metric("penstock_upstream_ejections_total"), 0)
            ends_cleanly(gateway)


def test_a_request_that_finds_no_memory_does_not_end_the_others():
    with harness.Mock() as mock, harness.Gateway(config(mock)) as gateway:
        equal(gateway.chat().status, 200)
        with open(f"/proc/{gateway.pid}/status", encoding="ascii") as status:
            size = next(int(line.split()[1]) for line in status if line.startswith("VmSize:")) * 1024
        old = resource.prlimit(gateway.pid, resource.RLIMIT_AS)
        resource.prlimit(gateway.pid, resource.RLIMIT_AS, (size + (8 << 20), old[1]))
        large = chat_request("chat", "x" * (30 << 20))

        def send(connection):
            with contextlib.suppress(OSError):  # whoever is refused may be cut off while it sends
                connection.sendall(large[:-1])
        crowd = [socket.create_connection(("127.0.0.1", gateway.port), timeout=20) for _ in range(6)]
        threads = [threading.Thread(target=send, args=(connection,)) for connection in crowd]
        for thread in threads:
            thread.start()
        until(lambda: "a handler threw" in gateway.log(), "a request that found no memory")
        check(gateway.alive(), "the gateway ended")
        for connection in crowd:
            connection.close()
        for thread in threads:
            thread.join(20)
        equal(gateway.chat().status, 200, "a small call beside it:")
        resource.prlimit(gateway.pid, resource.RLIMIT_AS, old)
        equal(harness.raw(gateway.port, large.replace(b"host: g", b"host: g\r\nconnection: close"))[:12], b"HTTP/1.1 200")
        ends_cleanly(gateway)


def test_without_name_servers_addresses_still_work():
    skip_for(needs("unshare", "mount", root=True))
    prefix = ["unshare", "-m", "sh", "-c", 'mount --bind /dev/null /etc/resolv.conf && exec "$@"', "sh"]
    with harness.Mock() as mock:
        text = config(mock).replace("models:", "  named: { type: openai, base_url: 'http://name.example:9/v1', connect_timeout: 1s }\nmodels:")
        with harness.Gateway(text, prefix=prefix) as gateway:
            answer = gateway.chat("named/m")
            check(answer.status in (502, 504) and "name.example" in answer.text(), answer)
            ends_cleanly(gateway)


# --- kill ---

def test_kill_at_any_moment_of_the_start_leaves_something_to_start_from():
    folder = harness.folder()
    path = folder / "penstock.yaml"
    path.write_text(BASE)
    chance = random.Random(7)
    for i in range(40):
        data = folder / f"data{i // 4}"
        process = subprocess.Popen([harness.BINARY, "run", "--config", str(path), "--data-dir", str(data)],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        time.sleep(chance.random() * 0.05)
        process.kill()
        _, said = process.communicate()
        check(process.returncode == -signal.SIGKILL, process.returncode, said)
    with harness.Mock() as mock:
        for i in range(10):
            key = make_key(folder / f"data{i}")
            if i % 5 == 0:
                starts_with_key(folder / f"data{i}", mock, key)


def test_kill_under_load_keeps_the_database_whole():
    with harness.Mock() as mock:
        data, chance, answered = None, random.Random(11), 0
        for _ in range(6):
            with harness.Gateway(config(mock), data_dir=data) as gateway:
                data = gateway.data_dir
                done = []

                def load():
                    with contextlib.suppress(Exception):  # it is killed under us
                        while True:
                            done.append(gateway.chat().status)
                threads = [threading.Thread(target=load) for _ in range(3)]
                for thread in threads:
                    thread.start()
                time.sleep(0.3 + chance.random() * 0.3)
                settled = len(done)
                time.sleep(0.35)
                gateway.kill()
                for thread in threads:
                    thread.join(20)
                answered += settled
                check(set(done) == {200}, set(done))
            stored = harness.stored_usage(data)
            check(stored >= answered, stored, "requests stored of", answered)
            answered = stored


if __name__ == "__main__":
    harness.run(globals())
