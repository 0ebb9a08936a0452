#!/usr/bin/env python3
"""A model with `isolate: true` lives in a process of its own: what happens to that process happens to nobody else."""
import json
import os
import pathlib
import signal
import struct
import subprocess
import threading

import broken_models
import harness
from harness import check, equal, until

MODELS = harness.ROOT / "tests" / "models"
ENTRY = "{name}: {{ path: {path}, isolate: {isolate}{more} }}"


def config(models, more=""):
    lines = "\n".join("  " + ENTRY.format(name=name, path=MODELS / model, isolate=isolate, more=extra)
                      for name, model, isolate, extra in models)
    return "models:\n" + lines + "\n" + more


def scale_body():
    return {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [0, 1, 2, 3]}]}


def big_body(size):
    return {"inputs": [{"name": "size", "shape": [1], "datatype": "INT64", "data": [size]},
                       {"name": "x", "shape": [1], "datatype": "FP32", "data": [1]}],
            "outputs": [{"name": "y", "parameters": {"binary_data": True}}]}


def infer(gateway, model, body):
    return gateway.request("POST", f"/v2/models/{model}/infer", body)


def status_of(pid):
    try:
        return dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
    except OSError:
        return {}


def children(pid):
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit() and status_of(entry.name).get("PPid", "").strip() == str(pid):
            found.append(int(entry.name))
    return found


def workers(gateway):
    """The processes that hold a model: children of the one that starts them."""
    return [worker for nursery in children(gateway.pid) for worker in children(nursery)]


def works(gateway, model="alone"):
    return infer(gateway, model, scale_body()).status == 200


def test_an_isolated_model_answers_as_one_inside():
    with harness.Gateway(config([("inside", "scale", "false", ""), ("alone", "scale", "true", "")])) as gateway:
        inside = infer(gateway, "inside", scale_body())
        alone = infer(gateway, "alone", scale_body())
        equal(alone.status, 200, alone.text())
        equal(json.loads(alone.text())["outputs"], json.loads(inside.text())["outputs"])
        equal(len(workers(gateway)), 1)
        equal(json.loads(gateway.request("GET", "/v2/models/alone").text())["inputs"],
              json.loads(gateway.request("GET", "/v2/models/inside").text())["inputs"])


def test_a_killed_worker_comes_back_and_calls_of_the_neighbour_never_fail():
    models = [("inside", "scale", "false", ""), ("alone", "scale", "true", ""), ("other", "scale", "true", "")]
    with harness.Gateway(config(models)) as gateway:
        first = infer(gateway, "alone", scale_body())
        equal(first.status, 200, first.text())
        done = threading.Event()
        counts = {"inside": [0, 0], "alone": [0, 0]}

        def call(model):
            while not done.is_set():
                counts[model][works(gateway, model)] += 1

        threads = [threading.Thread(target=call, args=(model,)) for model in counts]
        for thread in threads:
            thread.start()
        killed = 0
        for _ in range(3):
            before = until(lambda: len(workers(gateway)) == 2 and workers(gateway), "two workers")
            os.kill(before[0], signal.SIGKILL)
            os.kill(before[1], signal.SIGKILL)
            killed += 2
            until(lambda: len(workers(gateway)) == 2 and not set(workers(gateway)) & set(before), "new workers", 30)
            until(lambda: works(gateway) and works(gateway, "other"), "the isolated models", 30)
        done.set()
        for thread in threads:
            thread.join()
        equal(counts["inside"][0], 0, "failed calls of the neighbour")
        check(counts["inside"][1] > 10, counts)
        check(counts["alone"][1] > 10, counts)
        check("ended by signal 9" in gateway.log(), gateway.tail())
        check(gateway.alive(), "the gateway")


def test_a_call_that_loses_its_worker_says_so():
    with harness.Gateway(config([("alone", "slow", "true", "")])) as gateway:
        answers = []
        body = {"inputs": [{"name": "times", "shape": [1], "datatype": "INT64", "data": [10 ** 9]},
                           {"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [0.1] * 4}]}
        thread = threading.Thread(target=lambda: answers.append(infer(gateway, "alone", body)))
        thread.start()
        worker = until(lambda: workers(gateway), "the worker")[0]

        def busy():
            fields = pathlib.Path(f"/proc/{worker}/stat").read_text().rsplit(")", 1)[1].split()
            return int(fields[11]) > 30  # ticks of its own work
        until(busy, "the run", 30)
        os.kill(worker, signal.SIGKILL)
        thread.join(30)
        equal(answers[0].status, 503, answers[0].text())
        check("the model's process ended by signal 9" in answers[0].text(), answers[0].text())


def test_what_does_not_fit_the_memory_of_a_model_harms_nobody():
    models = [("inside", "scale", "false", ""), ("alone", "big", "true", ", memory: { max: 32MB }")]
    with harness.Gateway(config(models)) as gateway:
        equal(infer(gateway, "alone", big_body(1000)).status, 200)
        refused = infer(gateway, "alone", big_body(200_000_000))
        check(refused.status in (413, 429, 503, 500), refused.status, refused.text())
        check("memory.max" in refused.text() or "process ended" in refused.text(), refused.text())
        equal(infer(gateway, "inside", scale_body()).status, 200)
        until(lambda: infer(gateway, "alone", big_body(1000)).status == 200, "the model", 30)


def test_workers_have_no_secrets_no_sockets_and_few_rights():
    with harness.Gateway(config([("alone", "scale", "true", "")]), environment={"SOME_SECRET": "sesame"}) as gateway:
        check(works(gateway), "the model")
        worker = workers(gateway)[0]
        nursery = children(gateway.pid)[0]
        if os.getuid() == 0:
            for pid in (worker, nursery):
                check(b"sesame" not in pathlib.Path(f"/proc/{pid}/environ").read_bytes(), "the environment of", pid)
            held = [os.readlink(entry) for entry in pathlib.Path(f"/proc/{worker}/fd").iterdir()]
            check(not [file for file in held if file.startswith(str(gateway.folder))], "files of the gateway", held)
            inodes = {file[8:-1] for file in held if file.startswith("socket:[")}
            tcp = {line.split()[9] for line in pathlib.Path(f"/proc/{worker}/net/tcp").read_text().splitlines()[1:]}
            check(not inodes & tcp, "sockets of the gateway", held)
        equal(status_of(worker)["Seccomp"].strip(), "2")
        equal(status_of(worker)["NoNewPrivs"].strip(), "1")


def test_no_worker_outlives_its_gateway():
    for how in (signal.SIGTERM, signal.SIGKILL):
        with harness.Gateway(config([("alone", "scale", "true", "")])) as gateway:
            check(works(gateway), "the model")
            mine = workers(gateway) + children(gateway.pid)
            equal(len(mine), 2)
            gateway.send(how)
            gateway.wait()

            def gone(pid):
                return status_of(pid).get("State", "Z").strip().startswith(("Z", "X"))
            until(lambda: all(gone(pid) for pid in mine), f"the end of {mine} after signal {how}")


def test_isolation_works_under_the_gateways_own_filter():
    more = "security: { seccomp: on, core_dumps: true }\n"
    text = config([("alone", "scale", "true", "")]) + more
    with harness.Gateway(text) as gateway:
        check(works(gateway), "the model")
        equal(status_of(gateway.pid)["Seccomp"].strip(), "2")
        before = workers(gateway)
        os.kill(before[0], signal.SIGKILL)
        until(lambda: set(workers(gateway)) - set(before), "a new worker", 30)
        until(lambda: works(gateway), "the model", 30)


def test_checked_weights_beside_a_model_are_those_that_every_worker_loads():
    folder, key = harness.folder(), harness.folder() / "plant"
    (folder / "1").mkdir()
    weights = {"location": "w.bin", "offset": "0", "length": "16"}
    (folder / "1" / "model.onnx").write_bytes(broken_models.model(broken_models.graph(
        [broken_models.node("Add", ["x", "w"], ["y"])], [broken_models.tensor([4], external=weights)])))
    (folder / "1" / "w.bin").write_bytes(struct.pack("<4f", 1, 2, 3, 4))
    for arguments in (["keygen", "--out", key], ["sign", "--key", key, folder / "1"]):
        subprocess.run([harness.BINARY, "artifact", *map(str, arguments)], check=True, capture_output=True, timeout=60)
    text = f"models:\n  alone: {{ path: {folder}, isolate: true, signed_by: '${{file:{key}.pub}}' }}\n"
    body = {"inputs": [{"name": "x", "shape": [4], "datatype": "FP32", "data": [0, 0, 0, 0]}]}
    with harness.Gateway(text) as gateway:
        answer = infer(gateway, "alone", body)
        equal(answer.status, 200, answer.text(), gateway.tail())
        equal(json.loads(answer.text())["outputs"][0]["data"], [1, 2, 3, 4])
        (folder / "1" / "w.bin").write_bytes(struct.pack("<4f", 9, 9, 9, 9))
        before = workers(gateway)
        os.kill(before[0], signal.SIGKILL)
        until(lambda: set(workers(gateway)) - set(before), "a new worker", 30)
        again = until(lambda: (a := infer(gateway, "alone", body)).status == 200 and a, "the model", 30)
        equal(json.loads(again.text())["outputs"][0]["data"], [1, 2, 3, 4])


def test_a_broken_file_is_a_reason():
    folder = harness.folder()
    (folder / "1").mkdir()
    (folder / "1" / "model.onnx").write_bytes(b"this is no model")
    text = "models:\n  broken: { path: %s, isolate: true }\n  good: { path: %s, isolate: true }\n" % (folder, MODELS / "scale")
    with harness.Gateway(text) as gateway:
        refused = infer(gateway, "broken", scale_body())
        equal(refused.status, 503, refused.text())
        check("no ONNX file" in refused.text(), refused.text())
        check(works(gateway, "good"), "the other model")


harness.run(globals())
