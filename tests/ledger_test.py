"""The usage ledger: what was settled is there, whatever happens; what is asked of it; its file old, new and damaged."""

import contextlib
import os
import pathlib
import random
import shutil
import sqlite3
import threading
import time

import harness
from harness import ROOT, check, equal, until

ROUNDS = int(os.environ.get("PENSTOCK_ROUNDS", "20"))
# What was answered longer ago than this before a kill is in the ledger.
SETTLED = 0.2


def config(mock, more=""):
    return (f"providers:\n  lab: {{ type: openai, base_url: {mock.url} }}\n"
            "models:\n  chat: { route: [ lab/small ], price: { input: 1USD/1M, output: 2USD/1M } }\n"
            f"  free: {{ route: [ lab/other ] }}\n{more}")


class Load:
    """Callers that note when each answer came, and what it said it used."""

    def __init__(self, gateway, callers=4):
        self.gateway = gateway
        self.answers = []
        self.asked = 0
        self.threads = [threading.Thread(target=self._call, args=(i,)) for i in range(callers)]
        for thread in self.threads:
            thread.start()

    def _call(self, number):
        key = f"sk-ledger-test-00000{number % 2}"
        with contextlib.suppress(Exception):  # the gateway is killed under us
            while True:
                self.asked += 1
                stream = number == 3
                if stream:
                    answer = harness.Stream(self.gateway.port, "/v1/chat/completions", harness.chat_body(stream=True), key=key)
                    equal([data for _, data in answer.events()][-1], b"[DONE]")
                    self.answers.append((time.monotonic(), None))
                else:
                    answer = self.gateway.chat(key=key)
                    equal(answer.status, 200, answer)
                    usage = answer.json()["usage"]
                    self.answers.append((time.monotonic(), usage))

    def join(self):
        for thread in self.threads:
            thread.join(20)


KEYS = ("keys:\n  - { name: zero, secret: sk-ledger-test-000000 }\n"
        "  - { name: one, secret: sk-ledger-test-000001 }\n")


def test_what_was_answered_200_ms_before_a_kill_is_there_afterwards():
    with harness.Mock() as mock:
        data, chance = None, random.Random(5)
        requests = tokens = cost = asked = 0
        for number in range(ROUNDS):
            with harness.Gateway(config(mock, KEYS), data_dir=data) as gateway:
                data = gateway.data_dir
                load = Load(gateway)
                time.sleep(SETTLED + 0.1 + chance.random() * 0.5)
                killed = time.monotonic()
                gateway.kill()
                load.join()
            settled = [usage for at, usage in load.answers if at < killed - SETTLED]
            check(settled, "no answer came in time, round", number)
            requests += len(settled)
            told = [usage for usage in settled if usage]
            tokens += sum(usage["prompt_tokens"] for usage in told)
            cost += sum(usage["prompt_tokens"] + 2 * usage["completion_tokens"] for usage in told)
            asked += load.asked
            stored = {column: harness.stored_usage(data, column) for column in ("requests", "input_tokens", "cost_micros", "unpriced_requests")}
            check(stored["requests"] >= requests, "round", number, stored, "of", requests, "answers")
            check(stored["input_tokens"] >= tokens, "round", number, stored, "of", tokens, "tokens")
            check(stored["cost_micros"] >= cost, "round", number, stored, "of", cost)
            check(stored["requests"] <= asked, "round", number, stored, "of", asked, "calls: counted twice")
            equal(stored["unpriced_requests"], 0)
            # What else was stored is no debt of the rounds to come.
            requests, tokens, cost, asked = stored["requests"], stored["input_tokens"], stored["cost_micros"], max(asked, stored["requests"])


def test_a_budget_goes_on_after_a_kill_where_it_stood():
    with harness.Mock() as mock:
        budget = "keys:\n  - { name: zero, secret: sk-ledger-test-000000, budget: 1USD/day }\n"
        with harness.Gateway(config(mock, budget)) as gateway:
            data = gateway.data_dir
            for _ in range(10):
                equal(gateway.chat(key="sk-ledger-test-000000").status, 200)
            time.sleep(SETTLED)
            left = {name: gateway.metric(f"penstock_budget_{name}_usd", account="key:zero") for name in ("used", "remaining")}
            check(left["used"] > 0, left)
            equal(round((left["used"] + left["remaining"]) * 1e6), 1_000_000)
            gateway.kill()
        for _ in range(2):
            with harness.Gateway(config(mock, budget), data_dir=data) as gateway:
                equal(gateway.metric("penstock_budget_used_usd", account="key:zero"), left["used"], "after a restart:")
                gateway.kill()


def usage_of(gateway):
    return {row["key"]: row for row in harness.request(gateway.admin_port, "GET", "/admin/v1/usage?since=20000d").json()["usage"]}


def test_usage_of_an_older_version_is_taken_over_once():
    data = harness.folder() / "data"
    with harness.Mock() as mock:
        with harness.Gateway(config(mock), data_dir=data) as gateway:
            equal(gateway.stop(), 0)
        for path in data.glob("ledger.db*"):
            path.unlink()
        with contextlib.closing(sqlite3.connect(data / "penstock.db")) as database:
            database.execute("ATTACH ? AS old", (str(ROOT / "src/store/test/old/schema2.db"),))
            database.execute("INSERT INTO usage SELECT * FROM old.usage")
            database.commit()
        for _ in range(3):
            with harness.Gateway(config(mock), data_dir=data) as gateway:
                usage = usage_of(gateway)
                equal(usage["app"]["requests"], 7)
                equal(usage["app"]["input_tokens"], 700)
                equal(usage["late"]["requests"], 4)
                equal(sum(row["requests"] for row in usage.values()), 16)
                equal(gateway.stop(), 0)


def refused(mock, data):
    """What the gateway says when it does not start."""
    path = harness.folder() / "penstock.yaml"
    path.write_text(f"listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\n{config(mock)}")
    status, out, err = harness.command("run", "--config", str(path), "--data-dir", str(data))
    equal(status, 1, out, err)
    return err


def test_a_ledger_of_a_newer_version_is_refused_and_left_as_it_is():
    with harness.Mock() as mock:
        with harness.Gateway(config(mock)) as gateway:
            equal(gateway.chat().status, 200)
            equal(gateway.stop(), 0)
            data = gateway.data_dir
        with contextlib.closing(sqlite3.connect(data / "ledger.db")) as database:
            database.execute("PRAGMA user_version=99")
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        before = (data / "ledger.db").read_bytes()
        said = refused(mock, data)
        check("ledger.db was written by a newer version" in said, said)
        check("move it away" in said, said)
        check((data / "ledger.db").read_bytes() == before, "it was changed")


def test_a_damaged_ledger_is_refused_with_words():
    with harness.Mock() as mock:
        with harness.Gateway(config(mock)) as gateway:
            equal(gateway.chat().status, 200)
            equal(gateway.stop(), 0)
            kept = gateway.data_dir
        whole = (kept / "ledger.db").read_bytes()
        for name, bytes_ in {"garbage": os.urandom(8192), "text": b"hello " * 100, "short": whole[:60],
                             "schema": whole[:200] + os.urandom(3896) + whole[4096:]}.items():
            data = harness.folder() / "data"
            shutil.copytree(kept, data)
            (data / "ledger.db").write_bytes(bytes_)
            said = refused(mock, data)
            check("ledger.db" in said and "put a backup in its place" in said, name, said)
            check((data / "ledger.db").read_bytes() == bytes_, name, "it was changed")
        # As the message says: without it the history is gone, and nothing else.
        (kept / "ledger.db").unlink()
        with harness.Gateway(config(mock), data_dir=kept) as gateway:
            equal(gateway.chat().status, 200)
            equal(gateway.stop(), 0)
        equal(harness.stored_usage(kept), 1)


def test_usage_and_cost_show_in_metrics_and_log():
    with harness.Mock() as mock, harness.Gateway(config(mock, KEYS)) as gateway:
        usage = gateway.chat(key="sk-ledger-test-000000").json()["usage"]
        equal(gateway.chat("free", key="sk-ledger-test-000001").status, 200)
        until(lambda: gateway.metric("penstock_unpriced_requests_total", model="free", target="lab/other") == 1, "a call without a price")
        micros = usage["prompt_tokens"] + 2 * usage["completion_tokens"]
        equal(round(gateway.metric("penstock_cost_usd_total", model="chat", target="lab/small") * 1e6), micros)
        until(lambda: gateway.metric("penstock_usage_waiting_rows") == 0, "usage to be written")
        equal(gateway.stop(), 0)
        line = next(line for line in gateway.log().splitlines() if '"model":"chat"' in line)
        check(f'"cost_usd":0.{micros:06}' in line, line)
        check(any('"cost_usd":null' in line for line in gateway.log().splitlines()), "an unknown price in the log")
        equal(harness.stored_usage(gateway.data_dir, "cost_micros"), micros)
        equal(harness.stored_usage(gateway.data_dir, "unpriced_requests"), 1)


def test_how_long_usage_is_kept_has_to_make_sense():
    with harness.Mock() as mock:
        path = harness.folder() / "penstock.yaml"
        for usage, words in {"{ keep: 1h }": "at least 1d", "{ keep: 30d, keep_hours: 60d }": "longer than `keep`",
                             "{ keep_minutes: 91d }": "longer than `keep_hours`", "{ keep: -3d }": "usage",
                             "{ keeep: 30d }": "keep"}.items():
            path.write_text(f"listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\n{config(mock)}usage: {usage}\n")
            status, _, err = harness.command("check", str(path))
            equal(status, 2, usage, err)
            check(words in err, usage, err)
        path.write_text(f"listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\n{config(mock)}usage: {{ keep: 30d }}\n")
        equal(harness.command("check", str(path))[0], 0)


def test_what_is_kept_no_longer_goes_and_the_days_stay():
    with harness.Mock() as mock:
        with harness.Gateway(config(mock)) as gateway:
            equal(gateway.chat().status, 200)
            equal(gateway.stop(), 0)
            data = gateway.data_dir
        with contextlib.closing(sqlite3.connect(data / "ledger.db")) as database:
            columns = "series,requests,errors,input_tokens,output_tokens,cached_tokens,cache_write_tokens,reasoning_tokens,cost_micros,unpriced_requests,estimated_requests,waited_micros"
            today = int(time.time()) // 86400
            for days in range(1, 40):
                for table, unit in (("minute", 1440), ("hour", 24), ("day", 1)):
                    database.execute(f"INSERT INTO usage_{table} (at,{columns}) SELECT {(today - days) * unit},{columns} FROM usage_{table} WHERE at>={today - 1} * {unit} LIMIT 1")
            database.commit()
        with harness.Gateway(config(mock, "usage: { keep: 35d, keep_hours: 10d, keep_minutes: 3d }\n"), data_dir=data) as gateway:
            equal(gateway.chat().status, 200)

            def left():
                with contextlib.closing(sqlite3.connect(data / "ledger.db")) as database:
                    return [database.execute(f"SELECT count(*) FROM usage_{table} WHERE at<{today * unit}").fetchone()[0]
                            for table, unit in (("minute", 1440), ("hour", 24), ("day", 1))]
            until(lambda: left() == [3, 10, 35], "old rows to go")
            until(lambda: sum(row["requests"] for row in usage_of(gateway).values()) == 37, "35 days and the two calls of today")
            equal(gateway.stop(), 0)


if __name__ == "__main__":
    harness.run(globals())
