"""`translate`: the gateway between two dialects against nginx, which copies the provider's, before the same upstream."""

import contextlib
import json

import programs
import proxy
import report
import servers

PATHS = {"openai": proxy.PATH, "anthropic": "/v1/messages"}
DIRECTIONS = [("openai", "anthropic"), ("anthropic", "openai")]  # the client's dialect, the provider's


def body(client, stream):
    """The same question in the client's dialect."""
    request = json.loads(proxy.body(stream))
    if client == "anthropic":
        request["system"] = request["messages"].pop(0)["content"]
    return json.dumps(request, separators=(",", ":"))


@contextlib.contextmanager
def stand(client, provider, stream, **upstream_options):
    """As proxy.stand(), with a provider of another dialect."""
    core, load_core = programs.cores()
    with programs.Folder() as folder, servers.upstream(folder, load_core, dialect=provider, **upstream_options) as upstream, \
            servers.nginx(folder, core, upstream.port, buffering=not stream) as nginx, \
            servers.penstock(folder, core, proxy.config(upstream).replace("type: openai", f"type: {provider}")) as gateway:
        call = proxy.Call(folder, load_core, upstream, stream, path=PATHS[client], text=body(client, stream))
        subjects = {"direct": upstream, "nginx": nginx, "gateway": gateway}
        for subject in subjects.values():
            call.measure(subject, seconds=1)
        yield call, subjects


def measured(options, client, provider, stream):
    """Per round, the figures of all three, their names led by the direction."""
    lead = f"{client}_{provider}_{'stream' if stream else 'plain'}_"
    upstream = {"events": proxy.TOKENS, "gap_ms": proxy.PACE_MS} if stream else {}
    how = {"connections": options.connections or (100 if stream else 64), "seconds": options.seconds,
           "spread_ms": proxy.TOKENS * proxy.PACE_MS if stream else 0}
    rounds = []
    with stand(client, provider, stream, **upstream) as (call, subjects):
        for number in range(options.rounds):
            result = proxy.every(number, lambda who: call.measure(subjects[who], **how))
            for who in ("nginx", "gateway"):
                # The dialects' streams differ in their number of events; the tokens are the same.
                result[who]["cpu_us_per_token"] = result[who]["cpu_us_per_request"] / proxy.TOKENS
            proxy.say(number, result, "cpu_us_per_request", f"{lead.replace('_', ' ')}answer")
            rounds.append({who: {lead + name: value for name, value in values.items()} for who, values in result.items()})
    return rounds


def translate(options):
    host = report.machine()
    rounds = [{} for _ in range(options.rounds)]
    metrics = []
    for client, provider in DIRECTIONS:
        for stream in (False, True):
            for whole, part in zip(rounds, measured(options, client, provider, stream)):
                for who, values in part.items():
                    whole.setdefault(who, {}).update(values)
            lead, what = f"{client}_{provider}_{'stream' if stream else 'plain'}_", f"{client} → {provider}, {'streamed' if stream else 'plain'}"
            metrics += [(f"{lead}cpu_us_per_token", 2, f"{what}: CPU, µs per token")] if stream else [
                (f"{lead}cpu_us_per_request", 2, f"{what}: CPU, µs per request"),
                (f"{lead}user_us_per_request", 2, f"{what}: of which user, µs"),
                (f"{lead}requests_per_s", 0, f"{what}: requests/s at saturation"),
                *((f"{lead}{q}_us", 0, f"{what}: latency {label} at saturation, µs") for q, label in proxy.QUANTILES.items())]
    notes = [proxy.SWITCHED_ON, "A client of one dialect before a provider of the other; nginx copies, so that its client gets the provider's dialect. "
             f"Plain: {options.connections or 64} kept connections, an answer of 300 bytes from the provider. Streamed: {options.connections or 100} streams "
             f"at once, {proxy.TOKENS} tokens each {proxy.PACE_MS} ms apart; CPU per stream divided by its tokens, as the dialects wrap them in different "
             "numbers of events.", "Load generator and upstream share the other core."]
    report.write("translate", "Translated chat", notes, rounds, report.table(rounds, ["nginx", "gateway", "direct"], metrics, "nginx"), host)
