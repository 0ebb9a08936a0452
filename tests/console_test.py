"""The console page in a real browser: against canned answers, hostile ones among them, and against the real gateway.

PENSTOCK_SCREENSHOTS=DIR also leaves pictures there: light, dark and narrow.
"""

import datetime
import http.server
import json
import math
import os
import pathlib
import threading
import time

import browser
import harness
from harness import check, equal, until

PAGE = harness.ROOT / "ui" / "console.html"
# What the admin listener sends with the page.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:"
HOSTILE = "<img src=x onerror=window.ran=1><script>window.ran=2</script>'\"</td>"
HOSTILE_NAMES = ["__proto__", "constructor", "hasOwnProperty", HOSTILE]


def ago(seconds):
    return (datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def request_record(number, seconds, **more):
    record = {"id": f"req_{number:06}", "at": ago(seconds), "api": "openai", "route": "/v1/chat/completions", "key": "app", "model": "chat", "asked": "chat",
              "target": "lab/llama", "status": 200, "error_type": "", "error": "", "streamed": True, "attempts": 1, "total_ms": 182.4, "overhead_us": 84,
              "first_token_ms": 21.3, "events": 34, "input_tokens": 1204, "output_tokens": 32, "cached_tokens": 1024, "bytes_in": 5120, "bytes_out": 18944}
    return {**record, **more}


def quiet():
    """A gateway to which nothing has happened yet."""
    return {
        "status": {"version": "0.1.0", "uptime_seconds": 3, "requests_total": 0, "events_dropped": 0, "resident_bytes": 31 << 20, "threads": 2,
                   "listen": ["127.0.0.1:8080"], "simulated": False, "ready": True, "obstacles": []},
        "requests": {"requests": []}, "models": {"language_models": [], "local_models": []}, "keys": {"keys": [], "total": 0, "next": None}, "budgets": {"budgets": [], "next": None}, "usage": {"since": ago(86400), "usage": []},
        "pipelines": {"sources": [], "pipelines": []}, "alarms": {"active": [], "history": []}, "actions": {"actions": []}, "buffers": {"buffers": []}, "devices": {"devices": [], "total": 0, "next": None, "unregistered": []}}


def busy():
    """A day in a plant; pipelines move with every answer."""
    begun = time.monotonic()
    state = quiet()
    steps = {"n": 0}

    def status():
        steps["n"] += 1
        n = 48_210 + int(14 * (time.monotonic() - begun) + 9 * math.sin(steps["n"]))
        return {**quiet()["status"], "uptime_seconds": 93_784, "requests_total": n, "resident_bytes": 45_300_000, "simulated": True}

    def pipelines():
        t = time.monotonic() - begun
        odd = 0.93 if int(t) % 12 > 8 else 0.04
        press = {"time": ago(0), "device": "press-1", "temp": 78 + 2 * math.sin(t / 5), "vib": 2.1 + 0.4 * math.sin(t * 2) + (3 if odd > 0.5 else 0),
                 "speed": 1480 + 5 * math.cos(t), "vib_anomaly": odd, "stop": False, "state": "running", "spectrum": [0.1, 0.22, 0.05, 0.01, 0.3],
                 "units": {"temp": "degC", "vib": "mm/s", "speed": "rpm"}, "tags": {"line": "A"}}
        host = {"time": ago(0), "device": "edge-7", "load1": 1.25, "cpu": 31 + 20 * math.sin(t / 3), "cpu_iowait": 2.5, "memory_used": 62.2,
                "memory_available": 3.1e9, "network_in": 48_000.0, "uptime": 264_000, "units": {"cpu": "%", "cpu_iowait": "%", "memory_used": "%",
                "memory_available": "B", "network_in": "B/s", "uptime": "s"}}
        common = {"refused": 0, "errors": 0, "alarms": 2, "queued": 0, "last_error": ""}
        return {"sources": [{"name": "press", "kind": "mqtt", "connected": True, "detail": "mqtt://127.0.0.1:1883", "samples": int(50 * t) + 812_000, "messages": int(50 * t) + 812_000, "dropped": 0},
                            {"name": "host", "kind": "host", "connected": True, "detail": "", "samples": int(t), "messages": 0, "dropped": 0},
                            {"name": "plc", "kind": "modbus", "connected": False, "detail": "127.0.0.1:1502: connection refused; next try in 4 s", "samples": 0, "messages": 0, "dropped": 12}],
                "pipelines": [{**common, "name": "press-guard", "from": ["press", "plc"], "steps": ["deadband", "window", "anomaly", "alarm"], "in": int(50 * t), "out": int(5 * t), "dropped": 0,
                               "busy_seconds": 0.004 * t, "last": press, "sinks": [{"kind": "mqtt", "connected": False, "detail": "127.0.0.1:1884: connection refused", "messages": 5, "dropped": 3}, {"kind": "log", "connected": True, "detail": "", "messages": 9, "dropped": 0}]},
                              {**common, "name": "machine", "from": ["host"], "steps": ["map"], "in": int(t), "out": int(t), "dropped": 7, "busy_seconds": 0.0001 * t, "last": host, "sinks": [],
                               "last_error": "step map: 'cpu * 2 +' ends too early"}]}

    requests = [request_record(i, i * 1.7) for i in range(30)]
    requests[1] = request_record(1, 1.7, status=429, error_type="policy_limit", target="", key="ci", input_tokens=0, output_tokens=0, total_ms=0.21, overhead_us=190, attempts=0,
                                 error="The key 'ci' may send 60 requests a minute. Try again in 12 s, or raise limits.rpm.")
    requests[4] = request_record(4, 6.8, status=502, error_type="provider_connect", target="lab/llama", total_ms=2003.2, overhead_us=1290, attempts=2,
                                 error="The provider 'lab' (127.0.0.1:9001) refused the connection. Is it running?")
    requests[5] = request_record(5, 8.5, api="oip", route="/v2/models/{m}/infer", model="digits", asked="digits", target="digits/1", streamed=False, total_ms=0.34, overhead_us=61, input_tokens=0, output_tokens=0)
    state.update({
        "status": status, "pipelines": pipelines, "requests": {"requests": requests},
        "models": {"language_models": [{"name": "chat", "targets": [{"target": "openai/gpt-4o-mini", "weight": 9}, {"target": "claude/claude-haiku-4-5", "weight": 1}], "fallback": ["lab/llama"]},
                                       {"name": "small", "targets": [{"target": "lab/llama", "weight": 1}], "fallback": []}],
                   "local_models": [{"name": "digits", "path": "configs/models/digits", "ready": True, "versions": [
                       {"version": "1", "ready": True, "default": True, "reason": "", "platform": "onnxruntime_onnx", "inputs": [{"name": "pixels", "datatype": "FP32", "shape": [-1, 64]}],
                        "outputs": [{"name": "scores", "datatype": "FP32", "shape": [-1, 10]}], "inferences": 182_344, "failures": 2, "mean_ms": 0.041},
                       {"version": "2", "ready": False, "default": False, "reason": "2/model.onnx: is cut off after 812 bytes", "platform": "", "inputs": [], "outputs": [], "inferences": 0, "failures": 0, "mean_ms": 0}]}]},
        "keys": {"total": 1204, "next": 2,
                 "keys": [{"name": "app", "id": "", "declared": True, "state": "active", "team": "research", "models": ["chat", "digits"], "limits": {"rpm": 600, "requests": ["10/s"], "concurrent": 20},
                           "budget": ["5USD/day", {"amount": "50USD", "per": "month", "zone": "Europe/Berlin"}], "expires": None, "last_used": ago(60)},
                          {"name": "ci", "id": "k_7fa2", "declared": False, "state": "expired", "team": "", "models": ["*"], "limits": {}, "budget": [], "expires": ago(86400 * 20), "last_used": None}]},
        "budgets": {"next": None,
                    "budgets": [{"account": "team:research", "name": "the team 'research'", "budget": "5USD/day", "unit": "micro_usd", "amount": 5_000_000, "spent": 3_250_000, "held": 41_200,
                                 "remaining": 1_708_800, "since": ago(3600), "renews": ago(-3600), "hard": True},
                                {"account": "key:k_7fa2", "name": "the API key 'ci'", "budget": "2000000tokens/week", "unit": "tokens", "amount": 2_000_000, "spent": 2_000_000, "held": 0,
                                 "remaining": 0, "since": ago(3600), "renews": ago(-3600), "hard": True}]},
        "usage": {"since": ago(86400), "usage": [{"key": "app", "model": "chat", "requests": 41_002, "errors": 12, "input_tokens": 49_366_408, "output_tokens": 1_312_064, "cached_tokens": 20_110_000, "cost_usd": 20.301244},
                                                 {"key": "ci", "model": "small", "requests": 310, "errors": 0, "input_tokens": 31_000, "output_tokens": 9_920, "cached_tokens": 0, "cost_usd": 0.000042}]},
        "alarms": {"active": [{"pipeline": "press-guard", "name": "wear", "device": "press-1", "at": ago(74), "why": "score > 0.8 for 3s: score was 0.93",
                               "severity": "critical", "state": "acknowledged", "acknowledged_by": "shift-2", "escalated": True, "shelved": False, "suppressed": False}],
                   "history": [{"pipeline": "press-guard", "name": "wear", "device": "press-1", "raised": i % 2 == 0, "at": ago(74 + 300 * i), "why": "score > 0.8 for 3s: score was 0.93"} for i in range(5)]},
        "actions": {"actions": [{"pipeline": "press-guard", "name": "stop", "on": "alarm wear", "does": "publishes 1 to plant/press/cmd/stop", "dry_run": False, "hold": None, "counts": {"confirmed": 3, "blocked": 1, "failed": 0},
                                 "last": {"what": "confirmed", "at": ago(70), "why": "read back 1"}},
                                {"pipeline": "press-guard", "name": "lubricate", "on": "temp > 82", "does": "writes 1 to coil pump", "dry_run": True, "hold": {"by": "shift-2", "why": "pump is out", "at": ago(900)}, "counts": {}, "last": None}]},
        "buffers": {"buffers": [{"name": "press-guard/mqtt", "in_use": True, "trouble": None, "bytes": 41_300_000, "records": 120_410, "waiting": 120_400, "oldest_seconds": 7_300.0, "appended": 812_000, "dropped": 0, "refused": 0,
                                 "damaged": 2, "set_aside": 1, "disk_full": False, "connected": False, "detail": "127.0.0.1:1884: connection refused", "replayed": 3_120},
                                {"name": "journal/press", "in_use": True, "trouble": None, "bytes": 4096, "records": 0, "waiting": 0, "oldest_seconds": 0.0, "appended": 5, "dropped": 0, "refused": 0, "damaged": 0, "set_aside": 0, "disk_full": False},
                                {"name": "old/kafka", "in_use": False, "trouble": None, "bytes": 9_000, "records": 17, "waiting": 17, "oldest_seconds": 86_500.0, "appended": 0, "dropped": 0, "refused": 0, "damaged": 0, "set_aside": 0, "disk_full": False}]},
        "devices": {"total": 240, "next": 3, "devices": [{"name": "press-1", "state": "active", "health": "ok", "why": "", "created": ago(9e5), "last_seen": ago(4), "samples": 812_000, "refused": 0, "malformed": 0, "profile": "press", "groups": ["hall-2"], "tags": {}},
                                                        {"name": "press-2", "state": "active", "health": "silent", "why": "", "created": ago(9e5), "last_seen": ago(4000), "samples": 12, "refused": 0, "malformed": 0, "profile": "press", "groups": [], "tags": {}},
                                                        {"name": "press-3", "state": "quarantined", "health": "quarantined", "why": "floods", "created": ago(9e5), "last_seen": None, "samples": 0, "refused": 9, "malformed": 0, "profile": "", "groups": [], "tags": {}}],
                    "unregistered": [{"device": "edge-7", "last_seen": ago(1), "samples": 31, "pipelines": ["machine"]}]}})
    return state


def hostile():
    """Every string a stranger may choose is markup, and names are those of an object's own members."""
    state = busy()

    def spoil(value):
        if isinstance(value, dict):
            return {k: v if k in ("at", "expires", "time", "last_seen", "created") else spoil(v) for k, v in value.items()}
        if isinstance(value, list):
            return [spoil(v) for v in value]
        return HOSTILE if isinstance(value, str) else value

    result = {k: (lambda v=v: spoil(v())) if callable(v) else spoil(v) for k, v in state.items()}
    begun = time.monotonic()

    def pipelines():
        answer = spoil(state["pipelines"]())
        for pipeline in answer["pipelines"]:
            pipeline["last"].update({name: time.monotonic() - begun for name in HOSTILE_NAMES})
            pipeline["last"]["units"] = {"cpu": HOSTILE}
        return answer

    result["pipelines"] = pipelines
    result["requests"]["requests"] += [{"id": {"onclick": "window.ran=3"}, "model": {"onerror": "window.ran=4"}, "status": "<b>"}, {}]
    result["keys"]["keys"] += [{"name": {"onclick": "window.ran=5"}, "models": {"a": 1}, "limits": "<b>", "budget": [{"amount": "<img>"}]}]
    result["budgets"]["budgets"] += [{"account": "<img src=x>", "name": {"onclick": "window.ran=6"}, "unit": {}, "spent": "<b>"}]
    return result


class Admin:
    """A small admin listener: `parts` are the answers by name, values, functions, or a number for a bare status."""

    def __init__(self, parts, port=0):
        self.parts = parts
        self.paths = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):  # the name is http.server's
                outer.paths.append(self.path)
                self.reply(*outer.answer(self.path.split("?")[0]))

            def reply(self, status, kind, body):
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Security-Policy", POLICY)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def answer(self, path):
        if path == "/":
            return 200, "text/html; charset=utf-8", PAGE.read_bytes()
        part = self.parts.get(path.removeprefix("/admin/v1/"), 404)
        part = part() if callable(part) else part
        if isinstance(part, int):
            return part, "application/json", b'{"error":"no"}'
        return 200, "application/json", json.dumps(part).encode()

    def asked(self, part):
        return sum(1 for p in self.paths if p.startswith(f"/admin/v1/{part}"))

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def show(page, url):
    page.open(url)
    page.until("document.readyState === 'complete' && document.getElementById('link').textContent === 'live'", "the first answers")


# Each element's own text against the first opaque background behind it; WCAG's ratio. Returns what is below 4.5.
CONTRAST = """(() => {
  const parse = c => c.match(/[\\d.]+/g).map(Number);
  const light = c => { const [r, g, b] = c.slice(0, 3).map(v => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] === 1) return c; } return [255, 255, 255]; };
  const low = [];
  for (const e of document.querySelectorAll('body *')) {
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) || !e.getClientRects().length || e.closest('script, noscript, .unseen')) continue;
    const style = getComputedStyle(e), a = light(parse(e.closest('svg') ? style.fill : style.color)), b = light(behind(e));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) low.push(`${ratio.toFixed(2)} ${e.tagName} ${e.textContent.slice(0, 30)}`);
  }
  return low;
})()"""


def test_the_page_is_one_small_file_that_never_makes_markup_from_data():
    page = PAGE.read_bytes()
    check(len(page) < 50 * 1024, "the page has", len(page), "bytes")
    check(page.isascii(), "the page is embedded in pieces, so it is ASCII")
    for word in (b"innerHTML", b"outerHTML", b"insertAdjacent", b"document.write", b"eval(", b"new Function", b"DOMParser", b"http://www.googleapis", b"<script src", b"@import"):
        check(word not in page, "the page contains", word)


def test_a_busy_gateway_is_shown_in_words_and_numbers():
    with Admin(busy()) as admin, browser.Browser() as page:
        page.size(1280)
        show(page, admin.url)
        page.until("document.querySelectorAll('#pipelines article').length === 2", "pipelines")
        header = page.text("header")
        for words in ("0.1.0", "ready", "simulated provider", "1 d 2 h", "43.2 MiB", "127.0.0.1:8080"):
            check(words in header, words, "is not in", header)
        requests = page.text("#requests")
        for words in ("lab/llama", "1,204 / 32", "182 ms", "84 µs", "429 policy_limit", "502 provider_connect", "2.00 s", "340 µs"):
            check(words in requests, words, "is not in", requests)
        models = page.text("#models")
        for words in ("openai/gpt-4o-mini 90 %", "claude/claude-haiku-4-5 10 %", "182,344", "41 µs", "is cut off after 812 bytes", "not ready", "pixels FP32[-1, 64]"):
            check(words in models, words, "is not in", models)
        pipelines = page.text("#pipelines")
        for words in ("press-guard", "not connected", "connection refused; next try", "running", "mm/s", "2.9 GiB", "3 d 1 h", "alarm: wear", "7 dropped", "ends too early"):
            check(words in pipelines, words, "is not in", pipelines)
        keys = page.text("#keys")
        for words in ("rpm 600, requests 10/s, concurrent 20, 5USD/day, 50USD/month", "research", "expired", "1,202 more"):
            check(words in keys, words, "is not in", keys)
        budgets = page.text("#budgets")
        for words in ("the team 'research'", "3.25 USD", "0.04 USD", "1.71 USD", "2.00 M", "used up"):
            check(words in budgets, words, "is not in", budgets)
        widths = page.run("[...document.querySelectorAll('#budgets .spent')].map(r => Math.round(r.getAttribute('width')))")
        equal(widths, [65, 100])
        for part, all_words in (("actions", ("publishes 1 to plant/press/cmd/stop", "confirmed 3, blocked 1", "read back 1", "held by shift-2: pump is out")),
                                ("buffers", ("press-guard/mqtt", "120,400", "2 h 1 min", "39.4 MiB", "connection refused", "journal", "left over", "1 d 0 h")),
                                ("devices", ("240 registered, 1 not in the registry", "silent", "floods", "812,000", "edge-7", "not registered"))):
            page.until(f"!document.getElementById('{part}').hidden", part)
            for words in all_words:
                check(words in page.text("#" + part), words, "is not in", page.text("#" + part))
        for words in ("critical", "acknowledged by shift-2", "escalated"):
            check(words in page.text("#standing"), words, "is not in", page.text("#standing"))
        usage = page.text("#usage")
        for words in ("49.37 M", "20.30 USD", "0.000042 USD"):
            check(words in usage, words, "is not in", usage)
        check("1 alarm standing" in page.text("#standing"), page.text("#standing"))
        check("wear on press-1" in page.run("document.getElementById('announce').textContent"), "the alarm is not announced")
        equal(page.run("document.title"), "(1) Penstock")
        check(all(p == "/" or p.startswith("/admin/v1/") for p in admin.paths), admin.paths)
        page.until("/in (4\\d|5\\d)\\/s, out \\d/.test(document.querySelector('#pipelines article .rate').textContent)", "a rate near 50/s")
        equal(page.complaints, [])


def test_a_request_opens_to_all_that_is_known_and_the_list_can_be_held():
    with Admin(busy()) as admin, browser.Browser() as page:
        show(page, admin.url)
        page.until("document.querySelectorAll('#requests tbody').length === 10", "ten requests")
        page.run("document.querySelectorAll('#requests tbody button')[1].click()")
        opened = page.text("#requests .more")
        for words in ("Try again in 12 s", "req_000001", "1,024", "5.0 KiB"):
            check(words in opened, words, "is not in", opened)
        check("req_000001" in page.text("#requests .more"), "the row closed by itself")
        newest = "document.querySelector('#requests tbody td:nth-child(2)').innerText"
        page.run("document.getElementById('hold').click()")
        admin.parts["requests"]["requests"].insert(0, request_record(99, -1, model="later"))
        seen = admin.asked("requests")
        until(lambda: admin.asked("requests") > seen + 1, "two more rounds")
        equal(page.run(newest), "chat", "while paused")
        page.run("document.getElementById('hold').click()")
        page.until(newest + " === 'later'", "the newest request first")
        check("Try again in 12 s" in page.text("#requests .more"), "the open row was lost")
        page.run("document.querySelector('#requests .foot button').click()")
        equal(page.run("document.querySelectorAll('#requests tbody').length"), 31)
        equal(page.complaints, [])


def test_charts_move_and_scores_lie_between_zero_and_one():
    with Admin(busy()) as admin, browser.Browser() as page:
        show(page, admin.url)
        page.until("[...document.querySelectorAll('#pipelines [data-field=vib_anomaly]')].some(g => g.dataset.points >= 3)", "three points of the score")
        lane = page.run("(l => [l.dataset.lane, l.dataset.low, l.dataset.high])(document.querySelector('[data-field=vib_anomaly]').parentNode)")
        equal(lane, ["score", "0", "1"])
        path = "document.querySelector('[data-field=vib] .curve').getAttribute('d')"
        before = page.run(path)
        page.until(f"{path} !== {json.dumps(before)}", "a line that moves")
        equal(page.run("document.querySelector('[data-field=cpu]').parentNode.dataset.high"), "100", "shares lie between 0 and 100")
        equal(page.run("document.querySelectorAll('[data-field=speed]').length"), 1)
        page.run("[...document.querySelectorAll('#pipelines label')].find(l => l.textContent === 'speed').click()")
        equal(page.run("document.querySelectorAll('[data-field=speed]').length"), 0, "an unticked field is drawn")
        inside = page.run("""[...document.querySelectorAll('#pipelines svg')].every(svg => [...svg.querySelectorAll('.dot')].every(
            c => +c.getAttribute('cx') >= 0 && +c.getAttribute('cx') <= svg.viewBox.baseVal.width && +c.getAttribute('cy') >= 0 && +c.getAttribute('cy') <= svg.viewBox.baseVal.height))""")
        check(inside, "a point lies outside its chart")
        equal(page.complaints, [])


def test_strangers_words_appear_as_text_and_run_nothing():
    with Admin(hostile()) as admin, browser.Browser() as page:
        show(page, admin.url)
        page.until("document.querySelectorAll('#pipelines [data-field]').length > 3", "charts")
        page.run("document.querySelectorAll('#requests tbody button').forEach(b => b.click()); document.querySelectorAll('#pipelines input:not(:disabled)').forEach(b => b.checked || b.click())")
        for part in ("requests", "models", "pipelines", "alarms", "actions", "buffers", "devices", "keys", "budgets", "usage", "standing"):
            check(HOSTILE in page.text("#" + part), part, "does not show the words:", page.text("#" + part)[:400])
        for word in HOSTILE_NAMES:
            check(word in page.text("#pipelines .values"), word, "is no field")
        seen = admin.asked("status")
        until(lambda: admin.asked("status") > seen + 2, "more rounds")
        equal(page.run("window.ran === undefined"), True, "something ran")
        equal(page.run("document.querySelectorAll('img, script').length"), 1, "elements made from words")
        equal(page.run("[...document.querySelectorAll('*')].flatMap(e => [...e.attributes]).filter(a => /^on/i.test(a.name)).length"), 0)
        check(all(p == "/" or p.startswith("/admin/v1/") for p in admin.paths), admin.paths)
        equal(page.complaints, [])


def test_answers_of_the_wrong_shape_spoil_only_their_own_part():
    parts = busy()
    parts.update({"models": {"language_models": 7, "local_models": [None]}, "keys": 503, "usage": [], "alarms": {"active": None}})
    with Admin(parts) as admin, browser.Browser() as page:
        show(page, admin.url)
        page.until("document.querySelector('#models .trouble')", "the trouble with models")
        check("/admin/v1/keys answered 503" in page.text("#keys"), page.text("#keys"))
        page.until("document.querySelectorAll('#pipelines article').length === 2", "pipelines all the same")
        parts["keys"] = busy()["keys"]
        page.until("document.querySelector('#keys-box').innerText.includes('rpm 600')", "keys that came back")
        equal([c for c in page.complaints if "503" not in c], [])


def test_a_quiet_gateway_says_how_to_get_data():
    parts = quiet()
    parts["models"]["language_models"] = [{"name": "it's", "targets": [], "fallback": []}]
    parts["status"].update(ready=False, obstacles=["model digits: no version loads"])
    with Admin(parts) as admin, browser.Browser() as page:
        show(page, admin.url)
        page.until("document.querySelector('#requests code') && document.querySelector('#usage .empty')", "empty states")
        line = page.text("#requests code")
        check(line.startswith("curl 'http://127.0.0.1:8080/v1/chat/completions'") and '"model":"it\'\\\'\'s"' in line, line)
        check("authorization" not in line, "a key is asked for where none is needed:", line)
        for part, words in (("pipelines", "host: { host: {}"), ("alarms", "- alarm:"), ("keys", "penstock key create"), ("usage", "24 hours")):
            check(words in page.text("#" + part), words, "is not in", page.text("#" + part))
        check("not ready" in page.text("header") and "no version loads" in page.text("#obstacles"), page.text("header"))
        equal(page.run("document.getElementById('standing').hidden && document.getElementById('simulated').hidden"), True)
        parts["status"].update(ready=True, obstacles=[])
        page.until("document.getElementById('obstacles').hidden", "no obstacles")
        equal(page.complaints, [])


def test_a_gateway_that_is_gone_is_said_to_be_and_found_again():
    admin = Admin(busy())
    with browser.Browser() as page:
        show(page, admin.url)
        admin.stop()
        page.until("document.getElementById('link').innerText === 'disconnected, retrying'", "the word disconnected")
        equal(page.text("#ready"), "unknown")
        with Admin(busy(), admin.port) as again:
            page.until("document.getElementById('link').textContent === 'live'", "the gateway again")
            equal(page.text("#ready"), "ready")
            until(lambda: again.asked("status") > 2, "polling again")


def test_a_hidden_tab_asks_nothing():
    hide = "Object.defineProperty(document, 'visibilityState', {configurable: true, get: () => '%s'}); document.dispatchEvent(new Event('visibilitychange'))"
    with Admin(busy()) as admin, browser.Browser() as page:
        show(page, admin.url)
        page.run(hide % "hidden")
        time.sleep(1.5)  # what was under way ends
        asked = len(admin.paths)
        time.sleep(2.5)
        equal(len(admin.paths), asked, "requests of a hidden tab")
        page.run(hide % "visible")
        until(lambda: len(admin.paths) > asked, "polling again")


def test_it_reads_well_in_light_and_dark_and_fits_a_phone():
    pictures = os.environ.get("PENSTOCK_SCREENSHOTS")
    with Admin(busy()) as admin, browser.Browser() as page:
        page.size(1280)
        show(page, admin.url)
        page.until("document.querySelectorAll('#pipelines article').length === 2 && document.querySelector('#usage table')", "everything")
        if pictures:
            time.sleep(20)
        for scheme in ("light", "dark"):
            page.colours(scheme)
            equal(page.run(CONTRAST), [], "low contrast in", scheme)
            if pictures:
                page.screenshot(pathlib.Path(pictures) / f"{scheme}.png")
        for width in (1280, 800, 390, 320):
            page.size(width)
            page.until("true", "a layout")
            equal(page.run("document.documentElement.scrollWidth <= innerWidth"), True, "scrolls sideways at", width)
        page.size(390)
        time.sleep(1.2)
        if pictures:
            page.screenshot(pathlib.Path(pictures) / "narrow.png")
        equal(page.run("[...document.querySelectorAll('table')].filter(t => !t.caption || !t.querySelector('th[scope=col]')).length"), 0, "tables without a name or headers")
        equal(page.run("[...document.querySelectorAll('main section')].filter(s => !s.getAttribute('aria-label')).length"), 0)
        equal(page.complaints, [])


CONFIG = """
providers:
  lab: {{ type: openai, base_url: "{url}" }}
models:
  chat: {{ route: [ {{ to: lab/llama }} ] }}
sources:
  press: {{ http: {{}} }}
pipelines:
  press-guard:
    from: press
    steps:
      - alarm: {{ name: hot, raise: "temp > 80", clear: "temp < 75" }}
"""


def test_the_real_gateway_shows_a_request_a_chart_and_an_alarm():
    with harness.Mock() as mock, harness.Gateway(CONFIG.format(url=mock.url)) as gateway, browser.Browser() as page:
        show(page, f"http://127.0.0.1:{gateway.admin_port}/")
        page.until("document.querySelector('#requests code') && document.querySelector('#pipelines code')", "the empty states")
        equal(gateway.chat().status, 200)
        page.until("document.querySelector('#requests tbody')?.innerText.includes('lab/llama')", "the request")
        row = page.text("#requests tbody")
        for words in ("chat", "200 ok"):
            check(words in row, words, "is not in", row)
        for temp in (70, 72, 74, 91):
            equal(gateway.post("/ingest/press", {"device": "p1", "temp": temp, "units": {"temp": "degC"}}).status, 202)
            page.until(f"document.querySelector('#pipelines .values')?.innerText.includes('{temp} °C')", f"the value {temp}")
        check(page.run("Number(document.querySelector('#pipelines [data-field=temp]').dataset.points)") >= 4, "the chart has too few points")
        page.until("document.getElementById('standing').innerText.includes('on p1')", "the alarm")
        equal(gateway.post("/ingest/press", {"device": "p1", "temp": 60}).status, 202)
        page.until("document.getElementById('standing').hidden && document.querySelector('#alarms-box').innerText.includes('cleared')", "the alarm cleared")
        page.until("document.querySelector('#usage table')", "usage")
        page.until("document.getElementById('devices').innerText.includes('p1')", "the device that sent it")
        equal(page.complaints, [])
        if pictures := os.environ.get("PENSTOCK_SCREENSHOTS"):
            page.screenshot(pathlib.Path(pictures) / "real.png")


if __name__ == "__main__":
    if not browser.PROGRAM:
        harness.skip("chromium is not installed; ./dev setup test fetches it")
    harness.run(globals())
