"""`infer`: a small local model through the Open Inference Protocol against a loop around ONNX Runtime's Session::Run, and against MLServer."""

import contextlib
import json
import pathlib
import re
import struct
import subprocess

import peer_programs
import programs
import report
import servers

MODEL = programs.ROOT / "configs" / "models" / "digits"
SAMPLES = programs.ROOT / "configs" / "samples" / "digits_heldout.json"
PATH = "/v2/models/digits/infer"
GRPC_PATH = "/inference.GRPCInferenceService/ModelInfer"
RAW_BATCHED = "raw Run of 32 rows"
CONFIG = "models:\n  digits: {{ path: {model}, instances: 1{batch} }}\n"
CONNECTIONS = (1, 8, 32, 128)


def pixels():
    """One picture of the held-out samples: 64 numbers from 0 to 16."""
    return [float(x) for x in json.loads(SAMPLES.read_text())[0]["request"]["inputs"][0]["data"]]


def json_body():
    tensor = {"name": "pixels", "datatype": "FP32", "shape": [1, 64], "data": pixels()}
    return json.dumps({"inputs": [tensor]}, separators=(",", ":")).encode(), {"Content-Type": "application/json"}


def binary_body():
    data = struct.pack("<64f", *pixels())
    tensor = {"name": "pixels", "datatype": "FP32", "shape": [1, 64], "parameters": {"binary_data_size": len(data)}}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}, separators=(",", ":")).encode()
    return head + data, {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(head))}


def raw_loop(core, seconds, rows):
    """What build/ort_raw counts, per row of input; None when it was not built."""
    program = programs.BUILD / "ort_raw"
    if not program.exists():
        return None
    done = subprocess.run(["taskset", "-c", str(core), str(program), str(MODEL / "1" / "model.onnx"), str(seconds), str(rows)],
                          capture_output=True, text=True, check=True)
    result = json.loads(done.stdout)
    inferences = result["runs"] * rows
    return {"cpu_us_per_request": result["cpu_us"] / inferences, "requests_per_s": inferences / result["wall_us"] * 1e6}


def measure(gateway, load_core, file, headers, connections, seconds):
    cpu = gateway.cpu_us()
    counted = programs.load(load_core, gateway.port, PATH, file, headers, connections=connections, seconds=seconds)
    return {"cpu_us_per_request": (gateway.cpu_us() - cpu) / counted["requests"],
            "requests_per_s": counted["requests_per_s"],
            "p50_us": counted["latency"]["p50"], "p99_us": counted["latency"]["p99"],
            "load_cpu_us_per_request": counted["cpu_us"] / counted["requests"]}


def varint(number):
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def field(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


def grpc_body():
    data = struct.pack("<64f", *pixels())
    tensor = field(1, b"pixels") + field(2, b"FP32") + field(3, varint(1) + varint(64))
    message = field(1, b"digits") + field(5, tensor) + field(7, data)
    return b"\0" + struct.pack(">I", len(message)) + message


def measure_grpc(server, load_core, file, connections, seconds):
    """By h2load: one call at a time on each connection. It knows no quantiles."""
    cpu = server.cpu_us()
    with programs.pinned(load_core):
        done = subprocess.run([programs.need("h2load"), "-D", str(seconds), "-c", str(connections), "-m", "1", "-t", "1", "-d", str(file),
                               "-H", "content-type: application/grpc", "-H", "te: trailers", f"http://127.0.0.1:{server.grpc_port}{GRPC_PATH}"],
                              capture_output=True, text=True, check=True)
    rate = re.search(r"finished in ([\d.]+)s, ([\d.]+) req/s", done.stdout)
    counted = re.search(r"requests: .* (\d+) succeeded, (\d+) failed, (\d+) errored", done.stdout)
    if not rate or not counted or int(counted[2]) or int(counted[3]) or not int(counted[1]):
        raise RuntimeError(f"h2load failed: {done.stdout[-500:]} {done.stderr[-300:]}")
    return {"cpu_us_per_request": (server.cpu_us() - cpu) / int(counted[1]), "requests_per_s": float(rate[2])}


def mlserver(folder, core):
    """One process, its own adaptive batching on, as its guide has it for a model that is quick."""
    port, grpc_port = programs.free_port(), programs.free_port()
    folder.mkdir()
    (folder / "settings.json").write_text(json.dumps({
        "debug": False, "host": "127.0.0.1", "http_port": port, "grpc_port": grpc_port, "metrics_port": programs.free_port(), "parallel_workers": 0}))
    (folder / "digits").mkdir()
    (folder / "digits" / "model-settings.json").write_text(json.dumps({
        "name": "digits", "implementation": "mlserver_model.OnnxModel", "max_batch_size": 32, "max_batch_time": 0.001,
        "parameters": {"uri": str(MODEL / "1" / "model.onnx")}}))
    environment = programs.clean_environment(HOME=str(folder), PYTHONPATH=str(pathlib.Path(__file__).parent))
    program = peer_programs.start([peer_programs.installed("mlserver", "mlserver/bin/mlserver"), "start", str(folder)], core,
                                  folder / "mlserver.log", port, environment)
    programs.wait_for_port(grpc_port, program, 60)
    program.grpc_port = grpc_port
    return program


def subjects_of(stack, folder, core):
    """Name, server, and how it is measured; what is missing, in words."""
    def gateway(name, batch):
        program = stack.enter_context(servers.penstock(folder / name, core, CONFIG.format(model=MODEL, batch=batch), h2c=True))
        program.grpc_port = program.port
        return program

    def over_http(server, body):
        file, headers = body
        return lambda load_core, connections, seconds: measure(server, load_core, file, headers, connections, seconds)

    def over_grpc(server, file):
        return lambda load_core, connections, seconds: measure_grpc(server, load_core, file, connections, seconds)

    bodies = {}
    for name, (data, headers) in (("json", json_body()), ("binary", binary_body())):
        (folder / f"{name}.body").write_bytes(data)
        bodies[name] = (folder / f"{name}.body", headers)
    (folder / "grpc.body").write_bytes(grpc_body())
    for name in ("plain", "batched"):
        (folder / name).mkdir()
    plain, batched = gateway("plain", ""), gateway("batched", ", batch: { max: 32, wait: 1ms }")
    found = {"json": (plain, over_http(plain, bodies["json"])), "binary": (plain, over_http(plain, bodies["binary"])),
             "gRPC": (plain, over_grpc(plain, folder / "grpc.body")), "binary batched": (batched, over_http(batched, bodies["binary"]))}
    try:
        peer = stack.enter_context(mlserver(folder / "mlserver", core))
    except programs.Missing as why:
        return found, f"MLServer: {why}."
    found["MLServer json"] = (peer, over_http(peer, bodies["json"]))
    found["MLServer gRPC"] = (peer, over_grpc(peer, folder / "grpc.body"))
    return found, f"MLServer {peer_programs.version('mlserver')} with onnxruntime from PyPI, one process, adaptive batching of 32 rows within 1 ms."


def one_round(options, subjects, connections, number):
    core, load_core = programs.cores()
    result = {}
    raw = raw_loop(core, max(1, options.seconds // 2), 1)
    if raw:
        result["raw Run"] = raw
        result[RAW_BATCHED] = raw_loop(core, max(1, options.seconds // 2), 32)
    for who in list(subjects) if number % 2 == 0 else reversed(subjects):
        server, ask = subjects[who]
        result[who] = ask(load_core, connections, options.seconds)
        result[who]["resident_mb"] = server.memory_mb()["rss_mb"]
        if raw:
            result[who]["added_cpu_us"] = result[who]["cpu_us_per_request"] - raw["cpu_us_per_request"]
    return result


def by_connections(options, subjects, load_core):
    """Throughput and, where it is known, the latency of 99 of 100 calls, for more and more calls at once: one run each."""
    lines = ["| calls at once | " + " | ".join(subjects) + " |", "|---" * (1 + len(subjects)) + "|"]
    runs = {}
    for connections in CONNECTIONS:
        cells = []
        for who, (_, ask) in subjects.items():
            counted = runs[f"{who} at {connections}"] = ask(load_core, connections, options.seconds)
            p99 = f", p99 {counted['p99_us']:.0f} µs" if "p99_us" in counted else ""
            cells.append(f"{counted['requests_per_s']:.0f}/s{p99}")
        lines.append(f"| {connections} | " + " | ".join(cells) + " |")
    return "\n".join(lines), runs


def infer(options):
    host = report.machine()
    core, load_core = programs.cores()
    connections = options.connections or 32
    rounds = []
    with programs.Folder() as folder, contextlib.ExitStack() as stack:
        subjects, peer = subjects_of(stack, folder, core)
        for _, ask in subjects.values():
            ask(load_core, connections, 1)
        for number in range(options.rounds):
            rounds.append(one_round(options, subjects, connections, number))
            print(f"round {number + 1}: " + ", ".join(f"{who} {v['cpu_us_per_request']:.2f}" for who, v in rounds[-1].items()) +
                  " us of CPU per inference", flush=True)
        concurrency, runs = by_connections(options, subjects, load_core)
    raw = "raw Run" in rounds[0]
    metrics = [("cpu_us_per_request", 2, "CPU, µs per inference"), ("added_cpu_us", 2, "CPU beyond raw Run, µs"),
               ("requests_per_s", 0, "inferences/s"), ("p50_us", 0, "latency p50, µs"), ("p99_us", 0, "latency p99, µs"),
               ("resident_mb", 1, "resident, MB"), ("load_cpu_us_per_request", 2, "CPU of the load generator, µs per request")]
    notes = [f"The digits model (64 floats in, 10 floats and 1 integer out), {connections} kept connections, {options.seconds} s per run, no key.",
             "`raw Run` is one thread around Session::Run without HTTP; the columns named raw are per row." if raw
             else "build/ort_raw is absent, so there is no column for a raw Session::Run.", peer]
    columns = (["raw Run", RAW_BATCHED] if raw else []) + list(subjects)
    table = report.table(rounds, columns, metrics, "raw Run" if raw else "binary")
    report.write("infer", "Local model over the Open Inference Protocol", notes, rounds, f"{table}\n\n{concurrency}", host, by_connections=runs)
