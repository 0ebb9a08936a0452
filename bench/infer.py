"""`infer`: a small local model through the Open Inference Protocol against a loop around ONNX Runtime's Session::Run."""

import contextlib
import json
import struct
import subprocess

import programs
import report
import servers

MODEL = programs.ROOT / "configs" / "models" / "digits"
SAMPLES = programs.ROOT / "configs" / "samples" / "digits_heldout.json"
PATH = "/v2/models/digits/infer"
RAW_BATCHED = "raw Run of 32 rows"
CONFIG = "models:\n  digits: {{ path: {model}, instances: 1{batch} }}\n"


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


def gateways(stack, folder, core):
    """One gateway per way of asking, and what to say about those that cannot be had."""
    plain = stack.enter_context(servers.penstock(folder / "plain", core, CONFIG.format(model=MODEL, batch="")))
    found = {"json": plain, "binary": plain}
    try:
        config = CONFIG.format(model=MODEL, batch=", batch: { max: 32, wait: 1ms }")
        found["binary batched"] = stack.enter_context(servers.penstock(folder / "batched", core, config))
    except RuntimeError as refusal:
        if "not supported" not in str(refusal):
            raise
        return found, "This build of the gateway does not batch."
    return found, ""


def one_round(options, subjects, bodies, connections, number):
    core, load_core = programs.cores()
    result = {}
    raw = raw_loop(core, max(1, options.seconds // 2), 1)
    if raw:
        result["raw Run"] = raw
        result[RAW_BATCHED] = raw_loop(core, max(1, options.seconds // 2), 32)
    for who in list(subjects) if number % 2 == 0 else reversed(subjects):
        result[who] = measure(subjects[who], load_core, *bodies[who], connections, options.seconds)
        if raw:
            result[who]["added_cpu_us"] = result[who]["cpu_us_per_request"] - raw["cpu_us_per_request"]
    return result


def infer(options):
    host = report.machine()
    core, load_core = programs.cores()
    connections = options.connections or 32
    rounds = []
    with programs.Folder() as folder, contextlib.ExitStack() as stack:
        bodies = {}
        for name, (data, headers) in (("json", json_body()), ("binary", binary_body())):
            (folder / name).write_bytes(data)
            bodies[name] = (folder / name, headers)
        bodies["binary batched"] = bodies["binary"]
        for name in ("plain", "batched"):
            (folder / name).mkdir()
        subjects, missing = gateways(stack, folder, core)
        for who, gateway in subjects.items():
            measure(gateway, load_core, *bodies[who], connections, 1)
        for number in range(options.rounds):
            rounds.append(one_round(options, subjects, bodies, connections, number))
            print(f"round {number + 1}: " + ", ".join(f"{who} {v['cpu_us_per_request']:.2f}" for who, v in rounds[-1].items()) +
                  " us of CPU per inference", flush=True)
    raw = "raw Run" in rounds[0]
    metrics = [("cpu_us_per_request", 2, "CPU, µs per inference"), ("added_cpu_us", 2, "CPU beyond raw Run, µs"),
               ("requests_per_s", 0, "inferences/s"), ("p50_us", 0, "latency p50, µs"), ("p99_us", 0, "latency p99, µs"),
               ("load_cpu_us_per_request", 2, "CPU of the load generator, µs per request")]
    notes = [f"The digits model (64 floats in, 10 floats and 1 integer out) over HTTP, {connections} kept connections, {options.seconds} s per run, no key.",
             "`raw Run` is one thread around Session::Run without HTTP; the columns named raw are per row." if raw
             else "build/ort_raw is absent, so there is no column for a raw Session::Run."]
    columns = (["raw Run", RAW_BATCHED] if raw else []) + list(subjects)
    report.write("infer", "Local model over the Open Inference Protocol", [*notes, missing] if missing else notes, rounds,
                 report.table(rounds, columns, metrics, "raw Run" if raw else "binary"), host)
