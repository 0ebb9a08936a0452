"""Pipelines while they run: changed in place without losing a sample, looked into, and their failures kept."""

import http.client
import http.server
import json
import re
import signal
import threading
import time

import harness
from harness import check, equal, until

START = 1_700_000_000


class Receiver:
    """Takes what an http sink sends."""

    def __init__(self):
        self.samples = []
        self.refuse = False
        lock = threading.Lock()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                if not receiver.refuse:
                    parsed = [json.loads(line) for line in body.splitlines()]
                    with lock:
                        receiver.samples += parsed[0] if isinstance(parsed[0], list) else parsed
                self.send_response(400 if receiver.refuse else 200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/in"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def reload(gateway, text):
    def count():
        """By SIGHUP. The file is watched as well, and may be looked at once more."""
        log = gateway.log()
        return log.count('"configuration reloaded","why":"SIGHUP"'), log.count('"reload refused, the running configuration stays","why":"SIGHUP"')

    before = count()
    gateway.write(text)
    gateway.send(signal.SIGHUP)
    until(lambda: count() != before, "the reload")
    return count()[0] > before[0]


def send(gateway, samples, source="in"):
    while True:
        answer = gateway.post(f"/ingest/{source}", samples)
        if answer.status == 202:
            return
        equal(answer.status, 503, answer)  # the queue is full
        time.sleep(0.01)


def pipeline(gateway, name="p"):
    return harness.request(gateway.admin_port, "GET", f"/admin/v1/pipelines/{name}").json()


def test_a_change_under_traffic_loses_no_sample_and_keeps_the_window():
    with Receiver() as receiver:
        def text(turn):
            # A filter comes and goes, the deadband's width changes; the window and the sink stay.
            steps = ['filter: "n >= 0"'] if turn % 2 else []
            steps.append(f"deadband: {{ n: {0.1 + turn % 3 * 0.1:.1f} }}")
            steps.append("window: { last: 1s, by: all, fields: { count: count(), total: sum(n) } }")
            listed = ", ".join(f"{{ {step} }}" for step in steps)
            return ("sources: { in: { http: {} } }\npipelines:\n"
                    f"  p: {{ from: in, steps: [ {listed} ], to: [ {{ http: {{ url: '{receiver.url}', batch: 100 }} }} ] }}\n"
                    f"  raw: {{ from: in, steps: [ {{ map: {{ turn: '{turn}' }} }} ], to: [ {{ http: {{ url: '{receiver.url}', batch: 500 }} }} ] }}\n")

        with harness.Gateway(text(0)) as gateway:
            sent = 0
            done = threading.Event()

            def produce():
                nonlocal sent
                while not done.is_set():
                    send(gateway, [{"time": START + (sent + i) * 0.01, "device": "d", "n": sent + i} for i in range(50)])
                    sent += 50
                    time.sleep(0.002)

            producer = threading.Thread(target=produce)
            producer.start()
            for turn in range(1, 21):
                check(reload(gateway, text(turn)), gateway.tail())
                time.sleep(0.05)
            done.set()
            producer.join()
            until(lambda: pipeline(gateway)["queued"] == 0 and pipeline(gateway, "raw")["queued"] == 0, "the queues")
            equal(pipeline(gateway)["in"], sent, "samples in over all reloads:")
            equal(gateway.stop(), 0)
        raw = [sample["n"] for sample in receiver.samples if "turn" in sample]
        equal(raw, list(range(sent)), "every sample once and in order:")
        windows = [sample for sample in receiver.samples if "count" in sample]
        times = [sample["time"] for sample in windows]
        equal(len(set(times)), len(times), "no window is closed twice:")
        equal(sum(sample["count"] for sample in windows), sent, "samples in windows:")
        equal({sample["count"] for sample in windows[:-1]}, {100}, "every window is whole:")


def test_an_alarm_stands_over_a_change():
    def text(above, filtered):
        first = f'{{ filter: "{filtered}" }}, ' if filtered else ""
        return ("sources: { in: { http: {} } }\npipelines:\n"
                f'  p: {{ from: in, steps: [ {first}{{ alarm: {{ name: hot, raise: "temp > {above}", clear: "temp < 10" }} }} ] }}\n')

    with harness.Gateway(text(80, "")) as gateway:
        def standing():
            return [alarm["name"] for alarm in harness.request(gateway.admin_port, "GET", "/admin/v1/alarms").json()["active"]]

        send(gateway, [{"device": "d", "temp": 90}])
        until(lambda: standing() == ["hot"], "the alarm")
        check(reload(gateway, text(85, "temp > -50")), gateway.tail())
        equal(standing(), ["hot"])
        send(gateway, [{"device": "d", "temp": 5}])
        until(lambda: standing() == [], "the end of the alarm")
        send(gateway, [{"device": "d", "temp": 90}])
        until(lambda: standing() == ["hot"], "the alarm again")
        check(reload(gateway, "sources: { in: { http: {} } }\npipelines: { p: { from: in } }\n"), gateway.tail())
        until(lambda: standing() == [], "the alarm of a step that is gone")


class Watch:
    """GET of an event stream."""

    def __init__(self, gateway, path):
        self.connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)
        self.connection.request("GET", path)
        self.answer = self.connection.getresponse()

    def data(self):
        while True:
            line = self.answer.readline()
            check(line, "the stream ended")
            if line.startswith(b"data:"):
                return json.loads(line[5:])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()


def test_a_tap_shows_every_place():
    config = """
sources: { in: { http: {} } }
pipelines:
  p:
    from: in
    steps:
      - map: { a: "x + 1" }
      - branch:
          - { when: "a > 10", steps: [ map: { way: "'high'" }, filter: "x < 100" ] }
          - { else: true, steps: [ filter: "false" ] }
      - map: { a: "a * 2" }
  after: { from: p, steps: [ filter: "a > 100" ] }
"""
    with harness.Gateway(config) as gateway:
        places = {"0": {"x": 20}, "1": {"x": 20, "a": 21}, "2.1.0": {"x": 20, "a": 21}, "2.1.1": {"way": "high"},
                  "2.1.2": {"way": "high", "a": 21}, "2": {"a": 21}, "3": {"a": 42}}
        watches = {place: Watch(gateway, f"/pipelines/p/tap?step={place}") for place in places}
        equal({watch.answer.status for watch in watches.values()}, {200})
        send(gateway, [{"device": "d", "x": 20}])
        for place, wanted in places.items():
            got = watches[place].data()
            equal({name: got.get(name) for name in wanted}, wanted, "at", place)
        for watch in watches.values():
            watch.connection.close()
        send(gateway, [{"device": "d", "x": 1}, {"device": "d", "x": 99}, {"device": "d", "x": 150}])
        until(lambda: pipeline(gateway, "after")["in"] == 2, "samples of one pipeline in the other")
        until(lambda: pipeline(gateway, "after")["out"] == 1, "the filter")
        equal([(step["step"], step["kind"], step["in"], step["out"]) for step in pipeline(gateway)["each_step"]],
              [("1", "map", 4, 4), ("2", "branch", 4, 2), ("2.1.1", "map", 3, 3), ("2.1.2", "filter", 3, 2),
               ("2.2.1", "filter", 1, 0), ("3", "map", 2, 2)])
        equal(gateway.metric("penstock_step_samples_in_total", pipeline="p", step="2.1.2"), 3)
        answer = gateway.request("GET", "/pipelines/p/tap?step=9")
        equal(answer.status, 404)
        check("step=0 for what comes in, step=1 to step=3" in answer.text(), answer)
        answer = gateway.request("GET", "/pipelines/q/tap?step=0")
        equal(answer.status, 404)


def test_dead_letters_are_kept_and_sent_again():
    with Receiver() as receiver:
        receiver.refuse = True
        config = ("sources: { in: { http: {} } }\npipelines:\n"
                  f"  p: {{ from: in, to: [ {{ http: {{ url: '{receiver.url}' }} }} ] }}\n")
        with harness.Gateway(config) as gateway:
            def letters(port=None):
                return harness.request(port or gateway.admin_port, "GET", "/admin/v1/pipelines/p/dead_letters").json()

            send(gateway, [{"device": "d", "x": i, "units": {"x": "mm"}} for i in range(3)])
            until(lambda: letters()["kept"] == 3, "dead letters")
            newest = letters()["dead_letters"][0]
            equal((newest["where"], newest["sample"]["x"], newest["sample"]["units"]), ("sink 1 (http)", 2, {"x": "mm"}))
            check("400" in newest["why"], newest)
            equal(gateway.metric("penstock_dead_letters_total", pipeline="p"), 3)
            path = gateway.data_dir / "dead_letters" / "p.ndjson"
            until(lambda: path.exists() and path.read_text().count("\n") == 3, "the file")
            equal(path.stat().st_mode & 0o777, 0o600)
            gateway.kill()
            data_dir = gateway.data_dir
        with harness.Gateway(config, data_dir=data_dir) as gateway:
            equal(letters(gateway.admin_port)["kept"], 3)
            receiver.refuse = False
            first = letters(gateway.admin_port)["dead_letters"][2]["id"]
            answer = harness.request(gateway.admin_port, "POST", "/admin/v1/pipelines/p/dead_letters/replay", {"ids": [first]})
            equal((answer.status, answer.json()), (200, {"replayed": 1, "left": 0}))
            until(lambda: [sample["x"] for sample in receiver.samples] == [0], "the sample that was tried again")
            answer = harness.request(gateway.admin_port, "DELETE", "/admin/v1/pipelines/p/dead_letters", {})
            equal((answer.status, answer.json()), (200, {"removed": 2}))
            equal(letters(gateway.admin_port)["kept"], 0)
            audit = harness.request(gateway.admin_port, "GET", "/admin/v1/audit").json()["audit"]
            equal([line["action"] for line in audit[:2]], ["dead_letters.remove", "dead_letters.replay"])
            answer = harness.request(gateway.admin_port, "POST", "/admin/v1/pipelines/p/dead_letters/replay", {"ids": ["x"]})
            equal(answer.status, 422, answer)
            answer = harness.request(gateway.admin_port, "GET", "/admin/v1/pipelines/none/dead_letters")
            equal(answer.status, 404, answer)


def test_behind_a_hiding_step_no_reason_tells_what_is_hidden():
    alarm = 'alarm: { name: seen, raise: "badge == \'AB1234\' and temp > 3" }'
    hidden = "pseudonymise: { key: 0123456789abcdef, fields: [ worker ] }"
    ways = {"renamed": ["rename: { badge: worker }", hidden],
            "copied": ['map: { worker: "badge" }', "select: [ worker, temp ]", hidden],
            "dropped": ["select: [ temp, badge2 ]", "anonymise: { drop: badge2 }"],
            "rounded": ["rename: { badge: who, temp: heat }", "anonymise: { drop: who, round: { heat: 0 } }"]}
    for name, steps in ways.items():
        with Receiver() as receiver:
            receiver.refuse = True
            listed = ", ".join(f"{{ {step} }}" for step in [alarm, *steps])
            with harness.Gateway("sources: { in: { http: {} } }\npipelines:\n"
                                 f"  p: {{ from: in, steps: [ {listed} ], to: [ {{ http: {{ url: '{receiver.url}', what: all }} }} ] }}\n") as gateway:
                def letters(gateway=gateway):
                    return harness.request(gateway.admin_port, "GET", "/admin/v1/pipelines/p/dead_letters").json()["dead_letters"]

                sample = {"device": "d", "badge": "AB1234", "temp": 4.25}
                send(gateway, [sample])
                kept = until(letters, "the dead letter")
                check("AB1234" not in json.dumps(kept), name, kept)
                receiver.refuse = False
                send(gateway, [dict(sample, badge="none"), sample])
                until(lambda: sum("alarm" in one for one in receiver.samples) == 2, "the alarms")
                check("AB1234" not in json.dumps(receiver.samples), name, receiver.samples)
                check("withheld" in json.dumps(receiver.samples), name, receiver.samples)


def check_file(text):
    path = harness.folder() / "edge.yaml"
    path.write_text(text)
    status, out, err = harness.command("check", str(path))
    return status, out, err.replace(str(path), "edge.yaml")


def test_check_prints_what_flows():
    status, out, err = check_file("""
sources: { in: { http: {} } }
pipelines:
  p:
    from: in
    steps:
      - map: { only: true, temp: "to(t, \\"degC\\")", state: "text(s)", hot: "t > 5" }
      - filter: "temp > 80degC"
  after: { from: [p, in] }
""")
    equal(status, 0, err)
    check("pipeline p: in -> map -> filter\n" in out, out)
    check("  in             any fields\n" in out, out)
    check("  1 map          hot boolean, state text, temp number degC\n" in out, out)
    check("pipeline after: p + in\n  in             hot boolean, state text, temp number degC, others\n" in out, out)


def test_check_refuses_what_cannot_work():
    def mistake(step, line=7):
        status, _, err = check_file(f"""
sources: {{ in: {{ http: {{}} }} }}
pipelines:
  p:
    from: in
    steps:
      - map: {{ only: true, temp: "to(t, \\"degC\\")", state: "text(s)" }}
      - {step}
""")
        equal(status, 2, "not refused:", step)
        return err

    err = mistake('filter: "tmp > 80"')
    check("edge.yaml:8:17: pipelines.p.steps[1].filter: in the expression \"tmp > 80\", column 1: there is no field 'tmp' here; did you mean 'temp'?" in err, err)
    err = mistake('filter: "temp > 5mm"')
    check("column 6: degC is a temperature and mm a length" in err, err)
    err = mistake('filter: "state + 1 > 2"')
    check("column 1: arithmetic takes a number, not a text" in err, err)
    err = mistake('branch: [ { when: "temp > 1", steps: [ { filter: "tepm > 2" } ] } ]')
    check("edge.yaml:8:58: " in err and "did you mean 'temp'?" in err, err)
    status, _, err = check_file("sources: { in: { http: {} } }\npipelines:\n  a: { from: b }\n  b: { from: [in, a] }\n")
    equal(status, 2)
    check("edge.yaml:4:14: pipelines.b.from: pipelines read each other in a circle: a -> b -> a" in err, err)


GUARD = """
sources: { in: { http: {}, durable: true } }
pipelines:
  guard:
    from: in
    steps:
      - branch: [ { when: "x > 0", steps: [ { alarm: { name: hot, raise: "x > 5" } } ] } ]
    to:
      - log: {}
      - http: { url: "http://127.0.0.1:1/in"BUFFER }
"""
STANDSTILL = "pipelines.guard.to[1].http: while this sink cannot deliver, up to 10000 samples wait in memory; then pipeline guard stops"


def test_a_sink_that_can_stop_alarms_is_warned_of():
    status, out, err = check_file(GUARD.replace("BUFFER", ""))
    equal(status, 0, err)
    check(out.startswith("/") and "edge.yaml is fine." in out, out)
    check(err.startswith("warning: edge.yaml:10:15: " + STANDSTILL) and err.count("\n") == 1, err)
    check("the alarms and actions of guard" in err and "buffer: { disk: 2GB }" in err and "buffer: { full: drop_oldest }" in err, err)
    kept = GUARD.replace("BUFFER", ", buffer: { disk: 2MB }")
    for text in (kept, GUARD.replace("BUFFER", ", buffer: { full: drop_newest }"), GUARD.replace("BUFFER", "").replace(", durable: true", ""),
                 re.sub("steps:\n.*\n", "\n", GUARD).replace("BUFFER", "")):
        status, _, err = check_file(text)
        equal((status, err), (0, ""), text)
    with harness.Gateway(GUARD.replace("BUFFER", "")) as gateway:
        equal(gateway.log().count(STANDSTILL), 1, gateway.tail())
        check(reload(gateway, kept), gateway.tail())
        equal(gateway.log().count(STANDSTILL), 1, gateway.tail())
        check(reload(gateway, GUARD.replace("BUFFER", ", buffer: { memory: 5000 }")), gateway.tail())
        equal(gateway.log().count(STANDSTILL.replace("10000", "5000")), 1, gateway.tail())


def test_a_bad_change_is_refused_with_its_place():
    good = 'sources: { in: { http: {} } }\npipelines: { p: { from: in, steps: [ { filter: "x > 1" } ] } }\n'
    with harness.Gateway(good) as gateway:
        check(not reload(gateway, good.replace("x > 1", "x >")), "a bad change was taken")
        check("the expression ends where a value is expected" in gateway.log(), gateway.tail())
        send(gateway, [{"x": 2}])
        until(lambda: pipeline(gateway)["out"] == 1, "the pipeline as it was")


if __name__ == "__main__":
    harness.run(globals())
