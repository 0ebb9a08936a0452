"""Buffers on the disk: a link is cut and comes back, the gateway stops, reloads or loses a sink, and no sample is lost."""

import json
import statistics
import threading
import time

import harness
from harness import Gateway, check, equal, request, until
from sample_receiver import Receiver, duplicates

BACKLOG = 100_000


def config(receiver, buffer, more="batch: 500", steps=""):
    return f"""
insecure: true
sources:
  press: {{ http: {{}} }}
pipelines:
  line:
    from: press
    steps: [{steps}]
    to:
      - http: {{ url: {receiver.url}, {more}, buffer: {{ {buffer} }} }}
"""


def feed(gateway, first, last, size=2_000, **more):
    """One device counts."""
    for start in range(first, last, size):
        lines = "\n".join(json.dumps({"device": "d", "n": n, **more}) for n in range(start, min(start + size, last)))
        until(lambda: gateway.post("/ingest/press", lines, headers={"Content-Type": "application/x-ndjson"}).status == 202, "the source to take samples")


def numbers(samples):
    return [sample["n"] for sample in samples]


def waiting(gateway):
    return gateway.metric("penstock_buffer_records", sink="buffers/line.http")


def buffers(gateway):
    return {one["name"]: one for one in request(gateway.admin_port, "GET", "/admin/v1/buffers").json()["buffers"]}


def live_beside(gateway, receiver, backlog):
    """Sends a live sample now and then until the backlog has arrived; returns how long each was on its way."""
    sent = {}
    while sum(1 for sample in receiver.samples() if "live" not in sample) < backlog and len(sent) < 3_000:
        number = len(sent)
        sent[number] = time.monotonic()
        equal(gateway.post("/ingest/press", {"device": "d", "n": number, "live": True}).status, 202)
        time.sleep(0.05)
    until(lambda: sum(1 for sample in receiver.samples() if "live" in sample) == len(sent), "the live samples")
    with receiver.lock:
        came = {sample["n"]: at for at, sample in receiver.arrived if "live" in sample}
    return [came[number] - at for number, at in sent.items()]


def cut_for_a_backlog(buffer, backlog):
    with Receiver(up=False) as receiver:
        with Gateway(config(receiver, buffer)) as gateway:
            feed(gateway, 0, backlog)
            until(lambda: waiting(gateway) == backlog, "the backlog to be on the disk", 60)
            until(lambda: not request(gateway.admin_port, "GET", "/admin/v1/pipelines").json()["pipelines"][0]["sinks"][0]["connected"], "the cut to be noticed")
            receiver.restore()
            until(receiver.count, "the link to be used again", 40)
            began = time.monotonic()
            latencies = live_beside(gateway, receiver, backlog)
            took = time.monotonic() - began
            until(lambda: waiting(gateway) == 0, "the cursor to reach the end")
            samples = receiver.samples()
            old = [sample for sample in samples if "live" not in sample]
            equal(numbers(old), list(range(backlog)), "the backlog, whole and in order:")
            equal(duplicates(samples), 0, "duplicates")
            print(f"     {buffer}: {backlog / took:.0f} samples/s replayed; {len(latencies)} live ones meanwhile, on their way for "
                  f"{statistics.median(latencies) * 1e3:.1f} ms (median), {max(latencies) * 1e3:.0f} ms (longest)", flush=True)
            return samples, latencies, took


def test_a_link_cut_for_a_hundred_thousand_samples_gets_them_all_and_live_ones_first():
    samples, latencies, took = cut_for_a_backlog("disk: 1GB, live_first: true, replay: 20000/s", BACKLOG)
    last_old = max(at for at, sample in enumerate(samples) if "live" not in sample)
    check(sum(1 for sample in samples[:last_old] if "live" in sample) > len(latencies) / 2, "live samples waited for the backlog")
    check(took > 2, "the backlog of five seconds at its rate came in", took)
    check(statistics.median(latencies) < 1, "live samples were on their way for", statistics.median(latencies), "s")


def test_without_a_rate_the_backlog_goes_as_fast_as_the_sink_takes_it():
    cut_for_a_backlog("disk: 1GB, live_first: true", BACKLOG // 4)


def test_without_live_first_everything_stays_in_order():
    with Receiver(up=False) as receiver:
        with Gateway(config(receiver, "disk: 100MB, memory: 100")) as gateway:
            feed(gateway, 0, 5_000)
            until(lambda: waiting(gateway) == 5_000, "the backlog")
            receiver.restore()
            feed(gateway, 5_000, 10_000, size=100)
            until(lambda: receiver.count() == 10_000, "all samples", 60)
            equal(numbers(receiver.samples()), list(range(10_000)))
            equal(duplicates(receiver.samples()), 0)


def test_what_waits_survives_a_stop_and_keeps_its_names():
    with Receiver(up=False) as receiver:
        with Gateway(config(receiver, "disk: 100MB")) as gateway:
            feed(gateway, 0, 3_000)
            until(lambda: waiting(gateway) == 3_000, "the backlog")
            equal(gateway.stop(), 0)
        receiver.restore()
        with Gateway(config(receiver, "disk: 100MB"), data_dir=gateway.data_dir) as gateway:
            feed(gateway, 3_000, 4_000)
            until(lambda: receiver.count() >= 4_000, "all samples", 40)
            equal(numbers(receiver.samples()), list(range(4_000)))
            equal([sample["seq"] for sample in receiver.samples()], sorted(sample["seq"] for sample in receiver.samples()))
            equal(len({sample["origin"] for sample in receiver.samples()}), 1)
            equal(gateway.stop(), 0)
        with Gateway(config(receiver, "disk: 100MB"), data_dir=gateway.data_dir) as gateway:
            feed(gateway, 4_000, 4_001)
            until(lambda: receiver.count() > 4_000, "the last sample")
            equal(receiver.count(), 4_001, "what was confirmed is not sent again:")


def test_a_reload_keeps_what_is_buffered():
    with Receiver(up=False) as receiver:
        with Gateway(config(receiver, "disk: 100MB")) as gateway:
            feed(gateway, 0, 2_000)
            until(lambda: waiting(gateway) == 2_000, "the backlog")
            gateway.write(config(receiver, "disk: 200MB, live_first: false", steps='filter: "n >= 0"'))
            until(lambda: '"filter"' in request(gateway.admin_port, "GET", "/admin/v1/pipelines").text(), "the reload")
            feed(gateway, 2_000, 3_000)
            receiver.restore()
            until(lambda: receiver.count() >= 3_000, "all samples", 60)
            equal(numbers(receiver.samples()), list(range(3_000)))
            equal(duplicates(receiver.samples()), 0)


def test_a_clean_stop_in_the_middle_of_a_replay_repeats_nothing():
    buffer = "disk: 100MB, live_first: true, replay: 1000/s"
    with Receiver(up=False) as receiver:
        with Gateway(config(receiver, buffer)) as gateway:
            feed(gateway, 0, 6_000)
            until(lambda: waiting(gateway) == 6_000, "the backlog")
            receiver.restore()
            until(receiver.count, "the link to be used again", 40)
            feed(gateway, 6_000, 6_300, size=100)
            until(lambda: max(numbers(receiver.samples())) == 6_299, "the live ones")
            equal(gateway.stop(), 0)
        check(receiver.count() < 6_300, "the replay was over before the stop")
        with Gateway(config(receiver, "disk: 100MB, live_first: true"), data_dir=gateway.data_dir) as gateway:
            until(lambda: receiver.count() >= 6_300 and waiting(gateway) == 0, "the rest", 60)
            equal(sorted(numbers(receiver.samples())), list(range(6_300)), "each of them once:")


def test_a_request_that_is_refused_costs_only_the_sample_that_is_wrong():
    def judge(body):
        if len(body) > 20_000:
            return 413
        return 422 if b'"n":777,' in body or b'"n":777}' in body else 200

    with Receiver() as receiver:
        receiver.judge = judge
        with Gateway(config(receiver, "disk: 100MB", more="batch: 1000")) as gateway:
            feed(gateway, 0, 3_000)
            until(lambda: receiver.count() >= 2_999 and waiting(gateway) == 0, "all but one", 60)
            equal(numbers(receiver.samples()), [n for n in range(3_000) if n != 777])
            letters = request(gateway.admin_port, "GET", "/admin/v1/pipelines/line/dead_letters").json()["dead_letters"]
            equal(len(letters), 1, letters)
            check('"n":777' in json.dumps(letters).replace(" ", "").replace("\\", ""), letters)
            check("422" in json.dumps(letters), letters)


def test_a_buffer_that_cannot_be_opened_is_not_removed():
    key = "0123456789abcdef" * 2
    with Receiver(up=False) as receiver:
        with Gateway(config(receiver, f"disk: 100MB, key: {key}")) as gateway:
            feed(gateway, 0, 500)
            until(lambda: waiting(gateway) == 500, "the backlog")
            equal(gateway.stop(), 0)
        with Gateway(config(receiver, f"disk: 100MB, key: {key[::-1]}"), data_dir=gateway.data_dir) as gateway:
            trouble = until(lambda: buffers(gateway)["buffers/line.http"]["trouble"], "the trouble to be shown")
            check("another key" in trouble, trouble)
            answer = request(gateway.admin_port, "DELETE", "/admin/v1/buffers/buffers/line.http")
            equal(answer.status, 409, answer.text())
            check("another key" in answer.text(), answer.text())
            equal(gateway.stop(), 0)
        receiver.restore()
        with Gateway(config(receiver, f"disk: 100MB, key: {key}"), data_dir=gateway.data_dir) as gateway:
            until(lambda: receiver.count() >= 500, "what was buffered", 40)
            equal(numbers(receiver.samples()), list(range(500)))
            check(key not in gateway.log(), "the key is in the log")


def test_a_buffer_whose_sink_is_gone_is_kept_shown_and_removable():
    with Receiver(up=False) as receiver:
        with Gateway(config(receiver, "disk: 100MB")) as gateway:
            feed(gateway, 0, 500)
            until(lambda: waiting(gateway) == 500, "the backlog")
            path = "/admin/v1/buffers/buffers/line.http"
            equal(request(gateway.admin_port, "DELETE", path).status, 409)
            gateway.write("insecure: true\n")
            gone = until(lambda: (one := buffers(gateway)["buffers/line.http"]) and not one["in_use"] and one, "the sink to go")
            check(gone["bytes"] > 0, gone)
            equal(request(gateway.admin_port, "DELETE", path).status, 200)
            equal(buffers(gateway), {})
            equal(request(gateway.admin_port, "DELETE", path).status, 404)
            check("buffer.remove" in request(gateway.admin_port, "GET", "/admin/v1/audit").text(), "the audit log says nothing")


def test_a_full_buffer_that_refuses_makes_the_source_wait():
    with Receiver(up=False) as receiver:
        with Gateway(config(receiver, "memory: 100, full: refuse")) as gateway:
            taken = 0
            for _ in range(2_000):
                answer = gateway.post("/ingest/press", {"device": "d", "n": taken})
                if answer.status != 202:
                    break
                taken += 1
            check(100 <= taken < 2_000, "took", taken)
            receiver.restore()
            until(lambda: receiver.count() == taken, "what was taken", 60)
            until(lambda: gateway.post("/ingest/press", {"device": "d", "n": taken}).status == 202, "room again")
            until(lambda: receiver.count() == taken + 1, "the last one")
            equal(numbers(receiver.samples()), list(range(taken + 1)))


if __name__ == "__main__":
    harness.run(globals())
