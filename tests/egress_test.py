"""Where the gateway connects to: never to the metadata services of clouds, whatever a name in the configuration leads to."""

import harness
from harness import Gateway, check, equal, until
from upstream_test import Dns, Upstream, one_provider


def refusal(gateway):
    answer = gateway.chat()
    equal(answer.status, 502, answer)
    return answer.json()["error"]["message"]


def test_a_denied_address_is_named_with_its_rule():
    for host, rule in (("169.254.169.254", "169.254.0.0/16"), ("[fe80::1]", "fe80::/10"), ("[fd00:ec2::254]", "fd00:ec2::/32"), ("[::ffff:169.254.169.254]", "169.254.0.0/16"),
                       ("[64:ff9b::a9fe:a9fe]", "169.254.0.0/16"), ("0.0.0.0", "0.0.0.0/8"), ("100.100.100.200", "the metadata service of a cloud"), ("224.0.0.1", "224.0.0.0/4")):
        with Gateway(one_provider(f"'http://{host}:80/v1'")) as gateway:
            message = refusal(gateway)
            check("is not called" in message and rule in message, host, message)
            status, _, error = harness.command("check", str(gateway.config_path))
            check(status == 2 and "base_url: " in error and rule in error, "check says", status, error)


def test_numbers_that_only_look_like_addresses_are_mistakes():
    for host in ("0x7f.1", "2852039166", "0251.0376.0251.0376", "169.254.43518"):
        path = harness.folder() / "c.yaml"
        path.write_text(one_provider(f"http://{host}/v1"))
        status, _, error = harness.command("check", str(path))
        check(status == 2 and "neither a name nor an address" in error, status, error)


def test_a_name_is_judged_by_where_it_leads_each_time():
    with Upstream() as upstream, Dns(["127.0.0.1"], ttl=1) as dns:
        config = one_provider(f"http://llm.example:{upstream.port}/v1", more="connections: { idle: 1ms }", top=f"dns: {{ servers: [ '127.0.0.1:{dns.port}' ] }}\n")
        with Gateway(config) as gateway:
            equal(gateway.chat().status, 200)
            dns.addresses = ["169.254.169.254"]
            until(lambda: gateway.chat().status == 502, "the name that leads elsewhere now")
            check("169.254.0.0/16" in refusal(gateway), "no rule is named")


def test_only_the_permitted_addresses_of_a_name_are_tried():
    with Upstream() as upstream, Dns(["169.254.169.254", "127.0.0.1"]) as dns:
        config = one_provider(f"http://llm.example:{upstream.port}/v1", top=f"dns: {{ servers: [ '127.0.0.1:{dns.port}' ] }}\n")
        with Gateway(config) as gateway:
            equal(gateway.chat().status, 200)


def test_the_configuration_draws_its_own_lines_and_a_reload_moves_them():
    with Upstream() as upstream:
        def config(rules):
            return one_provider(upstream.url, top=f"egress: {rules}\n")

        with Gateway(config("{ deny: [ '0.0.0.0/0', '::/0' ], allow: [ 127.0.0.0/8 ] }")) as gateway:
            equal(gateway.chat().status, 200)
        with Gateway(config("{ deny: [ 127.0.0.1 ] }")) as gateway:
            check("it is denied by `egress`" in refusal(gateway), "no rule is named")
            gateway.write(config("{}"))
            until(lambda: gateway.chat().status == 200, "the rule that is gone")


def test_a_webhook_and_a_broker_keep_to_the_same_lines():
    config = """
sources:
  in: { http: {} }
  far: { mqtt: 'mqtt://169.254.169.254:1883', topic: t }
pipelines:
  p: { from: in, steps: [ { map: { a: "1" } } ], to: [ { http: { url: 'http://169.254.169.254/hook' } } ] }
"""
    with Gateway(config) as gateway:
        equal(gateway.post("/ingest/in", {"device": "d", "x": 1}).status, 202)

        def lines():
            state = harness.request(gateway.admin_port, "GET", "/admin/v1/pipelines").json()
            broker = next(s for s in state["sources"] if s["name"] == "far")["detail"]
            hook = state["pipelines"][0]["sinks"][0]["detail"]
            return "is not called" in broker and "is not called" in hook or None

        until(lines, "both to say that they may not")


def test_a_wrong_network_is_a_mistake_with_its_place():
    path = harness.folder() / "c.yaml"
    path.write_text("egress: { allow: [ 10.0.0.1/8 ] }\n")
    status, _, error = harness.command("check", str(path))
    check(status == 2 and "c.yaml:1:20" in error and "after the prefix" in error, status, error)


if __name__ == "__main__":
    harness.run(globals())
