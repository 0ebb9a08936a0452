"""`accounting`: what keys, limits, budgets, prices and exact token counts cost a call: the same gateway with and without them."""

import contextlib

import programs
import proxy
import report
import servers

PROVIDERS = """
providers:
  lab: {{ type: openai, base_url: "http://127.0.0.1:{port}/v1", api_key: sk-upstream-0000001{provider} }}
models:
  gpt-4o-mini:
    route: [ {{ to: lab/gpt-4o-mini }} ]
    price: {{ input: 0.15USD/1M, cached: 0.075USD/1M, output: 0.60USD/1M }}{model}
"""
KEYS = "keys:\n  - {{ name: bench, secret: {key}{more} }}\n"
RATES = "requests: [100000000/s, 1000000000/min], tokens: 1000000000000/min, concurrent: 100000"
BUDGETS = "[1000000USD/day, 100000000USD/month, 100000000000tokens/day]"

# From nothing to everything; each has what the one before it has.
LEVELS = {
    "open": {},
    "key": {"keys": ", models: [gpt-4o-mini]"},
    "rates": {"keys": ", models: [gpt-4o-mini], limits: {{ rpm: 1000000000, tpm: 1000000000000 }}"},
    "everything": {
        "keys": ", models: [gpt-4o-mini], apis: [openai], can: [chat, tools], from: [127.0.0.0/8], team: research, "
                f"limits: {{{{ {RATES} }}}}, budget: {BUDGETS}",
        "model": f"\n    limits: {{{{ {RATES} }}}}",
        "provider": f", limits: {{{{ {RATES} }}}}",
        "rest": f"teams:\n  acme: {{{{ limits: {{{{ {RATES} }}}}, budget: {BUDGETS} }}}}\n"
                f"  research: {{{{ in: acme, limits: {{{{ {RATES} }}}}, budget: {BUDGETS} }}}}\n"
                "addresses: {{ limits: {{ rpm: 1000000000, concurrent: 100000 }} }}\n",
    },
}
SIZES = {"250 B": 0, "4 KB": 4096, "64 KB": 65536}


def config(upstream, level):
    parts = LEVELS[level]
    text = PROVIDERS.replace("{provider}", parts.get("provider", "")).replace("{model}", parts.get("model", ""))
    if "keys" in parts:
        text += KEYS.replace("{more}", parts["keys"])
    return (text + parts.get("rest", "")).format(port=upstream.port, key=proxy.KEY)


def measured(options, size):
    core, load_core = programs.cores()
    rounds = []
    how = {"connections": options.connections or 64, "seconds": options.seconds}
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(programs.Folder())
        upstream = stack.enter_context(servers.upstream(folder, load_core))
        call = proxy.Call(folder, load_core, upstream, False, SIZES[size])
        subjects = {}
        for level in LEVELS:
            own = stack.enter_context(programs.Folder())
            subjects[level] = stack.enter_context(servers.penstock(own, core, config(upstream, level)))
            call.measure(subjects[level], seconds=1)
        for number in range(options.rounds):
            order = list(LEVELS) if number % 2 == 0 else list(reversed(LEVELS))
            result = {level: call.measure(subjects[level], **how) for level in order}
            print(f"round {number + 1}, {size}: " + ", ".join(f"{level} {result[level]['cpu_us_per_request']:.2f}" for level in LEVELS)
                  + " us of CPU per request", flush=True)
            rounds.append({level: {f"{size} {name}": value for name, value in values.items()} for level, values in result.items()})
    return rounds


def accounting(options):
    host = report.machine()
    rounds = [{} for _ in range(options.rounds)]
    metrics = []
    for size in SIZES:
        for whole, part in zip(rounds, measured(options, size)):
            for level, values in part.items():
                whole.setdefault(level, {}).update(values)
        metrics += [(f"{size} cpu_us_per_request", 2, f"request of {size}: CPU, µs"),
                    (f"{size} user_us_per_request", 2, "of which user, µs"),
                    (f"{size} p50_us", 0, "latency p50 at saturation, µs")]
    notes = ["open: nobody needs a key. key: one key with a list of models. rates: requests and tokens a minute. everything: an organisation, a team "
             "in it and the key, each with three rates, a bound of concurrent requests and three budgets; limits of the model, the provider and the "
             "address; scopes; a price; tokens counted exactly before the call goes out. Usage, metrics and the access log are always on.",
             f"{options.connections or 64} kept connections, plain chat completions, an answer of 300 bytes; load generator and upstream share the other core."]
    report.write("accounting", "Keys, limits and money", notes, rounds, report.table(rounds, list(LEVELS), metrics, "open"), host)
