"""`infer`: a small local model through the Open Inference Protocol against a loop around ONNX Runtime's Session::Run."""

import json
import struct
import subprocess

import programs
import report

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


def measure(gateway, load_core, file, connections, seconds, headers):
    cpu = gateway.cpu_us()
    counted = programs.wrk(load_core, gateway.port, PATH, file, connections, seconds, headers)
    return {"cpu_us_per_request": (gateway.cpu_us() - cpu) / counted["requests"],
            "requests_per_s": counted["requests"] / counted["duration_us"] * 1e6,
            "p50_us": counted["p50_us"], "p99_us": counted["p99_us"],
            "load_cpu_us_per_request": counted["load_cpu_us"] / counted["requests"]}


def infer(options):
    host = report.machine()
    core, load_core = programs.cores()
    connections = options.connections or 32
    subjects = ["json", "binary", "binary batched"]
    rounds = []
    with programs.Folder() as plain_folder, programs.Folder() as batch_folder:
        bodies = {}
        for name, (data, headers) in (("json", json_body()), ("binary", binary_body())):
            (plain_folder / name).write_bytes(data)
            bodies[name] = (plain_folder / name, headers)
        bodies["binary batched"] = bodies["binary"]
        with programs.gateway(plain_folder, core, CONFIG.format(model=MODEL, batch="")) as plain, \
                programs.gateway(batch_folder, core, CONFIG.format(model=MODEL, batch=", batch: { max: 32, wait: 1ms }")) as batched:
            gateways = {"json": plain, "binary": plain, "binary batched": batched}
            for who in subjects:
                measure(gateways[who], load_core, bodies[who][0], connections, 1, bodies[who][1])
            for number in range(options.rounds):
                result = {}
                raw = raw_loop(core, max(1, options.seconds // 2), 1)
                if raw:
                    result["raw Run"] = raw
                    result[RAW_BATCHED] = raw_loop(core, max(1, options.seconds // 2), 32)
                for who in subjects if number % 2 == 0 else reversed(subjects):
                    result[who] = measure(gateways[who], load_core, bodies[who][0], connections, options.seconds, bodies[who][1])
                    if raw:
                        result[who]["added_cpu_us"] = result[who]["cpu_us_per_request"] - raw["cpu_us_per_request"]
                rounds.append(result)
                print(f"round {number + 1}: " + ", ".join(f"{who} {v['cpu_us_per_request']:.2f}" for who, v in result.items()) +
                      " us of CPU per inference", flush=True)
    base = "raw Run" if "raw Run" in rounds[0] else "binary"
    columns = (["raw Run", RAW_BATCHED] if base == "raw Run" else []) + subjects
    metrics = [("cpu_us_per_request", 2, "CPU, µs per inference"), ("added_cpu_us", 2, "CPU beyond raw Run, µs"),
               ("requests_per_s", 0, "inferences/s"), ("p50_us", 0, "latency p50, µs"), ("p99_us", 0, "latency p99, µs"),
               ("load_cpu_us_per_request", 2, "CPU of the load generator, µs per request")]
    notes = [f"The digits model (64 floats in, 10 floats and 1 integer out) over HTTP, {connections} kept connections, {options.seconds} s per run, no key.",
             "`raw Run` is one thread around Session::Run, without HTTP; the columns named raw are per row." if base == "raw Run"
             else "build/ort_raw is absent, so there is no column for a raw Session::Run."]
    report.write("infer", "Local model over the Open Inference Protocol", notes, rounds, report.table(rounds, columns, metrics, base), host)
