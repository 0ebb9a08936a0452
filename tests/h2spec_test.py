"""Every case of h2spec, the conformance test of HTTP/2 and HPACK, on a plain listener and on one with TLS."""
import re
import shutil
import subprocess

import harness
from harness import check

FOUND = harness.ROOT / ".cache" / "h2spec" / "h2spec"
H2SPEC = str(FOUND) if FOUND.exists() else shutil.which("h2spec")
CONFIG = "providers: {}\n"


def passes(port, *arguments):
    done = subprocess.run([H2SPEC, "-h", "127.0.0.1", "-p", str(port), "-P", "/healthz", "-o", "5", *arguments],
                          capture_output=True, text=True, timeout=240, check=False)
    tests = re.search(r"(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed", done.stdout)
    check(tests, "h2spec said no result:", done.stdout[-2000:], done.stderr[-500:])
    failures = done.stdout.partition("Failures:")[2]
    check(int(tests[1]) > 100 and tests[4] == "0" and done.returncode == 0, tests[0], failures)
    print(f"  {tests[0]}")


def test_every_case_passes_without_tls():
    with harness.Gateway(CONFIG, listen='{ address: "127.0.0.1:0", h2c: true }') as gateway:
        passes(gateway.port, "--strict")


def test_every_case_passes_with_tls():
    folder = harness.folder()
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem",
                    "-days", "2", "-subj", "/CN=localhost"], cwd=folder, check=True, capture_output=True)
    listen = f'{{ address: "127.0.0.1:0", tls: {{ cert: {folder}/cert.pem, key: {folder}/key.pem }} }}'
    with harness.Gateway(CONFIG, listen=listen) as gateway:
        passes(gateway.port, "--strict", "-t", "-k")


if __name__ == "__main__":
    if H2SPEC is None:
        reason = harness.ROOT / ".cache" / "sdk_h2spec.reason"
        harness.skip(reason.read_text().strip() if reason.exists() else
                     "h2spec is not installed; with Go here, ./dev setup test fetches it")
    if shutil.which("openssl") is None:
        harness.skip("the openssl program is not installed")
    harness.run(globals())
