"""Budgets under race: however many calls come at once, nothing is spent above a budget, and nothing of it is wasted."""

import asyncio
import json

import harness
from harness import check, equal

# One token of output costs 200 micro-dollars and input nothing, so that the sums can be said beforehand.
CONFIG = """
providers:
  lab: {{ type: openai, base_url: {url} }}
models:
  chat: {{ route: [ {{ to: lab/small }} ], price: {{ input: 0USD/1M, output: 200USD/1M }} }}
teams:
  acme: {{ budget: {team} }}
keys:
{keys}
"""
CALLS = 500
TOKENS = 50
CALL_MICROS = TOKENS * 200
USD = 1_000_000


def config(url, team="1000USD/day", keys=1, budget="1USD/day"):
    lines = [f"  - {{ name: app{i}, secret: sk-race-key-0000000{i}, team: acme, budget: {budget} }}" for i in range(keys)]
    return CONFIG.format(url=url, team=team, keys="\n".join(lines))


async def ask(port, key, body):
    """The status and what came behind the head."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        data = json.dumps(body).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}Content-Length: {len(data)}\r\nConnection: close\r\n\r\n".encode() + data)
        await writer.drain()
        answer = await asyncio.wait_for(reader.read(), 60)
        first, _, rest = answer.partition(b"\r\n\r\n")
        return int(first.split(b" ", 2)[1]), rest
    finally:
        writer.close()


async def all_at_once(port, keys, calls, **more):
    body = harness.chat_body(**more)
    return await asyncio.gather(*(ask(port, keys[i % len(keys)], body) for i in range(calls)))


def race(gateway, keys=1, calls=CALLS, **more):
    names = [f"sk-race-key-0000000{i}" for i in range(keys)]
    answers = asyncio.run(all_at_once(gateway.port, names, calls, **more))
    statuses = [status for status, _ in answers]
    check(set(statuses) <= {200, 429}, "statuses:", {s: statuses.count(s) for s in set(statuses)})
    for status, text in answers:
        if status == 429:
            check(b"budget" in text, "the refusal names the budget:", text[:300])
    return statuses.count(200)


def budget(gateway, account):
    """The state of the account's one budget, once nothing is held."""
    def settled():
        answer = harness.request(gateway.admin_port, "GET", "/admin/v1/budgets").json()["budgets"]
        found = [b for b in answer if b["account"] == account]
        return found and found[0]["held"] == 0 and found[0]
    return harness.until(settled, f"the calls of {account} to settle")


def spent_micros(gateway, account):
    return budget(gateway, account)["spent"]


def test_what_is_reserved_exactly_is_granted_exactly():
    """Every call uses all it may use: exactly a hundred of five hundred pass."""
    with harness.Mock("--tokens", str(TOKENS), "--first-token", "20ms") as mock, harness.Gateway(config(mock.url)) as gateway:
        equal(race(gateway, max_tokens=TOKENS), USD // CALL_MICROS)
        equal(spent_micros(gateway, "key:app0"), USD)
        equal(mock.stats()["requests"], USD // CALL_MICROS, "requests at the provider:")


def test_nothing_is_wasted_by_reservations():
    """Every call may use four times what it does use: what others hold is waited for, not refused."""
    with harness.Mock("--tokens", str(TOKENS), "--first-token", "20ms") as mock, harness.Gateway(config(mock.url)) as gateway:
        passed = race(gateway, max_tokens=4 * TOKENS)
        spent = spent_micros(gateway, "key:app0")
        print(f"     {passed} of {CALLS} calls passed, {spent} of {USD} micro-dollars spent")
        equal(spent, passed * CALL_MICROS)
        check(spent <= USD, "spent", spent)
        check(spent + 4 * CALL_MICROS > USD, "wasted", USD - spent, "micro-dollars: another call would have fitted")


def test_streams_race_like_whole_answers():
    with harness.Mock("--tokens", str(TOKENS), "--per-token", "1ms") as mock, harness.Gateway(config(mock.url)) as gateway:
        passed = race(gateway, max_tokens=2 * TOKENS, stream=True)
        spent = spent_micros(gateway, "key:app0")
        equal(spent, passed * CALL_MICROS)
        check(USD - 2 * CALL_MICROS < spent <= USD, "spent", spent)


def test_the_budget_of_a_team_binds_all_its_keys():
    """Four keys of 0.60 USD each under a team of 1 USD: the team's ends it, and no key goes above its own."""
    text = lambda url: config(url, team="1USD/day", keys=4, budget="0.6USD/day")
    with harness.Mock("--tokens", str(TOKENS), "--first-token", "20ms") as mock, harness.Gateway(text(mock.url)) as gateway:
        passed = race(gateway, keys=4, max_tokens=TOKENS)
        equal(passed, USD // CALL_MICROS)
        equal(spent_micros(gateway, "team:acme"), USD)
        keys = [spent_micros(gateway, f"key:app{i}") for i in range(4)]
        equal(sum(keys), USD)
        check(max(keys) <= 600_000, keys)


def test_failing_calls_cost_nothing_of_a_budget():
    with harness.Mock("--tokens", str(TOKENS), "--fail", "40%:500") as mock:
        text = config(mock.url).replace("route: [", "retry: { attempts: 1 }, route: [")
        with harness.Gateway(text) as gateway:
            names = ["sk-race-key-00000000"]
            answers = asyncio.run(all_at_once(gateway.port, names, CALLS, max_tokens=TOKENS))
            passed = sum(status == 200 for status, _ in answers)
            equal(spent_micros(gateway, "key:app0"), passed * CALL_MICROS)
            equal(passed, USD // CALL_MICROS, "what failed was given back:")


harness.run(globals())
