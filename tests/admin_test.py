"""The admin listener's own door: its key, what other sites may not do through a browser, and what it never tells."""

import http.client
import json
import shutil
import ssl

import browser
import certificates
import harness
from harness import Gateway, Mock, check, equal, request, until

KEY = "admin-key-0123456789abcdef"
PATHS = ["/", "/metrics", "/healthz", "/readyz", "/admin/v1/openapi.json", "/admin/v1/status", "/admin/v1/requests?limit=1000", "/admin/v1/models", "/admin/v1/model-history", "/admin/v1/hardware",
         "/admin/v1/keys", "/admin/v1/teams", "/admin/v1/budgets", "/admin/v1/limits", "/admin/v1/usage", "/admin/v1/prices", "/admin/v1/audit", "/admin/v1/audit/verify",
         "/admin/v1/pipelines", "/admin/v1/alarms", "/admin/v1/alarm-history", "/admin/v1/actions", "/admin/v1/action-history", "/admin/v1/devices", "/admin/v1/buffers"]
CHANGES = [("POST", "/admin/v1/keys"), ("POST", "/admin/v1/teams"), ("POST", "/admin/v1/budgets/adjust"), ("PATCH", "/admin/v1/keys/{key}"), ("DELETE", "/admin/v1/keys/{key}"),
           ("POST", "/admin/v1/keys/{key}/rotate"), ("PATCH", "/admin/v1/teams/{team}"), ("DELETE", "/admin/v1/teams/{team}"), ("DELETE", "/admin/v1/buffers/{kind}/{name}"),
           *(("POST", f"/admin/v1/alarms/{verb}") for verb in ("acknowledge", "shelve", "unshelve")), *(("POST", f"/admin/v1/actions/{verb}") for verb in ("hold", "release", "force")),
           ("PATCH", "/admin/v1/models/{model}/traffic"), *(("POST", f"/admin/v1/models/{{model}}/{verb}") for verb in ("load", "unload", "pin", "unpin", "promote", "rollback")),
           ("DELETE", "/admin/v1/pipelines/{pipeline}/dead_letters"), ("POST", "/admin/v1/pipelines/{pipeline}/dead_letters/replay"),
           ("POST", "/admin/v1/devices"), ("PATCH", "/admin/v1/devices/{device}"), ("DELETE", "/admin/v1/devices/{device}"), ("PATCH", "/admin/v1/devices/{device}/twin"),
           *(("POST", f"/admin/v1/devices/{{device}}/{verb}") for verb in ("certificates", "commands", "onboard-code", "quarantine", "release", "secrets")),
           ("DELETE", "/admin/v1/devices/{device}/commands/{command}"), ("DELETE", "/admin/v1/devices/{device}/credentials/{credential}")]


class Keyed(Gateway):
    """A gateway with an admin key; `admin` is the rest of its settings."""

    def __init__(self, config="", admin=f"key: {KEY}", address="127.0.0.1:0", environment=None):
        self.admin = f"{{ address: '{address}', {admin} }}"
        super().__init__(config, environment=environment)

    def write(self, config):
        temporary = self.config_path.with_suffix(".new")
        temporary.write_text(f"listen: 127.0.0.1:0\nadmin: {self.admin}\nthreads: 1\n{config}")
        temporary.rename(self.config_path)

    def ask(self, path, key=None, method="GET", **headers):
        return request(self.admin_port, method, path, None if method == "GET" else {}, key, {k.replace("_", "-"): v for k, v in headers.items()})


def test_nothing_but_the_page_and_the_probes_is_told_without_the_key():
    with Keyed() as gateway:
        listed = gateway.ask("/admin/v1/openapi.json", KEY).json()["paths"]
        shown = {path for path, item in listed.items() if "get" in item and "{" not in path}
        equal(sorted(shown - {p.split("?")[0] for p in PATHS}), [], "paths this test does not know")
        equal(sorted((method.upper(), path) for path, item in listed.items() for method in item if method != "get"), sorted(CHANGES))
        for method, path in CHANGES:
            equal(gateway.ask(path, None, method).status, 401, method, path)
            equal(gateway.ask(path, KEY + "-wrong", method).status in (401, 429), True, method, path)
        for path in PATHS:
            open_to_all = path in ("/", "/healthz", "/readyz")
            answer = gateway.ask(path)
            equal(answer.status, 200 if open_to_all else 401, path)
            if not open_to_all:
                equal(answer.headers["www-authenticate"], "Bearer")
                check("admin key" in answer.json()["error"], answer)
            equal(gateway.ask(path, KEY).status, 200, path)
        equal(gateway.ask("/admin/v1/nothing").status, 401)
        equal(gateway.ask("/admin/v1/nothing", KEY).status, 404)


def test_wrong_keys_are_refused_and_lock_nobody_out():
    with Keyed() as gateway:
        got = [gateway.ask("/admin/v1/status", "wrong" + str(i)).status for i in range(11)]
        equal(got, [401] * 10 + [429])
        answer = gateway.ask("/admin/v1/status", "wrong again")
        equal(answer.status, 429)
        check(int(answer.headers["retry-after"]) > 0, answer.headers)
        equal(gateway.ask("/admin/v1/status", KEY).status, 200, "the right key, from where the wrong ones came")
        until(lambda: gateway.log().count("a wrong admin key was refused") == 10, "ten lines in the log")
        check("wrong1" not in gateway.log(), "the log repeats a key")


def test_metrics_may_be_open_and_the_key_changes_with_a_reload():
    with Keyed(admin=f"key: {KEY}, metrics_open: true") as gateway:
        equal(gateway.ask("/metrics").status, 200)
        equal(gateway.ask("/admin/v1/status").status, 401)
        gateway.admin = f"{{ address: '127.0.0.1:0', key: {KEY}-new }}"
        gateway.write("")
        until(lambda: gateway.ask("/admin/v1/status", KEY + "-new").status == 200, "the new key")
        # Waiting for the new key used up the tries for wrong ones.
        check(gateway.ask("/admin/v1/status", KEY).status in (401, 429), "the old key")
        equal(gateway.ask("/metrics").status, 401)
        gateway.admin = "127.0.0.1:0"
        gateway.write("")
        until(lambda: gateway.ask("/admin/v1/status").status == 200, "the key that is gone")


def test_other_sites_change_and_read_nothing():
    with Keyed(admin="metrics_open: false") as gateway:
        own = f"http://127.0.0.1:{gateway.admin_port}"
        status = lambda **headers: gateway.ask("/admin/v1/models", None, "POST", **headers).status
        equal(status(), 405, "models are changed in the file, but the way is open")
        equal(status(Origin=own, Sec_Fetch_Site="same-origin"), 405)
        equal(status(Origin="http://evil.example"), 403)
        equal(status(Origin="null"), 403)
        equal(status(Sec_Fetch_Site="cross-site"), 403)
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b"):
            equal(status(Content_Type=kind), 415, kind)
        for host in ("evil.example", "127.0.0.1.evil.example", f"127.evil.example:{gateway.admin_port}"):
            equal(gateway.ask("/admin/v1/status", Host=host).status, 403, host)
        equal(gateway.ask("/admin/v1/status", Host=f"localhost:{gateway.admin_port}").status, 200)
        check(not any(name.lower().startswith("access-control") for name in gateway.ask("/admin/v1/status", Origin="http://evil.example").headers), "CORS headers")


def test_beyond_loopback_it_takes_key_and_tls():
    made = certificates.local()
    for admin in ("0.0.0.0:0", f"{{ address: '0.0.0.0:0', key: {KEY} }}"):
        path = harness.folder() / "c.yaml"
        path.write_text(f"admin: {admin}\n")
        status, _, error = harness.command("check", str(path))
        check(status == 2 and "reachable from outside" in error, status, error)
    with Keyed(admin=f"key: {KEY}, tls: {{ {made.pair('server')} }}", address="0.0.0.0:0") as gateway:
        context = ssl.create_default_context(cafile=made.path("ca.pem"))
        connection = http.client.HTTPSConnection("127.0.0.1", gateway.admin_port, context=context, timeout=10)
        for key, wanted in ((None, 401), (KEY, 200)):
            connection.request("GET", "/admin/v1/status", headers=harness.fields(key, {}))
            answer = connection.getresponse()
            answer.read()
            equal(answer.status, wanted)
        connection.close()


SECRETS = {"PROVIDER_KEY": "sk-provider-a1b2c3d4e5f6", "CALLER_KEY": "pk-caller-a1b2c3d4e5f6", "ADMIN_KEY": "adm-a1b2c3d4e5f6a7b8", "BROKER_PASSWORD": "broker-a1b2c3d4e5f6",
           "HOOK_TOKEN": "hook-a1b2c3d4e5f6"}


def test_no_answer_metric_log_line_or_error_repeats_a_secret():
    file_secret = "file-a1b2c3d4e5f6a7b8"
    secret_file = harness.folder() / "token"
    secret_file.write_text(file_secret + "\n")
    with Mock("--api-key", SECRETS["PROVIDER_KEY"]) as mock:
        config = f"""
providers:
  lab: {{ type: openai, base_url: {mock.url}, api_key: '${{PROVIDER_KEY}}' }}
  wrong: {{ type: openai, base_url: {mock.url}, api_key: '${{file:{secret_file}}}' }}
models:
  chat: {{ route: [ lab/m ] }}
  refused: {{ route: [ wrong/m ], retry: {{ attempts: 1 }} }}
keys: [ {{ name: app, secret: '${{CALLER_KEY}}' }} ]
sources:
  press: {{ mqtt: 'mqtt://127.0.0.1:1', topic: t, username: u, password: '${{BROKER_PASSWORD}}' }}
  pushed: {{ http: {{}} }}
pipelines:
  p:
    from: pushed
    steps: [ {{ map: {{ a: "1" }} }} ]
    to: [ {{ http: {{ url: 'http://127.0.0.1:1/hook', headers: {{ authorization: 'Bearer ${{HOOK_TOKEN}}' }} }} }} ]
"""
        with Keyed(config, admin="key: '${ADMIN_KEY}'", environment=SECRETS) as gateway:
            key = SECRETS["CALLER_KEY"]
            seen = [gateway.chat(key=key), gateway.chat("refused", key=key), gateway.chat(key="pk-wrong-0123456789"), gateway.chat("none", key=key),
                    gateway.post("/v1/chat/completions", "{", key), gateway.post("/ingest/pushed", {"device": "d", "a": 1}, key)]
            equal([answer.status for answer in seen[:1] + seen[2:3]], [200, 401])
            seen += [gateway.ask(path, SECRETS["ADMIN_KEY"]) for path in PATHS]
            seen += [gateway.ask(path, "adm-wrong") for path in PATHS[:5]]
            gateway.write(config.replace("type: openai", "type: nothing"))
            until(lambda: "reload refused" in gateway.log(), "the refused reload")
            told = {f"answer {i}": answer.text() + str(answer.headers) for i, answer in enumerate(seen)}
            told["log"] = gateway.log()
            with open(f"/proc/{gateway.pid}/cmdline", "rb") as line:
                told["command line"] = line.read().decode()
            told["ready line"] = "\n".join(gateway.lines)
            for where, text in told.items():
                for name, secret in {**SECRETS, "file": file_secret}.items():
                    check(secret not in text, where, "tells", name)
                check("PATH=" not in text, where, "tells the environment")


def test_the_console_asks_for_the_key_and_keeps_it_for_the_tab():
    if not browser.PROGRAM:
        print("     (the console's door was not opened: chromium is not installed)")
        return
    with Keyed() as gateway, browser.Browser() as page:
        url = f"http://127.0.0.1:{gateway.admin_port}/"
        page.open(url)
        page.until("document.getElementById('door') && !document.getElementById('door').hidden", "the sign-in form")
        equal(page.run("[...document.querySelectorAll('main > section')].filter(s => !s.hidden).map(s => s.id)"), ["door"])

        def give(key):
            page.run(f"document.getElementById('door-key').value = {json.dumps(key)}; document.querySelector('#door button').click()")

        give("not the key")
        page.until("document.getElementById('door-why').innerText.includes('not the admin key')", "the refusal")
        equal(gateway.log().count("a wrong admin key was refused"), 1, "one try is one wrong key")
        give(KEY)
        page.until("document.getElementById('door').hidden && document.getElementById('link').textContent === 'live'", "the figures")
        page.until("!document.getElementById('requests').hidden && document.querySelector('#keys-box').innerText", "keys")
        equal(page.run("document.cookie"), "")
        page.open(url)
        page.until("document.getElementById('link') && document.getElementById('link').textContent === 'live'", "the same tab is still signed in")
        page.until("!document.getElementById('leave').hidden", "a way out")
        page.run("document.getElementById('leave').click()")
        page.until("document.getElementById('door') && !document.getElementById('door').hidden && sessionStorage.length === 0", "the form again")
        equal([c for c in page.complaints if "401" not in c], [])


if __name__ == "__main__":
    if shutil.which("openssl") is None:
        harness.skip("the openssl program is not installed")
    harness.run(globals())
