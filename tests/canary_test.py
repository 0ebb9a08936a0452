"""Canaries of local models under load: rolled back or promoted with no failed call, kept over restarts, by command at once, and seen through the
admin API and the command line."""

import http.client
import json
import shutil
import threading
import time

import harness
import openapi
from harness import Gateway, check, equal, request, until

MODELS = harness.ROOT / "tests" / "models" / "trial"
ROWS = 4
CLIENTS = 4

CONFIG = """
models:
  press:
    path: {path}
    labels: {{ stable: 1 }}
    {more}
"""
CANARY = 'canary: {{ version: 2, share: {share}, rollback_if: "{rules}", promote_after: {after}, error_rate: 1% }}'


def body(value):
    return json.dumps({"inputs": [{"name": "x", "shape": [1, ROWS], "datatype": "FP32", "data": [value] * ROWS}]})


def model(second, first="double"):
    """A folder with `first` as version 1 and `second` as version 2."""
    path = harness.folder() / "press"
    for number, name in ((1, first), (2, second)):
        (path / str(number)).mkdir(parents=True)
        shutil.copy(MODELS / name / "model.onnx", path / str(number))
    return path


def gateway_of(path, more, data_dir=None):
    return Gateway(CONFIG.format(path=path, more=more), data_dir)


def admin(gateway, method, path, sent=None, status=200):
    answer = request(gateway.admin_port, method, "/admin/v1/" + path, sent)
    equal(answer.status, status, method, path, answer)
    return answer.json()


def press(gateway):
    return admin(gateway, "GET", "models/press")


def canary(gateway):
    return press(gateway)["traffic"]["canary"]


def history(gateway):
    return admin(gateway, "GET", "model-history?model=press")["events"]


def ask(gateway, value=0.25, headers=None, version=""):
    path = "/v2/models/press" + (f"/versions/{version}" if version else "") + "/infer"
    return gateway.request("POST", path, body(value), None, {"content-type": "application/json", **(headers or {})})


def answered_by(gateway, count=60, **more):
    """The versions that answer `count` requests."""
    versions = set()
    for _ in range(count):
        answer = ask(gateway, **more)
        equal(answer.status, 200, answer)
        versions.add(answer.json()["model_version"])
    return versions


def command(gateway, *arguments):
    """Of `penstock model`: status, standard output, standard error."""
    return harness.command("model", *arguments, "--admin", f"http://127.0.0.1:{gateway.admin_port}")


class Load:
    """Clients that ask without a pause, each over one connection, until they are stopped."""

    def __init__(self, gateway, values=(0.25,)):
        self.port = gateway.port
        self.values = values
        self.going = True
        self.calls = 0
        self.failures = []
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]

    def _ask(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        bodies = [body(value) for value in self.values]
        turn = 0
        while self.going:
            turn += 1
            try:
                connection.request("POST", "/v2/models/press/infer", bodies[turn % len(bodies)], {"content-type": "application/json"})
                answer = connection.getresponse()
                text = answer.read()
                wrong = None if answer.status == 200 else f"{answer.status} {text[:300]}"
            except OSError as error:
                wrong = repr(error)
                connection.close()
            with self.lock:
                self.calls += 1
                if wrong:
                    self.failures.append(wrong)
            time.sleep(0.001)
        connection.close()

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.going = False
        for thread in self.threads:
            thread.join(60)


def test_a_canary_that_fails_is_rolled_back_and_no_client_sees_it():
    path = model("picky")
    more = CANARY.format(share="20%", rules="errors > 1%", after="1h")
    with gateway_of(path, more) as gateway:
        equal(canary(gateway)["stage"], "watching")
        with Load(gateway, (0.25, 0.25, 0.25, 7)) as load:
            until(lambda: canary(gateway)["stage"] == "rolled_back", "the rollback", 60)
            calls = load.calls
            until(lambda: load.calls > calls + 200, "calls after it", 60)
        equal(load.failures, [], "failed calls of", load.calls)
        equal(answered_by(gateway, value=7), {"1"})
        event = history(gateway)[0]
        equal((event["action"], event["actor"], event["from"]), ("rollback", "canary", 2))
        check("calls failed; the limit is 1 %" in event["why"], event)
        data = gateway.data_dir
        gateway.kill()
    # kill -9 undoes nothing.
    with gateway_of(path, more, data) as gateway:
        equal(canary(gateway)["stage"], "rolled_back")
        equal(canary(gateway)["words"], event["why"])
        equal(answered_by(gateway), {"1"})
        check(event in history(gateway), history(gateway))
    # Another canary begins anew.
    with gateway_of(path, CANARY.format(share="50%", rules="errors > 1%", after="1h"), data) as gateway:
        equal(canary(gateway)["stage"], "watching")
        equal(answered_by(gateway), {"1", "2"})


def test_a_good_canary_is_promoted_under_load():
    path = model("double_too")
    more = CANARY.format(share="50%", rules="errors > 5% or p50 > 10s or disagreement > 10%", after="1s")
    with gateway_of(path, more) as gateway:
        with Load(gateway) as load:
            until(lambda: canary(gateway)["stage"] == "promoted", "the promotion", 90)
            calls = load.calls
            until(lambda: load.calls > calls + 200, "calls after it", 60)
        equal(load.failures, [], "failed calls of", load.calls)
        equal(answered_by(gateway), {"2"})
        equal(press(gateway)["traffic"]["labels"]["stable"], 2)
        equal((history(gateway)[0]["action"], history(gateway)[0]["to"]), ("promote", 2))
        data = gateway.data_dir
        gateway.kill()
    with gateway_of(path, more, data) as gateway:
        equal(canary(gateway)["stage"], "promoted")
        equal(answered_by(gateway), {"2"})
        # Back at once, by command.
        equal(command(gateway, "rollback", "press", "--why", "sounds odd")[0], 0)
        equal(answered_by(gateway), {"1"})
        event = history(gateway)[0]
        equal((event["action"], event["from"], event["why"]), ("rollback", 2, "sounds odd"))
        check(event["actor"].startswith("operator "), event)


def test_a_canary_that_answers_otherwise_is_rolled_back():
    with gateway_of(model("other"), CANARY.format(share="50%", rules="disagreement > 2%", after="1h")) as gateway:
        with Load(gateway) as load:
            until(lambda: canary(gateway)["stage"] == "rolled_back", "the rollback", 60)
        equal(load.failures, [])
        check("answers differed" in canary(gateway)["words"], canary(gateway))


def test_a_shadow_is_compared_and_never_answers():
    with gateway_of(model("other"), "shadow: { version: 2, share: 100% }") as gateway:
        equal(answered_by(gateway), {"1"})
        until(lambda: press(gateway)["traffic"]["shadow"]["differed"]["bad"] > 0, "a comparison")
        compared = admin(gateway, "GET", "models/press/comparison")
        equal([version["version"] for version in compared["versions"]], ["1", "2"])
        check(compared["versions"][0]["calls"] >= 60, compared)


def test_sticky_callers_keep_their_version_over_restarts():
    path = model("double_too")
    more = "split: { 1: 50%, 2: 50% }\n    sticky: { header: x-user }"
    data = None
    seen = []
    for _ in range(2):
        with gateway_of(path, more, data) as gateway:
            data = gateway.data_dir
            versions = [answered_by(gateway, 3, headers={"x-user": f"user-{i}"}) for i in range(40)]
            check(all(len(one) == 1 for one in versions), versions)
            equal(set.union(*versions), {"1", "2"})
            seen.append(versions)
            gateway.stop()
    equal(seen[0], seen[1])


def test_commands_and_admin_api():
    with gateway_of(model("double_too"), "serve: all") as gateway:
        description = openapi.Description(request(gateway.admin_port, "GET", "/admin/v1/openapi.json").json())
        equal(description.structure_problems(), [])

        def ask_admin(method, path, sent=None, status=200):
            value = admin(gateway, method, path, sent, status)
            equal(description.answer_problems(method, "/admin/v1/" + path.split("?")[0], status, value), [], path)
            return value

        equal([one["name"] for one in ask_admin("GET", "models")["local_models"]], ["press"])
        ask_admin("GET", "models/nobody", None, 404)
        equal(answered_by(gateway), {"1"})
        promoted = ask_admin("POST", "models/press/promote", {"version": 2, "why": "newer"})
        equal(promoted["traffic"]["promoted"], 2)
        equal(answered_by(gateway), {"2"})
        ask_admin("POST", "models/press/promote", {"version": 9}, 409)
        ask_admin("POST", "models/press/rollback", {})
        equal(answered_by(gateway), {"1"})
        ask_admin("POST", "models/press/rollback", {}, 409)
        changed = ask_admin("PATCH", "models/press/traffic", {"labels": {"stable": "2", "next": "1"}, "why": "try"})
        equal(changed["traffic"]["labels"], {"stable": 2, "next": 1})
        equal(answered_by(gateway), {"2"})
        equal(ask(gateway, version="next").json()["model_version"], "1")
        ask_admin("PATCH", "models/press/traffic", {"split": {"1": "70%", "2": "40%"}}, 422)
        ask_admin("PATCH", "models/press/traffic", {}, 422)
        ask_admin("PATCH", "models/press/traffic", {"labels": None, "split": {"1": "50%", "2": "50%"}})
        equal(answered_by(gateway), {"1", "2"})
        ask_admin("PATCH", "models/press/traffic", {"split": None})
        for verb in ("pin", "unpin", "load"):
            ask_admin("POST", "models/press/" + verb, {"why": "a test"})
        equal(ask_admin("POST", "models/press/unload", {})["ready"], False)
        check(ask(gateway).status >= 400, "an unloaded model answers")
        equal(ask_admin("POST", "models/press/load", {})["ready"], True)
        equal(answered_by(gateway), {"1"})
        ask_admin("GET", "models/press/comparison")
        actions = [event["action"] for event in ask_admin("GET", "model-history?model=press&limit=1000")["events"]]
        for action in ("promote", "rollback", "labels", "split"):
            check(action in actions, action, actions)
        audited = {line["action"] for line in admin(gateway, "GET", "audit?limit=1000")["audit"]}
        check({"model.promote", "model.rollback", "model.traffic", "model.load", "model.unload", "model.pin"} <= audited, audited)
        hardware = ask_admin("GET", "hardware")
        check(hardware["cores"] >= 1 and hardware["memory_bytes"] > 0, hardware)


def test_the_command_line():
    with gateway_of(model("double_too"), "serve: all") as gateway:
        status, shown, errors = command(gateway, "list")
        equal(status, 0, errors)
        check("press" in shown and "stable" in shown, shown)
        equal(command(gateway, "promote", "press", "--version", "2", "--why", "newer")[0], 0)
        equal(answered_by(gateway), {"2"})
        equal(command(gateway, "labels", "press", "stable=2", "old=1")[0], 0)
        equal(command(gateway, "labels", "press", "--configured")[0], 0)
        equal(command(gateway, "labels", "press")[0], 2)
        equal(command(gateway, "split", "press", "1=90%", "2=20%")[0], 2)
        for verb in ("pin", "unpin", "show", "compare", "rollback", "unload", "load"):
            status, _, errors = command(gateway, verb, "press")
            equal(status, 0, verb, errors)
        status, _, errors = command(gateway, "promote", "press")
        check(status != 0 and "no canary" in errors, errors)
        shown = command(gateway, "history", "press")[1]
        check("newer" in shown and "promote" in shown, shown)


if __name__ == "__main__":
    if "onnx" not in harness.command("--version")[1]:
        harness.skip("ONNX Runtime is not installed; ./dev setup test fetches it")
    harness.run(globals())
