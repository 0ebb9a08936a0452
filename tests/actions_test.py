"""Actions: made once, confirmed, held back by rules and by people, and never made twice, whenever the gateway is killed."""

import json
import random
import shutil
import socket
import subprocess
import threading
import time

import harness
from harness import Gateway, check, command, equal, folder, request, until
from receivers import Webhook


def config(hook, action="", alarm='raise: "temp > 80"'):
    return f"""
sources: {{ gauges: {{ http: {{}} }} }}
pipelines:
  line:
    from: gauges
    steps:
      - alarm: {{ name: hot, {alarm} }}
      - do: {{ name: stop, on: hot.raised, call: {{ url: '{hook.url}/stop/', secret: a-good-secret-of-actions }}, confirm_within: 5s{action} }}
"""


def send(gateway, temp=90, device="press-1", **more):
    equal(gateway.post("/ingest/gauges", {"device": device, "temp": temp, **more}).status, 202)


def history(gateway, **query):
    words = "&".join(f"{name}={value}" for name, value in query.items())
    return request(gateway.admin_port, "GET", f"/admin/v1/action-history?{words}").json()["events"]


def happened(gateway, **query):
    return [event["what"] for event in reversed(history(gateway, **query))]


def active(gateway):
    return {(a["name"], a["device"]) for a in request(gateway.admin_port, "GET", "/admin/v1/alarms").json()["active"]}


def run(gateway, *arguments):
    status, out, err = command(*arguments, "--admin", f"http://127.0.0.1:{gateway.admin_port}")
    equal(status, 0, arguments, out, err)
    return out


def test_an_alarm_makes_it_once_and_says_so():
    with Webhook() as hook, Gateway(config(hook)) as gateway:
        send(gateway)
        until(lambda: "confirmed" in happened(gateway), "the confirmation")
        send(gateway, 91)
        send(gateway, 92)
        equal(happened(gateway), ["begun", "confirmed"])
        equal(len(hook.calls), 1)
        check(hook.signed(0, b"a-good-secret-of-actions"), hook.calls)
        body = hook.bodies()[0]
        equal((body["action"], body["device"], body["alarm"], body["raised"]), ("stop", "press-1", "hot", True))
        headers = {name.lower(): value for name, value in hook.calls[0][1].items()}
        equal((headers["webhook-id"], headers["idempotency-key"]), (body["id"], body["id"]))
        check(body["id"] in history(gateway)[0]["why"], history(gateway))
        equal(gateway.metric("penstock_actions_total", outcome="confirmed"), 1.0)
        check("a-good-secret" not in gateway.log() + json.dumps(history(gateway)), "the secret")


def test_a_failure_is_an_alarm_and_is_not_retried():
    with Webhook() as hook, Gateway(config(hook)) as gateway:
        hook.answer = 500
        send(gateway)
        until(lambda: ("stop-failed", "press-1") in active(gateway), "the alarm")
        time.sleep(1.5)
        equal(len(hook.calls), 1)
        equal(happened(gateway), ["begun", "failed"])
        hook.answer = 200
        send(gateway, 20)
        send(gateway, 90)
        until(lambda: ("stop-failed", "press-1") not in active(gateway), "the next one works")


def test_killed_while_it_is_made_it_is_told_and_not_repeated():
    with Webhook() as hook:
        hook.release.clear()
        with Gateway(config(hook)) as gateway:
            send(gateway)
            until(lambda: hook.calls, "the call")
            gateway.kill()
        hook.release.set()
        with Gateway(config(hook), data_dir=gateway.data_dir) as again:
            until(lambda: "unknown" in happened(again), "what is not known")
            equal(active(again), {("hot", "press-1"), ("stop-failed", "press-1")})
            send(again, 95)
            time.sleep(0.5)
            equal(len(hook.calls), 1)
            equal(happened(again), ["begun", "unknown"])
            check("is not repeated" in run(again, "action", "history"))
            again.kill()
        with Gateway(config(hook), data_dir=gateway.data_dir) as third:
            send(third, 95)
            time.sleep(0.5)
            equal((len(hook.calls), happened(third)), (1, ["begun", "unknown"]), "told once")
            # Somebody looked at the machine, and wants it made.
            run(third, "action", "force", "line", "stop", "--device", "press-1", "--why", "looked at it")
            until(lambda: len(hook.calls) == 2, "the forced one")
            until(lambda: ("stop-failed", "press-1") not in active(third), "and all is well")


def test_killed_after_the_confirmation_nothing_happens():
    with Webhook() as hook:
        with Gateway(config(hook)) as gateway:
            send(gateway)
            until(lambda: "confirmed" in happened(gateway), "the confirmation")
            gateway.kill()
        with Gateway(config(hook), data_dir=gateway.data_dir) as again:
            send(again, 95)
            time.sleep(0.5)
            equal((len(hook.calls), happened(again), active(again)), (1, ["begun", "confirmed"], {("hot", "press-1")}))


ROUNDS = 12


def test_killed_at_random_moments_nothing_is_made_twice():
    """Devices alarm one after the other while the gateway is killed again and again. No alarm leads to two calls, and each one that
    stands in the end was acted on, or somebody was told why not."""
    with Webhook() as hook:
        data_dir = folder() / "data"
        dice = random.Random(7)
        count = 0
        for _ in range(ROUNDS):
            with Gateway(config(hook), data_dir=data_dir) as gateway:
                def alarm_on(first):
                    for i in range(400):
                        try:
                            gateway.post("/ingest/gauges", {"device": f"d{first + i}", "temp": 90})
                        except OSError:
                            return
                sender = threading.Thread(target=alarm_on, args=(count,))
                sender.start()
                before = len(hook.calls)
                until(lambda: len(hook.calls) > before, "the first call", 30)
                time.sleep(dice.uniform(0, 0.1))
                gateway.kill()
                sender.join()
                count += 400
        with Gateway(config(hook), data_dir=data_dir) as gateway:
            until(lambda: history(gateway, limit=1) is not None, "the history")
            time.sleep(0.5)
            called = [body["device"] for body in hook.bodies()]
            equal(len(called), len(set(called)), "calls for one device: somebody was called twice")
            check(len(called) >= ROUNDS, "the rounds were too short to mean anything:", len(called))
            told = {(event["device"], event["what"]) for event in history(gateway, limit=10000)}
            standing = {device for name, device in active(gateway) if name == "hot"}
            outcomes = ("confirmed", "failed", "unknown", "missed", "refused")
            for device in standing:
                check(any((device, what) in told for what in outcomes), device, "stands, and nobody knows what became of its action")
            for device in set(called):
                check((device, "begun") in told or (device, "unknown") in told, device, "was acted on and no record says so")
            lost = {device for device, what in told if what in ("unknown", "missed")}
            failed = {device for name, device in active(gateway) if name == "stop-failed"}
            check(lost <= failed, "alarms tell of what is not known:", lost - failed)
            print(f"     ({len(called)} calls in {ROUNDS} kills, {len(lost)} of which somebody has to look at)")


def test_rules_hold_it_back():
    with Webhook() as hook:
        with Gateway(config(hook, ', at_most: 1/h, max_age: 10s, only_if: "speed > 0"')) as gateway:
            send(gateway, device="a", speed=0)
            until(lambda: happened(gateway, device="a") == ["refused"], "the interlock")
            check("only_if is not met" in history(gateway, device="a")[0]["why"])
            send(gateway, device="b", speed=5, time="2020-01-01T00:00:00Z")
            until(lambda: happened(gateway, device="b") == ["refused"], "stale")
            check("more than max_age 10s" in history(gateway, device="b")[0]["why"], history(gateway, device="b"))
            send(gateway, device="c", speed=5, quality="bad")
            until(lambda: happened(gateway, device="c") == ["refused"], "bad")
            send(gateway, device="d", speed=5)
            until(lambda: "confirmed" in happened(gateway, device="d"), "the one that is made")
            send(gateway, device="e", speed=5)
            until(lambda: happened(gateway, device="e") == ["refused"], "too often")
            gateway.kill()
        with Gateway(config(hook, ', at_most: 1/h, max_age: 10s, only_if: "speed > 0"'), data_dir=gateway.data_dir) as again:
            send(again, device="f", speed=5)
            until(lambda: happened(again, device="f") == ["refused"], "too often, also after a restart")
            equal(len(hook.calls), 1)


def test_dry_run_says_what_it_would_do():
    with Webhook() as hook, Gateway(config(hook, ", dry_run: true")) as gateway:
        send(gateway)
        until(lambda: happened(gateway) == ["dry_run"], "the word")
        equal(hook.calls, [])
        check("dry run" in run(gateway, "action", "list"))


def test_people_hold_release_and_force():
    with Webhook() as hook:
        with Gateway(config(hook)) as gateway:
            out = run(gateway, "action", "hold", "line", "stop", "--why", "maintenance")
            check("held by operator" in out, out)
            send(gateway)
            until(lambda: "refused" in happened(gateway), "the hold")
            check("maintenance" in history(gateway)[0]["why"])
            gateway.kill()
        with Gateway(config(hook), data_dir=gateway.data_dir) as again:
            send(again, device="press-2")
            until(lambda: "refused" in happened(again, device="press-2"), "the hold outlives a restart")
            run(again, "action", "force", "line", "stop", "--device", "press-9", "--why", "test")
            until(lambda: len(hook.calls) == 1, "the forced one")
            equal(hook.bodies()[0]["device"], "press-9")
            run(again, "action", "release", "line", "stop")
            send(again, device="press-3")
            until(lambda: len(hook.calls) == 2, "the released one")
            audit = request(again.admin_port, "GET", "/admin/v1/audit").json()["audit"]
            equal([line["action"] for line in reversed(audit)], ["action.hold", "action.force", "action.release"])
            status, _, err = command("action", "force", "line", "nothing", "--device", "x", "--admin", f"http://127.0.0.1:{again.admin_port}")
            check(status != 0 and "has no action 'nothing'" in err, status, err)


def test_no_record_no_action():
    """A file that cannot be written: what cannot be noted is not done."""
    with Webhook() as hook:
        data_dir = folder() / "data"
        data_dir.mkdir()
        (data_dir / "lane.db").mkdir()  # in the way
        with Gateway(config(hook), data_dir=data_dir) as gateway:
            send(gateway)
            until(lambda: ("stop-failed", "press-1") in active(gateway), "the alarm")
            equal(hook.calls, [])
            check("could not be written down before" in gateway.log(), gateway.tail())


def test_people_are_answered_once_it_is_on_disk():
    with Webhook() as hook:
        data_dir = folder() / "data"
        data_dir.mkdir()
        (data_dir / "lane.db").mkdir()  # in the way
        with Gateway(config(hook, ", on_failure: log"), data_dir=data_dir) as gateway:
            status, out, err = command("action", "hold", "line", "stop", "--admin", f"http://127.0.0.1:{gateway.admin_port}")
            check(status != 0 and "would not outlast a restart" in err, status, out, err)
            status, _, err = command("alarm", "shelve", "hot", "--pipeline", "line", "--until", "1h", "--admin", f"http://127.0.0.1:{gateway.admin_port}")
            check(status != 0 and "would not outlast a restart" in err, status, err)
            # It holds all the same.
            check("held by operator" in run(gateway, "action", "list"))
            (data_dir / "lane.db").rmdir()
            run(gateway, "action", "hold", "line", "stop", "--why", "again")
            gateway.kill()
        with Gateway(config(hook, ", on_failure: log"), data_dir=data_dir) as again:
            check("held by operator" in run(again, "action", "list"))


class Silent:
    """Answers the first call and keeps the connection. Every later one, on whatever connection, is taken and never answered."""

    def __init__(self):
        self.bodies = []
        self.server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.server.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with connection, connection.makefile("rb") as stream:
            while line := stream.readline():
                length = 0
                while (line := stream.readline().strip().lower()):
                    if line.startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                self.bodies.append(json.loads(stream.read(length)))
                if len(self.bodies) > 1:
                    return
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.close()


def test_a_call_whose_connection_closes_is_not_repeated():
    with Silent() as hook, Gateway(config(hook).replace("/stop/", "/stop/?token=s3cret-of-the-call")) as gateway:
        send(gateway)
        until(lambda: "confirmed" in happened(gateway), "the confirmation")
        send(gateway, device="press-2")
        until(lambda: "unknown" in happened(gateway), "what is not known")
        equal([body["device"] for body in hook.bodies], ["press-1", "press-2"])
        check(("stop-failed", "press-2") in active(gateway), active(gateway))
        shown = json.dumps(history(gateway)) + run(gateway, "action", "list") + gateway.log()
        check("s3cret" not in shown and "/stop/?..." in shown, shown)


def test_what_is_sent_again_is_not_made_again():
    now = time.time()
    stamp = lambda ago: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - ago))
    story = [(90, stamp(8)), (20, stamp(7)), (90, stamp(6)), (20, stamp(5))]
    with Webhook() as hook:
        with Gateway(config(hook)) as gateway:
            for number, (temp, at) in enumerate(story):
                send(gateway, temp, time=at)
                if temp == 90:
                    until(lambda: len(happened(gateway, what="confirmed")) == number // 2 + 1, "the confirmation")
            until(lambda: not active(gateway), "the end")
            equal(len(hook.calls), 2)
            # What a person does is answered once it is on the disk, and all that was before it.
            run(gateway, "action", "hold", "line", "stop")
            run(gateway, "action", "release", "line", "stop")
            gateway.kill()
        with Gateway(config(hook), data_dir=gateway.data_dir) as again:
            for temp, at in story:
                send(again, temp, time=at)
            until(lambda: len(happened(again, what="refused")) == 2, "the refusals")
            send(again, 90)
            until(lambda: len(hook.calls) == 3, "a new alarm")
            check("was considered before" in history(again, what="refused")[1]["why"], history(again, what="refused"))


def test_silence_makes_no_data_fresh():
    """A hold that ends while the device is silent: what it decides is as old as the newest sample."""
    with Webhook() as hook:
        with Gateway(config(hook, ", max_age: 1s", 'raise: "temp > 80 for 2s"')) as gateway:
            send(gateway)
            until(lambda: ("hot", "press-1") in active(gateway), "the alarm")
            until(lambda: happened(gateway) == ["refused"], "the refusal")
            check("more than max_age 1s" in history(gateway)[0]["why"], history(gateway))
            equal(hook.calls, [])


def test_commands_over_mqtt():
    harness.need("mosquitto", "mosquitto_sub")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    conf = folder() / "broker.conf"
    conf.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    broker = subprocess.Popen([shutil.which("mosquitto"), "-c", str(conf)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        def listens():
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0
        until(listens, "the broker")
        # A session that the broker keeps.
        session = ["mosquitto_sub", "-h", "127.0.0.1", "-p", str(port), "-q", "1", "-c", "-i", "listener", "-t", "cmd/#"]
        subprocess.run([*session, "-E"], check=True, timeout=30)
        text = f"""
sources: {{ gauges: {{ http: {{}} }} }}
pipelines:
  line:
    from: gauges
    steps:
      - alarm: {{ name: hot, raise: "temp > 80" }}
      - do: {{ on: hot.raised, publish: {{ url: 'mqtt://127.0.0.1:{port}', topic: 'cmd/{{device}}/stop', payload: '{{"stop":true,"for":"{{device}}"}}' }} }}
"""
        with Gateway(text) as gateway:
            send(gateway, device='press "1"')
            until(lambda: "confirmed" in happened(gateway), "the confirmation")
            heard = subprocess.run([*session, "-C", "1", "-W", "20", "-v"], capture_output=True, text=True, timeout=30, check=False)
            topic, _, payload = heard.stdout.partition(' {')
            equal(topic, 'cmd/press "1"/stop')
            equal(json.loads("{" + payload), {"stop": True, "for": 'press "1"'})
    finally:
        broker.terminate()
        broker.wait(10)


def test_a_test_of_a_pipeline_calls_nobody():
    with Webhook() as hook:
        where = folder()
        (where / "feed.csv").write_text("time,device,temp\n2026-01-01T00:00:00Z,a,90\n")
        (where / "c.yaml").write_text(config(hook) + "    tests: [ { feed: feed.csv, expect: { alarms: [hot] } } ]\n")
        status, out, err = command("test", str(where / "c.yaml"))
        equal(status, 0, out, err)
        equal(hook.calls, [])


def test_mistakes_are_said_where_they_are():
    with Webhook() as hook:
        where = folder() / "c.yaml"
        for wrong, words in ((config(hook).replace("hot.raised", "hto.raised"), "did you mean 'hot'"),
                             (config(hook, ", at_most: often"), "such as 1/min"),
                             (config(hook).replace(", call: {", ", cal: {"), "did you mean 'call'")):
            where.write_text(wrong)
            status, out, err = command("check", str(where))
            equal(status, 2, out, err)
            check(words in out + err, words, "is not in", out, err)


harness.run(globals())
