"""`chat` and `stream`: the gateway with everything on against nginx that only copies, in front of the same upstream."""

import json

import programs
import report

KEY = "sk-bench-0000000001"
HEADERS = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}
PATH = "/v1/chat/completions"

# Everything a call passes in production: key check, both limits, routing with a fallback, usage, metrics, access log.
CONFIG = """
providers:
  lab: {{ type: openai, base_url: "http://127.0.0.1:{port}/v1", api_key: sk-upstream-0000001 }}
models:
  gpt-4o-mini:
    route: [ {{ to: lab/gpt-4o-mini }} ]
    fallback: [ lab/other ]
keys:
  - {{ name: bench, secret: {key}, models: [gpt-4o-mini], limits: {{ rpm: 1000000000, tpm: 1000000000000 }} }}
"""
SWITCHED_ON = ("The gateway runs one loop with key check, request and token limits, routing, usage accounting, metrics and an "
               "access log to a file; nginx runs one worker and only copies, without a log.")


def body(stream):
    request = {"model": "gpt-4o-mini", "messages": [
        {"role": "system", "content": "You are a terse assistant that answers in one line, always."},
        {"role": "user", "content": "What is the capital of France, and how many people live there?"}], "max_tokens": 128}
    if stream:
        request["stream"] = True
    return json.dumps(request, separators=(",", ":"))


def measure(subject, upstream, load_core, body_file, connections, seconds):
    (user, system), upstream_cpu = subject.times_us(), upstream.cpu_us()
    counted = programs.wrk(load_core, subject.port, PATH, body_file, connections, seconds, HEADERS)
    requests = counted["requests"]
    user_after, system_after = subject.times_us()
    result = {
        "requests": requests,
        "requests_per_s": requests / counted["duration_us"] * 1e6,
        "cpu_us_per_request": (user_after + system_after - user - system) / requests,
        "user_us_per_request": (user_after - user) / requests,
        "mock_cpu_us_per_request": (upstream.cpu_us() - upstream_cpu) / requests,
        "load_cpu_us_per_request": counted["load_cpu_us"] / requests,
        "p50_us": counted["p50_us"], "p99_us": counted["p99_us"], "bytes_per_answer": counted["bytes"] / requests,
    }
    if subject is upstream:
        del result["cpu_us_per_request"], result["user_us_per_request"]
    return result


def quiet_latency(subject, load_core, body_file, seconds):
    """Two connections: neither side is near saturation, so that this is the way through and not the queue."""
    counted = programs.wrk(load_core, subject.port, PATH, body_file, 2, seconds, HEADERS)
    return {"quiet_p50_us": counted["p50_us"], "quiet_p99_us": counted["p99_us"]}


def run_rounds(options, folder, mock_options, stream, connections):
    proxy_core, load_core = programs.cores()
    body_file = folder / "body.json"
    body_file.write_text(body(stream))
    with programs.mock(folder, load_core, *mock_options) as upstream, \
            programs.gateway(folder, proxy_core, CONFIG.format(port=upstream.port, key=KEY)) as gateway, \
            programs.nginx(folder, proxy_core, upstream.port, buffering=not stream) as nginx:
        subjects = {"direct": upstream, "nginx": nginx, "gateway": gateway}
        for subject in subjects.values():
            programs.wrk(load_core, subject.port, PATH, body_file, connections, 1, HEADERS)
        rounds = []
        for number in range(options.rounds):
            order = ["nginx", "gateway"] if number % 2 == 0 else ["gateway", "nginx"]
            result = {}
            for who in ["direct", *order]:
                seconds = max(1, options.seconds // 2) if who == "direct" else options.seconds
                result[who] = measure(subjects[who], upstream, load_core, body_file, connections, seconds)
                if not stream:
                    result[who].update(quiet_latency(subjects[who], load_core, body_file, max(1, options.seconds // 3)))
            result["gateway"]["resident_mb"] = gateway.resident_bytes() / 1e6
            result["nginx"]["resident_mb"] = nginx.resident_bytes() / 1e6
            rounds.append(result)
            print(f"round {number + 1}: nginx {result['nginx']['cpu_us_per_request']:.2f}, "
                  f"gateway {result['gateway']['cpu_us_per_request']:.2f} us of CPU per request", flush=True)
        return rounds


COMMON = [
    ("user_us_per_request", 2, "of which user, µs per request"),
    ("requests_per_s", 0, "requests/s"),
    ("p50_us", 0, "latency p50, µs"),
    ("p99_us", 0, "latency p99, µs"),
    ("mock_cpu_us_per_request", 2, "CPU of the mock upstream, µs per request"),
    ("load_cpu_us_per_request", 2, "CPU of the load generator, µs per request"),
    ("resident_mb", 1, "resident memory, MB"),
]


def chat(options):
    host = report.machine()
    connections = options.connections or 64
    with programs.Folder() as folder:
        rounds = run_rounds(options, folder, ["--tokens", "8"], False, connections)
    metrics = [("cpu_us_per_request", 2, "CPU, µs per request"),
               ("quiet_p50_us", 0, "latency p50 with 2 connections, µs"), ("quiet_p99_us", 0, "latency p99 with 2 connections, µs"), *COMMON]
    notes = [SWITCHED_ON, f"{connections} kept connections, {options.seconds} s per run, a request of {len(body(False))} bytes.",
             "`direct` is the mock without a proxy. Load and mock share the other core, which is the one that is full."]
    report.write("chat", "Chat completion, plain", notes, rounds, report.table(rounds, ["nginx", "gateway", "direct"], metrics, "nginx"), host)


TOKENS = 32
TOKEN_MS = 10


def stream(options):
    """Paced by the mock: every event travels alone, as from a model, and is not merged with its neighbours."""
    host = report.machine()
    connections = options.connections or 100
    with programs.Folder() as folder:
        rounds = run_rounds(options, folder, ["--tokens", str(TOKENS), "--per-token", f"{TOKEN_MS}ms"], True, connections)
    events = TOKENS + 3  # the role, the finish, [DONE]
    for result in rounds:
        for who, values in result.items():
            values["events_per_s"] = values["requests_per_s"] * events
            if who != "direct":
                values["cpu_us_per_event"] = values["cpu_us_per_request"] / events
    metrics = [("cpu_us_per_event", 2, "CPU, µs per event"), ("cpu_us_per_request", 1, "CPU, µs per stream"), ("events_per_s", 0, "events/s"), *COMMON]
    notes = [SWITCHED_ON, f"nginx has proxy_buffering off. {connections} streams at once, {TOKENS} tokens each {TOKEN_MS} ms apart, {events} events per stream.",
             "The gateway also asks the provider for the usage chunk and strips it: one event more on its upstream side."]
    report.write("stream", "Chat completion, streamed", notes, rounds, report.table(rounds, ["nginx", "gateway", "direct"], metrics, "nginx"), host)
