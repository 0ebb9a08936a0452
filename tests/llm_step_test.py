"""A pipeline asks a language model: the call is a client's call, with its key, limits, budget and ledger."""

import harness
from harness import check, equal, until

CONFIG = """
providers:
  lab: { type: openai, base_url: %s }
models:
  chat: { route: [ lab/m ], price: { input: 1USD/1M, output: 1USD/1M } }
keys:
  - { name: line, secret: sk-line-0123456789, can: [chat], limits: { rpm: 3 } }
  - { name: device, secret: sk-device-0123456789, can: [ingest] }
sources:
  dev: { http: {} }
pipelines:
  ask:
    from: dev
    steps:
      - llm: { model: chat, key: ${KEY}, prompt: "{device} is at {temp}", output: advice, timeout: %s, when: "temp > 80" }
    to: [ log: {} ]
"""


def gateway(mock, key="sk-line-0123456789", timeout="5s"):
    return harness.Gateway(CONFIG % (mock.url, timeout), environment={"KEY": key})


def send(gate, temp):
    reply = gate.post("/ingest/dev", {"device": "press-1", "temp": temp}, key="sk-device-0123456789")
    equal(reply.status, 202, reply)


def pipeline(gate):
    return gate_admin(gate, "/admin/v1/pipelines")["pipelines"][0]


def gate_admin(gate, path):
    return harness.request(gate.admin_port, "GET", path).json()


def answered(sample):
    return sample if sample and "advice" in sample else None


def test_the_answer_becomes_a_field_and_the_call_is_in_the_ledger():
    with harness.Mock("--tokens", "5") as mock, gateway(mock) as gate:
        send(gate, 20)
        until(lambda: pipeline(gate)["out"] == 1, "the cool sample")
        equal(mock.stats()["requests"], 0)
        send(gate, 90)
        until(lambda: pipeline(gate)["out"] == 2, "the hot sample")
        last = until(lambda: answered(pipeline(gate)["last"]), "the answer")
        check(last["advice"], last)
        check("press-1 is at 90" in str(mock.last()), mock.last())
        recent = until(lambda: gate_admin(gate, "/admin/v1/requests")["requests"], "the request")
        call = next(r for r in recent if r["model"] == "chat")
        equal((call["key"], call["status"]), ("line", 200), call)


def test_limits_and_wrong_keys_are_errors_of_the_step():
    with harness.Mock() as mock, gateway(mock) as gate:
        for temp in range(90, 96):
            send(gate, temp)
        until(lambda: pipeline(gate)["out"] == 6, "every sample, asked or not")
        equal(mock.stats()["requests"], 3)
        equal(pipeline(gate)["errors"], 3)
        check("limit" in pipeline(gate)["last_error"], pipeline(gate))
    with harness.Mock() as mock, gateway(mock, key="sk-wrong-0123456789") as gate:
        send(gate, 90)
        until(lambda: pipeline(gate)["errors"] == 1, "the refusal")
        check("sk-wrong" not in gate.log() + str(pipeline(gate)), "no secret is shown")
        equal(mock.stats()["requests"], 0)


def test_a_model_that_is_slow_holds_nothing_up():
    with harness.Mock("--first-token", "3s") as mock, gateway(mock, timeout="300ms") as gate:
        send(gate, 90)
        send(gate, 20)
        until(lambda: pipeline(gate)["out"] == 2, "both samples")
        check("no answer within 300 ms" in pipeline(gate)["last_error"], pipeline(gate))
        equal(gate.stop(), 0, "it stops while the provider still thinks:")


if __name__ == "__main__":
    harness.run(globals())
