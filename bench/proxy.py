"""`chat` and `stream`: the gateway with everything on against nginx that only copies, in front of the same upstream."""

import contextlib
import json

import programs
import report
import servers

KEY = "sk-bench-0000000001"
MODEL = "gpt-4o-mini"
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
QUANTILES = {"p50": "p50", "p99": "p99", "p999": "p99.9"}  # as the load generator calls them: as people do


def config(upstream):
    return CONFIG.format(port=upstream.port, key=KEY)


def body(stream, prompt_bytes=0, model=MODEL):
    """A chat request. With `prompt_bytes`, its question is long enough to make the request so large."""
    question = "What is the capital of France, and how many people live there?"
    request = {"model": model, "messages": [
        {"role": "system", "content": "You are a terse assistant that answers in one line, always."},
        {"role": "user", "content": question}], "max_tokens": 128}
    if stream:
        request["stream"] = True
    lacking = prompt_bytes - len(json.dumps(request, separators=(",", ":")))
    request["messages"][1]["content"] += (" and why?" * (lacking // 9 + 1))[:max(0, lacking)]
    return json.dumps(request, separators=(",", ":"))


class Call:
    """What is sent, and how it is measured."""

    def __init__(self, folder, load_core, upstream, stream, prompt_bytes=0, model=MODEL, path=PATH, text=None):
        self.load_core, self.upstream, self.stream, self.path = load_core, upstream, stream, path
        self.body_file = folder / f"body_{stream}_{prompt_bytes}.json"
        self.body_file.write_text(text or body(stream, prompt_bytes, model))

    def measure(self, subject, **options):
        """Figures of one run of the load generator against `subject`; `options` are the generator's."""
        cpu, user, upstream_cpu = subject.cpu_us(), subject.user_us(), self.upstream.cpu_us()
        counted = programs.load(self.load_core, subject.port, self.path, self.body_file,
                                getattr(subject, "headers", HEADERS), stream=self.stream, **options)
        requests, events = counted["requests"], counted["events"]
        result = {
            "requests": requests,
            "requests_per_s": counted["requests_per_s"],
            "cpu_us_per_request": (subject.cpu_us() - cpu) / requests,
            "user_us_per_request": (subject.user_us() - user) / requests,
            "upstream_cpu_us_per_request": (self.upstream.cpu_us() - upstream_cpu) / requests,
            "load_cpu_us_per_request": counted["cpu_us"] / requests,
            "bytes_per_answer": counted["bytes"] / requests,
            **{f"{q}_us": counted["latency"][q] for q in QUANTILES},
        }
        if self.stream:
            result.update({f"event_{q}_us": counted["event_delay"][q] for q in QUANTILES})
            result.update({f"first_{q}_us": counted["first_event"][q] for q in QUANTILES})
            result["events_per_request"] = events / requests
            result["events_per_s"] = events / counted["elapsed_s"]
            for whose in ("cpu", "user", "upstream_cpu", "load_cpu"):
                result[f"{whose}_us_per_event"] = result[f"{whose}_us_per_request"] * requests / events
        if subject is self.upstream:
            result = {k: v for k, v in result.items() if not k.startswith(("cpu_", "user_"))}
        return result


def add_latency(result, direct, what):
    """What the way through costs: its quantiles less those of the same load without a proxy."""
    for q in QUANTILES:
        result[f"added_{what}{q}_us"] = result[f"{what}{q}_us"] - direct[f"{what}{q}_us"]


@contextlib.contextmanager
def stand(stream, **upstream_options):
    """A call, and what it can be sent to: the upstream itself, nginx and the gateway before it."""
    core, load_core = programs.cores()
    with programs.Folder() as folder, servers.upstream(folder, load_core, **upstream_options) as upstream, \
            servers.nginx(folder, core, upstream.port, buffering=not stream) as nginx, \
            servers.penstock(folder, core, config(upstream)) as gateway:
        call = Call(folder, load_core, upstream, stream)
        subjects = {"direct": upstream, "nginx": nginx, "gateway": gateway}
        for subject in subjects.values():
            call.measure(subject, seconds=1)
        yield call, subjects


def every(number, measure):
    """measure(who) for all; the order is turned round from one round to the next."""
    order = ["direct", "nginx", "gateway"]
    return {who: measure(who) for who in (order if number % 2 == 0 else reversed(order))}


def add_resident(result, subjects):
    for who in ("nginx", "gateway"):
        result[who]["resident_mb"] = subjects[who].memory_mb()["rss_mb"]


def say(number, result, metric, of_what):
    print(f"round {number + 1}: nginx {result['nginx'][metric]:.2f}, gateway {result['gateway'][metric]:.2f} us of CPU per {of_what}", flush=True)


def wrk_cpu(call, subject, connections, seconds):
    cpu = subject.cpu_us()
    counted = programs.wrk(call.load_core, subject.port, PATH, call.body_file, connections, seconds, HEADERS)
    return (subject.cpu_us() - cpu) / counted["requests"]


def chat_round(options, call, subjects, connections, number):
    result = every(number, lambda who: call.measure(subjects[who], connections=connections, seconds=options.seconds))
    rate = result["gateway"]["requests_per_s"] / 2
    half = every(number, lambda who: call.measure(subjects[who], connections=connections, seconds=options.seconds, rate=f"{rate:.0f}"))
    for who, values in result.items():
        values["half_requests_per_s"] = half[who]["requests_per_s"]
        values.update({f"half_{q}_us": half[who][f"{q}_us"] for q in QUANTILES})
    for who in ("nginx", "gateway"):
        add_latency(result[who], result["direct"], "half_")
        result[who]["wrk_cpu_us_per_request"] = wrk_cpu(call, subjects[who], connections, max(1, options.seconds // 2))
    add_resident(result, subjects)
    return result


COSTS = [
    ("upstream_cpu_us_per_request", 2, "CPU of the upstream, µs per request"),
    ("load_cpu_us_per_request", 2, "CPU of the load generator, µs per request"),
    ("resident_mb", 1, "resident memory, MB"),
]


def chat(options):
    host = report.machine()
    connections = options.connections or 64
    rounds = []
    with stand(stream=False) as (call, subjects):
        for number in range(options.rounds):
            rounds.append(chat_round(options, call, subjects, connections, number))
            say(number, rounds[-1], "cpu_us_per_request", "request")
    metrics = [
        ("cpu_us_per_request", 2, "CPU, µs per request"),
        ("user_us_per_request", 2, "of which user, µs per request"),
        ("wrk_cpu_us_per_request", 2, "CPU as loaded by wrk, µs per request"),
        ("requests_per_s", 0, "requests/s at saturation"),
        *((f"{q}_us", 0, f"latency {label} at saturation, µs") for q, label in QUANTILES.items()),
        ("half_requests_per_s", 0, "requests/s at half of the gateway's saturation"),
        *((f"half_{q}_us", 0, f"latency {label} at half, µs") for q, label in QUANTILES.items()),
        *((f"added_half_{q}_us", 0, f"added latency {label} at half, µs") for q, label in QUANTILES.items()),
        *COSTS]
    notes = [SWITCHED_ON, f"{connections} kept connections, {options.seconds} s per run, a request of {len(body(False))} bytes, an answer of 300.",
             "At half, requests are sent at fixed times at half the rate the gateway reached in the same round, and latency counts from "
             "the time a request was due; what is added is the quantile less that of `direct`, the upstream without a proxy.",
             "Load generator and upstream share the other core."]
    report.write("chat", "Chat completion, plain", notes, rounds, report.table(rounds, ["nginx", "gateway", "direct"], metrics, "nginx"), host)


TOKENS = 32
STREAMS = 1000
PACE_MS, MANY_PACE_MS = 10, 100  # between the events of a stream: where CPU is measured, and with STREAMS at once


def stream_costs(options, connections):
    """CPU per event, at the pace of a fast model: every event travels alone and is not merged with its neighbours."""
    rounds = []
    with stand(stream=True, events=TOKENS, gap_ms=PACE_MS) as (call, subjects):
        for number in range(options.rounds):
            rounds.append(every(number, lambda who: call.measure(subjects[who], connections=connections, seconds=options.seconds,
                                                                 spread_ms=TOKENS * PACE_MS)))
            add_resident(rounds[-1], subjects)
            say(number, rounds[-1], "cpu_us_per_event", "event")
    return rounds


def stream_delays(options, rounds):
    """What each event is held up with many streams open: added to the rounds."""
    with stand(stream=True, events=TOKENS, gap_ms=MANY_PACE_MS) as (call, subjects):
        for number, result in enumerate(rounds):
            many = every(number, lambda who: call.measure(subjects[who], connections=STREAMS, sources=4, seconds=options.seconds,
                                                          spread_ms=TOKENS * MANY_PACE_MS // 2))
            for who in ("nginx", "gateway"):
                for what in ("event_", "first_"):
                    add_latency(many[who], many["direct"], what)
            for who, values in many.items():
                result[who].update({f"many_{name}": value for name, value in values.items()})
            print(f"round {number + 1}: added to an event, p99: " + ", ".join(
                f"{who} {many[who]['added_event_p99_us']:.0f} us" for who in ("nginx", "gateway")), flush=True)


def stream(options):
    host = report.machine()
    connections = options.connections or 100
    rounds = stream_costs(options, connections)
    stream_delays(options, rounds)
    metrics = [
        ("cpu_us_per_event", 2, "CPU, µs per event"),
        ("user_us_per_event", 2, "of which user, µs per event"),
        ("events_per_request", 1, "events per stream"),
        ("events_per_s", 0, "events/s"),
        ("upstream_cpu_us_per_event", 2, "CPU of the upstream, µs per event"),
        ("load_cpu_us_per_event", 2, "CPU of the load generator, µs per event"),
        ("resident_mb", 1, "resident memory, MB"),
        ("many_events_per_s", 0, f"events/s with {STREAMS} streams"),
        ("many_cpu_us_per_event", 2, f"CPU with {STREAMS} streams, µs per event"),
        *((f"many_event_{q}_us", 0, f"from sending to arrival of an event, {label}, µs") for q, label in QUANTILES.items()),
        *((f"many_added_event_{q}_us", 0, f"added time per event {label}, µs") for q, label in QUANTILES.items()),
        *((f"many_added_first_{q}_us", 0, f"added time to the first event {label}, µs") for q, label in QUANTILES.items())]
    notes = [SWITCHED_ON, f"nginx has proxy_buffering off. CPU per event: {connections} streams at once, {TOKENS} tokens each {PACE_MS} ms apart.",
             f"Added time: {STREAMS} streams at once, {TOKENS} tokens {MANY_PACE_MS} ms apart; every event carries the time at which the upstream "
             "sent it, and what is added is the quantile less that of `direct` in the same round.",
             "The gateway also asks the provider for the usage event and strips it: one event more on its upstream side.",
             "Load generator and upstream share the other core."]
    report.write("stream", "Chat completion, streamed", notes, rounds, report.table(rounds, ["nginx", "gateway", "direct"], metrics, "nginx",
                                                                                  without_ratio=("events_per_request",)), host)
