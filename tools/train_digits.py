#!/usr/bin/env python3
"""Trains the demo model: handwritten digits, a 64-32-10 perceptron, a few kilobytes of ONNX.

Only needed to make configs/models/digits again; the result is committed. Needs, beyond ./dev setup:
    apt-get install python3-numpy python3-onnx python3-pip
    /usr/bin/python3 tools/train_digits.py
The data is read out of the scikit-learn wheel (pip download, nothing is installed). The same machine
gives the same bytes on every run; another BLAS may differ in the last bits of the weights.
"""

import gzip
import hashlib
import json
import pathlib
import subprocess
import zipfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

ROOT = pathlib.Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache" / "digits"
MODEL = ROOT / "configs" / "models" / "digits" / "1" / "model.onnx"
README = ROOT / "configs" / "models" / "digits" / "README.md"
SAMPLES = ROOT / "configs" / "samples" / "digits_heldout.json"

WHEEL = "scikit-learn==1.5.2"
DATA_PATH = "sklearn/datasets/data/digits.csv.gz"
DATA_SHA256 = "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22"

SEED = 7
HIDDEN = 32
EPOCHS = 120
BATCH = 32
LEARNING_RATE = 3e-3
WEIGHT_DECAY = 1e-4
SAMPLES_PER_DIGIT = 2


def load_digits():
    """1,797 rows of 64 pixels (0..16) and their labels."""
    CACHE.mkdir(parents=True, exist_ok=True)
    if not list(CACHE.glob("scikit_learn-*.whl")):
        subprocess.run(
            ["/usr/bin/python3", "-m", "pip", "download", "--quiet", "--no-deps",
             "--only-binary=:all:", "--dest", str(CACHE), WHEEL], check=True)
    wheel = next(CACHE.glob("scikit_learn-*.whl"))
    packed = zipfile.ZipFile(wheel).read(DATA_PATH)
    if hashlib.sha256(packed).hexdigest() != DATA_SHA256:
        raise SystemExit(f"{DATA_PATH} in {wheel.name} is not the file this script was written for")
    rows = np.loadtxt(gzip.decompress(packed).decode().splitlines(), delimiter=",")
    return rows[:, :64].astype(np.float32), rows[:, 64].astype(np.int64)


def softmax(logits):
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def train(x, y, rng):
    """Adam with decoupled weight decay on cross-entropy. Returns w1, b1, w2, b2."""
    w1 = rng.normal(0, np.sqrt(2 / 64), (64, HIDDEN))
    w2 = rng.normal(0, np.sqrt(2 / HIDDEN), (HIDDEN, 10))
    params = [w1, np.zeros(HIDDEN), w2, np.zeros(10)]
    first = [np.zeros_like(p) for p in params]
    second = [np.zeros_like(p) for p in params]
    targets = np.eye(10)[y]
    step = 0
    for epoch in range(EPOCHS):
        rate = LEARNING_RATE * 0.5 * (1 + np.cos(np.pi * epoch / EPOCHS))
        order = rng.permutation(len(x))
        for start in range(0, len(x), BATCH):
            rows = order[start:start + BATCH]
            w1, b1, w2, b2 = params
            hidden = np.maximum(x[rows] @ w1 + b1, 0)
            error = (softmax(hidden @ w2 + b2) - targets[rows]) / len(rows)
            back = (error @ w2.T) * (hidden > 0)
            grads = [x[rows].T @ back, back.sum(0), hidden.T @ error, error.sum(0)]
            step += 1
            for i, grad in enumerate(grads):
                first[i] = 0.9 * first[i] + 0.1 * grad
                second[i] = 0.999 * second[i] + 0.001 * grad * grad
                move = (first[i] / (1 - 0.9**step)) / (np.sqrt(second[i] / (1 - 0.999**step)) + 1e-8)
                params[i] = params[i] - rate * (move + WEIGHT_DECAY * params[i])
    return [p.astype(np.float32) for p in params]


def predict(pixels, params):
    w1, b1, w2, b2 = params
    hidden = np.maximum(pixels / np.float32(16) @ w1 + b1, 0)
    return softmax(hidden @ w2 + b2)


def build_model(params):
    """pixels FP32 [-1,64], raw 0..16 -> probabilities FP32 [-1,10], digit INT64 [-1]."""
    names = ["w1", "b1", "w2", "b2"]
    weights = [numpy_helper.from_array(p, n) for p, n in zip(params, names)]
    weights.append(numpy_helper.from_array(np.array(16, np.float32), "scale"))
    nodes = [
        helper.make_node("Div", ["pixels", "scale"], ["scaled"]),
        helper.make_node("Gemm", ["scaled", "w1", "b1"], ["hidden"]),
        helper.make_node("Relu", ["hidden"], ["active"]),
        helper.make_node("Gemm", ["active", "w2", "b2"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["logits"], ["digit"], axis=1, keepdims=0),
    ]
    graph = helper.make_graph(
        nodes, "digits",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 64])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 10]),
         helper.make_tensor_value_info("digit", TensorProto.INT64, ["batch"])],
        weights)
    model = helper.make_model(graph, producer_name="penstock",
                              opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.checker.check_model(model, full_check=True)
    return model


def infer_request(pixels):
    """The body of POST /v2/models/digits/infer for one digit."""
    return {"inputs": [{"name": "pixels", "datatype": "FP32", "shape": [1, 64],
                        "data": [int(p) for p in pixels]}]}


def write_samples(x, y):
    """Held-out digits in the order of the split, so not chosen by what the model gets right."""
    rows = []
    for digit in range(10):
        rows += list(np.flatnonzero(y == digit)[:SAMPLES_PER_DIGIT])
    SAMPLES.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"label": int(y[i]), "request": infer_request(x[i])}) for i in sorted(rows)]
    SAMPLES.write_text("[\n" + ",\n".join(lines) + "\n]\n")
    return sorted(rows)


README_TEXT = """# digits

Reads one handwritten digit from an 8x8 picture. A demo model: small, quick, honest about its score.

| tensor | datatype | shape | meaning |
|---|---|---|---|
| `pixels` (in) | FP32 | [-1, 64] | 8x8 grey values, row by row, 0 (paper) to 16 (ink), not normalised |
| `probabilities` (out) | FP32 | [-1, 10] | probability of each digit 0..9 |
| `digit` (out) | INT64 | [-1] | the most probable digit |

Held-out accuracy: **{accuracy:.4f}** ({right} of {held} digits never seen in training; {trained} were trained on).
Train and test rows come from the same writers, so expect less on other handwriting.
Of the {samples} digits in `configs/samples/digits_heldout.json` the model reads {samples_right} right.

Made by `tools/train_digits.py`: perceptron 64-{hidden}-10 with ReLU, {epochs} epochs of Adam, fixed seed, 80/20
split; ONNX IR 8, opset 13, {size} bytes.

Data: Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak, UCI Machine Learning
Repository, CC BY 4.0 (doi 10.24432/C50P49); the copy of its test set that scikit-learn (BSD-3-Clause) ships.
The samples are rows of that data.
"""


def main():
    x, y = load_digits()
    rng = np.random.default_rng(SEED)
    order = rng.permutation(len(x))
    cut = len(x) * 8 // 10
    train_rows, held_rows = order[:cut], order[cut:]
    params = train(x[train_rows] / 16.0, y[train_rows], rng)

    correct = predict(x[held_rows], params).argmax(axis=1) == y[held_rows]
    MODEL.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(build_model(params), str(MODEL))
    samples = write_samples(x[held_rows], y[held_rows])
    README.write_text(README_TEXT.format(
        accuracy=correct.mean(), right=correct.sum(), held=len(held_rows), trained=cut,
        samples=len(samples), samples_right=correct[samples].sum(), hidden=HIDDEN, epochs=EPOCHS,
        size=MODEL.stat().st_size))
    print(f"held-out accuracy {correct.mean():.4f} ({correct.sum()} of {len(held_rows)}), "
          f"{MODEL.stat().st_size} bytes in {MODEL.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
