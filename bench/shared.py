"""`shared`: three gateways, one limit, a real Redis that is killed and started empty: what all gave out against the limit and the
bound that docs/limits.md names."""

import pathlib
import shutil
import statistics
import sys

import programs
import report

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests"))

SCENARIOS = ["requests_together", "money_together", "lost_under_load", "lost_for_good", "never_there"]


def shared(options):
    import fleet  # makes a folder
    if fleet.server_program() is None:
        raise programs.Missing("neither redis-server nor valkey-server is installed; ./dev setup test installs one")
    host = report.machine()
    rounds = []
    for number in range(options.rounds):
        one = {name: getattr(fleet, name)() for name in SCENARIOS}
        one["standing_still"] = fleet.standing_still()
        one["revocation_ms"] = fleet.revocation()
        rounds.append(one)
        print(f"round {number + 1}: " + ", ".join(f"{name} {one[name]['granted']} of {one[name]['limit']}" for name in SCENARIOS), flush=True)
    shutil.rmtree(fleet.harness.FOLDER, ignore_errors=True)
    lines = ["| scenario | limit | given out by all | bound | last round |", "|---|---|---|---|---|"]
    for name in SCENARIOS:
        last = rounds[-1][name]
        lines.append(f"| {last['scenario']} | {last['limit']} | **{report.spread([r[name]['granted'] for r in rounds], 0)}** | {last['bound']} | {last['more']} |")
    still = [r["standing_still"] for r in rounds]
    lines += ["", "| | ms |", "|---|---|",
              f"| median of a call, store well | {report.spread([s['before_ms'] for s in still], 2)} |",
              f"| median of a call, store stands still (SIGSTOP) | {report.spread([s['meanwhile_ms'] for s in still], 2)} |",
              f"| from `penstock key revoke` at one gateway to the first refusal at another | {report.spread([ms for r in rounds for ms in r['revocation_ms']], 0)} |"]
    wasted = statistics.median(r["money_together"]["limit"] - r["money_together"]["granted"] for r in rounds)
    notes = [f"Three gateways of one core each with one key, clients that ask all of them for all they give, slice 2 %. Of the budget {max(0, wasted):.0f} micro-dollars were left. "
             "The bound is limit × (1 + gateways × slice); where the store lost its data, one slice per gateway more."]
    report.write("shared", "Several gateways, one limit", notes, rounds, "\n".join(lines), host)
