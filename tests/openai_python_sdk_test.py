"""OpenAI's Python client through the gateway to the mock provider."""

import harness
from sdk import setup

PYTHON = harness.ROOT / ".cache" / "venv" / "bin" / "python"
SCRIPT = harness.ROOT / "tests" / "sdk" / "openai_python.py"


def test_openai_python_client():
    setup.run_client(str(PYTHON), str(SCRIPT))


if __name__ == "__main__":
    if not (harness.ROOT / ".cache" / "sdk_python.stamp").exists():
        harness.skip(harness.sdk_reason("python"))
    harness.run(globals())
