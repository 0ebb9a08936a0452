"""The command line: keys, teams, usage, budgets, prices and the audit log, beside a gateway and without one."""

import csv
import io
import json

import harness
from harness import Gateway, Mock, check, command, equal, folder, request, until

CONFIG = """
providers:
  lab: {{ type: openai, base_url: "{url}" }}
models:
  chat: {{ route: [ lab/m ], price: {{ input: 1USD/1M, output: 1000USD/1M }} }}
  big: {{ route: [ lab/big ] }}
teams:
  acme: {{ budget: 100USD/month }}
"""


class Data:
    """A data folder, and commands on it."""

    def __init__(self, path=None):
        self.path = str(path or folder() / "data")

    def run(self, *arguments, status=0):
        got, out, error = command(*arguments, "--data-dir", self.path)
        equal(got, status, arguments, out, error)
        return out if status == 0 else error

    def make(self, name, *options):
        return self.run("key", "create", "--name", name, *options).strip()

    def show(self, name):
        return json.loads(self.run("key", "show", name, "--json"))


def test_a_key_is_made_shown_changed_rotated_and_revoked():
    data = Data()
    secret = data.make("app", "--models", "chat,lab/*", "--rpm", "60", "--tpm", "1000", "--budget", "5USD/day", "--budget", "50USD/month", "--expires", "30d",
                       "--apis", "openai,anthropic", "--can", "chat,tools", "--from", "10.0.0.0/8", "--limits", "requests=10/s,concurrent=5", "--limit", "1000/h",
                       "--labels", "app=billing,stage=test", "--priority", "high")
    check(secret.startswith("pk-") and "\n" not in secret, secret)
    key = data.show("app")
    equal((key["models"], key["apis"], key["can"], key["from"]), (["chat", "lab/*"], ["openai", "anthropic"], ["chat", "tools"], ["10.0.0.0/8"]))
    equal(key["limits"], {"requests": ["10/s", "1000/h"], "concurrent": 5, "rpm": 60, "tpm": 1000})
    equal((key["budget"], key["labels"], key["priority"], key["state"]), (["5USD/day", "50USD/month"], {"app": "billing", "stage": "test"}, "high", "active"))
    data.run("key", "update", "app", "--rpm", "30", "--models", "none", "--budget", "none", "--labels", "stage=none", "--expires", "none")
    key = data.show(key["id"])
    equal((key["models"], key["budget"], key["labels"], key["expires"], key["limits"]["rpm"]), (["*"], [], {"app": "billing"}, None, 30))
    made = json.loads(data.run("key", "rotate", "app", "--overlap", "1h", "--json"))
    check(made["secret"] != secret and made["key"]["id"] == key["id"], made)
    table = data.run("key", "list")
    equal(len({line.index(part) for line, part in zip(table.splitlines(), ("NAME", "app"))}), 1, table)
    check(secret not in table and made["secret"] not in table, table)
    check("revoked app" in data.run("key", "revoke", "app"))
    check("`penstock key list`" in data.run("key", "revoke", "app", status=2))
    equal(json.loads(data.run("key", "list", "--json", "--revoked"))["state"], "revoked")
    equal(data.run("key", "list", "--json"), "")


def test_teams_are_made_and_keys_belong_to_them():
    data = Data()
    check("no team 'lab'" in data.run("key", "create", "--name", "app", "--team", "lab", status=2))
    data.run("team", "create", "acme", "--budget", "100USD/month")
    data.run("team", "create", "lab", "--in", "acme", "--models", "chat*", "--rpm", "600")
    data.make("app", "--team", "lab")
    check("exists" in data.run("team", "create", "lab", status=2))
    check("above itself" in data.run("team", "update", "acme", "--in", "lab", status=2))
    check("still has" in data.run("team", "remove", "lab", status=1))
    equal(json.loads(data.run("team", "show", "lab", "--json"))["limits"], {"rpm": 600})
    check("100USD/month" in data.run("team", "list"))
    data.run("key", "update", "app", "--team", "none")
    data.run("team", "remove", "lab")
    check("no stored team" in data.run("team", "show", "lab", status=2))
    # A team of the file is known to those who name the file.
    config = folder() / "c.yaml"
    config.write_text(f"data_dir: {data.path}\nteams: {{ declared: {{}} }}\nproviders: {{ p: {{ type: openai, base_url: 'http://127.0.0.1:1/v1', api_key: '${{NOT_SET}}' }} }}\n")
    status, _, error = command("key", "create", "--config", str(config), "--name", "other", "--team", "declared")
    equal(status, 0, error)


def test_mistakes_are_said_in_words_and_change_nothing():
    data = Data()
    data.make("app")
    for options, words in ((("--budget", "5EUR/day"), "5EUR"), (("--limits", "speed=3"), "speed"), (("--limits", "fast"), "requests=10/s"), (("--limit", "10/fortnight"), "fortnight"),
                           (("--expires", "soon"), "soon"), (("--can", "fly"), "fly"), (("--from", "10.0.0.0/99"), "10.0.0.0/99"), (("--labels", "x"), "name=value"),
                           (("--priority", "urgent"), "urgent"), (("--rpm", "-1"), "rpm"), (("--limits", "concurrent=-1"), "concurrent")):
        error = data.run("key", "create", "--name", "x", *options, status=2)
        check(words in error, options, error)
        error = data.run("key", "update", "app", *options, status=2)
        check(words in error, options, error)
    check("exists" in data.run("key", "create", "--name", "app", status=2))
    check("nothing to change" in data.run("key", "update", "app", status=2))
    check("nobody" in data.run("key", "show", "nobody", status=2))
    equal(command("key", "rotate", "--data-dir", data.path)[0], 2)
    equal(command("key", "fly", "--data-dir", data.path)[0], 2)
    equal(command("key", "list", "--data-dir", "/proc/1/nowhere")[0], 1)
    equal(len(data.run("key", "list", "--json").splitlines()), 1)
    check("1 lines" in data.run("audit", "verify"), "what failed is in the audit log")


def test_names_move_no_cursor_and_stay_one_line():
    data = Data()
    check("control" in data.run("key", "create", "--name", "a\x1b[2Jb", status=2))
    data.make("gr\u00fc\u00df <b>")
    check("gr\u00fc\u00df <b>" in data.run("key", "list"))


def test_changes_are_in_the_audit_log_with_who_made_them():
    data = Data()
    secret = data.make("app", "--rpm", "1")
    data.run("key", "update", "app", "--rpm", "2")
    data.run("key", "revoke", "app")
    lines = [json.loads(line) for line in data.run("audit", "list", "--json").splitlines()]
    equal([line["action"] for line in lines], ["key.revoke", "key.update", "key.create"])
    check(all(line["actor"].startswith("cli:") for line in lines), lines)
    check(secret not in json.dumps(lines), lines)
    check("3 lines" in data.run("audit", "verify"))
    check("key.revoke" in data.run("audit", "list", "--limit", "1"))


def test_a_running_gateway_takes_changes_over_and_tells_usage_and_budgets():
    with Mock("--tokens", "4") as mock, Gateway(CONFIG.format(url=mock.url)) as gateway:
        data = Data(gateway.data_dir)
        secret = data.make("app", "--models", "chat", "--budget", "0.006USD/day")
        # Before its first key the gateway is open to all.
        until(lambda: gateway.chat(key="pk-nobody").status == 401, "keys to be asked for")
        equal(gateway.chat(key=secret, max_tokens=4).status, 200)
        equal(gateway.chat(key=secret, max_tokens=4).status, 429)
        until(lambda: "app" in data.run("usage", "--since", "1h"), "usage in the table")
        table = data.run("usage", "--since", "1h", "--by", "key,day")
        check("COST" in table and " USD" in table and "TIME" in table, table)
        rows = list(csv.DictReader(io.StringIO(data.run("usage", "--format", "csv", "--key", "app"))))
        equal([row["key"] for row in rows], ["app"])
        # What nobody's key was answered before counts under no key.
        usage = json.loads(data.run("usage", "--format", "json", "--model", "chat", "--key", "app"))
        equal(usage["usage"][0]["output_tokens"], 4)
        for options, words in ((("--by", "colour"), "colour"), (("--since", "yesterday"), "yesterday"), (("--format", "xml"), "csv")):
            check(words in data.run("usage", *options, status=2), options)

        url = f"http://127.0.0.1:{gateway.admin_port}"
        budgets = lambda *more: data.run("budget", "list", "--admin", url, *more)
        check("0.006USD/day" in budgets(), budgets())
        before = json.loads([line for line in budgets("--json").splitlines() if "key:" in line][0])
        check(before["spent"] > 0, before)
        check("1.00" in data.run("budget", "adjust", "key:app", "1USD", "--admin", url))
        equal(gateway.chat(key=secret, max_tokens=4).status, 200)
        check("no budget" in data.run("budget", "adjust", "key:nobody", "1USD", "--admin", url, status=2))
        data.run("key", "revoke", "app")
        until(lambda: gateway.chat(key=secret).status == 401, "the revoked key")
        check("budget.adjust" in data.run("audit", "list"))


def test_nobody_at_the_admin_address_is_said():
    data = Data()
    error = data.run("budget", "list", "--admin", "http://127.0.0.1:1", status=1)
    check("no gateway answers at http://127.0.0.1:1" in error and "penstock run" in error, error)
    check("http" in data.run("budget", "list", "--admin", "nonsense", status=2))


def test_the_admin_key_comes_from_the_environment():
    config = "providers: { lab: { type: openai, base_url: 'http://127.0.0.1:1/v1' } }\n"
    with Gateway(config) as gateway:
        gateway.config_path.write_text(gateway.config_path.read_text().replace("admin: 127.0.0.1:0", "admin: { address: '127.0.0.1:0', key: admin-key-0123456789 }"))
        until(lambda: request(gateway.admin_port, "GET", "/admin/v1/status").status == 401, "the admin key")
        ask = lambda environment: command("budget", "list", "--admin", f"http://127.0.0.1:{gateway.admin_port}", environment=environment)
        status, _, error = ask({})
        check(status == 1 and "PENSTOCK_ADMIN_KEY" in error, status, error)
        equal(ask({"PENSTOCK_ADMIN_KEY": "admin-key-0123456789"})[0], 0)


def test_prices_are_listed_and_shown():
    status, out, error = command("price", "show", "gpt-4o-mini")
    check(status == 0 and "0.15USD/1M" in out and "AS OF" in out, status, out, error)
    check(len(command("price", "list")[1].splitlines()) > 100, "few prices")
    status, _, error = command("price", "show", "no-such-model")
    check(status == 2 and "no price of 'no-such-model'" in error, status, error)
    equal(json.loads(command("price", "show", "openai/gpt-4o-mini", "--json")[1].splitlines()[0])["vendor"], "openai")


if __name__ == "__main__":
    harness.run(globals())
