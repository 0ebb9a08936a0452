"""Two ways up, one of them by the megabyte: what does not matter now waits for the other, everything else goes."""

import json

import harness
from harness import Gateway, check, equal, until
from sample_receiver import Receiver, duplicates

KINDS = ("bulk", "normal", "alarm")


def config(fibre, lte, buffer):
    return f"""
insecure: true
sources:
  press: {{ http: {{}} }}
pipelines:
  line:
    from: press
    steps:
      - priority: {{ bulk: "kind == \\"bulk\\"", alarm: "kind == \\"alarm\\"" }}
    to:
      - uplink:
          links:
            - {{ name: fibre, http: {{ url: "{fibre.url}", batch: 50 }}, probe: "tcp://127.0.0.1:{fibre.port}", every: 1s }}
            - {{ name: lte, http: {{ url: "{lte.url}", batch: 50 }}, cost: 1, metered: true }}
          back_after: 1s
          buffer: {{ {buffer} }}
"""


def feed(gateway, first, last):
    """One of each kind in turn."""
    lines = "\n".join(json.dumps({"device": "d", "n": n, "kind": KINDS[n % 3]}) for n in range(first, last))
    until(lambda: gateway.post("/ingest/press", lines, headers={"Content-Type": "application/x-ndjson"}).status == 202, "the source to take samples")


def numbers(receiver, kind):
    return [sample["n"] for sample in receiver.samples() if sample["kind"] == kind]


def came(receiver, kind, buffer):
    """In order, unless live ones go first."""
    return sorted(numbers(receiver, kind)) if "live_first" in buffer else numbers(receiver, kind)


def of(kind, first, last):
    return [n for n in range(first, last) if KINDS[n % 3] == kind]


def test_bulk_waits_while_the_way_is_metered_and_follows_when_it_is_not():
    for buffer in ("disk: 100MB", "disk: 100MB, live_first: true", "memory: 10000"):
        with Receiver() as fibre, Receiver() as lte:
            with Gateway(config(fibre, lte, buffer)) as gateway:
                feed(gateway, 0, 300)
                until(lambda: fibre.count() == 300, "all of them over the link without a price")
                fibre.cut()
                feed(gateway, 300, 900)
                until(lambda: lte.count() >= 400, f"what does not wait, with {buffer}", 40)
                feed(gateway, 900, 1_200)
                until(lambda: lte.count() >= 600, "more of it", 40)
                for kind in ("normal", "alarm"):
                    equal(came(lte, kind, buffer), of(kind, 300, 1_200), kind, buffer)
                equal(numbers(lte, "bulk"), [], "over the metered link:")
                fibre.restore()
                until(lambda: fibre.count() >= 600, f"the bulk, with {buffer}", 40)
                equal(came(fibre, "bulk", buffer), of("bulk", 0, 1_200), "bulk, whole and in order:")
                feed(gateway, 1_200, 1_500)
                until(lambda: fibre.count() >= 900, "what comes then")
                for kind in KINDS:
                    equal(sorted(numbers(fibre, kind) + numbers(lte, kind)), of(kind, 0, 1_500), kind, buffer)


def test_what_waits_for_a_cheap_link_survives_a_stop_and_nothing_is_sent_again():
    with Receiver(up=False) as fibre, Receiver() as lte:
        with Gateway(config(fibre, lte, "disk: 100MB")) as gateway:
            feed(gateway, 0, 600)
            until(lambda: lte.count() >= 400, "what does not wait", 40)
            equal(gateway.stop(), 0)
        fibre.restore()
        with Gateway(config(fibre, lte, "disk: 100MB"), data_dir=gateway.data_dir) as gateway:
            feed(gateway, 600, 603)
            until(lambda: fibre.count() >= 203, "the bulk and what came then", 40)
            equal(numbers(fibre, "bulk"), of("bulk", 0, 603))
            samples = fibre.samples() + lte.samples()
            equal(sorted(sample["n"] for sample in samples), list(range(603)))
            equal(duplicates(samples), 0, "duplicates")
            check(len({sample["origin"] for sample in samples}) == 1, "one buffer gave the names")


if __name__ == "__main__":
    harness.run(globals())
