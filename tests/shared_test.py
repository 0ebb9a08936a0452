"""Several gateways share limits, budgets and keys through Redis: what all give out stays within the limit and the leases that the
docs name, and the loss of the store stops nobody."""

import contextlib
import statistics
import time

import fleet
import harness
from harness import check, equal, until


def within(one, least):
    print(fleet.line(one), flush=True)
    check(one["granted"] <= one["bound"], "more than the bound:", one)
    check(one["granted"] >= least, "wasted:", one)


def test_a_limit_of_requests_holds_over_three_gateways():
    one = fleet.requests_together()
    within(one, one["limit"])


def test_a_budget_holds_over_three_gateways():
    one = fleet.money_together()
    within(one, one["limit"] - 4 * fleet.CALL_MICROS)


def test_the_loss_of_the_store_under_load_is_survived():
    one = fleet.lost_under_load()
    within(one, one["limit"])


def test_without_the_store_each_gives_out_its_part():
    """What two of them did not hear of each other at the end is wasted rather than spent twice."""
    one = fleet.lost_for_good()
    within(one, one["limit"] - fleet.lease(one["limit"]))


def test_gateways_start_without_the_store():
    one = fleet.never_there()
    within(one, one["limit"] - 3)


def test_a_store_that_stands_still_delays_no_call():
    one = fleet.standing_still()
    print(f"     median {one['before_ms']:.1f} ms before, {one['meanwhile_ms']:.1f} ms while it stood still, worst of {one['calls']} {one['worst_ms']:.0f} ms", flush=True)
    # Whoever waited for the store would wait for its timeout, 500 ms.
    check(one["meanwhile_ms"] < one["before_ms"] + 250, one)


def test_a_key_revoked_at_one_gateway_is_refused_at_the_others():
    taken = fleet.revocation()
    print(f"     refused after {statistics.median(taken):.0f} ms, at worst {max(taken):.0f} ms", flush=True)


def test_a_store_that_comes_back_empty_gives_nobody_the_budget_again():
    """One has spent nearly all and stands idle; the other has never been asked for the key."""
    with fleet.Redis() as redis, fleet.fleet(redis.url, ", budget: 0.05USD/month", shared=", gateways: 2", count=2) as (cold, spender):
        fleet.connected([cold, spender])
        equal([spender.chat(key=fleet.KEY, max_tokens=50).status for _ in range(9)], [200] * 9)
        time.sleep(2)  # a meter is of interest for a second after its last use
        redis.kill()
        fleet.lost([cold, spender])
        redis.start()
        fleet.connected([cold, spender])
        more = [gateway.chat(key=fleet.KEY, max_tokens=50).status for _ in range(6) for gateway in (cold, spender)]
        check(more.count(200) <= 3, "10 calls are paid for, and one more each where single ones exceed a slice:", more)


def test_a_revocation_is_heard_after_the_revision_alone_was_lost():
    with fleet.Redis() as redis, fleet.fleet(redis.url, count=2) as (first, second):
        fleet.connected([first, second])
        secrets = [fleet.key_command(first, "create", "--name", f"k{i}") for i in range(4)]
        until(lambda: all(second.chat(key=secret).status == 200 for secret in secrets), "the keys to be known at the other")
        redis.ask("DEL", "{penstock}:revision")
        fleet.key_command(first, "revoke", "k0")
        until(lambda: second.chat(key=secrets[0]).status == 401, "the revocation to be known at the other")


def test_a_gateway_that_starts_later_knows_the_keys():
    with fleet.Redis() as redis, fleet.fleet(redis.url, count=1) as (first,):
        secret = fleet.key_command(first, "create", "--name", "early")
        gone = fleet.key_command(first, "create", "--name", "gone")
        fleet.key_command(first, "revoke", "gone")
        until(lambda: redis.ask("HLEN", "{penstock}:records") == ":2", "the keys to be shared")
        data = harness.folder() / "data"
        fleet.join(data, first)
        with harness.Gateway(first.config_path.read_text().split("\n", 3)[3], data_dir=data) as second:
            until(lambda: second.chat(key=secret).status == 200, "an earlier key to be known")
            equal(second.chat(key=gone).status, 401)


def test_a_gateway_with_another_secret_shares_limits_but_no_keys():
    with fleet.Redis() as redis, fleet.fleet(redis.url, ", limits: { requests: 10/day }", count=1) as (first,):
        secret = fleet.key_command(first, "create", "--name", "early")
        until(lambda: redis.ask("HLEN", "{penstock}:records") == ":1", "the key to be shared")
        with harness.Gateway(first.config_path.read_text().split("\n", 3)[3]) as second:
            until(lambda: "secret.key" in second.log(), "the log to say why")
            fleet.connected([first, second])
            equal(second.chat(key=secret).status, 401)
            statuses = [gateway.chat(key=fleet.KEY).status for _ in range(8) for gateway in (first, second)]
            check(10 <= statuses.count(200) <= 12, "a slice is one request here:", statuses)


def test_a_wrong_password_is_said_and_stops_nobody():
    with fleet.Redis("--requirepass", "right-one") as redis:
        with fleet.fleet(redis.url, ", limits: { requests: 9/day }", shared=", password: wrong-one, gateways: 3", count=1) as (gateway,):
            until(lambda: "refused" in gateway.log(), "the log to say so")
            equal([gateway.chat(key=fleet.KEY).status for _ in range(5)], [200] * 3 + [429] * 2)
            check("wrong-one" not in gateway.log() + gateway.metrics(), "the password is nowhere")
            gateway.write(gateway.config_path.read_text().split("\n", 3)[3].replace("wrong-one", "right-one"))
            until(lambda: gateway.metric("penstock_shared_connected") == 1, "a reload to mend it")
            check("right-one" not in gateway.log() + gateway.metrics(), "the password is nowhere")


def test_a_reload_changes_the_store():
    with fleet.Redis() as one, fleet.Redis() as other, fleet.fleet(one.url, count=1, shared="") as (gateway,):
        fleet.connected([gateway])
        gateway.write(gateway.config_path.read_text().split("\n", 3)[3].replace(one.url, other.url))
        until(lambda: other.ask("ZCARD", "{penstock}:gateways") == ":1", "the other store to be used")
        until(lambda: one.ask("ZCARD", "{penstock}:gateways") == ":0", "goodbye to be said to the first")


def test_the_policy_for_outgoing_connections_holds():
    with fleet.Redis() as redis, contextlib.ExitStack() as stack:
        text = fleet.CONFIG.format(url="http://127.0.0.1:1/v1", key=fleet.KEY, rules="", redis=redis.url, shared="")
        gateway = stack.enter_context(harness.Gateway(text + "egress: { deny: [ 127.0.0.0/8 ] }\n"))
        until(lambda: "egress" in gateway.log(), "the log to name the rule")
        equal(gateway.metric("penstock_shared_connected"), 0)


def test_check_prints_and_refuses():
    folder = harness.folder()
    for shared, words in [("{ redis: 'redis://:s3cret@127.0.0.1:7000/2', gateways: 3 }", "redis://127.0.0.1:7000/2"),
                          ("{ redis: 'rediss://:s3cret@127.0.0.1' }", "TLS"), ("{ redis: redis://127.0.0.1, slice: 90% }", "slice"), ("{ }", "redis")]:
        path = folder / "gateway.yaml"
        path.write_text(f"listen: 127.0.0.1:0\nshared: {shared}\n")
        status, out, err = harness.command("check", str(path))
        check(words in out + err and "s3cret" not in out + err, shared, out, err)
        equal(status, 0 if "gateways: 3" in shared else 2, out, err)


harness.run(globals())
