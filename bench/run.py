"""Benchmarks against peers in the same run: ./dev bench [NAME...]. See bench/README.md."""

import argparse
import os
import sys

import accounting
import alarm
import connections
import devices
import footprint
import infer
import link_cut
import modbus
import overload
import peers
import programs
import proxy
import reload
import report
import shared
import tokenizer
import translate

BENCHES = {"chat": proxy.chat, "stream": proxy.stream, "infer": infer.infer, "alarm": alarm.alarm, "devices": devices.devices, "flood": devices.flood,
           "link_cut": link_cut.link_cut, "idle": footprint.idle,
           "startup": footprint.startup, "connections": connections.connections, "overload": overload.overload, "reload": reload.reload,
           "peers": peers.peers, "translate": translate.translate, "accounting": accounting.accounting, "shared": shared.shared,
           "tokenize": tokenizer.tokenize, "modbus": modbus.modbus}


def main():
    parser = argparse.ArgumentParser(prog="dev bench", description="Load tests against peers; results go to bench/results/.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(BENCHES)}; all when none is given")
    parser.add_argument("--rounds", type=int, default=5, help="alternating rounds (default 5)")
    parser.add_argument("--seconds", type=int, default=4, help="length of one measurement (default 4)")
    parser.add_argument("--connections", type=int, default=0, help="concurrent connections (default: each bench's own)")
    parser.add_argument("--rate", type=int, default=0, help="alarm, devices, flood: readings per second (default: each bench's own)")
    parser.add_argument("--peers", default="", metavar="A,B", help="peers: only these, besides direct and penstock")
    parser.add_argument("--mixes", default="", metavar="TEXT", help="peers: only mixes whose name has this in it, e.g. 'stream' or '64 KB'")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in BENCHES]
    if unknown or options.rounds < 1 or options.seconds < 1:
        parser.error(f"no bench called {unknown[0]}; there are {', '.join(BENCHES)}" if unknown else "rounds and seconds are at least 1")
    if not os.access(programs.BINARY, os.X_OK):
        parser.error(f"no program at {programs.BINARY}; build it first, or set PENSTOCK_BINARY")
    programs.raise_descriptor_limit()
    failed = False
    for name in options.names or BENCHES:
        print(f"== {name} on {report.machine()}", flush=True)
        affinity = os.sched_getaffinity(0)
        try:
            BENCHES[name](options)
        except programs.Missing as missing:
            print(f"{name} is left out: {missing}", flush=True)
        except (RuntimeError, OSError) as error:
            failed = True
            print(f"{name} failed: {error}", file=sys.stderr, flush=True)
        finally:
            os.sched_setaffinity(0, affinity)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
