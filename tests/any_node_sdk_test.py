"""Every client in Node before every type of provider, which the mock plays; and before the mock itself."""

import shutil

import harness
from sdk import setup

MODULES = harness.ROOT / ".cache" / "node" / "node_modules"


def through(name):
    def test():
        with setup.everywhere() as (settings, slow):
            script = harness.ROOT / "tests" / "sdk" / f"any_{name}.mjs"
            setup.run_everywhere(["node", str(script), str(MODULES)], settings, slow)
    return test


TESTS = {f"test_{name}_client": through(name) for name in ("openai", "anthropic", "google", "ollama", "ai")}

if __name__ == "__main__":
    if not shutil.which("node"):
        harness.skip("node is not installed; ./dev setup test installs it")
    if not (harness.ROOT / ".cache" / "sdk_node.stamp").exists():
        harness.skip(harness.sdk_reason("node"))
    harness.run(TESTS)
