"""The Open Inference Protocol over gRPC with the clients people use: grpcio, tritonclient, KServe's. Runs itself with the
Python that has them."""

import concurrent.futures
import json
import os
import random
import struct
import subprocess
import sys
import threading
import time

import harness
from harness import check, equal, until

try:
    import grpc
    import numpy
    import tritonclient.grpc as triton
    from tritonclient.grpc import service_pb2 as pb
    from tritonclient.grpc import service_pb2_grpc as stubs
    from tritonclient.utils import InferenceServerException
except ImportError:
    grpc = None

PYTHON = harness.ROOT / ".cache" / "venv" / "bin" / "python"
MODELS = harness.ROOT / "tests" / "models"
CASES = harness.SHARED / "data" / "onnx"
LISTEN = '{ address: "127.0.0.1:0", h2c: true }'
LOCAL = f"models: {{ scale: {{ path: {MODELS}/scale, serve: all }}, slow: {{ path: {MODELS}/slow }}, all: {{ path: {MODELS}/identity }} }}\n"
OPTIONS = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]

KINDS = {"bool": "BOOL", "u8": "UINT8", "u16": "UINT16", "u32": "UINT32", "u64": "UINT64", "i8": "INT8", "i16": "INT16",
         "i32": "INT32", "i64": "INT64", "f16": "FP16", "f32": "FP32", "f64": "FP64", "bf16": "BF16", "bytes": "BYTES"}
PACK = {"BOOL": "?", "UINT8": "B", "UINT16": "H", "UINT32": "I", "UINT64": "Q", "INT8": "b", "INT16": "h", "INT32": "i",
        "INT64": "q", "FP16": "e", "FP32": "f", "FP64": "d"}
FIELDS = {"BOOL": "bool_contents", "INT8": "int_contents", "INT16": "int_contents", "INT32": "int_contents",
          "INT64": "int64_contents", "UINT8": "uint_contents", "UINT16": "uint_contents", "UINT32": "uint_contents",
          "UINT64": "uint64_contents", "FP32": "fp32_contents", "FP64": "fp64_contents", "BYTES": "bytes_contents"}


def gateway(more="", **how):
    return harness.Gateway(LOCAL + more, listen=how.pop("listen", LISTEN), **how)


def channel(gate, **how):
    return grpc.insecure_channel(f"127.0.0.1:{gate.port}", options=OPTIONS, **how)


def stub(gate, **how):
    return stubs.GRPCInferenceServiceStub(channel(gate, **how))


def pack(datatype, values):
    if datatype == "BYTES":
        parts = [v if isinstance(v, bytes) else str(v).encode() for v in values]
        return b"".join(struct.pack("<I", len(part)) + part for part in parts)
    return struct.pack(f"<{len(values)}{PACK[datatype]}", *values)


def unpack(datatype, raw):
    if datatype == "BYTES":
        values, at = [], 0
        while at < len(raw):
            size = struct.unpack_from("<I", raw, at)[0]
            values.append(raw[at + 4:at + 4 + size].decode())
            at += 4 + size
        return values
    return list(struct.unpack(f"<{len(raw) // struct.calcsize(PACK[datatype])}{PACK[datatype]}", raw))


def scale_request(rows=1, **more):
    request = pb.ModelInferRequest(model_name="scale", **more)
    request.inputs.add(name="x", datatype="FP32", shape=[rows, 4])
    request.raw_input_contents.append(pack("FP32", [float(i) for i in range(rows * 4)]))
    return request


def slow_request(times, size=64, **more):
    request = pb.ModelInferRequest(model_name="slow", **more)
    request.inputs.add(name="times", datatype="INT64", shape=[1])
    request.raw_input_contents.append(pack("INT64", [times]))
    request.inputs.add(name="x", datatype="FP32", shape=[size, size])
    request.raw_input_contents.append(pack("FP32", [0.5] * (size * size)))
    return request


def refused(code, call, *says):
    """`call` fails with this status and a message that says all of these."""
    try:
        call()
    except grpc.RpcError as error:
        equal(error.code(), code, error.details())
        for text in says:
            check(text in error.details(), error.details(), "does not say", text)
        return error
    raise harness.Failure(f"not refused with {code}")


def test_triton_client_reads_what_there_is():
    with gateway() as gate:
        client = triton.InferenceServerClient(f"127.0.0.1:{gate.port}")
        check(client.is_server_live() and client.is_server_ready() and client.is_model_ready("scale"))
        check(not client.is_model_ready("nope") and not client.is_model_ready("scale", "9"))
        metadata = client.get_server_metadata()
        equal(metadata.name, "penstock")
        check("statistics" in metadata.extensions and "model_repository" in metadata.extensions)
        model = client.get_model_metadata("scale")
        equal((list(model.versions), model.platform), (["1", "2"], "onnxruntime_onnx"))
        equal([(t.name, t.datatype, list(t.shape)) for t in model.inputs], [("x", "FP32", [-1, 4])])
        config = client.get_model_config("scale").config
        equal((config.name, config.backend, config.max_batch_size), ("scale", "onnxruntime", 0))
        equal([(t.name, t.data_type, list(t.dims)) for t in config.output], [("y", 11, [-1, 4]), ("total", 11, [])])
        index = client.get_model_repository_index()
        equal({(m.name, m.version, m.state) for m in index.models if m.name == "scale"},
              {("scale", "1", "READY"), ("scale", "2", "READY")})


def test_triton_client_infers_and_sees_it_counted():
    with gateway() as gate:
        client = triton.InferenceServerClient(f"127.0.0.1:{gate.port}")
        x = numpy.arange(8, dtype=numpy.float32).reshape(2, 4)
        one = triton.InferInput("x", [2, 4], "FP32")
        one.set_data_from_numpy(x)
        result = client.infer("scale", [one], model_version="1", request_id="abc", priority=1, timeout=1_000_000)
        equal(result.get_response().id, "abc")
        equal((result.get_response().model_name, result.get_response().model_version), ("scale", "1"))
        check(numpy.array_equal(result.as_numpy("y"), 2 * x + 1))
        only = client.infer("scale", [one], outputs=[triton.InferRequestedOutput("total")])
        equal([o.name for o in only.get_response().outputs], ["total"])
        classes = client.infer("scale", [one], outputs=[triton.InferRequestedOutput("y", class_count=2)])
        top = [text.decode().split(":") for text in classes.as_numpy("y").flatten()]
        equal([int(place) for _, place in top][:2], [7, 6])
        done = threading.Event()
        client.async_infer("scale", [one], callback=lambda result, error: done.set() if error is None else None)
        check(done.wait(harness.PATIENCE), "no answer to async_infer")
        stats = client.get_inference_statistics("scale", "1").model_stats
        equal([(s.name, s.version, s.inference_stats.success.count) for s in stats], [("scale", "1", 1)])
        equal(sum(s.inference_stats.success.count for s in client.get_inference_statistics("scale").model_stats), 4)
        until(lambda: gate.metric("penstock_requests_total", api="oip_grpc") == 6, "six requests in the metrics")


def test_every_datatype_comes_back_as_it_went():
    values = {"BOOL": [True, False, True], "BYTES": [b"", b"\xff\xfe", "ä".encode()], "BF16": None}
    with gateway() as gate:
        request = pb.ModelInferRequest(model_name="all")
        for name, kind in KINDS.items():
            request.inputs.add(name=name, datatype=kind, shape=[3])
            raw = struct.pack("<3H", 1, 0x3F80, 0xFFFF) if kind == "BF16" else pack(kind, values.get(kind, [0, 1, 77]))
            request.raw_input_contents.append(raw)
        answer = stub(gate).ModelInfer(request)
        equal([o.datatype for o in answer.outputs], list(KINDS.values()))
        equal(list(answer.raw_output_contents), list(request.raw_input_contents))


def expect_case(name, answer, wanted, tolerance):
    equal((answer.model_name, answer.id), (wanted["model_name"], wanted["id"]), name)
    equal([(o.name, o.datatype, list(o.shape)) for o in answer.outputs],
          [(o["name"], o["datatype"], o["shape"]) for o in wanted["outputs"]], name)
    for output, raw in zip(wanted["outputs"], answer.raw_output_contents):
        got, data = unpack(output["datatype"], raw), output["data"]
        if output["datatype"].startswith("FP"):
            check(numpy.allclose(got, data, **tolerance, equal_nan=True), name, output["name"], got[:8], data[:8])
        else:
            equal(got, data, name, output["name"])


def test_every_onnx_case_in_raw_and_typed_contents():
    if not CASES.is_dir():
        harness.skip(f"no cases at {CASES}")
    names = sorted(folder.name for folder in (CASES / "cases").iterdir())
    tolerances = {model["name"]: model["tol"] for model in json.loads((CASES / "manifest.json").read_text())}
    places = {name: CASES / "models" / name for name in names}
    for name in names:
        if not places[name].exists():
            places[name] = next((CASES / "models").glob(f"{name}*"))
    with harness.Gateway("models:\n" + "".join(f"  {n}: {{ path: {p} }}\n" for n, p in places.items()), listen=LISTEN) as gate:
        service = stub(gate)
        # Runtimes may lack the kernel of an old operator, machines a locale.
        reasons = {m.name: m.reason for m in service.RepositoryIndex(pb.RepositoryIndexRequest()).models if m.state != "READY"}
        for reason in reasons.values():
            check("Could not find an implementation" in reason or "locale" in reason, reason)
        ready = [n for n in names if n not in reasons]
        check(len(ready) > 20, reasons)
        for name in ready:
            asked = json.loads((CASES / "cases" / name / "request.json").read_text())
            wanted = json.loads((CASES / "cases" / name / "response.json").read_text())
            for typed in (False, True):
                request = pb.ModelInferRequest(model_name=name, id=asked.get("id", ""))
                for tensor in asked["inputs"]:
                    data = tensor["data"]
                    one = request.inputs.add(name=tensor["name"], datatype=tensor["datatype"], shape=tensor["shape"])
                    if not typed:
                        request.raw_input_contents.append(pack(tensor["datatype"], data))
                    elif tensor["datatype"] == "BYTES":
                        one.contents.bytes_contents.extend(v.encode() for v in data)
                    else:
                        getattr(one.contents, FIELDS[tensor["datatype"]]).extend(data)
                for output in asked.get("outputs", []):
                    request.outputs.add(name=output["name"])
                expect_case(name, service.ModelInfer(request), wanted, tolerances[name])


def test_large_tensors_both_ways():
    rows = 700_000  # 11 MB
    with gateway() as gate:
        x = numpy.arange(rows * 4, dtype=numpy.float32).reshape(rows, 4)
        request = pb.ModelInferRequest(model_name="scale", model_version="2")
        request.inputs.add(name="x", datatype="FP32", shape=[rows, 4])
        request.raw_input_contents.append(x.tobytes())
        service = stub(gate)
        for _ in range(3):
            answer = service.ModelInfer(request, timeout=60)
            check(numpy.array_equal(numpy.frombuffer(answer.raw_output_contents[0], numpy.float32), (3 * x + 1).flatten()))


def test_compressed_messages():
    with gateway() as gate:
        for kind in (grpc.Compression.Gzip, grpc.Compression.Deflate):
            request = pb.ModelInferRequest(model_name="scale", model_version="2")
            request.inputs.add(name="x", datatype="FP32", shape=[5000, 4])
            request.raw_input_contents.append(bytes(80_000))
            answer = stub(gate, compression=kind).ModelInfer(request, timeout=30, metadata=[("x-request-id", kind.name)])
            equal(unpack("FP32", answer.raw_output_contents[0]), [1.0] * 20_000)
            line = json.loads(until(lambda: next((l for l in gate.log().splitlines() if f'"id":"{kind.name}"' in l), None), "its line in the log"))
            check(line["bytes_in"] > 80_000 and line["bytes_out"] < 5000, line)


def test_64_calls_at_a_time():
    with gateway() as gate:
        service = stub(gate)
        with concurrent.futures.ThreadPoolExecutor(64) as pool:
            answers = list(pool.map(lambda i: service.ModelInfer(scale_request(1 + i % 7, id=str(i)), timeout=60), range(1000)))
        equal([a.id for a in answers], [str(i) for i in range(1000)])
        for i, answer in enumerate(answers):
            equal(list(answer.outputs[0].shape), [1 + i % 7, 4])


def test_a_stream_answers_in_order_and_outlives_errors():
    with gateway() as gate:
        requests = [slow_request(3000, id="0"), scale_request(id="1"), scale_request(id="2", model_version="9"),
                    pb.ModelInferRequest(model_name="nope", id="3"), scale_request(id="4"),
                    pb.ModelInferRequest(model_name="scale", id="5"), scale_request(5000, id="6")]
        answers = list(stub(gate).ModelStreamInfer(iter(requests), timeout=60))
        equal([a.infer_response.id for a in answers], [str(i) for i in range(7)])
        equal([bool(a.error_message) for a in answers], [False, False, True, True, False, True, False])
        check("nope" in answers[3].error_message and "'x' is missing" in answers[5].error_message, answers[5].error_message)
        check(all(a.infer_response.parameters["triton_final_response"].bool_param for a in answers))
        equal(len(answers[6].infer_response.raw_output_contents[0]), 5000 * 16)


def test_a_stream_of_tritons_client():
    with gateway() as gate:
        client = triton.InferenceServerClient(f"127.0.0.1:{gate.port}")
        one = triton.InferInput("x", [1, 4], "FP32")
        one.set_data_from_numpy(numpy.ones((1, 4), numpy.float32))
        got = []
        client.start_stream(lambda result, error: got.append(error or result.get_response().id))
        for i in range(500):
            client.async_stream_infer("scale", [one], request_id=str(i))
        until(lambda: len(got) == 500, "500 answers")
        client.stop_stream()
        equal(got, [str(i) for i in range(500)])


def test_a_stream_may_ask_for_a_status_instead_of_errors():
    with gateway() as gate:
        requests = [scale_request(id="1"), pb.ModelInferRequest(model_name="nope", id="2"), scale_request(id="3")]
        answers = stub(gate).ModelStreamInfer(iter(requests), metadata=[("triton_grpc_error", "true")], timeout=30)
        equal(next(answers).infer_response.id, "1")
        refused(grpc.StatusCode.NOT_FOUND, lambda: next(answers), "nope")


def test_a_stream_that_is_not_read_holds_its_requests_back():
    sent = []

    def requests():
        for i in range(2000):
            sent.append(i)
            yield scale_request(20_000, id=str(i))  # 320 KB each way

    with gateway() as gate:
        answers = stub(gate).ModelStreamInfer(requests(), timeout=100)
        equal(next(answers).infer_response.id, "0")
        count = 0
        while count != len(sent):  # until no more are taken
            count = len(sent)
            time.sleep(0.5)
        check(count < 1000, "all was taken though nobody reads:", count)
        check(resident(gate.pid) < 400_000_000, "memory of the gateway:", resident(gate.pid))
        for i in range(1, 60):
            equal(next(answers).infer_response.id, str(i))
        check(until(lambda: len(sent) > count, "more requests"))
        answers.cancel()


def resident(pid):
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_an_idle_stream_stays_open():
    with gateway("http: { body_timeout: 1s, idle_timeout: 1s }\n") as gate:
        gate_open = threading.Event()

        def requests():
            yield scale_request(id="1")
            gate_open.wait(30)
            yield scale_request(id="2")

        answers = stub(gate).ModelStreamInfer(requests(), timeout=60)
        equal(next(answers).infer_response.id, "1")
        time.sleep(2.5)
        gate_open.set()
        equal([a.infer_response.id for a in answers], ["2"])


def test_a_call_given_up_leaves_the_gateway_well():
    with gateway() as gate:
        service = stub(gate)
        call = service.ModelInfer.future(slow_request(20_000))
        time.sleep(0.2)
        call.cancel()
        answers = service.ModelStreamInfer(iter([slow_request(20_000, id=str(i)) for i in range(5)]))
        time.sleep(0.2)
        answers.cancel()
        equal(unpack("FP32", service.ModelInfer(scale_request(), timeout=60).raw_output_contents[1]), [6.0])
        until(lambda: '"status":499' in gate.log(), "calls given up in the access log", 60)


def test_deadlines():
    with gateway() as gate:
        service = stub(gate)
        refused(grpc.StatusCode.DEADLINE_EXCEEDED, lambda: service.ModelInfer(slow_request(50_000), timeout=0.2))
        refused(grpc.StatusCode.DEADLINE_EXCEEDED, lambda: list(service.ModelStreamInfer(iter([slow_request(50_000)]), timeout=0.2)))
        equal(unpack("FP32", service.ModelInfer(scale_request(), timeout=60).raw_output_contents[1]), [6.0])


def test_what_is_wrong_is_said():
    with gateway() as gate:
        service = stub(gate)
        code = grpc.StatusCode

        def infer(change):
            request = scale_request()
            change(request)
            return lambda: service.ModelInfer(request)

        refused(code.NOT_FOUND, infer(lambda r: setattr(r, "model_name", "nope")), "nope")
        refused(code.NOT_FOUND, infer(lambda r: setattr(r, "model_version", "9")), "9")
        refused(code.INVALID_ARGUMENT, infer(lambda r: r.inputs[0].shape.append(2)), "'x'")
        refused(code.INVALID_ARGUMENT, infer(lambda r: setattr(r.inputs[0], "datatype", "FP64")), "'x'", "FP64")
        refused(code.INVALID_ARGUMENT, infer(lambda r: setattr(r.inputs[0], "name", "ä%")), "'x' is missing")
        refused(code.INVALID_ARGUMENT, infer(lambda r: r.raw_input_contents.append(b"")), "raw_input_contents")
        refused(code.INVALID_ARGUMENT, infer(lambda r: r.inputs[0].contents.fp32_contents.append(1)), "one of the two")
        refused(code.INVALID_ARGUMENT, infer(lambda r: r.outputs.add(name="ä")), "unknown output 'ä'")
        refused(code.INVALID_ARGUMENT, infer(lambda r: r.parameters["priority"].__setattr__("string_param", "x")), "priority")
        refused(code.INVALID_ARGUMENT, infer(lambda r: r.inputs.add(name="x", datatype="FP32", shape=[0])), "raw_input_contents")
        refused(code.NOT_FOUND, lambda: service.ModelMetadata(pb.ModelMetadataRequest(name="nope")))
        refused(code.NOT_FOUND, lambda: service.ModelConfig(pb.ModelConfigRequest(name="nope")))
        refused(code.NOT_FOUND, lambda: service.ModelStatistics(pb.ModelStatisticsRequest(name="nope")))
        refused(code.UNIMPLEMENTED, lambda: service.CudaSharedMemoryStatus(pb.CudaSharedMemoryStatusRequest()), "CudaSharedMemoryStatus")
        raw = channel(gate).unary_unary("/inference.GRPCInferenceService/ModelInfer")
        refused(code.INVALID_ARGUMENT, lambda: raw(b"\x0a\xff"), "protobuf")
        unknown = channel(gate).unary_unary("/no.Such/Service")
        refused(code.UNIMPLEMENTED, lambda: unknown(b""))
        until(lambda: '"api":"oip_grpc","route":"/inference.GRPCInferenceService/ModelInfer"' in gate.log() and '"status":404' in gate.log(),
              "the status in the access log")


def outcome(call, message):
    try:
        return pb.ModelInferResponse.FromString(call(message, timeout=30))
    except grpc.RpcError as error:
        return error


def seeds():
    typed = pb.ModelInferRequest(model_name="scale", id="typed")
    typed.inputs.add(name="x", datatype="FP32", shape=[2, 4]).contents.fp32_contents.extend([0.5] * 8)
    wanting = scale_request(id="wanting")
    wanting.outputs.add(name="y").parameters["classification"].int64_param = 2
    wanting.parameters["priority"].uint64_param = 1
    return [scale_request(id="raw").SerializeToString(), typed.SerializeToString(), wanting.SerializeToString()]


def test_messages_are_read_as_googles_library_reads_them():
    """Random changes of good messages: what the library cannot read we refuse; what it can read is answered as the same
    message written out by it is. We may be stricter: groups, which proto3 does not have, and something wrong that is said
    better a second time."""
    random.seed(7)
    counts = {"both refuse": 0, "both read": 0, "stricter": 0}
    with gateway() as gate:
        call = channel(gate).unary_unary("/inference.GRPCInferenceService/ModelInfer")
        for i in range(1500):
            changed = bytearray(random.choice(seeds()))
            for _ in range(random.choice((1, 1, 1, 2))):
                at = random.randrange(len(changed))
                kind = random.choice((0, 0, 0, 0, 0, 1, 2, 3))
                if kind == 0:
                    changed[at] = random.randrange(256)
                elif kind == 1:
                    del changed[at]
                elif kind == 2:
                    changed.insert(at, random.randrange(256))
                else:
                    changed[at:at] = changed[at:at + random.randint(1, 20)]
            ours = outcome(call, bytes(changed))
            refused_by_us = isinstance(ours, grpc.RpcError)
            if refused_by_us:
                check(ours.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.OUT_OF_RANGE), ours)
            try:
                read = pb.ModelInferRequest.FromString(bytes(changed))
            except Exception:
                check(refused_by_us, "taken, but no protobuf:", bytes(changed))
                counts["both refuse"] += 1
                continue
            theirs = outcome(call, read.SerializeToString())
            if not refused_by_us:
                equal(ours, theirs, bytes(changed))
            same = not refused_by_us or isinstance(theirs, grpc.RpcError) and theirs.code() == ours.code()
            counts["both read" if same else "stricter"] += 1
    check(counts["both read"] > 300 and counts["both refuse"] > 300 and counts["stricter"] < 75, counts)


def test_other_protocols_are_told():
    with gateway() as gate:
        path = "/inference.GRPCInferenceService/ModelInfer"
        answer = gate.post(path, b"\0\0\0\0\0", headers={"Content-Type": "application/grpc"})
        equal(answer.status, 505)
        check("HTTP/2" in answer.json()["error"], answer)


def test_keys_scopes_and_limits():
    keys = """
keys:
  - { name: any, secret: sk-grpc-any-00000001 }
  - { name: narrow, secret: sk-grpc-narrow-000001, models: [slow] }
  - { name: other, secret: sk-grpc-other-0000001, apis: [openai] }
  - { name: admin, secret: sk-grpc-admin-0000001, can: [infer, admin] }
  - { name: few, secret: sk-grpc-few-000000001, limits: { rpm: 3 } }
"""

    def by(secret):
        return [("authorization", f"Bearer {secret}")]

    with gateway(keys) as gate:
        service = stub(gate)
        code = grpc.StatusCode
        refused(code.UNAUTHENTICATED, lambda: service.ModelInfer(scale_request()))
        refused(code.UNAUTHENTICATED, lambda: service.ModelInfer(scale_request(), metadata=by("sk-wrong-0000000001")))
        refused(code.UNAUTHENTICATED, lambda: list(service.ModelStreamInfer(iter([scale_request()]))))
        check(service.ServerLive(pb.ServerLiveRequest()).live)
        service.ModelInfer(scale_request(), metadata=by("sk-grpc-any-00000001"))
        service.ModelInfer(scale_request(), metadata=[("x-api-key", "sk-grpc-any-00000001")])
        refused(code.PERMISSION_DENIED, lambda: service.ModelInfer(scale_request(), metadata=by("sk-grpc-narrow-000001")), "scale")
        refused(code.PERMISSION_DENIED, lambda: service.ModelInfer(scale_request(), metadata=by("sk-grpc-other-0000001")))
        said = list(service.ModelStreamInfer(iter([scale_request(id="1")]), metadata=by("sk-grpc-narrow-000001")))
        check(len(said) == 1 and "may not use the model" in said[0].error_message, said)
        names = {m.name for m in service.RepositoryIndex(pb.RepositoryIndexRequest(), metadata=by("sk-grpc-narrow-000001")).models}
        equal(names, {"slow"})
        unload = pb.RepositoryModelUnloadRequest(model_name="slow")
        refused(code.PERMISSION_DENIED, lambda: service.RepositoryModelUnload(unload, metadata=by("sk-grpc-any-00000001")), "admin")
        service.RepositoryModelUnload(unload, metadata=by("sk-grpc-admin-0000001"))
        # Each request of a stream counts as one.
        said = list(service.ModelStreamInfer(iter([scale_request(id=str(i)) for i in range(5)]), metadata=by("sk-grpc-few-000000001")))
        equal([bool(a.error_message) for a in said], [False, False, False, True, True], said)
        refused(code.RESOURCE_EXHAUSTED, lambda: service.ModelInfer(scale_request(), metadata=by("sk-grpc-few-000000001")))


def test_models_are_unloaded_and_loaded():
    with gateway() as gate:
        client = triton.InferenceServerClient(f"127.0.0.1:{gate.port}")
        client.unload_model("scale")
        check(not client.is_model_ready("scale"))
        refused(grpc.StatusCode.UNAVAILABLE, lambda: stub(gate).ModelInfer(scale_request()))
        client.load_model("scale")
        check(client.is_model_ready("scale"))
        try:
            client.load_model("nope")
            raise harness.Failure("an unknown model was loaded")
        except InferenceServerException as error:
            check("nope" in error.message(), error.message())


def test_health_of_grpc():
    # grpc.health.v1: HealthCheckRequest { service = 1 }, HealthCheckResponse { status = 1 }, SERVING = 1
    with gateway() as gate:
        line = channel(gate)
        ask = line.unary_unary("/grpc.health.v1.Health/Check")
        equal(ask(b""), b"\x08\x01")
        name = b"inference.GRPCInferenceService"
        equal(ask(b"\x0a" + bytes([len(name)]) + name), b"\x08\x01")
        refused(grpc.StatusCode.NOT_FOUND, lambda: ask(b"\x0a\x01x"))
        refused(grpc.StatusCode.UNIMPLEMENTED, lambda: line.unary_unary("/grpc.health.v1.Health/Nope")(b""))
        watch = line.unary_stream("/grpc.health.v1.Health/Watch")(b"")
        equal(next(watch), b"\x08\x01")
        watch.cancel()
        # SERVICE_UNKNOWN, and the stream stays: the service may come.
        watch = line.unary_stream("/grpc.health.v1.Health/Watch")(b"\x0a\x01x")
        equal(next(watch), b"\x08\x03")
        equal(watch.is_active(), True)
        watch.cancel()


def test_a_restart_ends_streams_with_unavailable():
    with gateway() as gate:
        wait = threading.Event()

        def requests():
            yield slow_request(3000, id="1")
            wait.wait(60)

        answers = stub(gate).ModelStreamInfer(requests())
        watch = channel(gate).unary_stream("/grpc.health.v1.Health/Watch")(b"")
        equal(next(watch), b"\x08\x01")
        time.sleep(0.3)
        stopping = threading.Thread(target=gate.stop)
        stopping.start()
        got = []
        refused(grpc.StatusCode.UNAVAILABLE, lambda: got.extend(a.infer_response.id for a in iter(lambda: next(answers), None)))
        refused(grpc.StatusCode.UNAVAILABLE, lambda: next(watch))
        wait.set()
        stopping.join(60)


def test_over_tls():
    import certificates
    made = certificates.local()
    with gateway(listen=f'{{ address: "127.0.0.1:0", tls: {{ {made.pair("server")} }} }}') as gate:
        authority = (made.folder / "ca.pem").read_bytes()
        line = grpc.secure_channel(f"localhost:{gate.port}", grpc.ssl_channel_credentials(authority), OPTIONS)
        service = stubs.GRPCInferenceServiceStub(line)
        equal(unpack("FP32", service.ModelInfer(scale_request(), timeout=60).raw_output_contents[1]), [6.0])
        equal(len(list(service.ModelStreamInfer(iter([scale_request(3000, id=str(i)) for i in range(20)]), timeout=60))), 20)


def test_kserve_client():
    """In a process of its own: it and tritonclient register the same messages."""
    with gateway() as gate:
        script = str(harness.ROOT / "tests" / "sdk" / "oip_grpc_kserve.py")
        done = subprocess.run([sys.executable, script, f"127.0.0.1:{gate.port}"], capture_output=True, text=True, timeout=120, check=False)
        if "No module named 'kserve'" in done.stderr:
            harness.skip("the KServe client is not installed")
        equal(done.returncode, 0, done.stderr[-2000:])


if __name__ == "__main__":
    if grpc is None:
        if PYTHON.exists() and os.path.abspath(sys.executable) != str(PYTHON):
            os.execv(PYTHON, [str(PYTHON), __file__, *sys.argv[1:]])
        harness.skip(harness.sdk_reason("python"))
    harness.run(globals())
