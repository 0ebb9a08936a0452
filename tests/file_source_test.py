"""Files as sources: followed through rotation, restarts and kill -9 without losing a line, and replayed."""

import json
import random
import time

import harness
from harness import check, equal, until


class Bench:
    """A gateway that reads one folder and writes what it read to a file."""

    def __init__(self, source, **more):
        self.folder = harness.folder()
        self.inputs = self.folder / "in"
        self.inputs.mkdir(exist_ok=True)
        self.out = self.folder / "out.ndjson"
        self.config = f"""
sources: {{ files: {{ file: {{ path: "{self.inputs}/{source}" {more.get("options", "")} }} }} }}
pipelines: {{ keep: {{ from: files, to: [ {{ file: {{ path: "{self.out}" }} }} ] }} }}
"""
        self.data = self.folder / "data"

    def gateway(self):
        return harness.Gateway(self.config, data_dir=self.data)

    def append(self, name, text):
        with open(self.inputs / name, "a", encoding="utf-8") as file:
            file.write(text)

    def samples(self):
        return [json.loads(line) for line in self.out.read_text().split("\n")[:-1]] if self.out.exists() else []

    def numbers(self):
        return [sample["n"] for sample in self.samples()]


def test_lines_arrive_as_they_are_written_in_every_format():
    bench = Bench("*")
    bench.config = bench.config.replace('/*"', '/*", format: line')
    bench.append("a", "m,device=d n=1i\n")
    with bench.gateway():
        until(lambda: bench.numbers() == [1], "the first")
        bench.append("a", "m n=2i\nm n=")
        until(lambda: bench.numbers() == [1, 2], "the second, and not half a line")
        bench.append("a", "3i\n")
        bench.append("b", "m n=4i\nrubbish\nm n=5i\n")
        until(lambda: sorted(bench.numbers()) == [1, 2, 3, 4, 5], "a new file")


def test_csv_keeps_its_header_over_rotation_and_restart():
    bench = Bench("m.csv")
    bench.append("m.csv", "time,device,n,temp [degC]\n2026-01-31T12:00:00Z,p,1,20.5\n")
    with bench.gateway() as gateway:
        until(lambda: len(bench.samples()) == 1, "the first")
        equal(bench.samples()[0], {"time": "2026-01-31T12:00:00.000Z", "device": "p", "n": 1, "temp": 20.5, "units": {"temp": "degC"}})
        (bench.inputs / "m.csv").rename(bench.inputs / "m.csv.1")
        bench.append("m.csv.1", "2026-01-31T12:00:00Z,p,2,20.5\n")
        bench.append("m.csv", "n,device\n3,p\n")
        until(lambda: bench.numbers() == [1, 2, 3], "both files")
        equal(gateway.stop(), 0)
    bench.append("m.csv", "4,p\n")
    (bench.inputs / "m.csv").rename(bench.inputs / "m.csv.2")
    bench.append("m.csv", "n\n5\n")
    with bench.gateway():
        until(lambda: bench.numbers() == [1, 2, 3, 4, 5], f"what came meanwhile, once: {bench.numbers()}")


def test_a_file_that_gets_another_name_within_the_pattern_is_not_read_twice():
    bench = Bench("*.ndjson*", options=", format: ndjson")
    bench.append("a.ndjson", '{"n":1}\n')
    with bench.gateway():
        until(lambda: bench.numbers() == [1], "the first")
        (bench.inputs / "a.ndjson").rename(bench.inputs / "a.ndjson.1")
        bench.append("a.ndjson.1", '{"n":2}\n')
        bench.append("a.ndjson", '{"n":3}\n')
        until(lambda: sorted(bench.numbers()) == [1, 2, 3], "both")
        time.sleep(0.5)
        equal(sorted(bench.numbers()), [1, 2, 3])


def test_no_line_is_lost_by_kill_nine():
    bench = Bench("k.ndjson")
    random.seed(7)
    written = 0
    for _ in range(5):
        gateway = bench.gateway()
        end = time.monotonic() + random.uniform(0.1, 0.6)
        while time.monotonic() < end:
            bench.append("k.ndjson", "".join(json.dumps({"n": n}) + "\n" for n in range(written, written + 50)))
            written += 50
            time.sleep(0.005)
        gateway.kill()
    with bench.gateway():
        until(lambda: set(bench.numbers()) == set(range(written)), f"{written} samples", 30)
    print(f"     {written} lines, {len(bench.numbers()) - written} twice, 5 times kill -9")


def test_more_lines_than_a_pipeline_holds_are_waited_for():
    bench = Bench("big.ndjson")
    # A sink without a buffer on disk drops what it cannot take in time: one in a hundred is left for it.
    bench.config = bench.config.replace("from: files,", 'from: files, steps: [ { filter: "n % 100 == 0" } ],')
    bench.append("big.ndjson", "".join(f'{{"n":{n}}}\n' for n in range(100_000)))
    with bench.gateway():
        until(lambda: len(bench.samples()) >= 1000, "all of them", 60)
        equal(bench.numbers(), list(range(0, 100_000, 100)))


def test_a_replay_takes_its_own_time():
    bench = Bench("r.ndjson", options=", mode: replay, speed: 100x")
    bench.append("r.ndjson", "".join(json.dumps({"time": 1_700_000_000 + 10 * n, "n": n}) + "\n" for n in range(11)))
    before = time.monotonic()
    with bench.gateway():
        until(lambda: bench.numbers() == list(range(11)), "the replay")
        check(time.monotonic() - before >= 1, "a hundred seconds in less than one")
        check(bench.samples()[0]["time"] > "2026", "times are moved to now")


harness.run(globals())
