"""Every case of h2spec, the conformance test of HTTP/2 and HPACK, on a plain listener and on one with TLS."""
import re
import shutil
import subprocess

import certificates
import harness
from harness import check, equal

FOUND = harness.ROOT / ".cache" / "h2spec" / "h2spec"
H2SPEC = str(FOUND) if FOUND.exists() else shutil.which("h2spec")
CONFIG = "providers: {}\n"


# A plain listener answers what is no preface as HTTP/1, where it is no request either: 400, closed.
NO_PREFACE = "Sends invalid connection preface"


def passes(port, *arguments, but=None):
    """A case that sends a second frame to a stream finds it over when the answer was quicker, and counts that as a
    failure: such a one may pass in another of a few runs. What fails in all of them fails."""
    expected = {but} if but else set()
    failed, told = run(port, *arguments)
    for _ in range(4):
        if failed == expected:
            break
        again, text = run(port, *arguments)
        failed, told = failed & again, told + text
    equal(failed, expected, told)


def run(port, *arguments):
    done = subprocess.run([H2SPEC, "-h", "127.0.0.1", "-p", str(port), "-P", "/healthz", "-o", "5", *arguments],
                          capture_output=True, text=True, timeout=240, check=False)
    tests = re.search(r"(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed", done.stdout)
    check(tests, "h2spec said no result:", done.stdout[-2000:], done.stderr[-500:])
    failures = done.stdout.partition("Failures:")[2]
    failed = re.findall(r"× \d+: (.*)", failures)
    equal((int(tests[1]) > 100, tests[4]), (True, str(len(failed))), tests[0])
    print(f"  {tests[0]}")
    return set(failed), failures


def test_every_case_passes_without_tls():
    with harness.Gateway(CONFIG, listen='{ address: "127.0.0.1:0", h2c: true }') as gateway:
        passes(gateway.port, "--strict", but=NO_PREFACE)


def test_every_case_passes_with_tls():
    listen = f'{{ address: "127.0.0.1:0", tls: {{ {certificates.local().pair("server")} }} }}'
    with harness.Gateway(CONFIG, listen=listen) as gateway:
        passes(gateway.port, "--strict", "-t", "-k")


if __name__ == "__main__":
    if H2SPEC is None:
        reason = harness.ROOT / ".cache" / "sdk_h2spec.reason"
        harness.skip(reason.read_text().strip() if reason.exists() else
                     "h2spec is not installed; with Go here, ./dev setup test fetches it")
    harness.run(globals())
