"""The gateway both SDK tests speak to."""

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
  - {{ name: sdk, secret: {KEY}, models: [chat, chatt, embed, limited, broken, torn, "lab/files"] }}
"""


def run_client(*command):
    """Runs an SDK script with the base URL and the key behind its arguments; its own lines are the report."""
    with harness.Mock() as mock, harness.Gateway(config(mock)) as gateway:
        done = subprocess.run([*command, f"http://127.0.0.1:{gateway.port}/v1", KEY], capture_output=True, text=True,
                              timeout=120, check=False)
        print(done.stdout, end="")
        harness.check(done.returncode == 0, "the SDK script ended with", done.returncode, done.stderr[-2000:])
        harness.check(gateway.alive(), "the gateway ended")
