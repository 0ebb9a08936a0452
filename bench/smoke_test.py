"""The benches' own programs against each other: what they count, never how fast they are."""

import json
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import programs
import proxy
import servers

EVENTS, GAP_MS = 5, 20
failures = []


def check(what, holds):
    if not holds:
        failures.append(what)
        print(f"FAILED: {what}")


def rising(quantiles):
    values = [quantiles[q] for q in ("p50", "p90", "p99", "p999", "max")]
    return values == sorted(values) and values[0] > 0


def main():
    programs.raise_descriptor_limit()
    core = programs.cores()[1]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        with servers.upstream(folder, core, events=EVENTS, gap_ms=GAP_MS, answer=300) as upstream:
            def load(stream, prompt_bytes=0, **options):
                file = folder / "body"
                file.write_text(proxy.body(stream, prompt_bytes))
                return programs.load(core, upstream.port, proxy.PATH, file, proxy.HEADERS, stream=stream, **options)

            closed = load(False, seconds=0.2, connections=8)
            check("closed loop: every answer is counted and has 300 bytes and a head", closed["latency"]["count"] == closed["requests"] and
                  300 * closed["requests"] < closed["bytes"] < 500 * closed["requests"])
            check("quantiles rise", rising(closed["latency"]))
            fixed = load(False, seconds=0.25, rate=400, connections=4)
            check("a fixed rate sends every request that was due", fixed["requests"] == 100)
            large = load(False, prompt_bytes=65536, each=3, connections=4, sources=3)
            check("a bounded number of large requests from several addresses", large["requests"] == 12)
            stream = load(True, each=2, connections=10, spread_ms=20)
            check("streams: every token, the finish and [DONE]", stream["requests"] == 20 and stream["events"] == 20 * (EVENTS + 2))
            check("every token says when it was sent", stream["event_delay"]["count"] == 20 * EVENTS)
            check("a stream takes as long as its tokens", stream["latency"]["p50"] >= EVENTS * GAP_MS * 1000)
            # Eight connections are held until every one has had its answer; then the run ends.
            held = load(False, each=1, connections=8, hold=True, seconds=0.1)
            check("held connections have one answer each", held["requests"] == 8)
        upstream.reader.join(10)
        served = json.loads(upstream.line)
        asked = sum(run["requests"] for run in (closed, fixed, large, stream, held))
        check("the upstream counted what was answered", served["requests"] == asked and served["streams"] == 20)
        try:
            programs.load(core, upstream.port, proxy.PATH, folder / "body", proxy.HEADERS, seconds=0.1, connections=1)
            check("a server that is gone is an error", False)
        except RuntimeError:
            pass
    print("failed" if failures else "all counts are right")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
