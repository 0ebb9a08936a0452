"""How local models come and go: on demand, evicted, exchanged, half copied, loaded and unloaded a thousand times."""

import json
import os
import pathlib
import shutil
import signal
import threading
import time

import harness
from harness import Gateway, check, equal, until

MODELS = pathlib.Path(__file__).resolve().parent / "models"
CYCLES = int(os.environ.get("PENSTOCK_CYCLES", "1000"))
# A slow machine makes fewer.
CYCLE_SECONDS = 120

INPUT = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}], "outputs": [{"name": "y"}]}


def repository(*models):
    """A folder of models, each with version 1 of `scale`: y = 2x + 1."""
    root = harness.folder()
    for model in models:
        shutil.copytree(MODELS / "scale" / "1", root / model / "1")
    return root


def entries(root, models, **keys):
    lines = ["models:"]
    for model in models:
        more = "".join(f", {key}: {value}" for key, value in keys.items())
        lines.append(f"  {model}: {{ path: {root / model}{more} }}")
    return "\n".join(lines) + "\n"


def infer(gateway, model, version=None):
    path = f"/v2/models/{model}" + (f"/versions/{version}" if version else "") + "/infer"
    return gateway.post(path, INPUT)


def first(answer):
    """y for x = 1: 3 from version 1, 4 from version 2."""
    equal(answer.status, 200, answer)
    return answer.json()["outputs"][0]["data"][0]


def index(gateway, model):
    return [entry for entry in gateway.post("/v2/repository/index", {}).json() if entry["name"] == model]


def state(gateway, model):
    return [entry["state"] for entry in index(gateway, model)]


def resident(gateway):
    """Megabytes."""
    for line in pathlib.Path(f"/proc/{gateway.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise harness.Failure("no VmRSS")


class Caller:
    """Calls a model all the time; remembers what failed and how long each call took."""

    def __init__(self, gateway, model):
        self.failed = []
        self.answers = set()
        self.seconds = []
        self.going = True
        self.thread = threading.Thread(target=self.call, args=(gateway, model), daemon=True)
        self.thread.start()

    def call(self, gateway, model):
        while self.going:
            start = time.monotonic()
            answer = infer(gateway, model)
            self.seconds.append(time.monotonic() - start)
            if answer.status == 200:
                self.answers.add(first(answer))
            else:
                self.failed.append(repr(answer))

    def stop(self):
        self.going = False
        self.thread.join()
        check(self.seconds, "nothing was called")
        equal(self.failed[:3], [], f"{len(self.failed)} of {len(self.seconds)} calls failed")

    def percentile(self, share):
        return sorted(self.seconds)[int(share * (len(self.seconds) - 1))] * 1000


def test_a_model_on_demand_is_loaded_with_its_first_requests():
    root = repository("scale")
    with Gateway(entries(root, ["scale"], load="on_demand")) as gateway:
        equal(gateway.request("GET", "/v2/health/ready").status, 200)
        equal(state(gateway, "scale"), ["UNAVAILABLE"])
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(first(infer(gateway, "scale")))) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        equal(answers, [3.0] * 16)
        equal(state(gateway, "scale"), ["READY"])


def test_a_broken_model_on_demand_says_why_and_comes_back_when_it_is_mended():
    root = repository("scale")
    (root / "scale/1/model.onnx").write_bytes(b"\x08\x08rubbish")
    with Gateway(entries(root, ["scale"], load="on_demand")) as gateway:
        answer = infer(gateway, "scale")
        equal(answer.status, 503, answer)
        check("model.onnx" in answer.text(), "the reason is missing:", answer)
        shutil.copy(MODELS / "scale/1/model.onnx", root / "scale/1/model.onnx")
        until(lambda: infer(gateway, "scale").status == 200, "the mended model", 20)


def test_the_least_recently_used_makes_room():
    root = repository("a", "b", "c")
    for model in "abc":
        (root / model / "1" / "weights.bin").write_bytes(bytes(4 << 20))
    config = entries(root, "abc", load="on_demand") + "inference: { memory: 10MiB }\n"
    with Gateway(config) as gateway:
        for model in "abab":
            equal(first(infer(gateway, model)), 3.0)
            time.sleep(0.01)
        equal([state(gateway, model) for model in "abc"], [["READY"], ["READY"], ["UNAVAILABLE"]])
        equal(first(infer(gateway, "c")), 3.0)
        equal(state(gateway, "a"), ["UNAVAILABLE"])
        check("make room" in index(gateway, "a")[0]["reason"], index(gateway, "a"))
        for model in "acbabc" * 3:
            equal(first(infer(gateway, model)), 3.0)
        equal(gateway.request("GET", "/v2/health/ready").status, 200)


def test_a_version_that_is_still_being_copied_is_not_taken():
    root = repository("scale")
    data = (MODELS / "scale/2/model.onnx").read_bytes()
    with Gateway(entries(root, ["scale"]) + "inference: { watch: 300ms }\n") as gateway:
        caller = Caller(gateway, "scale")
        (root / "scale/2").mkdir()
        with open(root / "scale/2/model.onnx", "wb", buffering=0) as file:
            step = len(data) // 10 + 1
            for begin in range(0, len(data), step):
                file.write(data[begin:begin + step])
                time.sleep(0.1)
        until(lambda: first(infer(gateway, "scale")) == 4.0, "version 2")
        caller.stop()
        equal(caller.answers - {3.0, 4.0}, set())


def test_a_link_is_swapped_without_a_gap():
    root = repository("store-a", "scale")
    shutil.copytree(MODELS / "scale/2", root / "store-b/1")
    shutil.rmtree(root / "scale")
    (root / "scale").symlink_to(root / "store-a")
    with Gateway(entries(root, ["scale"])) as gateway:
        caller = Caller(gateway, "scale")
        (root / "next").symlink_to(root / "store-b")
        (root / "next").rename(root / "scale")
        gateway.send(signal.SIGHUP)
        until(lambda: first(infer(gateway, "scale")) == 4.0, "what the link names now")
        caller.stop()


def test_a_folder_that_vanishes_leaves_the_model_in_service():
    root = repository("scale")
    with Gateway(entries(root, ["scale"])) as gateway:
        shutil.rmtree(root / "scale")
        gateway.send(signal.SIGHUP)
        until(lambda: "still serving" in json.dumps(index(gateway, "scale")), "the reason in the index")
        equal(first(infer(gateway, "scale")), 3.0)


def test_a_mistake_in_model_yaml_has_its_place_and_changes_nothing():
    root = repository("scale")
    (root / "scale/model.yaml").write_text("batch: { max: 8 }\nowner: vision\n")
    with Gateway(entries(root, ["scale"])) as gateway:
        equal(gateway.request("GET", "/v2/models/scale/config").json()["max_batch_size"], 8)
        (root / "scale/model.yaml").write_text("batch: { max: 8 }\nownr: vision\n")
        gateway.send(signal.SIGHUP)
        until(lambda: "model.yaml:2:1" in json.dumps(index(gateway, "scale")), "the mistake's place in the index")
        equal(first(infer(gateway, "scale")), 3.0)


def test_config_pbtxt_is_followed_where_it_can_be():
    root = repository("scale")
    (root / "scale/config.pbtxt").write_text(
        'max_batch_size: 16\ninput { name: "x" data_type: TYPE_FP32 dims: [ 4 ] }\nresponse_cache { enable: true }\n')
    with Gateway(entries(root, ["scale"])) as gateway:
        equal(gateway.request("GET", "/v2/models/scale/config").json()["max_batch_size"], 16)
        equal(first(infer(gateway, "scale")), 3.0)
        check("no counterpart here for response_cache" in gateway.log(), gateway.log())


def test_killed_in_the_middle_of_loads_it_serves_again():
    names = [f"m{i}" for i in range(8)]
    root = repository(*names)
    config = entries(root, names, load="on_demand")
    data = harness.folder() / "data"
    for _ in range(3):
        with Gateway(config, data_dir=data) as gateway:
            threads = [threading.Thread(target=quietly, args=(gateway, name), daemon=True) for name in names]
            for thread in threads:
                thread.start()
            until(lambda: any("READY" in state(gateway, name) for name in names), "the first load")
            gateway.kill()
            for thread in threads:
                thread.join()
    with Gateway(config, data_dir=data) as gateway:
        for name in names:
            equal(first(infer(gateway, name)), 3.0)


def quietly(gateway, name):
    try:
        infer(gateway, name)
    except OSError:
        pass  # it was killed
    except harness.http.client.HTTPException:
        pass


def test_a_thousand_loads_and_unloads_give_the_memory_back():
    root = repository("scale", "neighbour")
    with Gateway(entries(root, ["scale", "neighbour"])) as gateway:

        def cycle():
            equal(gateway.post("/v2/repository/models/scale/load", {}).status, 200)
            equal(first(infer(gateway, "scale")), 3.0)
            equal(gateway.post("/v2/repository/models/scale/unload", {}).status, 200)
            answer = infer(gateway, "scale")
            check(answer.status in (400, 404, 503), "an unloaded model answered", answer)

        quiet = Caller(gateway, "neighbour")
        time.sleep(2)
        quiet.stop()
        for _ in range(20):
            cycle()
        before = resident(gateway)
        busy = Caller(gateway, "neighbour")
        end = time.monotonic() + CYCLE_SECONDS
        made = 0
        while made < CYCLES and time.monotonic() < end:
            cycle()
            made += 1
        busy.stop()
        after = resident(gateway)
        print(f"     {made} cycles: {before:.1f} MB before, {after:.1f} MB after; a neighbour's p99 "
              f"{quiet.percentile(0.99):.2f} ms in quiet, {busy.percentile(0.99):.2f} ms during the cycles")
        check(after < before + 24, f"resident memory grew from {before:.1f} MB to {after:.1f} MB in {made} cycles")


harness.run(globals())
