"""Broken and hostile model files beside a good one: the process lives, the good one answers, and somebody is told why the
other does not."""

import json
import os
import random

import broken_models
import harness
from harness import ROOT, Gateway, check, equal, folder, until

CASES = list(broken_models.cases())


def infer(gateway, model="scale"):
    return gateway.post(f"/v2/models/{model}/infer", {
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}]})


def put(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def config(models, path):
    lines = [f"  scale: {{ path: {ROOT}/tests/models/scale, serve: [1] }}"]
    lines += [f"  {name}: {{ path: {path}/{name} }}" for name in models]
    return "models:\n" + "\n".join(lines) + "\n"


def reasons(gateway):
    index = gateway.post("/v2/repository/index", {}).json()
    return {entry["name"]: (entry.get("state"), entry.get("reason", "")) for entry in index}


def test_no_file_takes_the_process_or_its_neighbour_down():
    path = folder()
    for name, data, _ in CASES:
        put(path / name / "1" / "model.onnx", data)
    with Gateway(config([name for name, _, _ in CASES], path)) as gateway:
        equal(infer(gateway).json()["outputs"][0]["data"], [3.0, 5.0, 7.0, 9.0])
        said = reasons(gateway)
        for name, _, words in CASES:
            state, reason = said[name]
            if words is not None:
                equal(state, "UNAVAILABLE", name, reason)
                check(words in reason, name, "does not say", words, "but", reason)
            elif state == "UNAVAILABLE":
                check(reason, name, "has no reason")
            else:
                gateway.post(f"/v2/models/{name}/infer", {
                    "inputs": [{"name": "x", "datatype": "FP32", "shape": [4], "data": [1, 2, 3, 4]}]})
            answer = gateway.post(f"/v2/models/{name}/infer", {"inputs": []})
            check(answer.status >= 400, name, answer)
            json.loads(answer.body)
        equal(infer(gateway).status, 200)
        equal(gateway.stop(), 0)


def test_a_broken_replacement_keeps_the_old_one():
    path = folder()
    file = path / "plus" / "1" / "model.onnx"
    put(file, broken_models.GOOD)
    body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [4], "data": [1, 1, 1, 1]}]}
    with Gateway(config(["plus"], path)) as gateway:
        equal(gateway.post("/v2/models/plus/infer", body).json()["outputs"][0]["data"], [2.0, 3.0, 4.0, 5.0])
        for name, data, words in CASES:
            if words is None:
                continue
            put(file.with_suffix(".new"), data)
            os.replace(file.with_suffix(".new"), file)
            gateway.post("/v2/repository/models/plus/load", {})
            answer = gateway.post("/v2/models/plus/infer", body)
            equal(answer.status, 200, name, answer)
            equal(answer.json()["outputs"][0]["data"], [2.0, 3.0, 4.0, 5.0], name)
        equal(gateway.stop(), 0)


def test_many_random_damages_never_end_the_process():
    path = folder()
    rng = random.Random(11)
    good = (ROOT / "tests/models/slow/1/model.onnx").read_bytes()
    names = []
    for i in range(60):
        data = bytearray(good)
        for _ in range(rng.randrange(1, 6)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        if i % 4 == 0:
            del data[rng.randrange(len(data)):]
        names.append(f"damaged-{i}")
        put(path / names[-1] / "1" / "model.onnx", bytes(data))
    with Gateway(config(names, path)) as gateway:
        equal(infer(gateway).status, 200)
        said = reasons(gateway)
        check(all(said[name][0] == "READY" or said[name][1] for name in names), said)
        equal(gateway.stop(), 0)


def test_what_comes_with_a_request_is_held_to_the_same():
    import base64
    path = folder()
    put(path / "plus" / "1" / "model.onnx", broken_models.GOOD)
    with Gateway(config(["plus"], path)) as gateway:
        until(lambda: reasons(gateway)["plus"][0] == "READY", "the model")
        for name, data, words in CASES:
            if words is None or not data:
                continue
            answer = gateway.post("/v2/repository/models/plus/load", {"parameters": {
                "config": "{}", "file:1/model.onnx": base64.b64encode(data).decode()}})
            check(answer.status >= 400, name, answer)
            if words != "no such file":
                check(words in answer.text(), name, "does not say", words, "but", answer.text())
        equal(infer(gateway).status, 200)
        equal(gateway.stop(), 0)


harness.run(globals())
