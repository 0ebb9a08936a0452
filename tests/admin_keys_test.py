"""Keys, teams, budgets, usage and prices through the admin API: in force with the answer, checked, described, and in the audit log."""

import csv
import io
import json
import time
import urllib.parse

import harness
import openapi
from harness import Gateway, Mock, check, equal, request, until

CONFIG = """
providers:
  lab: {{ type: openai, base_url: "{url}" }}
models:
  chat: {{ route: [ lab/m ], price: {{ input: 1USD/1M, output: 1000USD/1M }} }}
  big: {{ route: [ lab/big ], price: {{ input: 1USD/1M, output: 2USD/1M }} }}
teams:
  acme: {{ budget: 100USD/month }}
keys:
  - {{ name: declared, secret: "declared-key-0123456789", team: acme, models: [chat], labels: {{ a: b }} }}
"""


class Admin:
    """The admin API of a gateway; every answer is checked against openapi.json."""

    def __init__(self, gateway):
        self.gateway = gateway
        self.description = openapi.Description(request(gateway.admin_port, "GET", "/admin/v1/openapi.json").json())

    def raw(self, method, path, body=None, headers=None):
        return request(self.gateway.admin_port, method, "/admin/v1/" + path, body, None, headers)

    def ask(self, method, path, body=None, status=200):
        answer = self.raw(method, path, body)
        equal(answer.status, status, method, path, answer)
        value = answer.json()
        plain = "/admin/v1/" + path.split("?")[0]
        equal(self.description.answer_problems(method, plain, status, value), [], method, path)
        return value

    def refuse(self, method, path, body, status, words):
        error = self.ask(method, path, body, status)["error"]
        check(words in error, method, path, "says", error, "without", words)

    def make(self, **settings):
        made = self.ask("POST", "keys", settings, 201)
        return made["secret"], made["key"]

    def audit(self):
        return self.ask("GET", "audit?limit=1000")["audit"]


class World:
    def __init__(self):
        self.mock = Mock("--tokens", "4")
        self.gateway = Gateway(CONFIG.format(url=self.mock.url))
        self.admin = Admin(self.gateway)

    def __enter__(self):
        return self.gateway, self.admin

    def __exit__(self, *_):
        for process in (self.gateway, self.mock):
            if process.alive():
                process.kill()


def test_the_description_is_whole_and_knows_every_route():
    with World() as (_, admin):
        equal(admin.description.structure_problems(), [])
        for path, item in admin.description.document["paths"].items():
            concrete = path.replace("{key}", "none").replace("{team}", "none").replace("{model}", "none")
            answer = request(admin.gateway.admin_port, "PUT", concrete, {})
            equal(answer.status, 405, path)
            equal(sorted(answer.headers["allow"].split(", ")), sorted(method.upper() for method in item), path)
        for path in ("status", "requests", "models", "keys", "teams", "budgets", "limits", "usage", "prices", "audit", "audit/verify", "pipelines", "alarms", "alarm-history", "actions", "action-history", "devices", "model-history", "hardware"):
            admin.ask("GET", path)


def test_a_key_works_from_the_answer_on_and_is_refused_from_the_answer_on():
    with World() as (gateway, admin):
        for _ in range(10):
            secret, key = admin.make(name="app", models=["chat"], labels={"of": "billing"}, priority="high")
            equal(gateway.chat(key=secret, max_tokens=1).status, 200)
            equal(gateway.chat("big", key=secret).status, 403)
            began = time.monotonic()
            equal(admin.ask("DELETE", "keys/" + key["id"])["state"], "revoked")
            answer = gateway.chat(key=secret)
            equal(answer.status, 401, answer)
            check(time.monotonic() - began < 5, "took", time.monotonic() - began)
        admin.refuse("DELETE", "keys/app", None, 404, "no key in force")
        equal(len(admin.ask("GET", "keys?prefix=app&revoked=true")["keys"]), 10)
        equal(admin.ask("GET", "keys?prefix=app")["keys"], [])


def test_changes_are_felt_with_the_next_call():
    with World() as (gateway, admin):
        secret, key = admin.make(name="app", limits={"rpm": 1000})
        equal(gateway.chat(key=secret).status, 200)
        changed = admin.ask("PATCH", "keys/app", {"models": ["big"], "limits": {"rpm": 1, "concurrent": 3}})
        equal(changed["limits"], {"rpm": 1, "concurrent": 3})
        equal(gateway.chat(key=secret).status, 403)
        admin.ask("PATCH", "keys/" + key["id"], {"models": None})
        until(lambda: gateway.chat(key=secret).status == 429, "the limit of one a minute", 3)
        shown = admin.ask("GET", "keys/app")
        equal((shown["models"], shown["limits"], shown["account"]["rates"][0]["limit"]), (["*"], {"rpm": 1, "concurrent": 3}, 1))
        admin.ask("PATCH", "keys/app", {"limits": {"rpm": None}})
        equal(gateway.chat(key=secret).status, 200)
        equal(admin.ask("GET", "keys/app")["limits"], {"concurrent": 3})
        admin.ask("PATCH", "keys/app", {"expires": "1ms"})
        until(lambda: gateway.chat(key=secret).status == 401, "the expiry")
        equal(admin.ask("GET", "keys/app")["state"], "expired")
        admin.ask("PATCH", "keys/app", {"expires": None})
        equal(gateway.chat(key=secret).status, 200)
        until(lambda: gateway.metric("penstock_requests_total", status="200") >= 3, "the requests counted")


def test_a_rotated_key_has_two_secrets_until_the_overlap_is_over():
    with World() as (gateway, admin):
        old, _ = admin.make(name="app")
        fresh = admin.ask("POST", "keys/app/rotate", {"overlap": "1h"})["secret"]
        check(fresh != old, "the secret is the same")
        equal([gateway.chat(key=secret).status for secret in (old, fresh)], [200, 200])
        last = admin.ask("POST", "keys/app/rotate")["secret"]
        equal([gateway.chat(key=secret).status for secret in (old, fresh, last)], [401, 401, 200])
        admin.refuse("POST", "keys/app/rotate", {"overlap": "soon"}, 422, "overlap")
        admin.refuse("POST", "keys/nobody/rotate", {}, 404, "nobody")


def test_teams_hold_for_their_keys():
    with World() as (gateway, admin):
        admin.ask("POST", "teams", {"name": "lab", "in": "acme", "models": ["chat"]}, 201)
        secret, _ = admin.make(name="app", team="lab")
        equal((gateway.chat(key=secret).status, gateway.chat("big", key=secret).status), (200, 403))
        admin.ask("PATCH", "teams/lab", {"models": ["big"]})
        until(lambda: gateway.chat(key=secret).status == 403, "the team's models", 2)
        admin.refuse("DELETE", "teams/lab", None, 409, "still has")
        admin.refuse("PATCH", "teams/lab", {"in": "lab"}, 422, "above itself")
        admin.refuse("POST", "teams", {"name": "x", "in": "nowhere"}, 422, "no team 'nowhere'")
        admin.refuse("POST", "teams", {"name": "lab"}, 409, "exists")
        admin.refuse("POST", "keys", {"name": "other", "team": "nowhere"}, 422, "no team 'nowhere'")
        equal([team["name"] for team in admin.ask("GET", "teams")["teams"]], ["acme", "lab"])
        admin.ask("DELETE", "keys/app")
        admin.ask("DELETE", "teams/lab")
        admin.refuse("GET", "teams/lab", None, 404, "no team 'lab'")


def test_what_the_file_declares_is_shown_and_changed_there():
    with World() as (_, admin):
        key = admin.ask("GET", "keys/declared")
        equal((key["declared"], key["team"], key["models"], key["labels"]), (True, "acme", ["chat"], {"a": "b"}))
        for method, path, body in (("PATCH", "keys/declared", {"priority": "low"}), ("DELETE", "keys/declared", None), ("POST", "keys/declared/rotate", {}),
                                   ("POST", "keys", {"name": "declared"}), ("PATCH", "teams/acme", {"models": None}), ("DELETE", "teams/acme", None)):
            admin.refuse(method, path, body, 409, "configuration file")
        equal(admin.ask("GET", "keys?limit=1")["keys"][0]["name"], "declared")


def test_a_spent_budget_is_shown_and_more_of_it_can_be_given():
    with World() as (gateway, admin):
        secret, key = admin.make(name="app", budget="0.006USD/day")
        equal(gateway.chat(key=secret, max_tokens=4).status, 200)
        account = "key:" + key["id"]

        def budget():
            found = [b for b in admin.ask("GET", "budgets?prefix=key:")["budgets"] if b["account"] == account]
            return found[0] if found else None

        until(lambda: budget() and budget()["spent"] > 0, "something spent")
        equal((budget()["unit"], budget()["amount"], budget()["held"]), ("micro_usd", 6000, 0))
        equal(budget()["remaining"], 6000 - budget()["spent"])
        answer = gateway.chat(key=secret, max_tokens=4)
        equal(answer.status, 429, answer)
        left = budget()["remaining"]
        more = admin.ask("POST", "budgets/adjust", {"account": "key:app", "amount": "1USD"})
        equal(more["remaining"], left + 1000000)
        equal(gateway.chat(key=secret, max_tokens=4).status, 200)
        admin.refuse("POST", "budgets/adjust", {"account": "key:nobody", "amount": "1USD"}, 404, "no budget")
        admin.refuse("POST", "budgets/adjust", {"account": "key:app", "amount": "5tokens"}, 422, "amount")
        admin.refuse("POST", "budgets/adjust", {"account": "key:app", "amount": "1USD", "budget": "1USD/week"}, 404, "0.006USD/day")
        check(any(line["action"] == "budget.adjust" and line["object"] == account for line in admin.audit()), "not in the audit log")


def test_usage_comes_as_json_csv_and_lines():
    with World() as (gateway, admin):
        evil = "=1+1,\"x\""
        secret, _ = admin.make(name=evil)
        for _ in range(3):
            equal(gateway.chat(key=secret, max_tokens=2).status, 200)
        rows = lambda query: admin.ask("GET", "usage" + query)["usage"]
        until(lambda: any(row["key"] == evil and row["requests"] == 3 for row in rows("")), "three requests")
        row = rows("?group_by=key,model,day&model=chat")[0]
        check(row["input_tokens"] > 0 and row["output_tokens"] == 6 and float(row["cost_usd"]) > 0 and row["time"].endswith("Z"), row)
        equal(rows("?model=nothing"), [])
        equal(rows("?until=48h&since=72h"), [])
        answer = admin.raw("GET", "usage?format=csv&group_by=key,team")
        equal(answer.headers["content-type"].split(";")[0], "text/csv")
        check("usage.csv" in answer.headers["content-disposition"], answer.headers)
        table = list(csv.DictReader(io.StringIO(answer.text())))
        equal([(line["key"], line["requests"]) for line in table], [("'" + evil, "3")])
        lines = [json.loads(line) for line in admin.raw("GET", "usage?format=ndjson").text().splitlines()]
        equal([line["requests"] for line in lines], [3])
        for query, status, words in (("?since=yesterday", 422, "since"), ("?group_by=colour", 422, "colour"), ("?format=xml", 400, "xml"),
                                     ("?limit=0", 400, "limit"), ("?sinse=1h", 400, "did you mean 'since'")):
            admin.refuse("GET", "usage" + query, None, status, words)


def test_prices_say_what_is_known():
    with World() as (_, admin):
        found = admin.ask("GET", "prices?search=gpt-4o-mini")["prices"]
        check(any(price["model"] == "gpt-4o-mini" and price["price"]["input"] == 150000 for price in found), found)
        first = admin.ask("GET", "prices?limit=2")
        equal((len(first["prices"]), first["next"]), (2, 2))
        check(first["total"] > 100, first["total"])
        equal(admin.ask("GET", "prices?search=no-such-model")["prices"], [])


def test_bodies_that_cannot_be_are_refused_in_words():
    with World() as (_, admin):
        admin.make(name="app")
        for body, status, words in (
                ("", 422, "'name' is missing"), ("{", 400, "not JSON"), ("[]", 400, "object"), ("name: x", 400, "not JSON"), (b"\xff\xfe", 400, "not JSON"),
                ("[" * 100000, 400, "not JSON"), ({"name": 7}, 422, "a string"), ({"name": ""}, 422, "name"), ({"name": "a\nb"}, 422, "control"),
                ({"name": "x" * 300}, 422, "bytes"), ({"name": "app"}, 409, "exists"), ({"name": "x", "modles": []}, 422, "did you mean 'models'"),
                ({"name": "x", "secret": "mine"}, 422, "'secret'"), ({"name": "x", "models": "chat"}, 422, "list"), ({"name": "x", "can": ["fly"]}, 422, "fly"),
                ({"name": "x", "from": ["10.0.0.0/99"]}, 422, "10.0.0.0/99"), ({"name": "x", "limits": {"rpm": -5}}, 422, "limits.rpm"),
                ({"name": "x", "limits": {"rpm": 0}}, 422, "limits.rpm"), ({"name": "x", "limits": {"requests": "10/fortnight"}}, 422, "fortnight"),
                ({"name": "x", "limits": {"requests": ["1/s", "2/s"]}}, 422, ""), ({"name": "x", "limits": {"rpm": 10 ** 30}}, 422, ""),
                ({"name": "x", "budget": "5"}, 422, ""), ({"name": "x", "budget": "-5USD/day"}, 422, ""), ({"name": "x", "budget": "5EUR/day"}, 422, ""),
                ({"name": "x", "budget": {"amount": "5USD", "per": "day", "zone": "Mars/Olympus"}}, 422, "Mars/Olympus"),
                ({"name": "x", "budget": {"amount": "5USD", "per": "day", "zone": "${HOME}"}}, 422, ""),
                ({"name": "x", "expires": "soon"}, 422, "expires"), ({"name": "x", "priority": "urgent"}, 422, "urgent"), ({"name": "x", "labels": {"a": 1}}, 422, "labels.a")):
            answer = admin.raw("POST", "keys", body)
            equal(answer.status, status, str(body)[:80], answer)
            check(words in answer.json()["error"], str(body)[:80], answer)
            check(harness.os.environ.get("HOME", "-") not in answer.text(), "the environment is told", answer)
        equal(admin.raw("POST", "keys", "x" * (2 << 20)).status, 413)
        equal(admin.raw("PATCH", "keys/nobody", {}).status, 404)
        equal([key["name"] for key in admin.ask("GET", "keys")["keys"]], ["declared", "app"])


def test_other_sites_change_nothing():
    with World() as (_, admin):
        for headers, status in (({"Content-Type": "text/plain"}, 415), ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
                                ({"Origin": "http://evil.example"}, 403), ({"Sec-Fetch-Site": "cross-site"}, 403), ({"Host": "evil.example"}, 403)):
            equal(admin.raw("POST", "keys", {"name": "x"}, headers).status, status, headers)
        for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Host": "evil.example"}):
            equal(admin.raw("DELETE", "keys/declared", None, headers).status, 403, headers)
        equal(len(admin.ask("GET", "keys")["keys"]), 1)


def test_every_change_is_in_the_audit_log_and_no_secret_anywhere():
    with World() as (gateway, admin):
        admin.ask("POST", "teams", {"name": "lab", "limits": {"rpm": 100}}, 201)
        first, key = admin.make(name="<b>&amp;\"'", team="lab", limits={"rpm": 10})
        name = urllib.parse.quote(key["name"], safe="")
        admin.ask("PATCH", "keys/" + name, {"limits": {"rpm": 20}})
        second = admin.ask("POST", "keys/" + name + "/rotate", {"overlap": "1h"})["secret"]
        admin.ask("DELETE", "keys/" + name)
        admin.ask("PATCH", "teams/lab", {"limits": None})
        admin.ask("DELETE", "teams/lab")
        log = admin.audit()[::-1]
        equal([line["action"] for line in log], ["team.create", "key.create", "key.update", "key.rotate", "key.revoke", "team.update", "team.remove"])
        equal([line["sequence"] for line in log], list(range(1, 8)))
        equal({line["actor"] for line in log}, {"admin:127.0.0.1"})
        check("10" in json.dumps(log[2]["before"]) and "20" in json.dumps(log[2]["after"]), log[2])
        equal((log[1]["before"], log[6]["after"]), (None, None))
        equal([line["action"] for line in admin.ask("GET", "audit?since=5")["audit"]], ["team.update", "team.remove"])
        equal(admin.ask("GET", "audit/verify"), {"intact": True, "lines": 7, "detail": None})
        told = [admin.raw("GET", path).text() for path in ("keys?revoked=true", "keys/" + key["id"], "audit", "teams", "budgets", "limits", "usage", "requests")]
        told += [gateway.log(), gateway.metrics()]
        for text in told:
            for secret in (first, second):
                check(secret not in text, "a secret is told:", text[:300])
        database = (gateway.data_dir / "penstock.db").read_bytes() + b"".join(path.read_bytes() for path in gateway.data_dir.glob("penstock.db-wal"))
        check(first.encode() not in database and second.encode() not in database, "a secret is in the file")


def test_long_lists_come_in_pages():
    with World() as (_, admin):
        for i in range(25):
            admin.make(name=f"k{i:02}", team="acme")
        seen, offset = [], 0
        while offset is not None:
            page = admin.ask("GET", f"keys?limit=7&offset={offset}&team=acme")
            check(len(page["keys"]) <= 7, len(page["keys"]))
            equal(page["total"], 26)
            seen += [key["name"] for key in page["keys"]]
            offset = page["next"]
        equal(seen, ["declared"] + [f"k{i:02}" for i in range(25)])
        equal([key["name"] for key in admin.ask("GET", "keys?prefix=k1&limit=1000")["keys"]], [f"k1{i}" for i in range(10)])
        admin.refuse("GET", "keys?limit=1001", None, 400, "limit")
        admin.refuse("GET", "keys?limit=many", None, 400, "limit")


def test_a_gateway_key_that_can_admin_is_taken_and_named():
    config = CONFIG + "\n"
    with Mock() as mock:
        gateway = Gateway(config.format(url=mock.url).replace("listen:", "listen:"), environment={})
        with gateway:
            admin = Admin(gateway)
            chief, _ = admin.make(name="chief", can=["chat", "admin"])
            other, _ = admin.make(name="other")
            temporary = gateway.config_path.with_suffix(".new")
            temporary.write_text(gateway.config_path.read_text().replace("admin: 127.0.0.1:0", "admin: { address: '127.0.0.1:0', key: admin-key-0123456789 }"))
            temporary.rename(gateway.config_path)
            ask = lambda key, method="GET", path="status", body=None: request(gateway.admin_port, method, "/admin/v1/" + path, body, key)
            until(lambda: ask(None).status == 401, "the admin key to be demanded")
            equal(ask("admin-key-0123456789").status, 200)
            equal(ask(chief).status, 200)
            equal(ask(other).status, 403)
            equal(ask("pk-nobody").status, 401)
            equal(ask(chief, "DELETE", "keys/other").status, 200)
            equal(ask(chief, path="audit?limit=1").json()["audit"][0]["actor"], "key:chief")
            equal(ask(chief, "DELETE", "keys/chief").status, 200)
            equal(ask(chief).status, 401)


if __name__ == "__main__":
    harness.run(globals())
