"""Embeddings from local models: the vectors recomputed here, and the SDKs of OpenAI, Ollama and Google as their clients.

The model (tests/models/make_models.py) makes each token a vector of sines and mixes it with the mean of all tokens; what
its tokenizer makes of a text stands in tests/models/tokenizers/cases.json.
"""

import base64
import json
import math
import shutil
import signal
import struct
import subprocess
import threading
import time

import harness
from harness import ROOT, Gateway, Mock, check, equal

MODELS = ROOT / "tests" / "models"
PYTHON = ROOT / ".cache" / "venv" / "bin" / "python"
SIZE = 8
CASES = {case["text"]: case["ids"] for case in json.loads((MODELS / "tokenizers" / "cases.json").read_text(encoding="utf-8"))
         if case["file"] == "bert.json" and case["text"]}
TEXTS = [text for text in CASES if len(CASES[text]) < 60]
CONFIG = f"""insecure: true
models:
  small: {{ path: {MODELS}/embedder, embed: {{ max_tokens: 64 }} }}
  cut: {{ path: {MODELS}/embedder, embed: {{ max_tokens: 8, truncate: true, pooling: cls, normalize: false }} }}
  largest: {{ path: {MODELS}/embedder, embed: {{ pooling: max, normalize: false }} }}
  last: {{ path: {MODELS}/embedder, embed: {{ pooling: last, prefix: "hello" }} }}
  fixed: {{ path: {MODELS}/embedder_fixed, embed: {{ pooling: none }} }}
  scale: {{ path: {MODELS}/scale }}
"""


def hidden(ids):
    pitch = [struct.unpack("f", struct.pack("f", 0.11 * (k + 1)))[0] for k in range(SIZE)]
    waves = [[math.sin(token * pitch[k]) for k in range(SIZE)] for token in ids]
    context = [sum(wave[k] for wave in waves) / len(ids) for k in range(SIZE)]
    mix = [[((i * 3 + k * 5) % 7 - 3) / 6 for k in range(SIZE)] for i in range(SIZE)]
    return [[math.tanh(sum(wave[i] * mix[i][k] for i in range(SIZE)) + context[k]) for k in range(SIZE)] for wave in waves]


def unit(vector):
    length = math.sqrt(sum(value * value for value in vector))
    return [value / length for value in vector]


def mean(ids):
    rows = hidden(ids)
    return [sum(row[k] for row in rows) / len(rows) for k in range(SIZE)]


def close(got, wanted, what, tolerance=1e-3):
    equal(len(got), len(wanted), what, "dimensions")
    check(all(abs(a - b) < tolerance for a, b in zip(got, wanted)), what, got, "instead of", wanted)


def embed(gateway, text, model="small", **more):
    answer = gateway.post("/v1/embeddings", {"model": model, "input": text, **more})
    equal(answer.status, 200, answer)
    return answer.json()


def vectors(body):
    equal([entry["index"] for entry in body["data"]], list(range(len(body["data"]))), "order")
    return [entry["embedding"] for entry in body["data"]]


def refused(gateway, body, status, *words):
    answer = gateway.post("/v1/embeddings", body)
    equal(answer.status, status, answer)
    message = answer.json()["error"]["message"]
    for word in words:
        check(word in message, repr(message), "does not say", word)


def test_vectors_are_those_of_the_model():
    with Gateway(CONFIG) as gateway:
        for text in TEXTS:
            body = embed(gateway, text)
            close(vectors(body)[0], unit(mean(CASES[text])), text)
            equal(body["usage"], {"prompt_tokens": len(CASES[text]), "total_tokens": len(CASES[text])})
            equal(body["model"], "small")


def test_every_pooling_and_fixed_shapes():
    text = "Hello, world!"
    ids = CASES[text]
    with Gateway(CONFIG) as gateway:
        cut = ids if len(ids) <= 8 else ids[:7] + ids[-1:]
        close(vectors(embed(gateway, text, "cut"))[0], hidden(cut)[0], "cls")
        close(vectors(embed(gateway, text, "largest"))[0], [max(column) for column in zip(*hidden(ids))], "max")
        prefixed = vectors(embed(gateway, ", world!", "last"))[0]  # after the prefix, the same text
        close(prefixed, unit(hidden(ids)[-1]), "last")
        short = [text for text in TEXTS if len(CASES[text]) <= 16]
        for one, vector in zip(short, vectors(embed(gateway, short, "fixed"))):
            close(vector, unit(mean(CASES[one])), f"fixed {one}")


def test_batches_are_as_single_texts_and_keep_their_order():
    with Gateway(CONFIG) as gateway:
        texts = [TEXTS[(i * 7) % len(TEXTS)] for i in range(500)]
        together = embed(gateway, texts)
        single = {text: vectors(embed(gateway, text))[0] for text in TEXTS}
        for text, vector in zip(texts, vectors(together)):
            close(vector, single[text], text, tolerance=1e-5)
        equal(together["usage"]["prompt_tokens"], sum(len(CASES[text]) for text in texts))


def test_token_lists_are_what_the_model_sees():
    with Gateway(CONFIG) as gateway:
        lists = [CASES[text] for text in TEXTS]
        for ids, vector in zip(lists, vectors(embed(gateway, lists))):
            close(vector, unit(mean(ids)), ids)
        close(vectors(embed(gateway, lists[0]))[0], unit(mean(lists[0])), "one list")
        refused(gateway, {"model": "small", "input": [5, 70000]}, 400, "the token 70000")


def test_base64_is_the_same_floats():
    with Gateway(CONFIG) as gateway:
        plain = vectors(embed(gateway, TEXTS))
        packed = vectors(embed(gateway, TEXTS, encoding_format="base64"))
        for one, other in zip(plain, packed):
            close(struct.unpack(f"<{SIZE}f", base64.b64decode(other)), one, "base64", tolerance=1e-7)


def test_dimensions_cut_and_renormalise():
    with Gateway(CONFIG) as gateway:
        close(vectors(embed(gateway, "Hello, world!", dimensions=3))[0], unit(mean(CASES["Hello, world!"])[:3]), "3")
        refused(gateway, {"model": "small", "input": "x", "dimensions": 9}, 400, "8 dimensions", "9")


def test_wrong_inputs_are_refused_with_what_is_wrong():
    with Gateway(CONFIG) as gateway:
        refused(gateway, {"model": "small", "input": ""}, 400, "empty")
        refused(gateway, {"model": "small", "input": ["a", ""]}, 400, "input[1] is empty")
        refused(gateway, {"model": "small", "input": []}, 400, "input")
        refused(gateway, {"model": "small", "input": ["a"] * 2049}, 400, "2049", "2048")
        refused(gateway, {"model": "small", "input": "pump " * 100}, 400, "tokens", "at most 64")
        refused(gateway, {"model": "small", "input": "a" * (1 << 21)}, 400, "1 MiB")
        refused(gateway, {"model": "smal", "input": "a"}, 404, "did you mean 'small'")
        refused(gateway, {"model": "scale", "input": "a"}, 404, "scale")
        answer = gateway.post("/v1/chat/completions", harness.chat_body("small"))
        check(answer.status in (400, 501), answer)
        check("vectors" in answer.text(), answer)
        equal(embed(gateway, "pump " * 100, "cut")["usage"]["prompt_tokens"], 8)


def test_other_dialects_get_the_same_vectors():
    text = "Hello, world!"
    wanted = unit(mean(CASES[text]))
    with Gateway(CONFIG) as gateway:
        body = gateway.post("/api/embed", {"model": "small", "input": [text, text]}).json()
        equal(len(body["embeddings"]), 2)
        close(body["embeddings"][1], wanted, "/api/embed")
        close(gateway.post("/api/embeddings", {"model": "small", "prompt": text}).json()["embedding"], wanted, "old")
        content = {"content": {"parts": [{"text": text}]}}
        one = gateway.post("/v1beta/models/small:embedContent", {**content, "taskType": "RETRIEVAL_QUERY"})
        close(one.json()["embedding"]["values"], wanted, "embedContent")
        equal(one.headers["x-penstock-dropped"], "taskType")
        many = gateway.post("/v1beta/models/small:batchEmbedContents", {
            "requests": [{"model": "models/small", **content}] * 3}).json()
        close(many["embeddings"][2]["values"], wanted, "batchEmbedContents")


def test_local_models_are_listed_and_answer_as_targets():
    with Gateway(CONFIG) as gateway:
        names = [model["id"] for model in gateway.request("GET", "/v1/models").json()["data"]]
        check("small" in names and "scale" not in names, names)
        answer = gateway.post("/v1/embeddings", {"model": "small", "input": "a"})
        equal(answer.headers["x-penstock-target"], "local/small")


def test_a_route_falls_back_from_a_local_model():
    with Mock() as mock, Gateway(CONFIG + f"""  mixed: {{ route: [ {{ to: local/small }} ], fallback: [ lab/embedder ] }}
providers: {{ lab: {{ type: openai, base_url: "{mock.url}", api_key: x }} }}
""") as gateway:
        answer = gateway.post("/v1/embeddings", {"model": "mixed", "input": "Hello, world!"})
        close(vectors(answer.json())[0], unit(mean(CASES["Hello, world!"])), "local")
        longer = gateway.post("/v1/embeddings", {"model": "mixed", "input": "pump " * 100})
        equal((longer.status, longer.headers["x-penstock-target"]), (200, "lab/embedder"), longer)


def test_permissions_limits_and_accounts_are_those_of_every_call():
    keyed = CONFIG.replace("insecure: true\n", "") + """keys:
  - { name: free, secret: sk-free-0123456789abcdef }
  - { name: chatter, secret: sk-chatter-0123456789abcdef, can: [chat] }
  - { name: other, secret: sk-other-0123456789abcdef, models: [cut] }
  - { name: poor, secret: sk-poor-0123456789abcdef, limits: { tpm: 20 } }
  - { name: broke, secret: sk-broke-0123456789abcdef, budget: 1USD/day }
"""
    text, body = "Hello, world!", {"model": "small", "input": "Hello, world!"}
    with Gateway(keyed) as gateway:
        equal(gateway.post("/v1/embeddings", body).status, 401)
        equal(gateway.post("/v1/embeddings", body, key="sk-chatter-0123456789abcdef").status, 403)
        equal(gateway.post("/v1/embeddings", body, key="sk-other-0123456789abcdef").status, 403)
        equal(gateway.post("/v1/embeddings", body, key="sk-free-0123456789abcdef").status, 200)
        free = gateway.post("/v1/embeddings", body, key="sk-broke-0123456789abcdef")
        equal((free.status, float(free.headers["x-penstock-cost-usd"])), (200, 0.0), "cost")
        states = [gateway.post("/v1/embeddings", body, key="sk-poor-0123456789abcdef").status for _ in range(8)]
        check(states[0] == 200 and states[-1] == 429, states)
        used = 2 + states.count(200)
        gateway.stop()
        equal(harness.stored_usage(gateway.data_dir, "input_tokens"), used * len(CASES[text]), "tokens in the ledger")


def test_a_broken_tokenizer_breaks_only_embeddings():
    folder = harness.folder() / "broken"
    shutil.copytree(MODELS / "embedder", folder)
    (folder / "1" / "tokenizer.json").write_text('{"model": {"type": "WordLevel", "vocab": {}}}')
    with Gateway(CONFIG + f"  broken: {{ path: {folder}, embed: {{ }} }}\n") as gateway:
        refused(gateway, {"model": "broken", "input": "a"}, 503, "WordLevel", "not supported")
        check("a model cannot embed" in gateway.log(), gateway.tail())
        embed(gateway, "a")


def test_a_reload_takes_another_tokenizer():
    text = next(text for text in TEXTS if text.startswith("The pump"))
    other = next(case["ids"] for case in json.loads((MODELS / "tokenizers" / "cases.json").read_text(encoding="utf-8"))
                 if case["file"] == "roberta.json" and case["text"] == text)
    check(len(other) != len(CASES[text]), "the tokenizers have to differ for this text")
    folder = harness.folder() / "changing"
    shutil.copytree(MODELS / "embedder", folder)
    with Gateway(CONFIG + f"  changing: {{ path: {folder}, embed: {{ }} }}\n") as gateway:
        def tokens():
            return embed(gateway, text, "changing")["usage"]["prompt_tokens"]
        equal(tokens(), len(CASES[text]))
        shutil.copytree(folder / "1", folder / "2")
        shutil.copy(MODELS / "tokenizers" / "roberta.json", folder / "2" / "tokenizer.json")
        gateway.send(signal.SIGHUP)
        harness.until(lambda: tokens() == len(other), "tokens by the other tokenizer")


def test_calls_at_the_same_time_do_not_mix():
    wrong = []
    with Gateway(CONFIG) as gateway:
        def ask(offset):
            for i in range(40):
                text = TEXTS[(offset + i) % len(TEXTS)]
                try:
                    close(vectors(embed(gateway, [text] * (1 + i % 5)))[-1], unit(mean(CASES[text])), text)
                except Exception as error:  # told by the test
                    wrong.append(error)
        threads = [threading.Thread(target=ask, args=(k,)) for k in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    check(not wrong, wrong[:1])


def test_speed_is_reported():
    with Gateway(CONFIG) as gateway:
        import http.client
        connection = http.client.HTTPConnection("127.0.0.1", gateway.port)
        def post(body, count):
            begin = time.perf_counter()
            for _ in range(count):
                connection.request("POST", "/v1/embeddings", body, {"content-type": "application/json"})
                check(connection.getresponse().read().startswith(b'{"object":"list"'))
            return (time.perf_counter() - begin) / count
        single = json.dumps({"model": "small", "input": "Hello, world!"})
        batch = json.dumps({"model": "small", "input": ["Hello, world!"] * 256, "encoding_format": "base64"})
        post(single, 50)
        print(f"     one short text: {post(single, 500) * 1e6:.0f} us a call; 256 texts a call: {256 / post(batch, 20):.0f} texts/s")


SDKS = """
import base64, json, sys
port, text = int(sys.argv[1]), sys.argv[2]
out = {}
import openai
client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="x")
out["openai"] = client.embeddings.create(model="small", input=[text, text]).data[1].embedding
out["openai_float"] = client.embeddings.create(model="small", input=text, encoding_format="float").data[0].embedding
import ollama
client = ollama.Client(host=f"http://127.0.0.1:{port}")
out["ollama"] = list(client.embed(model="small", input=[text, text]).embeddings[1])
out["ollama_old"] = list(client.embeddings(model="small", prompt=text).embedding)
from google import genai
client = genai.Client(api_key="x", http_options={"base_url": f"http://127.0.0.1:{port}"})
out["google"] = client.models.embed_content(model="small", contents=[text, text]).embeddings[-1].values
print(json.dumps(out))
"""


def test_sdks_get_the_models_vectors():
    if not (ROOT / ".cache" / "sdk_python.stamp").exists():
        harness.skip(harness.sdk_reason("python"))
    text = "Hello, world!"
    with Gateway(CONFIG) as gateway:
        said = subprocess.run([str(PYTHON), "-c", SDKS, str(gateway.port), text], capture_output=True, text=True, check=False,
                              timeout=120)
        equal(said.returncode, 0, said.stderr[-1500:])
        for name, vector in json.loads(said.stdout).items():
            close(vector, unit(mean(CASES[text])), name)


if __name__ == "__main__":
    harness.run(globals())
