"""Keys and their limits: what is over is 429 with the fields clients read; stored keys are shown once, work, and end."""

import contextlib
import json
import re

import harness
from harness import check, equal, until

CONFIG = """
providers:
  lab: {{ type: openai, base_url: {url} }}
models:
  chat:  {{ route: [ {{ to: lab/small }} ] }}
  other: {{ route: [ {{ to: lab/small }} ] }}
keys:
  - {{ name: free, secret: sk-limits-free-000001 }}
  - {{ name: few, secret: sk-limits-few-000001, limits: {{ rpm: 3 }} }}
  - {{ name: short, secret: sk-limits-short-000001, limits: {{ tpm: 100 }} }}
"""


@contextlib.contextmanager
def pair():
    with harness.Mock() as mock, harness.Gateway(CONFIG.format(url=mock.url)) as gateway:
        yield mock, gateway
        check(gateway.alive(), "the gateway ended")


def is_rate_limited(answer):
    equal(answer.status, 429, answer)
    check(int(answer.headers["retry-after"]) >= 1, "retry-after:", answer.headers["retry-after"])
    error = answer.json()["error"]
    check(error["message"] and error["type"] and error["code"], "OpenAI's shape:", error)


def test_requests_per_minute():
    with pair() as (mock, gateway):
        for left in (2, 1, 0):
            answer = gateway.chat(key="sk-limits-few-000001")
            equal(answer.status, 200, answer)
            equal(answer.headers["x-ratelimit-limit-requests"], "3")
            equal(answer.headers["x-ratelimit-remaining-requests"], str(left))
            check(answer.headers["x-ratelimit-reset-requests"], "no reset")
        answer = gateway.chat(key="sk-limits-few-000001")
        is_rate_limited(answer)
        check(int(answer.headers["retry-after"]) <= 60, answer.headers["retry-after"])
        equal(answer.headers["x-ratelimit-remaining-requests"], "0")
        equal(mock.stats()["requests"], 3, "requests at the provider:")
        equal(gateway.chat(key="sk-limits-free-000001").status, 200, "another key:")


def test_tokens_per_minute():
    with pair() as (mock, gateway):
        statuses = []
        for _ in range(12):
            answer = gateway.chat(key="sk-limits-short-000001", max_tokens=10)
            statuses.append(answer.status)
            if answer.status == 429:
                break
            equal(answer.headers["x-ratelimit-limit-tokens"], "100")
        equal(statuses[0], 200)
        equal(statuses[-1], 429, "100 tokens per minute allowed", len(statuses), "calls of about 20:")
        is_rate_limited(answer)
        equal(mock.stats()["requests"], len(statuses) - 1)


def test_streams_count_tokens_too():
    with pair() as (_, gateway):
        statuses = []
        for _ in range(12):
            body = harness.chat_body(stream=True, max_tokens=20)
            with harness.Stream(gateway.port, "/v1/chat/completions", body, "sk-limits-short-000001") as answer:
                statuses.append(answer.status)
                if answer.status == 200:
                    equal([data for _, data in answer.events()][-1], b"[DONE]")
        check(statuses[0] == 200 and statuses[-1] == 429, statuses)


def key_command(gateway, *arguments):
    status, out, err = harness.command("key", *arguments, "--data-dir", str(gateway.data_dir))
    equal(status, 0, "penstock key", *arguments, out, err)
    return out + err


def files(gateway):
    return {path: path.read_bytes() for path in gateway.data_dir.rglob("*") if path.is_file()}


def test_created_keys_are_shown_once_work_and_are_revoked():
    with pair() as (_, gateway):
        said = key_command(gateway, "create", "--name", "robot", "--models", "chat", "--rpm", "1000")
        secrets = [word for word in re.findall(r"[A-Za-z0-9_\-]{20,}", said) if not word.startswith("--")]
        check(secrets, "no key in:", said)
        secret = max(secrets, key=len)
        until(lambda: gateway.chat(key=secret).status == 200, "the new key to work")
        equal(gateway.chat("other", secret).status, 403, "a model outside --models:")
        answer = gateway.chat(key=secret)
        equal(answer.headers["x-ratelimit-limit-requests"], "1000")
        listed = key_command(gateway, "list")
        check("robot" in listed, "not listed:", listed)
        check(secret not in listed and secret[-16:] not in listed, "the list shows the secret")
        for path, data in files(gateway).items():
            check(secret.encode() not in data and secret[-16:].encode() not in data, "the secret is stored in", path)
        check(secret not in gateway.log(), "the secret is in the log")
        key_command(gateway, "revoke", "robot")
        until(lambda: gateway.chat(key=secret).status == 401, "the revoked key to be refused")


def test_a_key_outlives_a_restart():
    with harness.Mock() as mock:
        config = CONFIG.format(url=mock.url)
        with harness.Gateway(config) as first:
            said = key_command(first, "create", "--name", "lasting")
            secret = max(re.findall(r"[A-Za-z0-9_\-]{20,}", said), key=len)
            equal(first.stop(), 0)
        with harness.Gateway(config, data_dir=first.data_dir) as second:
            equal(second.chat(key=secret).status, 200)


def test_mistakes_with_keys_are_explained():
    with pair() as (_, gateway):
        key_command(gateway, "create", "--name", "twice")
        for arguments in (["create", "--name", "twice"], ["revoke", "nobody"]):
            status, out, err = harness.command("key", *arguments, "--data-dir", str(gateway.data_dir))
            check(status in (1, 2), arguments, status)
            check(arguments[-1] in out + err, "the message does not name it:", out, err)
        status, out, err = harness.command("key", "create", "--name", "x", "--rpm", "many", "--data-dir", str(gateway.data_dir))
        equal(status, 2, out, err)


def test_limits_are_visible_in_metrics():
    with pair() as (_, gateway):
        for _ in range(4):
            gateway.chat(key="sk-limits-few-000001")
        until(lambda: gateway.metric("penstock_requests_total", error_type="policy_limit") == 1, "one policy_limit")
        until(lambda: gateway.metric("penstock_requests_total", status="200") == 3, "three 200")
        check(json.dumps("sk-limits-few-000001") not in gateway.metrics(), "a secret in the metrics")


if __name__ == "__main__":
    harness.run(globals())
