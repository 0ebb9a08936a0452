"""What keys and teams allow: each scope refused with the right status in each dialect; rotation and revocation at once."""

import contextlib
import json
import re

import harness
from harness import check, equal, until

CONFIG = """
providers:
  lab: {{ type: openai, base_url: {url} }}
models:
  chat:   {{ route: [ {{ to: lab/small }} ] }}
  secret: {{ route: [ {{ to: lab/small }} ] }}
teams:
  acme:     {{ models: ["*", "!hidden"], limits: {{ requests: 6/day }} }}
  research: {{ in: acme, models: [chat] }}
keys:
  - {{ name: free, secret: sk-keys-free-000001 }}
  - {{ name: narrow, secret: sk-keys-narrow-00001, models: ["*", "!sec*"] }}
  - {{ name: talker, secret: sk-keys-talker-00001, apis: [anthropic, ollama] }}
  - {{ name: embedder, secret: sk-keys-embedder-001, can: [embeddings] }}
  - {{ name: chatter, secret: sk-keys-chatter-001, can: [chat] }}
  - {{ name: elsewhere, secret: sk-keys-elsewhere-01, from: [192.0.2.0/24] }}
  - {{ name: here, secret: sk-keys-here-0000001, from: [127.0.0.0/8, "::1"] }}
  - {{ name: over, secret: sk-keys-over-0000001, expires: 2020-01-01T00:00:00Z }}
  - {{ name: turning, secret: [ sk-keys-turning-old1, sk-keys-turning-new1 ] }}
  - {{ name: member, secret: sk-keys-member-00001, team: research }}
  - {{ name: fellow, secret: sk-keys-fellow-00001, team: acme }}
  - {{ name: long, secret: sk-keys-long-0000001, limits: {{ input: 20 }} }}
{more}
"""

DIALECTS = {
    "/v1/chat/completions": lambda model: harness.chat_body(model),
    "/v1/messages": lambda model: {"model": model, "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]},
    "/api/chat": lambda model: {"model": model, "stream": False, "messages": [{"role": "user", "content": "hi"}]},
    "/v1beta/models/{model}:generateContent": lambda model: {"contents": [{"parts": [{"text": "hi"}]}]},
}


@contextlib.contextmanager
def gateway(more=""):
    with harness.Mock() as mock, harness.Gateway(CONFIG.format(url=mock.url, more=more)) as started:
        yield started
        check(started.alive(), "the gateway ended")


def ask(one, path, model, key):
    return one.request("POST", path.replace("{model}", model), DIALECTS[path](model), key=key)


def message_of(answer):
    error = answer.json()["error"]
    return error if isinstance(error, str) else error["message"]


def refused(answer, status, words):
    equal(answer.status, status, answer)
    check(words in message_of(answer), repr(words), "is not in", answer.body)


def test_models_are_refused_in_every_dialect():
    with gateway() as one:
        for path in DIALECTS:
            equal(ask(one, path, "chat", "sk-keys-narrow-00001").status, 200, path)
            refused(ask(one, path, "secret", "sk-keys-narrow-00001"), 403, "may not use the model 'secret'")
        names = [model["id"] for model in one.request("GET", "/v1/models", key="sk-keys-narrow-00001").json()["data"]]
        check("chat" in names and "secret" not in names, names)


def test_apis_are_refused_in_every_dialect():
    with gateway() as one:
        equal(ask(one, "/v1/messages", "chat", "sk-keys-talker-00001").status, 200)
        equal(ask(one, "/api/chat", "chat", "sk-keys-talker-00001").status, 200)
        for path in ("/v1/chat/completions", "/v1beta/models/{model}:generateContent"):
            refused(ask(one, path, "chat", "sk-keys-talker-00001"), 403, "it may use: anthropic, ollama")


def test_addresses_and_expiry():
    with gateway() as one:
        equal(one.chat(key="sk-keys-here-0000001").status, 200)
        for path in DIALECTS:
            refused(ask(one, path, "chat", "sk-keys-elsewhere-01"), 403, "may not be used from 127.0.0.1")
            refused(ask(one, path, "chat", "sk-keys-over-0000001"), 401, "expired at 2020-01-01")


def test_capabilities_are_refused_in_every_dialect():
    with gateway() as one:
        for path in DIALECTS:
            refused(ask(one, path, "chat", "sk-keys-embedder-001"), 403, "is not good for chat")
        answer = one.post("/v1/embeddings", {"model": "chat", "input": "hi"}, "sk-keys-embedder-001")
        check(answer.status != 403, answer)


def test_what_a_call_asks_for_is_found_wherever_it_stands():
    with gateway() as one:
        key = "sk-keys-chatter-001"
        config = {"contents": [{"parts": [{"text": "hi"}]}], "generationConfig": {"responseModalities": ["TEXT", "IMAGE"]}}
        asks = (({}, None), ({"modalities": ["text"]}, None), ({"modalities": ["text", "image"]}, "images"),
                ({"modalities": ["\\u0069mage"]}, "images"), ({"web_search_options": {}}, "tools"), ({"tools": []}, None))
        for more, missing in asks:
            body = json.dumps({"model": "chat", "messages": [{"role": "user", "content": "hi"}], **more}).replace("\\\\u", "\\u")
            answer = one.post("/v1/chat/completions", body.encode(), key)
            if missing:
                refused(answer, 403, f"is not good for {missing}")
            else:
                equal(answer.status, 200, more, answer)
        refused(one.post("/v1beta/models/chat:generateContent", config, key), 403, "is not good for images")


def test_a_declared_key_may_have_two_secrets():
    with gateway() as one:
        for secret in ("sk-keys-turning-old1", "sk-keys-turning-new1"):
            equal(one.chat(key=secret).status, 200, secret)


def test_teams_restrict_and_limit_their_keys():
    with gateway() as one:
        refused(one.chat("secret", "sk-keys-member-00001"), 403, "the team 'research' of the API key 'member'")
        for key in ("sk-keys-member-00001", "sk-keys-fellow-00001") * 3:
            equal(one.chat(key=key).status, 200, key)
        for key in ("sk-keys-member-00001", "sk-keys-fellow-00001"):
            answer = one.chat(key=key)
            refused(answer, 429, "acme")
            check(int(answer.headers["retry-after"]) >= 1, answer.headers)
        equal(one.chat(key="sk-keys-free-000001").status, 200, "not in the team:")


def test_an_input_that_is_too_long_is_refused():
    with gateway() as one:
        body = harness.chat_body()
        body["messages"][0]["content"] = "many words " * 200
        answer = one.request("POST", "/v1/chat/completions", body, key="sk-keys-long-0000001")
        refused(answer, 413, "at most 20")


def key_command(one, *arguments):
    status, out, err = harness.command("key", *arguments, "--data-dir", str(one.data_dir))
    equal(status, 0, "penstock key", *arguments, out, err)
    return out + err


def secret_in(said):
    return max(re.findall(r"[A-Za-z0-9_\-]{20,}", said), key=len)


def test_a_revoked_key_is_refused_while_its_stream_stands():
    with gateway() as one:
        secret = secret_in(key_command(one, "create", "--name", "robot"))
        until(lambda: one.chat(key=secret).status == 200, "the new key to work")
        body = harness.chat_body(stream=True, max_tokens=50)
        with harness.Stream(one.port, "/v1/chat/completions", body, secret) as stream:
            equal(stream.status, 200)
            key_command(one, "revoke", "robot")
            until(lambda: one.chat(key=secret).status == 401, "the revoked key to be refused")
            equal([data for _, data in stream.events()][-1], b"[DONE]", "what had begun:")
        equal(one.chat(key="sk-keys-free-000001").status, 200)


def test_a_rotated_key_keeps_its_old_secret_for_a_while():
    with gateway() as one:
        old = secret_in(key_command(one, "create", "--name", "robot"))
        until(lambda: one.chat(key=old).status == 200, "the new key to work")
        new = secret_in(key_command(one, "rotate", "robot", "--overlap", "1h"))
        check(new != old, "no new secret")
        until(lambda: one.chat(key=new).status == 200, "the new secret to work")
        equal(one.chat(key=old).status, 200, "within the overlap:")
        last = secret_in(key_command(one, "rotate", "robot", "--overlap", "0s"))
        until(lambda: one.chat(key=last).status == 200, "the last secret to work")
        for secret in (old, new):
            equal(one.chat(key=secret).status, 401, "at once:")


def test_one_change_leaves_all_other_keys_alone():
    with gateway() as one:
        secrets = [secret_in(key_command(one, "create", "--name", f"robot-{i}")) for i in range(3)]
        for secret in secrets:
            until(lambda s=secret: one.chat(key=s).status == 200, "a new key to work")
        key_command(one, "revoke", "robot-1")
        until(lambda: one.chat(key=secrets[1]).status == 401, "the revoked key to be refused")
        for secret in (secrets[0], secrets[2]):
            equal(one.chat(key=secret).status, 200)


def test_mistakes_are_named_with_their_place():
    mistakes = {
        "  - { name: x, secret: sk-x-0000000000001, apis: [opnai] }": "there is no API 'opnai'",
        "  - { name: x, secret: sk-x-0000000000001, can: [fly] }": "there is no capability 'fly'",
        "  - { name: x, secret: sk-x-0000000000001, from: [10.1.2.3/8] }": "from",
        "  - { name: x, secret: sk-x-0000000000001, expires: soon }": "'soon' is no time",
        "  - { name: x, secret: sk-x-0000000000001, team: reserch }": "did you mean 'research'?",
        "  - { name: x, secret: [] }": "the list of secrets is empty",
        "addresses: { limits: { rpm: 0 } }": "rpm",
    }
    for line, words in mistakes.items():
        file = harness.folder() / "gateway.yaml"
        file.write_text(CONFIG.format(url="http://127.0.0.1:9", more=line))
        status, out, err = harness.command("check", str(file))
        equal(status, 2, line, out, err)
        check(words in out + err, repr(words), "is not in", out, err)
        check(re.search(r"gateway\.yaml:\d+:\d+", out + err), "no place in", out, err)
    file = harness.folder() / "gateway.yaml"
    file.write_text(CONFIG.format(url="http://127.0.0.1:9", more=""))
    status, out, err = harness.command("check", str(file))
    equal(status, 0, out, err)
    for line in ("team research in acme: chat", "key member in research"):
        check(line in out, repr(line), "is not in", out)


def test_addresses_have_limits_of_their_own():
    with gateway("addresses: { limits: { requests: 2/day } }") as one:
        statuses = [one.chat(key=key).status for key in ("sk-keys-free-000001", "sk-keys-here-0000001", "sk-keys-free-000001")]
        equal(statuses, [200, 200, 429])


def test_the_table_of_keys_shows_no_secret():
    with gateway() as one:
        one.chat(key="sk-keys-free-000001")
        listed = harness.request(one.admin_port, "GET", "/admin/v1/keys").text()
        check("free" in listed, listed)
        for text in (one.log(), listed, one.metrics()):
            check("sk-keys" not in text, "a secret in", text[:300])


if __name__ == "__main__":
    harness.run(globals())
