"""Samples in a real PostgreSQL server: rows with types, nothing lost when it dies, what does not fit named."""

import glob
import json
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess

import harness
from harness import check, equal, until

PROGRAMS = sorted(glob.glob("/usr/lib/postgresql/*/bin/postgres"))
if not PROGRAMS:
    harness.skip("PostgreSQL's server is not installed; ./dev setup test installs it")
harness.need("psql")
BIN = pathlib.Path(PROGRAMS[-1]).parent
PASSWORD = "n0-secret-at-all"


class Postgres:
    """A server of our own on a free port, as a user it accepts."""

    def __init__(self):
        self.folder = harness.folder()
        # The server refuses to run as root, and must be able to reach its folder.
        self.user = {"user": "nobody", "group": pwd.getpwnam("nobody").pw_gid, "extra_groups": []} if os.getuid() == 0 else {}
        if self.user:
            for part in (harness.FOLDER, self.folder):
                part.chmod(0o755)
            shutil.chown(self.folder, "nobody")
        self.data = self.folder / "data"
        password_file = self.folder / "pw"
        password_file.write_text(PASSWORD + "\n")
        password_file.chmod(0o644)
        made = self.call([BIN / "initdb", "-D", self.data, "-U", "plant", "-A", "scram-sha-256", "--pwfile", password_file, "-E", "UTF8", "--no-sync"])
        check(made.returncode == 0, made.stdout, made.stderr)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process = None
        self.start()

    def call(self, command):
        return subprocess.run([str(part) for part in command], capture_output=True, text=True, cwd="/", check=False, **self.user)

    def start(self):
        self.log = open(self.folder / "server.log", "ab")
        self.process = subprocess.Popen(
            [str(BIN / "postgres"), "-D", str(self.data), "-p", str(self.port), "-k", str(self.folder), "-c", "listen_addresses=127.0.0.1",
             "-c", "max_connections=20", "-c", "shared_buffers=16MB"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, cwd="/", **self.user)
        until(lambda: self.query("SELECT 1", quiet=True) == [["1"]], "the server", 30)

    def stop(self, number=signal.SIGINT):
        self.process.send_signal(number)
        self.process.wait(30)
        self.log.close()

    def query(self, text, quiet=False):
        done = subprocess.run(["psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", "plant", "-d", "postgres", "-X", "-A", "-t", "-F", "|", "-c", text],
                              env={**os.environ, "PGPASSWORD": PASSWORD}, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            check(quiet, done.stderr)
            return None
        return [line.split("|") for line in done.stdout.splitlines()]

    @property
    def url(self):
        return f"postgresql://plant@127.0.0.1:{self.port}/postgres"


def config(more, buffer=""):
    return f"""
sources: {{ line: {{ http: {{}} }} }}
pipelines:
  keep:
    from: line
    to: [ {{ postgres: {{ url: "{server.url}", password: "${{PG_PASSWORD}}", timeout: 3s, {more} }} {buffer} }} ]
"""


def gateway(more, **options):
    return harness.Gateway(config(more), environment={"PG_PASSWORD": PASSWORD}, **options)


def push(to, samples):
    answer = to.post("/ingest/line", "\n".join(map(json.dumps, samples)), headers={"Content-Type": "application/x-ndjson"})
    equal(answer.status, 202, answer)


def count(table):
    rows = server.query(f"SELECT count(*) FROM {table}", quiet=True)
    return int(rows[0][0]) if rows else 0


def sinks(of):
    return harness.request(of.admin_port, "GET", "/admin/v1/pipelines").text()


def test_a_sample_becomes_a_row_with_the_types_of_the_table():
    with gateway("table: readings, columns: { temperature: temp, vib: { field: vib, type: 'double precision[]' }, on: { field: on, type: boolean } }") as g:
        push(g, [{"time": "2026-01-31T12:00:00.25Z", "device": "p'1\"", "temp": 21.5, "vib": [1, 2.5], "on": True, "state": "läuft", "tags": {"line": "A"}},
                 {"device": "p2", "temp": 3, "quality": "bad"}])
        until(lambda: count("readings") == 2, "two rows")
    row = server.query("SELECT extract(epoch FROM time), device, quality, temperature, vib[2], \"on\", fields->>'state', tags->>'line', seq FROM readings WHERE temperature > 20")[0]
    equal(row, ["1769860800.250000", "p'1\"", "good", "21.5", "2.5", "t", "läuft", "A", ""])
    equal(server.query("SELECT device, quality, temperature, vib FROM readings WHERE temperature = 3")[0], ["p2", "bad", "3", ""])


def test_a_sample_that_does_not_fit_is_refused_alone():
    with gateway("table: strict, columns: { temperature: temp }") as g:
        push(g, [{"n": i, "temp": "warm" if i in (3, 77) else i, "zero": "a\0b" if i == 50 else ""} for i in range(100)])
        until(lambda: count("strict") == 97, "the others")
        until(lambda: "does not take a sample" in sinks(g), "the reason")
        push(g, [{"temp": 1}])
        until(lambda: count("strict") == 98, "one more")


def test_nothing_is_lost_when_the_server_dies():
    with gateway("table: survivors, batch: 50") as g:
        for start in range(0, 2000, 100):
            push(g, [{"n": n} for n in range(start, start + 100)])
            if start == 600:
                server.stop(signal.SIGQUIT)  # as after a power cut: it recovers from its log
            if start == 1400:
                server.start()
        until(lambda: server.query("SELECT count(DISTINCT fields->>'n') FROM survivors", quiet=True) == [["2000"]], "all of them", 60)


def test_a_buffer_delivers_each_sample_once_though_it_is_sent_again():
    g = gateway("table: once, batch: 20, buffer: { disk: 100MB }")
    for start in range(0, 3000, 100):
        push(g, [{"n": n} for n in range(start, start + 100)])
    until(lambda: g.metric("penstock_buffer_appended_total", sink="buffers/keep.postgres") == 3000, "all to be on the disk", 30)
    g.kill()
    with gateway("table: once, batch: 20, buffer: { disk: 100MB }", data_dir=g.data_dir):
        until(lambda: server.query("SELECT count(DISTINCT fields->>'n') FROM once", quiet=True) in ([["3000"]], None), "rows", 30)
        equal(server.query("SELECT count(*) FROM (SELECT 1 FROM once GROUP BY origin, seq HAVING count(*) > 1) twice"), [["0"]])
        equal(server.query("SELECT count(*) FROM once WHERE seq IS NULL"), [["0"]])


def test_a_wrong_password_is_said_and_never_shown():
    with harness.Gateway(config("table: secret"), environment={"PG_PASSWORD": "wrong-password"}) as g:
        push(g, [{"n": 1}])
        until(lambda: "password authentication failed" in sinks(g), "the reason")
        check("wrong-password" not in sinks(g) + g.log() + g.metrics(), "the password is shown")


def test_it_waits_for_a_table_that_others_make():
    with gateway("table: made_later, create: false") as g:
        push(g, [{"n": 1}])
        until(lambda: "42P01" in sinks(g), "the reason")
        server.query("CREATE TABLE made_later (time timestamptz, device text, quality text, fields jsonb, tags jsonb, origin text, seq bigint)")
        until(lambda: count("made_later") == 1, "the row", 40)


def test_it_stops_at_once_while_the_server_does_not_answer():
    with gateway("table: slow") as g:
        push(g, [{"n": 1}])
        until(lambda: count("slow") == 1, "the table")
        locker = subprocess.Popen(["psql", "-h", "127.0.0.1", "-p", str(server.port), "-U", "plant", "-d", "postgres", "-X", "-c", "BEGIN", "-c", "LOCK TABLE slow",
                                   "-c", "SELECT pg_sleep(20)"], env={**os.environ, "PGPASSWORD": PASSWORD}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(lambda: server.query("SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation WHERE relname = 'slow' AND mode = 'AccessExclusiveLock'") == [["1"]], "the lock")
        push(g, [{"n": 2}])
        equal(g.stop(), 0)
        locker.kill()
        locker.wait()


server = Postgres()
try:
    harness.run(globals())
finally:
    server.stop()
