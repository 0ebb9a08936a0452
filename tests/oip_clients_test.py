"""Clients of the Open Inference Protocol that others made, before the real gateway: Triton's, KServe's, perf_analyzer."""

import contextlib
import json
import os
import shutil
import subprocess

import harness
from harness import Gateway, check, equal

VENV = harness.ROOT / ".cache" / "venv" / "bin"
MODELS = harness.ROOT / "tests" / "models"


@contextlib.contextmanager
def gateway():
    config = f"""
models:
  scale: {{ path: {MODELS / 'scale' / '1'} }}
  identity: {{ path: {MODELS / 'identity'} }}
  digits: {{ path: {harness.ROOT / 'configs' / 'models' / 'digits'}, batch: {{ max: 8, wait: 1ms }} }}
"""
    with Gateway(config) as started:
        yield started


def run_sdk(name, module):
    if subprocess.run([VENV / "python", "-c", f"import {module}"], capture_output=True, check=False).returncode:
        harness.skip(f"{module} is not installed: {harness.sdk_reason('python')}")
    with gateway() as started:
        done = subprocess.run([VENV / "python", harness.ROOT / "tests" / "sdk" / name, f"127.0.0.1:{started.port}"], capture_output=True, text=True, timeout=120, check=False)
        check(done.returncode == 0, done.stdout[-500:], done.stderr[-2500:])


def test_triton_client():
    run_sdk("oip_triton.py", "tritonclient.http")


def test_kserve_client():
    run_sdk("oip_kserve.py", "kserve")


def perf_analyzer():
    """The command that runs it: PERF_ANALYZER names it, with a loader before it where the C library here is too old for it."""
    command = os.environ.get("PERF_ANALYZER", "").split() or [shutil.which("perf_analyzer") or str(VENV / "perf_analyzer")]
    try:
        works = subprocess.run([*command, "--version"], capture_output=True, check=False).returncode == 0
    except OSError:
        works = False
    return command if works else harness.skip("no perf_analyzer that runs here: its wheel wants glibc 2.38; set PERF_ANALYZER to the command")


def test_perf_analyzer():
    command = perf_analyzer()
    with gateway() as started:
        equal(started.request("GET", "/v2/models/digits/config").json()["max_batch_size"], 8)
        # One model with whole shapes, and one with batches of its own.
        for model, arguments in (("scale", ["--shape", "x:1,4"]), ("digits", ["-b", "2"])):
            for form in ("json", "binary"):
                report = harness.folder() / "report.csv"
                done = subprocess.run([*command, "-m", model, "-u", f"127.0.0.1:{started.port}", "-i", "http", "--input-tensor-format", form,
                                       "--output-tensor-format", form, "--concurrency-range", "4", "--measurement-mode", "count_windows",
                                       "--measurement-request-count", "100", "-s", "90", "-f", str(report), *arguments],
                                      capture_output=True, text=True, timeout=200, check=False)
                check(done.returncode == 0 and report.exists(), model, form, done.stdout[-1500:], done.stderr[-1500:])
                check(float(report.read_text().splitlines()[1].split(",")[1]) > 0, report.read_text())
            stats = started.request("GET", f"/v2/models/{model}/stats").json()["model_stats"][0]
            check(stats["inference_stats"]["success"]["count"] > 200, json.dumps(stats))
            equal(stats["inference_stats"]["fail"]["count"], 0)


if __name__ == "__main__":
    if "onnx" not in harness.command("--version")[1]:
        harness.skip("ONNX Runtime is not installed; ./dev setup test fetches it")
    harness.run(globals())
