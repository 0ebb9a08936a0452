"""Every broken JSON document of JSONTestSuite, posted to every endpoint that takes JSON, is answered 400; no document of
the suite is ever answered with a server error, and the process survives all of them."""

import http.client

import harness
from harness import check

SUITE = harness.SHARED / "data" / "json_suite" / "test_parsing"
MODEL = harness.ROOT / "configs" / "models" / "digits"

PATHS = ["/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v2/models/digits/infer", "/ingest/hook"]


def config(mock):
    return f"""
providers:
  lab: {{ type: openai, base_url: {mock.url} }}
models:
  chat:   {{ route: [ {{ to: lab/small }} ] }}
  digits: {{ path: {MODEL} }}
sources:
  hook: {{ http: {{}} }}
"""


class Poster:
    """Keeps one connection while the gateway does; a request that gets no answer at all is a failure."""

    def __init__(self, port):
        self.port = port
        self.connection = None

    def post(self, path, body):
        for attempt in range(2):
            fresh = self.connection is None
            if fresh:
                self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
            try:
                self.connection.request("POST", path, body, {"Content-Type": "application/json"})
                answer = self.connection.getresponse()
                text = answer.read()
                if answer.will_close:
                    self.connection.close()
                    self.connection = None
                return answer.status, text
            except (http.client.HTTPException, OSError):
                self.connection.close()
                self.connection = None
                if fresh or attempt == 1:
                    raise


def post_all(gateway, path):
    poster = Poster(gateway.port)
    wrong = []
    count = 0
    for file in sorted(SUITE.glob("*.json")):
        count += 1
        try:
            status, text = poster.post(path, file.read_bytes())
        except (http.client.HTTPException, OSError) as error:
            wrong.append(f"{file.name}: no answer ({error!r})")
            check(gateway.alive(), path, file.name, "ended the gateway")
            continue
        if status >= 500:
            wrong.append(f"{file.name}: {status} {text[:120]!r}")
        elif file.name.startswith("n_") and status != 400:
            wrong.append(f"{file.name}: {status} instead of 400 {text[:120]!r}")
    check(count > 300, "only", count, "files in the suite")
    check(not wrong, path, f"{len(wrong)} of {count} wrong:", *(f"\n  {w}" for w in wrong[:12]))
    check(gateway.chat().status == 200, "no answer to an ordinary call afterwards")


def make_test(path):
    def test():
        with harness.Mock() as mock, harness.Gateway(config(mock)) as gateway:
            post_all(gateway, path)
    return test


for endpoint in PATHS:
    globals()["test_" + endpoint.strip("/").replace("/", "_")] = make_test(endpoint)

if __name__ == "__main__":
    if not SUITE.is_dir():
        harness.skip(f"no JSONTestSuite at {SUITE}; set PENSTOCK_SHARED to the folder that has data/json_suite")
    harness.run(globals())
