"""The commands of guides that claim so, run one after the other; what they print is what the guide shows. An ellipsis stands for anything, and
columns may be wider."""

import os
import re
import socket
import subprocess
import time

import harness
from harness import BINARY, ROOT, check, folder, request, until


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def blocks(text, language):
    return [block.strip("\n") for block in re.findall(rf"```{language}\n(.*?)```", text, re.S)]


def steps(text):
    """(command, lines it prints) of every console block."""
    for block in blocks(text, "console"):
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, *lines = part.rstrip("\n").split("\n")
            yield command, lines


def squeezed(line):
    return " ".join(line.split())


def fits(printed, shown):
    if shown == "…":
        return True
    pattern = ".*".join(re.escape(piece) for piece in squeezed(shown).split("…"))
    return re.fullmatch(pattern, squeezed(printed)) is not None


def compare(command, printed, shown):
    """A line that is an ellipsis alone stands for any number of lines."""
    at = 0
    for i, line in enumerate(shown):
        if line == "…":
            rest = shown[i + 1:]
            check(not rest, command, "an ellipsis line that is not the last one is not supported")
            return
        check(at < len(printed), command, "printed", printed, "and not", line)
        check(fits(printed[at], line), command, "printed", repr(printed[at]), "instead of", repr(line))
        at += 1
    check(at == len(printed), command, "printed more:", printed[at:])


class Shell:
    """One shell for all commands: variables and functions stay."""

    END = "-- end of the command --"

    def __init__(self, where):
        bin_folder = where / "bin"
        bin_folder.mkdir()
        (bin_folder / "penstock").symlink_to(BINARY)
        self.process = subprocess.Popen(["sh"], cwd=where, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                        env={**os.environ, "PATH": f"{bin_folder}:{os.environ['PATH']}"})

    def run(self, command):
        self.process.stdin.write(f"{command}\necho '{self.END}'\n")
        self.process.stdin.flush()
        lines = []
        for line in self.process.stdout:
            if line.rstrip("\n").endswith(self.END):
                last = line.rstrip("\n").removesuffix(self.END)
                return lines + [last] if last else lines  # what the command printed without an end of line
            lines.append(line.rstrip("\r\n"))
        raise harness.Failure(f"the shell ended at {command}: {lines}")

    def stop(self):
        self.process.stdin.close()
        self.process.wait(10)


def show(shell, command, shown):
    """What was used stands in the ledger some 100 ms later: whoever reads there asks again."""
    patience = time.time() + (5 if command.startswith(("penstock doctor", "penstock usage", "penstock budget", "penstock alarm list", "penstock action list", "penstock action history")) else 0)
    while True:
        try:
            return compare(command, shell.run(command), shown)
        except harness.Failure:
            if time.time() > patience:
                raise
            time.sleep(0.1)


def away_from_midnight():
    """Budgets of a day begin anew at midnight, UTC."""
    left = 86400 - time.time() % 86400
    if left < 60:
        time.sleep(left + 1)


def follow(guide):
    harness.need("curl")
    away_from_midnight()
    where = folder()
    text = (ROOT / "docs" / "guides" / guide).read_text()
    for port in ("9001", "8080", "8081"):
        text = text.replace(f"127.0.0.1:{port}", f"127.0.0.1:{free_port()}")
    (where / "gateway.yaml").write_text(blocks(text, "yaml")[0])
    programs = []
    shell = Shell(where)
    try:
        for line in blocks(text, "sh")[0].splitlines():
            words = line.rstrip("& ").split()
            log = open(where / f"{words[1]}.log", "w")
            programs.append(subprocess.Popen([BINARY, *words[1:]], cwd=where, stdin=subprocess.DEVNULL, stdout=log, stderr=log))
        port = int(re.search(r"admin: *127.0.0.1:(\d+)", text)[1])

        def ready():
            try:
                return request(port, "GET", "/readyz").status == 200
            except OSError:
                return False

        until(ready, "the gateway")
        for command, shown in steps(text):
            show(shell, command, shown)
    finally:
        shell.stop()
        for program in programs:
            program.terminate()
            program.wait(30)


def test_keys_and_budgets():
    follow("keys-and-budgets.md")


def test_alarms_and_actions():
    follow("alarms-and-actions.md")


def test_connect_a_device():
    follow("connect-a-device.md")


if __name__ == "__main__":
    harness.run(globals())
