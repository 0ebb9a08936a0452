"""OpenAI's Node client through the gateway to the mock provider."""

import shutil

import harness
from sdk import setup

MODULES = harness.ROOT / ".cache" / "node" / "node_modules"
SCRIPT = harness.ROOT / "tests" / "sdk" / "openai_node.mjs"


def test_openai_node_client():
    setup.run_client("node", str(SCRIPT), str(MODULES))


if __name__ == "__main__":
    if not shutil.which("node"):
        harness.skip("node is not installed; ./dev setup test installs it")
    if not (harness.ROOT / ".cache" / "sdk_node.stamp").exists():
        harness.skip(harness.sdk_reason("node"))
    harness.run(globals())
