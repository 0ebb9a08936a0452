"""Tests clean up after themselves: whatever one started ends with it, also when it is interrupted, killed or forgets."""

import os
import pathlib
import signal
import subprocess
import sys

from harness import ROOT, check, folder, run, until

# Starts a gateway in a session of its own, which starts another process; says their numbers; then does as it is told.
TEST = """
import os, subprocess, sys, time
import harness
gateway = harness.Gateway("")
loose = subprocess.Popen(["sh", "-c", "setsid sleep 600 & echo $!; exit"], stdout=subprocess.PIPE, text=True)
print(os.getpid(), gateway.pid, loose.stdout.readline().strip(), flush=True)
if sys.argv[1] == "fails":
    raise RuntimeError("it went wrong")
if sys.argv[1] == "waits":
    time.sleep(600)
"""


def gone(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def begin(how):
    script = folder() / "some_test.py"
    script.write_text(TEST)
    # Whoever starts the tests in the background may have them ignore SIGINT.
    process = subprocess.Popen([sys.executable, str(script), how], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                               env={**os.environ, "PYTHONPATH": str(ROOT / "tests")}, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    own, *started = map(int, process.stdout.readline().split())
    check(len(started) == 2, "it starts two processes")
    return process, own, started


def ends(process, started, status):
    got = process.wait(30)
    check(got == status, "exit status", got)
    # The one that waited for it ended them before it ended itself.
    check(all(map(gone, started)), "left behind:", [pid for pid in started if not gone(pid)])


def test_a_test_that_fails_or_forgets_leaves_nothing():
    for how, status in (("fails", 1), ("forgets", 0)):
        process, _, started = begin(how)
        ends(process, started, status)


def test_a_test_that_is_interrupted_leaves_nothing():
    for number, status in ((signal.SIGTERM, 128 + signal.SIGTERM), (signal.SIGINT, 128 + signal.SIGINT)):
        process, own, started = begin("waits")
        check(process.pid != own, "somebody waits for it")
        process.send_signal(number)
        ends(process, started, status)


def test_a_test_that_is_killed_leaves_nothing():
    process, own, started = begin("waits")
    os.kill(own, signal.SIGKILL)
    ends(process, started, 128 + signal.SIGKILL)
    process, own, _ = begin("waits")
    process.kill()  # whoever waits for it: the test goes with it
    process.wait(30)
    until(lambda: gone(own), "the test's end")


run(globals())
