"""The Open Inference Protocol V2 over HTTP: every line of its checklist, and the visible ONNX models in each way tensors can be sent."""

import base64
import gzip
import http.client
import json
import math
import shutil
import struct
import zlib

import harness
from harness import Gateway, Mock, Stream, check, equal, until

ONNX = harness.SHARED / "data" / "onnx"
FORMATS = {"BOOL": "?", "UINT8": "B", "UINT16": "H", "UINT32": "I", "UINT64": "Q", "INT8": "b", "INT16": "h", "INT32": "i",
           "INT64": "q", "FP32": "f", "FP64": "d"}
ROW = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [0.5, -2, 3, 1]}]}


def scale(folder, versions=(1,)):
    """A folder of models with `scale`, which doubles rows of four."""
    for version in versions:
        (folder / "scale" / str(version)).mkdir(parents=True)
        shutil.copy(harness.ROOT / "tests" / "models" / "scale" / "1" / "model.onnx", folder / "scale" / str(version))
    return folder / "scale"


def first_input(gateway, model="scale"):
    return gateway.request("GET", f"/v2/models/{model}").json()["inputs"][0]


# --- tensors in each form ---


def nested(flat, shape):
    if len(shape) < 2:
        return flat
    step = len(flat) // shape[0] if shape[0] else 0
    return [nested(flat[i * step:(i + 1) * step], shape[1:]) for i in range(shape[0])]


def flat(data):
    return [value for part in data for value in flat(part)] if data and isinstance(data[0], list) else data


def to_bytes(datatype, data):
    if datatype == "BYTES":
        return b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in data)
    return struct.pack(f"<{len(data)}{FORMATS[datatype]}", *data)


def from_bytes(datatype, raw):
    if datatype != "BYTES":
        return list(struct.unpack(f"<{len(raw) // struct.calcsize(FORMATS[datatype])}{FORMATS[datatype]}", raw))
    result = []
    while raw:
        size = struct.unpack_from("<I", raw)[0]
        result.append(raw[4:4 + size].decode())
        raw = raw[4 + size:]
    return result


def binary(request):
    """The same request with every tensor behind the JSON, and all outputs wanted so: (body, fields)."""
    raw = b""
    inputs = []
    for tensor in request["inputs"]:
        data = to_bytes(tensor["datatype"], flat(tensor["data"]))
        inputs.append({**{k: v for k, v in tensor.items() if k != "data"}, "parameters": {"binary_data_size": len(data)}})
        raw += data
    head = json.dumps({**request, "inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    return head + raw, {"Inference-Header-Content-Length": str(len(head)), "Content-Type": "application/octet-stream"}


def read(answer):
    """The outputs of an answer, by name: (datatype, shape, flat data)."""
    length = answer.headers.get("Inference-Header-Content-Length")
    body = json.loads(answer.body[:int(length)] if length else answer.body)
    raw = answer.body[int(length):] if length else b""
    outputs = {}
    for tensor in body["outputs"]:
        size = tensor.get("parameters", {}).get("binary_data_size")
        data = tensor["data"] if size is None else from_bytes(tensor["datatype"], raw[:size])
        raw = raw[size or 0:]
        outputs[tensor["name"]] = (tensor["datatype"], tensor["shape"], data)
    equal(raw, b"", "bytes behind the last output:")
    return body, outputs


def close(got, wanted, tolerance):
    if isinstance(wanted, float) or isinstance(got, float):
        if wanted is None or isinstance(wanted, str):
            return got is None or not math.isfinite(got)
        return math.isclose(got, wanted, rel_tol=tolerance.get("rtol", 1e-3), abs_tol=max(tolerance.get("atol", 0), 1e-6))
    return got == wanted


def test_every_visible_model_answers_alike_however_its_tensors_come():
    if not ONNX.is_dir():
        harness.skip(f"no ONNX models at {ONNX}")
    manifest = {entry["name"]: entry for entry in json.loads((ONNX / "manifest.json").read_text())}
    models = "".join(f"  {name}: {{ path: {ONNX / 'models' / name} }}\n" for name in manifest)
    with Gateway(f"models:\n{models}") as gateway:
        for name, entry in manifest.items():
            if entry["ort_1_30_cpu"] == "no_kernel":
                answer = gateway.post(f"/v2/models/{name}/infer", (ONNX / "cases" / name / "request.json").read_bytes())
                equal(answer.status, 503, name)
                check("implementation" in answer.json()["error"], answer)
            if entry["ort_1_30_cpu"] != "ok":
                continue
            case = ONNX / "cases" / name
            request = json.loads((case / "request.json").read_text())
            wanted = {t["name"]: t for t in json.loads((case / "response.json").read_text())["outputs"]}
            path = f"/v2/models/{name}/infer"
            deep = {**request, "inputs": [{**t, "data": nested(flat(t["data"]), t["shape"])} for t in request["inputs"]]}
            level = {**request, "inputs": [{**t, "data": flat(t["data"])} for t in request["inputs"]]}
            body, fields = binary(request)
            answers = [gateway.post(path, level), gateway.post(path, deep), gateway.post(path, body, headers=fields)]
            for way, answer in zip(("flat", "nested", "binary"), answers):
                equal(answer.status, 200, name, way, answer.text()[:300])
                said, outputs = read(answer)
                equal(said["model_name"], name)
                equal(said.get("id"), request.get("id"), name, "the id:")
                equal(sorted(outputs), sorted(wanted), name, way, "outputs:")
                for output, tensor in wanted.items():
                    datatype, shape, data = outputs[output]
                    equal((datatype, shape), (tensor["datatype"], tensor["shape"]), name, way, output)
                    expected = flat(tensor["data"])
                    equal(len(data), len(expected), name, way, output, "elements:")
                    off = [(a, b) for a, b in zip(data, expected) if not close(a, b, entry.get("tol", {}))]
                    check(not off, name, way, output, "differs:", off[:3])


# --- what is told about server and models ---


def test_health_satisfies_the_specification_and_both_clients():
    folder = harness.folder()
    scale(folder)
    with Gateway(f"models:\n  scale: {{ path: {folder / 'scale'} }}\n") as gateway:
        for path in ("/v2/health/live", "/v2/health/ready"):
            answer = gateway.request("GET", path)
            equal((answer.status, answer.json()), (200, {"live": True, "ready": True}), path)
        equal(gateway.request("GET", "/v2/models/scale/ready").json(), {"name": "scale", "ready": True})
        equal(gateway.request("GET", "/v2/models/scale/versions/1/ready").status, 200)
        (folder / "scale" / "1" / "model.onnx").write_bytes(b"no model")
        equal(gateway.post("/v2/repository/models/scale/unload", {}).status, 200)
        failed = gateway.post("/v2/repository/models/scale/load", {})
        check(failed.status >= 400 and "scale" in failed.json()["error"], failed)
        not_ready = gateway.request("GET", "/v2/models/scale/ready")
        equal((not_ready.status, not_ready.json()["ready"]), (503, False))
        equal(gateway.request("GET", "/v2/health/live").status, 200)


def test_metadata_config_and_statistics_are_what_triton_s_clients_read():
    folder = harness.folder()
    scale(folder, (1, 3))
    with Gateway(f"models:\n  scale: {{ path: {folder / 'scale'}, serve: all }}\n") as gateway:
        server = gateway.request("GET", "/v2").json()
        equal(server["name"], "penstock")
        for extension in ("binary_tensor_data", "classification", "model_configuration", "model_repository", "schedule_policy", "statistics", "generate"):
            check(extension in server["extensions"], extension, "is missing in", server)
        metadata = gateway.request("GET", "/v2/models/scale").json()
        equal((metadata["name"], metadata["versions"], metadata["platform"]), ("scale", ["1", "3"], "onnxruntime_onnx"))
        config = gateway.request("GET", "/v2/models/scale/config").json()
        equal(config["name"], "scale")
        equal(config["backend"], "onnxruntime")
        equal(config["version_policy"], {"all": {}})
        equal(config["max_batch_size"], 0)
        equal(config["input"][0]["dims"], metadata["inputs"][0]["shape"])
        request = request_for(metadata)
        for version in ("1", "3", "3"):
            answer = gateway.post(f"/v2/models/scale/versions/{version}/infer", request)
            equal((answer.status, answer.json()["model_version"]), (200, version))
        one = gateway.request("GET", "/v2/models/scale/versions/3/stats").json()["model_stats"]
        equal(len(one), 1)
        equal((one[0]["version"], one[0]["inference_stats"]["success"]["count"]), ("3", 2))
        for phase in ("queue", "compute_input", "compute_infer", "compute_output", "fail", "cache_hit", "cache_miss"):
            check({"count", "ns"} <= set(one[0]["inference_stats"][phase]), phase)
        check(isinstance(one[0]["batch_stats"], list) and isinstance(one[0]["memory_usage"], list), one)
        equal(len(gateway.request("GET", "/v2/models/scale/stats").json()["model_stats"]), 2)
        equal(len(gateway.request("GET", "/v2/models/stats").json()["model_stats"]), 2)


def request_for(metadata):
    """A request of zeros for what the metadata declares; open dimensions are 1."""
    inputs = []
    for tensor in metadata["inputs"]:
        shape = [max(extent, 1) for extent in tensor["shape"]]
        inputs.append({"name": tensor["name"], "shape": shape, "datatype": tensor["datatype"], "data": [0] * math.prod(shape)})
    return {"inputs": inputs}


def test_versions_that_do_not_exist_and_other_methods_are_refused():
    folder = harness.folder()
    scale(folder)
    with Gateway(f"models:\n  scale: {{ path: {folder / 'scale'} }}\n") as gateway:
        for path in ("/v2/models/none", "/v2/models/scale/versions/9", "/v2/models/scale/versions/x/ready", "/v2/models/none/config", "/v2/models/none/stats"):
            answer = gateway.request("GET", path)
            equal(answer.status, 404, path)
            check(answer.json()["error"], path)
        equal(gateway.post("/v2/models/scale/versions/9/infer", ROW).status, 404)
        for method, path in (("GET", "/v2/models/scale/infer"), ("POST", "/v2/health/live"), ("GET", "/v2/repository/index"), ("PUT", "/v2/models/scale")):
            answer = gateway.request(method, path)
            equal(answer.status, 405, method, path)
            check(answer.headers.get("allow") and answer.json()["error"], answer)


# --- infer ---


def test_outputs_identifiers_and_classes_come_as_asked_for():
    folder = harness.folder()
    scale(folder)
    with Gateway(f"models:\n  scale: {{ path: {folder / 'scale'} }}\n") as gateway:
        metadata = gateway.request("GET", "/v2/models/scale").json()
        name = metadata["outputs"][0]["name"]
        request = request_for(metadata)
        request["inputs"][0]["data"][-1] = 1
        for identifier in ("7", "", "\u00e9\"\\\n"):
            equal(gateway.post("/v2/models/scale/infer", {**request, "id": identifier}).json()["id"], identifier)
        check("id" not in gateway.post("/v2/models/scale/infer", request).json(), "an id nobody gave")
        busy = {**request, "parameters": {"priority": 1, "timeout": 10_000_000, "sequence_id": 5, "sequence_start": True, "anything": {"at": ["all"]}}}
        equal(gateway.post("/v2/models/scale/infer", busy).status, 200)
        asked = {**request, "outputs": [{"name": name, "parameters": {"classification": 2}}]}
        output = gateway.post("/v2/models/scale/infer", asked).json()["outputs"][0]
        equal((output["datatype"], len(output["data"])), ("BYTES", min(2, math.prod(request["inputs"][0]["shape"]))))
        place = len(request["inputs"][0]["data"]) - 1
        check(output["data"][0].endswith(f":{place}"), output)
        values = request["inputs"][0]["data"]
        raw = gateway.post("/v2/models/scale/infer", to_bytes(request["inputs"][0]["datatype"], values), headers={"Inference-Header-Content-Length": "0"})
        equal(raw.status, 200, raw)
        whole = gateway.post("/v2/models/scale/infer", request)
        equal(read(raw)[1][name][2], [float(v) for v in read(whole)[1][name][2]])


def test_bodies_come_and_go_compressed():
    folder = harness.folder()
    scale(folder)
    with Gateway(f"models:\n  scale: {{ path: {folder / 'scale'} }}\ncompression: {{ min_bytes: 16 }}\n") as gateway:
        body = json.dumps(request_for(gateway.request("GET", "/v2/models/scale").json())).encode()
        for coding, pack, unpack in (("gzip", gzip.compress, gzip.decompress), ("deflate", zlib.compress, zlib.decompress)):
            answer = gateway.post("/v2/models/scale/infer", pack(body), headers={"Content-Encoding": coding, "Accept-Encoding": coding})
            equal((answer.status, answer.headers.get("content-encoding")), (200, coding), answer)
            equal(json.loads(unpack(answer.body))["model_name"], "scale")
            cut = gateway.post("/v2/models/scale/infer", pack(body)[:-6], headers={"Content-Encoding": coding})
            check(cut.status == 400 and cut.json()["error"], cut)
        bomb = gateway.post("/v2/models/scale/infer", gzip.compress(b" " * (400 << 20), 9), headers={"Content-Encoding": "gzip"})
        check(bomb.status in (400, 413) and bomb.json()["error"], bomb)
        equal(gateway.post("/v2/models/scale/infer", body, headers={"Content-Encoding": "compress"}).status, 415)


def spoilt(request):
    """(what is wrong, body, a word its error has)"""
    tensor = request["inputs"][0]

    def with_input(**change):
        return {"inputs": [{**tensor, **change}]}

    count = len(tensor["data"])
    yield "a wrong name", with_input(name="nobody"), "'x' is missing"
    yield "no inputs", {}, "inputs"
    yield "a missing input", {"inputs": []}, "missing"
    yield "an extra input", {"inputs": [tensor, {**tensor, "name": "more"}]}, "more"
    yield "an input twice", {"inputs": [tensor, tensor]}, "twice"
    yield "a wrong datatype", with_input(datatype="INT64"), "datatype"
    yield "an unknown datatype", with_input(datatype="FLOAT"), "FLOAT"
    yield "too few elements", with_input(data=tensor["data"][:-1]), "elements"
    yield "too many elements", with_input(data=tensor["data"] + [0]), "elements"
    yield "a wrong rank", with_input(shape=[*tensor["shape"], 1]), "shape"
    yield "a negative dimension", with_input(shape=[-1]), "negative"
    yield "an overflowing product", with_input(shape=[2**32, 2**32]), "elements"
    yield "a dimension beyond 64 bits", with_input(shape=[2**70]), "whole number"
    yield "text for numbers", with_input(data=["1"] * count), "number"
    yield "an object for data", with_input(data={}), "array"
    yield "a number out of range", with_input(data=[1e300] * count), "range"
    yield "NaN", json.dumps(with_input()).replace("0]", "NaN]").encode(), "byte"
    yield "an unknown output", {**request, "outputs": [{"name": "none"}]}, "none"
    yield "an output twice", {**request, "outputs": [{"name": "y"}, {"name": "y"}]}, "y"
    yield "no JSON", b"{", "invalid inference request"
    yield "an empty body", b"", "empty"
    yield "an array", b"[]", "object"
    yield "a priority below 0", {**request, "parameters": {"priority": -1}}, "priority"
    yield "a timeout in words", {**request, "parameters": {"timeout": "soon"}}, "timeout"
    yield "shared memory", with_input(parameters={"shared_memory_region": "r", "shared_memory_byte_size": 4}), "shared_memory_region"


def test_bad_input_is_refused_with_words_that_help():
    folder = harness.folder()
    scale(folder)
    with Gateway(f"models:\n  scale: {{ path: {folder / 'scale'} }}\n") as gateway:
        request = request_for(gateway.request("GET", "/v2/models/scale").json())
        for what, body, word in spoilt(request):
            answer = gateway.post("/v2/models/scale/infer", body)
            equal(answer.status, 400, what, answer)
            check(word.lower() in answer.json()["error"].lower(), what, answer)
        body, fields = binary(request)
        length = int(fields["Inference-Header-Content-Length"])
        for what, sent, header in (("a cut body", body[:-1], length), ("bytes too many", body + b"x", length), ("a length beyond the body", body, len(body) + 1),
                                   ("a length within the JSON", body, length - 1), ("a length in words", body, "all"), ("a negative length", body, -1)):
            answer = gateway.post("/v2/models/scale/infer", sent, headers={"Inference-Header-Content-Length": str(header)})
            check(answer.status == 400 and answer.json()["error"], what, answer)
        equal(gateway.post("/v2/models/scale/infer", request).status, 200)


def test_a_client_that_leaves_harms_nobody():
    folder = harness.folder()
    scale(folder)
    with Gateway(f"models:\n  scale: {{ path: {folder / 'scale'} }}\n") as gateway:
        request = json.dumps(request_for(gateway.request("GET", "/v2/models/scale").json())).encode()
        for _ in range(20):
            connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=5)
            connection.request("POST", "/v2/models/scale/infer", request, {"Content-Type": "application/json"})
            connection.close()
        equal(gateway.post("/v2/models/scale/infer", request).status, 200)


# --- repository ---


def test_models_are_listed_unloaded_and_loaded():
    folder = harness.folder()
    scale(folder)
    with Gateway(f"models:\n  scale: {{ path: {folder / 'scale'} }}\n") as gateway:
        def index(body):
            return gateway.post("/v2/repository/index", body).json()
        equal(index(None), [{"name": "scale", "version": "1", "state": "READY", "reason": ""}])
        equal(gateway.post("/v2/repository/models/scale/unload", {"parameters": {"unload_dependents": True}}).status, 200)
        equal(index({"ready": True}), [])
        listed = index({})
        equal((listed[0]["state"], bool(listed[0]["reason"])), ("UNAVAILABLE", True))
        equal(gateway.post("/v2/models/scale/infer", ROW).status, 503)
        equal(gateway.post("/v2/repository/models/scale/load", b"").status, 200)
        equal(index({"ready": True})[0]["state"], "READY")
        for path in ("/v2/repository/models/none/load", "/v2/repository/models/none/unload"):
            equal(gateway.post(path, {}).status, 404)
        model = base64.b64encode((harness.ROOT / "tests" / "models" / "scale" / "1" / "model.onnx").read_bytes()).decode()
        for parameters, word in (({"file:../1/model.onnx": model, "config": "{}"}, "VERSION/NAME"), ({"file:1/model.onnx": "%", "config": "{}"}, "base64"),
                                 ({"file:1/model.onnx": model}, "config"), ({"config": {}}, "string")):
            answer = gateway.post("/v2/repository/models/scale/load", {"parameters": parameters})
            check(answer.status == 400 and word in answer.json()["error"], answer)
        for path in ("/v2/systemsharedmemory/status", "/v2/trace/setting"):
            equal(gateway.request("GET", path).status, 501)


def test_loading_takes_a_key_that_may_administer():
    folder = harness.folder()
    scale(folder)
    keys = "keys: [ { name: app, secret: sk-oip-app-0123456789, can: [infer] }, { name: boss, secret: sk-oip-boss-0123456789, can: [admin] } ]\n"
    with Gateway(f"models:\n  scale: {{ path: {folder / 'scale'} }}\n{keys}") as gateway:
        path = "/v2/repository/models/scale/load"
        equal(gateway.post(path, {}).status, 401)
        denied = gateway.post(path, {}, "sk-oip-app-0123456789")
        equal(denied.status, 403)
        check("admin" in denied.json()["error"], denied)
        equal(gateway.post(path, {}, "sk-oip-boss-0123456789").status, 200)
        equal(gateway.request("GET", "/v2/models/scale").status, 401)
        equal(gateway.request("GET", "/v2/health/ready").status, 200, "health needs no key:")


# --- generate ---


def test_language_models_generate():
    with Mock() as mock:
        config = f"providers:\n  lab: {{ type: openai, base_url: {mock.url} }}\nmodels:\n  chat: {{ route: [ lab/small ] }}\n"
        with Gateway(config) as gateway:
            body = {"id": "42", "text_input": "hello", "parameters": {"max_tokens": 32, "temperature": 0, "details": True}}
            answer = gateway.post("/v2/models/chat/generate", body)
            equal(answer.status, 200, answer)
            said = answer.json()
            equal((said["id"], said["model_name"], said["model_version"]), ("42", "chat", "1"))
            check(said["text_output"] and said["details"]["finish_reason"] in ("eos_token", "length", "stop_sequence"), said)
            sent = mock.last()
            check("max" in json.dumps(sent) and "hello" in json.dumps(sent), sent)
            with Stream(gateway.port, "/v2/models/chat/versions/1/generate_stream", {"text_input": "hello"}) as stream:
                equal(stream.status, 200)
                check(stream.headers.get("content-type").startswith("text/event-stream"), stream.headers)
                pieces = [json.loads(event)["text_output"] for _, event in stream.events() if event]
            check(len(pieces) > 1, pieces)
            wrong = gateway.post("/v2/models/chat/generate", {"text_input": "x", "parameters": {"max_tokens": 0}})
            equal(wrong.status, 422)
            check("max_tokens" in wrong.json()["error"], wrong)
            equal(gateway.post("/v2/models/none/generate", {"text_input": "x"}).status, 404)
            equal(gateway.post("/v2/models/chat/versions/2/generate", {"text_input": "x"}).status, 404)
            equal(gateway.request("GET", "/v2/models/chat/generate").status, 405)


if __name__ == "__main__":
    if "onnx" not in harness.command("--version")[1]:
        harness.skip("ONNX Runtime is not installed; ./dev setup test fetches it")
    harness.run(globals())
