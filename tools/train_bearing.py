#!/usr/bin/env python3
"""Trains configs/models/bearing: how far a bearing of the simulated press is worn, from four figures of a reading.

    tools/train_bearing.py build/penstock

Runs the gateway with simulated presses that say how worn they are, through the very steps that the demonstration takes, and fits a
logistic regression to what comes out. Needs numpy and onnx (Debian: python3-numpy, python3-onnx). Same seeds, same model but for
the moments at which readings were taken.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

ROOT = pathlib.Path(__file__).resolve().parent.parent
FEATURES = ["outer_race", "ring", "vib_rms", "temp"]
SECONDS = 60
WORN = 0.5  # of the truth: what the score's 0.5 means

STEPS = """
      - envelope: { field: vib, rate: 5120Hz, band: 1200Hz..2400Hz, as: hits }
      - fft:      { field: hits, rate: 5120Hz, bands: { outer_race: 100Hz..115Hz } }
      - fft:      { field: vib, rate: 5120Hz, bands: { ring: 1200Hz..2400Hz } }
"""


def readings(program, seeds):
    """Rows of features, and of the truth."""
    with tempfile.TemporaryDirectory() as folder:
        sources = "".join(f"  p{seed}: {{ simulate: press, device: p{seed}, every: 100ms, life: {SECONDS - 5}s, seed: {seed}, truth: true }}\n" for seed in seeds)
        names = ", ".join(f"p{seed}" for seed in seeds)
        config = (f"listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nsources:\n{sources}pipelines:\n  learn:\n    from: [ {names} ]\n    steps:{STEPS}"
                  f"      - select: [ {', '.join(FEATURES)}, wear ]\n    to: [ file: {{ path: {folder}/rows.ndjson, sync: false }} ]\n")
        (path := pathlib.Path(folder) / "learn.yaml").write_text(config)
        with subprocess.Popen([program, "run", "--config", str(path), "--data-dir", folder + "/data"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as running:
            time.sleep(SECONDS)
            running.terminate()
            log = running.communicate()[1]
        files = sorted(pathlib.Path(folder).glob("rows*.ndjson*"))
        rows = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    if len(rows) < 100:
        sys.exit(f"only {len(rows)} readings came; the gateway said:\n{log[-3000:]}")
    return np.array([[row[name] for name in FEATURES] for row in rows]), np.array([row["wear"] for row in rows])


def fit(x, y, rounds=20_000, rate=0.3):
    """Logistic regression by gradient descent on normalised features; returned for the features as they come."""
    mean, spread = x.mean(0), x.std(0)
    z = (x - mean) / spread
    weights, bias = np.zeros(x.shape[1]), 0.0
    for _ in range(rounds):
        error = 1 / (1 + np.exp(-(z @ weights + bias))) - y
        weights -= rate * (z.T @ error / len(y) + 1e-4 * weights)
        bias -= rate * error.mean()
    return weights / spread, bias - (mean / spread) @ weights


def write(path, weights, bias):
    nodes = [helper.make_node("Gemm", ["features", "weights", "bias"], ["line"]), helper.make_node("Sigmoid", ["line"], ["score"])]
    graph = helper.make_graph(
        nodes, "bearing", [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", len(FEATURES)])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["batch", 1])],
        [numpy_helper.from_array(weights.astype(np.float32)[:, None], "weights"), numpy_helper.from_array(np.array([bias], np.float32), "bias")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], producer_name="penstock")
    model.ir_version = 8
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)


def main():
    program = sys.argv[1] if len(sys.argv) > 1 else str(ROOT / "build" / "penstock")
    x, wear = readings(program, range(1, 9))
    weights, bias = fit(x, (wear > WORN).astype(float))
    held_x, held_wear = readings(program, range(101, 105))
    score = 1 / (1 + np.exp(-(held_x @ weights + bias)))
    right = ((score > 0.5) == (held_wear > WORN)).mean()
    quiet = (score[held_wear == 0] > 0.5).mean()
    first = held_wear[score > 0.5].min()
    write(ROOT / "configs" / "models" / "bearing" / "1" / "model.onnx", weights, bias)
    print(f"trained on {len(x)} readings of 8 presses; of {len(held_x)} readings of 4 others: right {right:.3f}, false alarms of new bearings {quiet:.4f}, "
          f"seen first at wear {first:.2f}; features {FEATURES}, weights {np.round(weights, 3).tolist()}, bias {bias:.3f}")


if __name__ == "__main__":
    main()
