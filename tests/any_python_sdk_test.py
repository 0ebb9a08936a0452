"""Every client in Python before every type of provider, which the mock plays; and before the mock itself."""

import harness
from sdk import setup

PYTHON = harness.ROOT / ".cache" / "venv" / "bin" / "python"


def through(name):
    def test():
        with setup.everywhere() as (settings, slow):
            setup.run_everywhere([str(PYTHON), str(harness.ROOT / "tests" / "sdk" / f"any_{name}.py")], settings, slow)
    return test


TESTS = {f"test_{name}_client": through(name) for name in ("openai", "anthropic", "google", "ollama", "langchain")}

if __name__ == "__main__":
    if not (harness.ROOT / ".cache" / "sdk_python.stamp").exists():
        harness.skip(harness.sdk_reason("python"))
    harness.run(TESTS)
