"""Alarms over restarts and reloads, what people do about them, and who is told."""

import json
import shutil
import socket
import subprocess
import time

import certificates
import harness
from harness import Gateway, check, command, equal, folder, request, until
from receivers import Mail, Webhook

SOURCE = "sources: { gauges: { http: {} } }\n"


def config(alarms, top=""):
    """A pipeline with these alarm steps, YAML flow maps."""
    steps = "\n".join(f"      - alarm: {alarm}" for alarm in alarms)
    return f"{SOURCE}{top}pipelines:\n  line:\n    from: gauges\n    steps:\n{steps}\n"


HOT = '{ name: hot, raise: "temp > 80", clear: "temp < 75", severity: critical }'


def send(gateway, temp, device="press-1"):
    equal(gateway.post("/ingest/gauges", {"device": device, "temp": temp}).status, 202)


def alarms(gateway):
    return request(gateway.admin_port, "GET", "/admin/v1/alarms").json()


def active(gateway):
    return {(a["name"], a["device"]): a for a in alarms(gateway)["active"]}


def run(gateway, *arguments):
    status, out, err = command(*arguments, "--admin", f"http://127.0.0.1:{gateway.admin_port}")
    equal(status, 0, arguments, out, err)
    return out


def history(gateway, kind="alarm", **query):
    words = "&".join(f"{name}={value}" for name, value in query.items())
    return request(gateway.admin_port, "GET", f"/admin/v1/{kind}-history?{words}").json()["events"]


def written(gateway, what):
    """Asking for the history waits for the disk."""
    until(lambda: history(gateway, what=what), what)


def test_standing_alarms_come_back_as_they_were_after_kill_9():
    with Gateway(config([HOT, '{ name: warm, raise: "temp > 60" }'])) as gateway:
        for device in ("press-1", "press-2", "press-3"):
            send(gateway, 90, device)
        until(lambda: len(active(gateway)) == 6, "six alarms")
        equal(run(gateway, "alarm", "ack", "hot", "--device", "press-1", "--why", "on my way"), "1 acknowledged\n")
        run(gateway, "alarm", "shelve", "hot", "--pipeline", "line", "--device", "press-2", "--until", "8h")
        written(gateway, "shelved")
        before = alarms(gateway)
        gateway.kill()
    with Gateway(config([HOT, '{ name: warm, raise: "temp > 60" }']), data_dir=gateway.data_dir) as again:
        after = alarms(again)
        for part in ("active", "shelves"):
            equal(after[part], before[part])
        found = active(again)
        equal(found["hot", "press-1"]["state"], "acknowledged")
        equal(found["hot", "press-1"]["note"], "on my way")
        check(found["hot", "press-1"]["acknowledged_by"].startswith("operator"), found)
        equal(found["hot", "press-2"]["shelved"], True)
        equal(found["hot", "press-3"]["state"], "unacknowledged")
        # The pipeline goes on from there: 78 lies between the two thresholds, so that a new alarm would not stand.
        send(again, 78, "press-3")
        send(again, 70, "press-1")
        until(lambda: ("hot", "press-1") not in active(again), "the clear")
        check(("hot", "press-3") in active(again))
        equal(len(history(again, what="raised", name="hot", limit=50)), 3, "nothing was raised twice")


def test_a_stop_clears_nothing():
    with Gateway(config([HOT])) as gateway:
        send(gateway, 90)
        until(lambda: active(gateway), "the alarm")
        equal(gateway.stop(), 0)
        check("alarm cleared" not in gateway.log(), gateway.tail())
    with Gateway(config([HOT]), data_dir=gateway.data_dir) as again:
        check(active(again), "it stands again")


def test_what_the_configuration_has_no_more_is_cleared():
    with Gateway(config([HOT, '{ name: warm, raise: "temp > 60" }'])) as gateway:
        send(gateway, 90)
        until(lambda: len(active(gateway)) == 2, "two alarms")
        gateway.write(config([HOT]))
        until(lambda: len(active(gateway)) == 1, "the reload")
        check(("hot", "press-1") in active(gateway), "a reload leaves what is still there")
        send(gateway, 78)
        send(gateway, 79)
        time.sleep(0.3)
        check(("hot", "press-1") in active(gateway), "and the new step knows that it is raised")
        written(gateway, "cleared")
        gateway.kill()
    with Gateway(SOURCE, data_dir=gateway.data_dir) as again:
        until(lambda: not active(again), "without the pipeline nothing stands")


def test_a_returned_alarm_waits_for_somebody():
    with Gateway(config(['{ name: hot, raise: "temp > 80", acknowledge: true }'])) as gateway:
        send(gateway, 90)
        until(lambda: active(gateway), "the alarm")
        send(gateway, 70)
        until(lambda: alarms(gateway)["returned"], "the return")
        check("returned" in run(gateway, "alarm", "list"))
        written(gateway, "cleared")
        gateway.kill()
    with Gateway(config(['{ name: hot, raise: "temp > 80", acknowledge: true }']), data_dir=gateway.data_dir) as again:
        equal([a["state"] for a in alarms(again)["returned"]], ["returned"])
        run(again, "alarm", "ack", "hot")
        equal(alarms(again)["returned"], [])
        status, _, err = command("alarm", "ack", "hot", "--admin", f"http://127.0.0.1:{again.admin_port}")
        check(status != 0 and "no alarm 'hot'" in err, status, err)


def test_a_webhook_is_signed_and_told_until_it_listens():
    with Webhook() as hook:
        hook.answer = 503
        top = f"alarms: {{ notify: {{ shift: {{ webhook: '{hook.url}/alarms', secret: thirty-two-bytes-of-good-secret }} }} }}\n"
        with Gateway(config(['{ name: hot, raise: "temp > 80", notify: shift }'], top)) as gateway:
            send(gateway, 90)
            until(lambda: hook.calls, "the first attempt")
            hook.answer = 204
            until(lambda: len(hook.calls) == 2, "the second attempt")
            check(hook.signed(0, b"thirty-two-bytes-of-good-secret") and hook.signed(1, b"thirty-two-bytes-of-good-secret"), hook.calls)
            first, second = hook.bodies()
            equal(first, second, "the same notice")
            equal((first["event"], first["alarm"]["name"], first["alarm"]["device"]), ("raised", "hot", "press-1"))
            send(gateway, 70)
            until(lambda: len(hook.calls) == 3, "the clear")
            equal(hook.bodies()[2]["event"], "cleared")
            # It is counted once the answer was read.
            until(lambda: [t["delivered"] for t in alarms(gateway)["targets"]] == [2], "both deliveries to be counted")
            check("thirty-two" not in gateway.log() + json.dumps(alarms(gateway)), "the secret")


def test_what_becomes_of_a_notice_is_in_the_history():
    with Webhook() as hook, Webhook() as elsewhere:
        hook.answer, hook.location = 307, elsewhere.url
        top = f"alarms: {{ notify: {{ shift: {{ webhook: '{hook.url}/?token=s3cret-of-the-hook', headers: {{ x-token: s3cret-of-the-hook }} }} }} }}\n"
        text = config(['{ name: hot, raise: "temp > 80", notify: shift }'], top)
        with Gateway(text) as gateway:
            send(gateway, 90)
            written(gateway, "delayed")
            event = history(gateway, what="delayed")[0]
            check("redirects are not followed" in event["why"] and event["actor"] == "notify shift", event)
            check("307" in alarms(gateway)["targets"][0]["trouble"], alarms(gateway)["targets"])
            equal(elsewhere.calls, [])
            check("s3cret" not in gateway.log() + json.dumps(alarms(gateway)) + json.dumps(history(gateway)), "the secret")
            gateway.kill()
        before = len(hook.calls)
        hook.answer, hook.location = 200, None
        with Gateway(text, data_dir=gateway.data_dir) as again:
            written(again, "told")
            equal(len(hook.calls), before + 1, "it waited over the kill")
            equal(hook.bodies()[-1], hook.bodies()[0])
            hook.answer = 404
            send(again, 70)
            written(again, "not_told")
            check("404" in history(again, what="not_told")[0]["why"], history(again))
            equal(alarms(again)["targets"][0]["waiting"], 0)


def test_shelved_alarms_are_not_told():
    with Webhook() as hook:
        top = f"alarms: {{ notify: {{ shift: {{ webhook: '{hook.url}' }} }} }}\n"
        with Gateway(config(['{ name: hot, raise: "temp > 80", notify: shift }'], top)) as gateway:
            run(gateway, "alarm", "shelve", "hot", "--pipeline", "line", "--until", "2s")
            send(gateway, 90)
            until(lambda: active(gateway), "the alarm")
            equal(active(gateway)["hot", "press-1"]["shelved"], True)
            equal(hook.calls, [])
            until(lambda: hook.calls, "what still stands is told when the time is over")
            equal(alarms(gateway)["shelves"], [])


def test_nobody_acknowledged_it():
    with Webhook() as hook:
        top = f"alarms: {{ notify: {{ shift: {{ webhook: '{hook.url}/shift' }}, boss: {{ webhook: '{hook.url}/boss' }} }} }}\n"
        alarm = '{ name: hot, raise: "temp > 80", notify: shift, escalate: { after: 1500ms, severity: critical, notify: boss } }'
        with Gateway(config([alarm], top)) as gateway:
            send(gateway, 90, "a")
            send(gateway, 90, "b")
            until(lambda: len(active(gateway)) == 2, "the alarms")
            run(gateway, "alarm", "ack", "hot", "--device", "a")
            until(lambda: any(path == "/boss" for path, _, _ in hook.calls), "the escalation")
            time.sleep(1.2)
            told = [json.loads(body)["alarm"]["device"] for path, _, body in hook.calls if path == "/boss"]
            equal(told, ["b"], "only what nobody had seen")
            equal(active(gateway)["hot", "b"]["severity"], "critical")


def test_a_flood_is_one_notice():
    with Webhook() as hook:
        top = f"alarms: {{ flood: {{ most: 5, per: 3s }}, notify: {{ shift: {{ webhook: '{hook.url}' }} }} }}\n"
        with Gateway(config(['{ name: hot, raise: "temp > 80", notify: shift }'], top)) as gateway:
            body = [{"device": f"d{i}", "temp": 90} for i in range(50)]
            equal(gateway.post("/ingest/gauges", body).status, 202)
            until(lambda: len(active(gateway)) == 51, "fifty and the one that stands for them")
            until(lambda: len(hook.calls) == 6, "the notices")
            names = [body["alarm"]["name"] for body in hook.bodies()]
            equal(sorted(names), ["flood"] + ["hot"] * 5)
            until(lambda: len(hook.calls) == 7, "the end of the flood")
            equal(hook.bodies()[6]["event"], "cleared")
            equal(gateway.metric("penstock_alarms_suppressed_total"), 45.0)


def test_a_flood_hides_no_critical_alarm():
    with Webhook() as hook:
        top = f"alarms: {{ flood: {{ most: 5, per: 3s }}, notify: {{ shift: {{ webhook: '{hook.url}' }} }} }}\n"
        steps = ['{ name: warm, raise: "temp > 60", notify: shift }', '{ name: hot, raise: "temp > 80", notify: shift, severity: critical }']
        with Gateway(config(steps, top)) as gateway:
            equal(gateway.post("/ingest/gauges", [{"device": f"d{i}", "temp": 70} for i in range(50)]).status, 202)
            equal(gateway.post("/ingest/gauges", [{"device": f"d{i}", "temp": 90} for i in range(30)]).status, 202)
            until(lambda: len(hook.calls) == 6 + 30, "the notices")
            names = [body["alarm"]["name"] for body in hook.bodies()]
            equal((names.count("warm"), names.count("flood"), names.count("hot")), (5, 1, 30))
            until(lambda: len(hook.calls) == 37, "the end of the flood")
            check("45 are listed and were not told of each, 45 of them stand: warm (warning) 45" in hook.bodies()[36]["alarm"]["why"], hook.bodies()[36])


def test_mail():
    with Mail() as mail:
        top = f"alarms: {{ notify: {{ people: {{ smtp: 'smtp://127.0.0.1:{mail.port}', from: gateway@example.org, to: [a@example.org, b@example.org], starttls: false }} }} }}\n"
        # No reading may come in under such a name, but a step may make one.
        text = config(['{ name: hot, raise: "temp > 80", notify: people }'], top).replace("    steps:\n", "    steps:\n      - map: { device: who }\n")
        with Gateway(text) as gateway:
            check("libcurl" not in open(f"/proc/{gateway.pid}/maps").read(), "libcurl is there before it is wanted")
            equal(gateway.post("/ingest/gauges", {"temp": 90, "who": "press-1\r\n.\r\nRCPT TO:<x@example.org>"}).status, 202)
            until(lambda: mail.mails, "the mail")
            sender, to, text, encrypted, _ = mail.mails[0]
            equal((sender, to, encrypted), ("gateway@example.org", ["a@example.org", "b@example.org"], False))
            head, _, body = text.partition("\r\n\r\n")
            check("Subject: [warning] hot raised on press-1" in head, text)
            check("temp = 90" in body, text)
            check(not any(line.startswith("RCPT") for line in text.splitlines()), text)


def test_mail_over_starttls_with_a_login():
    made = certificates.local()
    cert, key, authority = (made.folder / name for name in ("server.pem", "server.key", "ca.pem"))
    with Mail(cert, key) as mail:
        top = (f"alarms: {{ notify: {{ people: {{ smtp: 'smtp://127.0.0.1:{mail.port}', from: g@example.org, to: a@example.org, username: gateway, "
               f"password: ${{MAIL_PASSWORD}}, ca: '{authority}' }} }} }}\n")
        with Gateway(config(['{ name: hot, raise: "temp > 80", notify: people }'], top), environment={"MAIL_PASSWORD": "s3cret-of-mail"}) as gateway:
            send(gateway, 90)
            until(lambda: mail.mails, "the mail", 20)
            equal(mail.mails[0][3:], (True, [b"gateway", b"s3cret-of-mail"]))
            check("s3cret-of-mail" not in gateway.log(), "the password")
    # A server without STARTTLS gets nothing.
    with Mail() as mail:
        top = f"alarms: {{ notify: {{ people: {{ smtp: 'smtp://127.0.0.1:{mail.port}', from: g@example.org, to: a@example.org }} }} }}\n"
        with Gateway(config(['{ name: hot, raise: "temp > 80", notify: people }'], top)) as gateway:
            send(gateway, 90)
            until(lambda: alarms(gateway)["targets"][0]["trouble"], "the refusal")
            equal(mail.mails, [])


def test_mqtt():
    harness.need("mosquitto", "mosquitto_sub")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    where = folder()
    (where / "broker.conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    broker = subprocess.Popen([shutil.which("mosquitto"), "-c", str(where / "broker.conf")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        def listens():
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0
        until(listens, "the broker")
        top = f"alarms: {{ notify: {{ board: {{ mqtt: 'mqtt://127.0.0.1:{port}', topic: 'alarms/{{pipeline}}/{{alarm}}/{{device}}', retain: true }} }} }}\n"
        with Gateway(config(['{ name: hot, raise: "temp > 80", notify: board }'], top)) as gateway:
            send(gateway, 90, "press-1")
            done = subprocess.run(["mosquitto_sub", "-h", "127.0.0.1", "-p", str(port), "-t", "alarms/#", "-C", "1", "-W", "10", "-v"], capture_output=True, text=True, check=False)
            topic, _, payload = done.stdout.partition(" ")
            equal(topic, "alarms/line/hot/press-1")
            equal(json.loads(payload)["event"], "raised")
    finally:
        broker.terminate()
        broker.wait(10)


def test_one_line_in_the_log_for_one_alarm():
    with Gateway(config([HOT]) + "    to: [ log: {} ]\n") as gateway:
        send(gateway, 90)
        until(lambda: '"sample":{' in gateway.log() and "alarm raised" in gateway.log(), "the log")
        time.sleep(0.2)
        equal(sum("alarm raised" in line for line in gateway.log().splitlines()), 1, gateway.log())


def test_what_people_did_is_audited():
    with Gateway(config([HOT])) as gateway:
        send(gateway, 90)
        until(lambda: active(gateway), "the alarm")
        run(gateway, "alarm", "ack", "hot", "--why", "seen")
        run(gateway, "alarm", "shelve", "hot", "--pipeline", "line", "--until", "1h", "--why", "repair")
        run(gateway, "alarm", "unshelve", "hot")
        lines = request(gateway.admin_port, "GET", "/admin/v1/audit").json()["audit"]
        equal([line["action"] for line in reversed(lines)], ["alarm.acknowledge", "alarm.shelve", "alarm.unshelve"])
        out = run(gateway, "alarm", "history")
        for word in ("raised", "acknowledged", "seen", "shelved", "repair", "unshelved"):
            check(word in out, out)


def test_mistakes_are_said_where_they_are():
    for top, alarm, words in (
            ("", '{ name: hot, raise: "temp > 80", notify: shift }', "there is no 'shift' under `alarms: notify:`"),
            ("alarms: { notify: { shift: { webhook: 'http://127.0.0.1:1' } } }\n", '{ name: hot, raise: "temp > 80", notify: shfit }', "did you mean 'shift'"),
            ("alarms: { notify: { shift: {} } }\n", HOT, "`webhook`, `mqtt` or `smtp`"),
            ("alarms: { notify: { p: { smtp: 'smtp://127.0.0.1', from: nobody, to: a@b.c } } }\n", HOT, "no mail address"),
            ("alarms: { notify: { p: { smtp: 'smtp://127.0.0.1', from: n@b.c, to: 'a@b.c>' } } }\n", HOT, "no mail address"),
            ("alarms: { notify: { p: { smtp: 'smtp://127.0.0.1', from: n@b.c, to: a@b.c, password: x, starttls: false } } }\n", HOT, "readable on its way"),
            ("", '{ name: flood, raise: "temp > 80" }', "name it otherwise")):
        where = folder() / "c.yaml"
        where.write_text(config([alarm], top))
        status, out, err = command("check", str(where))
        equal(status, 2, out, err)
        check(words in out + err, words, "is not in", out, err)
    where.write_text(config([HOT, HOT]))
    status, out, err = command("check", str(where))
    equal(status, 2)
    check("has an alarm 'hot' already" in out + err, out, err)


harness.run(globals())
