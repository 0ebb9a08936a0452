"""The gateways that the SDK tests speak to."""

import contextlib
import json
import subprocess

import harness

KEY = "sk-sdk-test-0001"


def config(mock):
    return f"""
providers:
  lab: {{ type: openai, base_url: {mock.url} }}
models:
  chat:    {{ route: [ {{ to: lab/small }} ] }}
  embed:   {{ route: [ {{ to: lab/embedder }} ] }}
  limited: {{ route: [ {{ to: lab/mock-429 }} ] }}
  broken:  {{ route: [ {{ to: lab/mock-500 }} ] }}
  torn:    {{ route: [ {{ to: lab/mock-cut }} ] }}
  secret:  {{ route: [ {{ to: lab/small }} ] }}
keys:
  - {{ name: sdk, secret: {KEY}, models: [chat, chatt, embed, limited, broken, torn, "lab/files", "lab/batches", "lab/moderations"] }}
"""


def run_client(*command):
    """Runs an SDK script with the base URL and the key behind its arguments; its own lines are the report."""
    with harness.Mock() as mock, harness.Gateway(config(mock)) as gateway:
        done = subprocess.run([*command, f"http://127.0.0.1:{gateway.port}/v1", KEY], capture_output=True, text=True,
                              timeout=120, check=False)
        print(done.stdout, end="")
        harness.check(done.returncode == 0, "the SDK script ended with", done.returncode, done.stderr[-2000:])
        harness.check(gateway.alive(), "the gateway ended")


# --- any client, any provider -----------------------------------------------------------------------------------------

# Where the mock has the paths of each type of provider.
BASES = {"openai": "/v1", "anthropic": "/v1", "gemini": "/v1beta", "ollama": ""}
EMBEDDING = {"openai", "gemini", "ollama"}
MOCK_MODELS = {"chat": "small", "think": "mock-think", "limited": "mock-429", "broken": "mock-500", "torn": "mock-cut",
               "embed": "embedder"}


def models_behind(kind):
    return [name for name in [*MOCK_MODELS, "slow", "flaky"] if name != "embed" or kind in EMBEDDING]


def everything(steady, slow, flaky):
    """A gateway's configuration with the same models behind each type of provider."""
    lines = ["providers:"]
    for kind, base in BASES.items():
        for name, mock in (("lab", steady), ("slow", slow), ("flaky", flaky)):
            lines.append(f'  {name}_{kind}: {{ type: {kind}, base_url: "http://127.0.0.1:{mock.port}{base}" }}')
    lines.append("models:")
    for kind in BASES:
        for name in models_behind(kind):
            where = f"{name}_{kind}/small" if name in ("slow", "flaky") else f"lab_{kind}/{MOCK_MODELS[name]}"
            lines.append(f"  {kind}-{name}: {{ route: [ {where} ], retry: {{ attempts: 1 }} }}")
    return "\n".join([*lines, "keys:", f"  - {{ name: sdk, secret: {KEY} }}", ""])


@contextlib.contextmanager
def everywhere():
    """Settings for the scripts any_*: the mock itself, then each type of provider behind one gateway; and the mock that
    takes its time, whose clients leave."""
    with harness.Mock() as steady, harness.Mock("--per-token", "30ms", "--tokens", "500") as slow, \
            harness.Mock("--fail", "40%:429") as flaky, harness.Gateway(everything(steady, slow, flaky)) as gateway:
        direct = {"root": f"http://127.0.0.1:{steady.port}", "key": KEY, "behind": "mock", "models": MOCK_MODELS}
        behind = [{"root": f"http://127.0.0.1:{gateway.port}", "key": KEY, "behind": kind,
                   "models": {name: f"{kind}-{name}" for name in models_behind(kind)}} for kind in BASES]
        yield [direct, *behind], slow
        harness.check(gateway.alive(), "the gateway ended")


def run_everywhere(command, settings, slow):
    failed = []
    for setting in settings:
        before = slow.stats()["cancelled"]
        done = subprocess.run([*command, json.dumps(setting)], capture_output=True, text=True, timeout=120, check=False)
        lines = done.stdout.splitlines()
        print(f"     {setting['behind']}: {sum(line.startswith('ok ') for line in lines)} fine")
        for line in lines:
            if not line.startswith("ok "):
                print(f"     {line}")
        if done.returncode != 0:
            failed.append(setting["behind"] + " " + done.stderr[-1000:])
        elif "ok   cancel" in lines:
            harness.until(lambda before=before: slow.stats()["cancelled"] > before, "the provider to hear that the client left")
    harness.check(not failed, "failed behind", *failed)
