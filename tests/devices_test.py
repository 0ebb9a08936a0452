"""Devices: a registry that the command line, the admin API and the gateway share; who may speak, twins, commands, quarantine, onboarding."""

import http.client
import json
import socket
import subprocess
import threading
import time

import harness
import openapi
from websocket_client import CLOSE, WebSocket
from harness import Gateway, check, command, equal, request, until

CONFIG = """
sources: {{ plant: {{ http: {{}} }} }}
pipelines: {{ all: {{ from: plant, to: [ {{ log: {{}} }} ] }} }}
{more}
"""
KEY = "  - { name: app, secret: \"an-app-key-0123456789\" }\n"
APP = "an-app-key-0123456789"


def gateway(more=""):
    return Gateway(CONFIG.format(more=more))


class Admin:
    """The admin API; every answer is checked against openapi.json."""

    def __init__(self, of):
        self.port = of.admin_port
        self.description = openapi.Description(request(self.port, "GET", "/admin/v1/openapi.json").json())

    def ask(self, method, path, body=None, status=200):
        answer = request(self.port, method, "/admin/v1/" + path, body)
        equal(answer.status, status, method, path, answer)
        equal(self.description.answer_problems(method, "/admin/v1/" + path.split("?")[0], status, answer.json()), [], method, path)
        return answer.json()


def cli(of, *arguments, status=0):
    """What a `penstock device` command prints."""
    config = [] if "--data-dir" in arguments else ["--data-dir", str(of.data_dir)]
    got, out, err = command("device", *arguments, *config)
    equal(got, status, arguments, out, err)
    return out.strip() if status == 0 else err.strip()


def reading(device=None, value=1.0):
    return {"vibration": value, **({"device": device} if device else {})}


def send(of, credential=None, device=None, **more):
    return of.post("/ingest/plant", reading(device, **more), credential)


def refused(of, why):
    return of.metric("penstock_device_samples_refused_total", why=why)


def test_a_device_made_by_either_side_is_seen_by_both():
    with gateway() as running:
        admin = Admin(running)
        cli(running, "add", "press-7", "--profile", "press", "--groups", "hall-1,presses", "--tags", "line=3")
        until(lambda: request(running.admin_port, "GET", "/admin/v1/devices/press-7").status == 200, "the device")
        shown = admin.ask("GET", "devices/press-7")
        equal((shown["state"], shown["health"], shown["groups"], shown["tags"], shown["credentials"]),
              ("new", "never_seen", ["hall-1", "presses"], {"line": "3"}, []))
        admin.ask("POST", "devices", {"name": "mill-1", "groups": ["hall-1"]}, 201)
        admin.ask("PATCH", "devices/mill-1", {"profile": "mill", "tags": {"a": "b"}})
        listed = [json.loads(line) for line in cli(running, "list", "--json").splitlines()]
        equal([(one["name"], one["profile"]) for one in listed], [("mill-1", "mill"), ("press-7", "press")])
        equal([one["name"] for one in admin.ask("GET", "devices?group=hall-1&prefix=press")["devices"]], ["press-7"])
        check("mill-1" in cli(running, "list"), "the table")
        check("there is a device" in cli(running, "add", "press-7", status=2), "a name is taken once")
        for wrong in ("a/b", "", "x" * 65, ".."):
            admin.ask("POST", "devices", {"name": wrong}, 422)
        admin.ask("GET", "devices/nobody", status=404)
        actions = [(line["action"], line["object"]) for line in admin.ask("GET", "audit")["audit"]]
        check(("device.create", "device:press-7") in actions and ("device.update", "device:mill-1") in actions, actions)
        equal(admin.ask("GET", "audit/verify")["intact"], True)


def test_a_device_speaks_as_itself_alone():
    with gateway("keys:\n" + KEY) as running:
        secret = cli(running, "secret", "press-7")
        until(lambda: send(running, secret).status == 202, "the secret")
        equal(send(running, secret, "press-7").status, 202)
        answer = send(running, secret, "press-8")
        equal(answer.status, 403, answer)
        check("speaks for itself alone" in answer.text(), answer)
        equal(send(running, APP, "press-8").status, 202, "a key that is no device's speaks for anybody")
        seen = Admin(running).ask("GET", "devices")
        equal([one["device"] for one in seen["unregistered"]], ["press-8"])
        equal(seen["devices"][0]["name"], "press-7")
        until(lambda: Admin(running).ask("GET", "devices/press-7")["health"] == "ok", "being seen")
        for path in ("/v1/chat/completions", "/pipelines/all/events", "/v1/models"):
            method = "POST" if "chat" in path else "GET"
            equal(running.request(method, path, {} if method == "POST" else None, secret).status, 403, path)
        equal(running.request("GET", "/devices/press-8/twin", None, secret).status, 403)
        equal(running.request("GET", "/devices/press-7/twin", None, APP).status, 403)
        equal(running.request("GET", "/devices/press-7/twin").status, 401)


def test_where_nobody_needs_a_key_a_credential_still_says_who_it_is():
    with gateway() as running:
        secret = cli(running, "secret", "press-7")
        until(lambda: send(running, secret, "press-8").status == 403, "the secret")
        equal(send(running, None, "press-8").status, 202)
        equal(send(running, "some-key", "press-8").status, 202)


def test_quarantine_takes_nothing_and_release_ends_it():
    with gateway() as running:
        admin = Admin(running)
        secret = admin.ask("POST", "devices/press-7/secrets", {})["secret"]
        equal(send(running, secret).status, 202)
        equal(admin.ask("POST", "devices/press-7/quarantine", {"why": "it shouts"})["state"], "quarantined")
        answer = send(running, secret)
        equal(answer.status, 403)
        check("it shouts" in answer.text(), answer)
        equal(send(running, None, "press-7").status, 202, "what others say of it is taken")
        equal(refused(running, "quarantine"), 1.0, "and dropped")
        equal(running.request("GET", "/devices/press-7/commands", None, secret).status, 403)
        cli(running, "release", "press-7")
        until(lambda: send(running, secret).status == 202, "the release")
        admin.ask("POST", "devices/press-7/release", status=409)
        equal(admin.ask("DELETE", "devices/press-7")["state"], "retired")
        equal(send(running, None, "press-7").status, 202)
        equal(refused(running, "quarantine"), 2.0)
        admin.ask("POST", "devices/press-7/secrets", {}, 409)
        equal(running.metric("penstock_devices", state="retired"), 1.0)


def test_secrets_are_replaced_and_taken_back():
    with gateway("keys:\n" + KEY) as running:
        admin = Admin(running)
        first = admin.ask("POST", "devices/press-7/secrets", {})
        second = admin.ask("POST", "devices/press-7/secrets", {"replace": True})
        equal(send(running, first["secret"]).status, 401)
        equal(send(running, second["secret"]).status, 202)
        admin.ask("DELETE", "devices/press-7/credentials/" + second["credential"]["id"])
        equal(send(running, second["secret"]).status, 401)
        admin.ask("DELETE", "devices/press-7/credentials/none", status=404)
        for file in running.data_dir.iterdir():
            if file.is_file():
                check(second["secret"].encode() not in file.read_bytes(), "the secret stands in", file.name)
        check(second["secret"] not in running.log(), "the secret stands in the log")


def test_a_secret_that_was_taken_back_is_no_good_on_a_connection_that_stands():
    for keys in ("keys:\n" + KEY, ""):
        with gateway(keys) as running:
            admin = Admin(running)
            given = [admin.ask("POST", "devices/press-7/secrets", {}) for _ in range(2)]
            standing = [WebSocket(running.port, "/ingest/plant/ws", key=one["secret"]) for one in given]
            for each in standing:
                each.text(reading())
                equal(each.event(), {"accepted": 1})
            admin.ask("DELETE", "devices/press-7/credentials/" + given[0]["credential"]["id"])
            standing[0].text(reading())
            check("revoked" in json.dumps(standing[0].event()), "what is said")
            equal(standing[0].receive()[0], CLOSE)
            standing[1].text(reading())
            equal(standing[1].event(), {"accepted": 1})
            running.stop()


def test_unknown_devices_are_refused_or_kept_in_quarantine():
    with gateway("devices: { unknown: refuse }") as running:
        send(running, None, "stranger")
        equal(refused(running, "unknown"), 1.0)
        equal(Admin(running).ask("GET", "devices")["devices"], [])
        running.write(CONFIG.format(more="devices: { unknown: quarantine }"))
        until(lambda: "configuration reloaded" in running.log(), "the reload")
        send(running, None, "stranger")
        listed = until(lambda: cli(running, "list", "--json"), "the stranger")
        equal((json.loads(listed)["state"], json.loads(listed)["why"]), ("quarantined", "it is not known"))
        cli(running, "release", "stranger")

        def taken():
            send(running, None, "stranger")
            return Admin(running).ask("GET", "devices/stranger")["samples"]

        until(taken, "samples after the release")


def test_a_rule_puts_a_device_into_quarantine():
    with gateway("devices: { quarantine_if: [ \"malformed > 5/min\", \"samples > 1000/s\" ] }") as running:
        admin = Admin(running)
        secret = admin.ask("POST", "devices/press-7/secrets", {})["secret"]
        quiet = admin.ask("POST", "devices/press-8/secrets", {})["secret"]

        def broken():
            return running.post("/ingest/plant", "{ no json", secret).status == 403

        until(broken, "quarantine")
        equal(admin.ask("GET", "devices/press-7")["state"], "quarantined")
        check("malformed > 5/min" in cli(running, "show", "press-7"), "why")
        equal(send(running, quiet).status, 202)
        loud = [reading() for _ in range(3000)]
        until(lambda: running.post("/ingest/plant", loud, quiet).status == 403, "quarantine of the loud one")
        equal(running.metric("penstock_device_quarantined_total"), 2.0)
        check("a device is in quarantine" in running.log(), "the log")


def test_a_code_is_good_once():
    with gateway("keys:\n" + KEY) as running:
        code = cli(running, "onboard-code", "press-7")
        got = until(lambda: (lambda a: a if a.status == 201 else None)(running.post("/devices/onboard", {"code": code.lower()})), "onboarding")
        equal(got.json()["device"], "press-7")
        equal(send(running, got.json()["secret"]).status, 202)
        again = running.post("/devices/onboard", {"code": code})
        equal(again.status, 404, again)
        equal(running.post("/devices/onboard", {}).status, 400)
        equal(running.post("/devices/onboard", "no json").status, 400)
        cli(running, "onboard-code", "press-8", "--expires", "1s")
        late = cli(running, "onboard-code", "press-9", "--expires", "1s")
        time.sleep(1.2)
        equal(running.post("/devices/onboard", {"code": late}).status, 404)
        statuses = [running.post("/devices/onboard", {"code": f"AAAA-{i:04}"}).status for i in range(100)]
        check(set(statuses) <= {404, 429}, statuses)
        equal(running.metric("penstock_device_onboarded_total"), 1.0)
        actors = {(line["actor"], line["action"]) for line in Admin(running).ask("GET", "audit")["audit"]}
        check(("device:press-7", "device.onboard") in actors, actors)


def test_a_twin_is_changed_by_people_and_reported_by_the_device():
    with gateway() as running:
        admin = Admin(running)
        secret = admin.ask("POST", "devices/press-7/secrets", {})["secret"]
        equal(admin.ask("GET", "devices/press-7/twin")["desired_version"], 0)
        equal(admin.ask("PATCH", "devices/press-7/twin", {"desired": {"rate": 5, "net": {"dns": "a"}}})["desired_version"], 1)
        changed = admin.ask("PATCH", "devices/press-7/twin", {"desired": {"rate": None, "net": {"mtu": 1500}}, "version": 1})
        equal(changed["desired"], {"net": {"dns": "a", "mtu": 1500}})
        admin.ask("PATCH", "devices/press-7/twin", {"desired": {"rate": 6}, "version": 1}, 409)
        path = "/devices/press-7/twin"
        seen = running.request("GET", path + "/desired", None, secret)
        equal((seen.json(), seen.headers["etag"]), ({"version": 2, "desired": changed["desired"]}, '"2"'))
        equal(running.request("GET", path + "/desired", None, secret, {"If-None-Match": '"2"'}).status, 304)
        answers = []
        waiting = threading.Thread(target=lambda: answers.append(
            running.request("GET", path + "/desired?wait=20s", None, secret, {"If-None-Match": '"2"'})))
        waiting.start()
        cli(running, "twin", "press-7", "--desired", '{"rate": 7}')
        waiting.join(15)
        equal([(a.status, a.json()["desired"].get("rate")) for a in answers], [(200, 7)])
        equal(running.request("PUT", path + "/reported", {"rate": 7}, secret).json(), {"version": 1})
        equal(running.request("PUT", path + "/reported", {"rate": 8}, secret, {"If-Match": '"0"'}).status, 412)
        equal(running.request("PUT", path + "/reported", {"rate": 8}, secret, {"If-Match": '"1"'}).status, 200)
        equal(running.request("PUT", path + "/reported", [1], secret).status, 400)
        equal(admin.ask("GET", "devices/press-7/twin")["reported"], {"rate": 8})
        equal(running.request("GET", path, None, secret).json()["reported_version"], 2)


def test_a_command_is_delivered_answered_and_expires():
    with gateway() as running:
        admin = Admin(running)
        secret = admin.ask("POST", "devices/press-7/secrets", {})["secret"]
        path = "/devices/press-7/commands"
        equal(running.request("GET", path, None, secret).json(), {"commands": []})
        answers = []
        waiting = threading.Thread(target=lambda: answers.append(running.request("GET", path + "?wait=20s", None, secret)))
        waiting.start()
        given = admin.ask("POST", "devices/press-7/commands", {"name": "blink", "payload": {"times": 3}}, 201)
        waiting.join(15)
        equal([a.status for a in answers], [200])
        got = answers[0].json()["commands"]
        equal([(c["id"], c["name"], c["payload"]) for c in got], [(given["id"], "blink", {"times": 3})])
        equal(admin.ask("GET", "devices/press-7/commands/" + given["id"])["state"], "delivered")
        equal(running.request("GET", path, None, secret).json(), {"commands": []}, "delivered a moment ago")
        equal(running.post(f"{path}/{given['id']}", {"state": "done", "result": {"ok": True}}, secret).json()["state"], "done")
        equal(running.post(f"{path}/{given['id']}", {"state": "failed"}, secret).status, 409)
        equal(running.post(f"{path}/none", {"state": "done"}, secret).status, 404)
        equal(admin.ask("GET", "devices/press-7/commands")["commands"][0]["result"], {"ok": True})
        brief = cli(running, "command", "press-7", "stop", "--expires", "1s")
        until(lambda: admin.ask("GET", "devices/press-7/commands/" + brief)["state"] == "expired", "expiry")
        taken = admin.ask("POST", "devices/press-7/commands", {"name": "stop"}, 201)
        equal(admin.ask("DELETE", "devices/press-7/commands/" + taken["id"])["state"], "cancelled")
        equal(running.request("GET", path, None, secret).json(), {"commands": []})
        admin.ask("POST", "devices/press-7/commands", {"name": "no name"}, 422)
        admin.ask("POST", "devices/nobody/commands", {"name": "stop"}, 404)


def test_commands_come_as_events_too():
    with gateway() as running:
        secret = cli(running, "secret", "press-7", "--replace")
        cli(running, "add", "press-8", "--groups", "presses")
        cli(running, "change", "press-7", "--groups", "presses")
        until(lambda: running.request("GET", "/devices/press-7/commands", None, secret).status == 200, "the secret")
        connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=20)
        connection.request("GET", "/devices/press-7/commands", headers={"Authorization": f"Bearer {secret}", "Accept": "text/event-stream"})
        answer = connection.getresponse()
        equal(answer.status, 200)
        ids = cli(running, "command", "@presses", "blink").split()
        equal(len(ids), 2, "all of the group")
        while not (line := answer.readline()).startswith(b"data:"):
            check(line, "the stream ended")
        check(json.loads(line[5:])["id"] in ids, line)
        cli(running, "quarantine", "press-7", "--why", "enough")
        rest = answer.read()
        check(b"command" not in rest, "the stream ends with quarantine", rest)
        connection.close()


class Listener:
    """mosquitto_sub of one device; lines are "topic payload"."""

    def __init__(self, port, name, secret, topic):
        self.process = subprocess.Popen(["mosquitto_sub", "-h", "127.0.0.1", "-p", str(port), "-u", name, "-P", secret, "-q", "1", "-v", "-t", topic],
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.lines = []
        threading.Thread(target=lambda: self.lines.extend(self.process.stdout), daemon=True).start()

    def find(self, text):
        return next((line for line in list(self.lines) if text in line), None)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)


def publish(port, name, secret, topic, payload):
    done = subprocess.run(["mosquitto_pub", "-h", "127.0.0.1", "-p", str(port), "-u", name, "-P", secret, "-q", "1", "-t", topic, "-m", json.dumps(payload)],
                          capture_output=True, text=True, check=False, timeout=30)
    return done.returncode


def test_twins_and_commands_go_over_the_embedded_broker_too():
    harness.need("mosquitto", "mosquitto_sub", "mosquitto_pub")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with gateway(f"broker: {{ listen: \"127.0.0.1:{port}\" }}") as running:
        admin = Admin(running)
        secret = admin.ask("POST", "devices/press-7/secrets", {})["secret"]
        other = admin.ask("POST", "devices/press-8/secrets", {})["secret"]
        until(lambda: publish(port, "press-7", secret, "devices/press-7/hello", 1) == 0, "the broker", 30)
        check(publish(port, "press-7", other, "devices/press-7/hello", 1) != 0, "somebody else's secret")
        admin.ask("PATCH", "devices/press-7/twin", {"desired": {"rate": 5}})
        with Listener(port, "press-7", secret, "devices/press-7/#") as own, Listener(port, "press-8", other, "devices/press-7/#") as stranger:
            twin = until(lambda: own.find("twin/desired"), "the twin")
            check('"rate":5' in twin and '"version":1' in twin, twin)
            given = admin.ask("POST", "devices/press-7/commands", {"name": "blink"}, 201)
            until(lambda: own.find(given["id"]), "the command")
            equal(stranger.find("twin"), None, "a device hears of itself alone")
            publish(port, "press-7", secret, "devices/press-7/commands/ack", {"id": given["id"], "state": "done", "result": 3})
            ended = until(lambda: (lambda c: c if c["state"] == "done" else None)(admin.ask("GET", "devices/press-7/commands/" + given["id"])), "the answer")
            equal(ended["result"], 3)
            publish(port, "press-7", secret, "devices/press-7/twin/reported", {"rate": 5})
            until(lambda: admin.ask("GET", "devices/press-7/twin")["reported"] == {"rate": 5}, "the report")
        admin.ask("POST", "devices/press-7/quarantine", {"why": "no"})
        until(lambda: publish(port, "press-7", secret, "devices/press-7/hello", 1) != 0, "its end at the broker")


def with_broker(source="http: {}"):
    """A configuration with a broker, and the broker's port."""
    harness.need("mosquitto", "mosquitto_sub", "mosquitto_pub")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    text = CONFIG.format(more=f"broker: {{ listen: \"127.0.0.1:{port}\" }}")
    return text.replace("http: {}", source), port


def pour(port, name, secret, topic, payloads):
    """Many messages over one connection, at QoS 1."""
    subprocess.run(["mosquitto_pub", "-h", "127.0.0.1", "-p", str(port), "-u", name, "-P", secret, "-q", "1", "-t", topic, "-l"],
                   input="".join(json.dumps(one) + "\n" for one in payloads), text=True, check=True, timeout=60, capture_output=True)


def test_over_mqtt_a_device_speaks_as_itself_alone():
    text, port = with_broker("mqtt: embedded, topic: \"devices/+/vibration\", qos: 1")
    with Gateway(text) as running:
        admin = Admin(running)
        secrets = {name: admin.ask("POST", f"devices/{name}/secrets", {})["secret"] for name in ("press-7", "press-8", "gw-1")}
        samples = lambda name: admin.ask("GET", "devices/" + name)["samples"]
        say = lambda name, payload: publish(port, name, secrets[name], f"devices/{name}/vibration", payload)
        until(lambda: say("press-7", reading()) == 0 and samples("press-7") > 0, "a reading", 30)
        equal(say("press-7", reading("press-8")), 0, "the broker cannot know")
        before = samples("press-7")
        until(lambda: say("press-7", reading("press-7")) == 0 and samples("press-7") > before, "its own name")
        equal(samples("press-8"), 0, "what press-7 says of it")
        check("leave `device` out" in running.log(), "what to do about it")
        running.write(text.replace("qos: 1", "qos: 1, device: \"{device}\""))
        until(lambda: "configuration reloaded" in running.log(), "the reload")
        until(lambda: say("gw-1", reading("press-8")) == 0 and samples("press-8") > 0, "a gateway that may speak for others")


def test_answers_come_through_a_flood_of_reports():
    text, port = with_broker()
    with Gateway(text) as running:
        admin = Admin(running)
        chatty, quiet = (admin.ask("POST", f"devices/{name}/secrets", {})["secret"] for name in ("chatty", "quiet"))
        until(lambda: publish(port, "quiet", quiet, "devices/quiet/hello", 1) == 0, "the broker", 30)
        given = [admin.ask("POST", "devices/quiet/commands", {"name": "blink"}, 201)["id"] for _ in range(50)]
        flood = threading.Thread(target=pour, args=(port, "chatty", chatty, "devices/chatty/twin/reported", [{"n": n} for n in range(20000)]))
        flood.start()
        pour(port, "quiet", quiet, "devices/quiet/commands/ack", [{"id": one, "state": "done"} for one in given])
        open_ones = lambda: [c["id"] for c in admin.ask("GET", "devices/quiet/commands?limit=200")["commands"] if c["state"] != "done"]
        until(lambda: not open_ones(), "every answer", 120)
        flood.join()
        until(lambda: admin.ask("GET", "devices/chatty/twin")["reported"] == {"n": 19999}, "the last report", 120)


def test_a_device_that_sleeps_finds_a_command_once():
    """It keeps a session; while it is away the gateway goes and comes."""
    text, port = with_broker()
    with Gateway(text) as running:
        admin = Admin(running)
        secret = admin.ask("POST", "devices/press-7/secrets", {})["secret"]
        until(lambda: publish(port, "press-7", secret, "devices/press-7/hello", 1) == 0, "the broker", 30)
        session = ["mosquitto_sub", "-h", "127.0.0.1", "-p", str(port), "-u", "press-7", "-P", secret, "-i", "press-7", "-c", "-q", "1",
                   "-t", "devices/press-7/commands"]
        subprocess.run([*session, "-E"], check=True, timeout=30)
        given = admin.ask("POST", "devices/press-7/commands", {"name": "blink", "expires": "1h"}, 201)["id"]
        until(lambda: admin.ask("GET", "devices/press-7/commands/" + given)["delivered"], "the command at the broker")
        equal(running.stop(), 0)
        with Gateway(text, data_dir=running.data_dir) as again:
            admin = Admin(again)
            second = admin.ask("POST", "devices/press-7/commands", {"name": "stop"}, 201)["id"]
            until(lambda: admin.ask("GET", "devices/press-7/commands/" + second)["delivered"], "the next one", 30)
            woken = subprocess.run([*session, "-C", "2", "-W", "20"], capture_output=True, text=True, check=False, timeout=30)
            equal([json.loads(line)["id"] for line in woken.stdout.splitlines()], [given, second])
            equal(admin.ask("GET", "devices/press-7/commands/" + given)["state"], "pending", "only an answer says that it heard")


def test_names_that_break_topics_are_refused():
    with gateway() as running:
        for name in ("a/b", "+", "a#", "a\u0000b", "a\nb", "x" * 257):
            answer = send(running, None, name)
            equal(answer.status, 400, name, answer)
            check("the name of the device is refused" in answer.text(), answer)
        equal(send(running, None, "Presse 7 (Süd)").status, 202)
        equal(running.request("GET", "/devices/%FF%00/twin").status, 401)
        answer = request(running.admin_port, "GET", "/admin/v1/devices/%FF%2F")
        equal(answer.status, 404, answer)
        check("error" in answer.json(), answer)


def test_devices_survive_a_restart():
    with gateway() as running:
        admin = Admin(running)
        secret = admin.ask("POST", "devices/press-7/secrets", {})["secret"]
        admin.ask("POST", "devices/press-8/quarantine", {}, 404)
        admin.ask("POST", "devices", {"name": "press-8"}, 201)
        admin.ask("POST", "devices/press-8/quarantine", {"why": "no"})
        equal(send(running, secret).status, 202)
        equal(running.stop(), 0)
        with Gateway(CONFIG.format(more=""), data_dir=running.data_dir) as again:
            equal(send(again, secret, "press-8").status, 403)
            equal(send(again, secret).status, 202)
            shown = Admin(again).ask("GET", "devices/press-7")
            equal((shown["state"], shown["health"]), ("active", "ok"))
            equal(Admin(again).ask("GET", "devices/press-8")["why"], "no")


def test_mistakes_in_the_configuration_are_shown():
    for more, words in (("devices: { unknown: maybe }", "accept"), ("devices: { quarantine_if: \"noise > 5/min\" }", "is no rule"),
                        ("devices: { quarantine: 5 }", "quarantine_if"), ("devices: { certificate_days: 0 }", "1")):
        path = harness.folder() / "gateway.yaml"
        path.write_text("listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\n" + more + "\n")
        status, out, err = command("check", str(path))
        check(status == 2 and words in out + err, more, status, out, err)


if __name__ == "__main__":
    harness.run(globals())
