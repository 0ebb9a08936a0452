"""Models pulled over HTTP: what arrives is checked before it is in place, what does not is tried again, and what was there
goes on."""

import contextlib
import hashlib
import http.server
import re
import shutil
import subprocess
import threading

import harness
from harness import BINARY, ROOT, Gateway, check, equal, folder, until

SCALE = ROOT / "tests" / "models" / "scale"
TOKEN = "Bearer pull-secret-7431"


class Files:
    """A file server that can be told to misbehave. `requests` has the path and the fields of each request."""

    def __init__(self):
        self.files = {}
        self.requests = []
        self.answers = {}  # path: a function that answers instead
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                outer.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
                answer = outer.answers.get(self.path.split("?")[0])
                (answer or outer.serve)(self)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def serve(self, request, most=None, tag='"one"'):
        data = self.files.get(request.path.split("?")[0])
        if data is None:
            request.send_response(404)
            request.send_header("content-length", "0")
            request.end_headers()
            return
        begin = 0
        wanted = re.match(r"bytes=(\d+)-$", request.headers.get("range", ""))
        if wanted and request.headers.get("if-range") == tag:
            begin = int(wanted[1])
            request.send_response(206)
            request.send_header("content-range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        else:
            request.send_response(200)
        request.send_header("etag", tag)
        request.send_header("content-length", str(len(data) - begin))
        request.end_headers()
        with contextlib.suppress(OSError):
            request.wfile.write(data[begin:] if most is None else data[begin:begin + most])
        if most is not None:
            request.close_connection = True

    def url(self, path):
        return f"http://127.0.0.1:{self.port}{path}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def model(version=1):
    return (SCALE / str(version) / "model.onnx").read_bytes()


def sha(data):
    return hashlib.sha256(data).hexdigest()


def pulled(url, data, version=1, more=""):
    return f"{{ url: '{url}', version: {version}, sha256: {sha(data)}{more} }}"


def config(*pulls, more=""):
    return f"models:\n  scale: {{ pull: [{', '.join(pulls)}]{more} }}\n"


def infer(gateway):
    return gateway.post("/v2/models/scale/infer", {
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}]})


def first(gateway):
    answer = infer(gateway)
    return answer.json()["outputs"][0]["data"][0] if answer.status == 200 else None


def reason(gateway):
    index = gateway.post("/v2/repository/index", {}).json()
    return " ".join(entry.get("reason", "") for entry in index if entry["name"] == "scale")


def place(gateway, version=1):
    return gateway.data_dir / "models" / "scale" / str(version) / "model.onnx"


def test_a_pulled_model_is_served_and_pulled_once():
    with Files() as files:
        files.files["/m.onnx"] = model()
        text = config(pulled(files.url("/m.onnx?token=shh"), model()))
        with Gateway(text) as gateway:
            until(lambda: first(gateway) == 3.0, "the model")
            equal(place(gateway).read_bytes(), model())
            equal([request[0] for request in files.requests], ["/m.onnx?token=shh"])
            check("shh" not in gateway.log() + reason(gateway))
            data_dir = gateway.data_dir
        with Gateway(text, data_dir=data_dir) as gateway:
            equal(first(gateway), 3.0)
            equal(len(files.requests), 1, "it was there")


def test_a_wrong_checksum_never_gets_into_place_and_the_old_one_goes_on():
    with Files() as files:
        files.files["/m.onnx"] = model(1)
        with Gateway(config(pulled(files.url("/m.onnx"), model(1)))) as gateway:
            until(lambda: first(gateway) == 3.0, "the model")
            gateway.write(config(pulled(files.url("/m.onnx"), model(2))))
            gateway.send(1)
            until(lambda: "SHA-256" in reason(gateway), "the reason")
            equal(first(gateway), 3.0)
            equal(place(gateway).read_bytes(), model(1))
            files.files["/m.onnx"] = model(2)
            until(lambda: first(gateway) == 4.0, "another attempt", 30)
            equal(place(gateway).read_bytes(), model(2))


def test_a_cut_answer_is_gone_on_with():
    with Files() as files:
        data = model() + bytes(300_000)
        files.files["/m.onnx"] = data
        cuts = []

        def cut(request):
            cuts.append(request.headers.get("range"))
            files.serve(request, 100_000 if len(cuts) < 3 else None)

        files.answers["/m.onnx"] = cut
        with Gateway(config(pulled(files.url("/m.onnx"), data))) as gateway:
            until(lambda: place(gateway).exists(), "the file", 30)
            equal(place(gateway).read_bytes(), data)
            equal(cuts[0], None)
            check(all(re.match(r"bytes=[1-9]\d*-$", one) for one in cuts[1:]), cuts)


def test_what_is_left_of_a_killed_gateway_is_gone_on_with():
    with Files() as files:
        data = model() + bytes(200_000)
        files.files["/m.onnx"] = data
        hold = threading.Event()

        def stall(request):
            files_data = data[:50_000]
            request.send_response(200)
            request.send_header("etag", '"one"')
            request.send_header("content-length", str(len(data)))
            request.end_headers()
            with contextlib.suppress(OSError):
                request.wfile.write(files_data)
                request.wfile.flush()
                hold.wait(30)
            request.close_connection = True

        files.answers["/m.onnx"] = stall
        text = config(pulled(files.url("/m.onnx"), data))
        with Gateway(text) as gateway:
            part = gateway.data_dir / "models" / "scale" / ".pull" / f"{sha(data)}.part"
            until(lambda: part.exists() and part.stat().st_size == 50_000, "half of the file")
            check("is being fetched" in reason(gateway), reason(gateway))
            gateway.kill()
            data_dir = gateway.data_dir
        hold.set()
        del files.answers["/m.onnx"]
        with Gateway(text, data_dir=data_dir) as gateway:
            until(lambda: place(gateway).exists(), "the file", 30)
            equal(place(gateway).read_bytes(), data)
            equal(files.requests[-1][1].get("range"), "bytes=50000-")


def test_a_file_that_changed_meanwhile_starts_anew():
    with Files() as files:
        data = model() + bytes(200_000)
        files.files["/m.onnx"] = data
        tags = iter(['"old"', '"new"', '"new"', '"new"'])
        most = iter([70_000, None, None, None])
        files.answers["/m.onnx"] = lambda request: files.serve(request, next(most), next(tags))
        with Gateway(config(pulled(files.url("/m.onnx"), data))) as gateway:
            until(lambda: place(gateway).exists(), "the file", 30)
            equal(place(gateway).read_bytes(), data)
            equal(files.requests[1][1].get("if-range"), '"old"')


def test_credentials_go_to_their_host_alone():
    with Files() as files, Files() as other:
        other.files["/moved.onnx"] = model()

        def redirect(request):
            request.send_response(302)
            request.send_header("location", "/here" if request.path == "/m.onnx" else other.url("/moved.onnx"))
            request.send_header("content-length", "0")
            request.end_headers()

        files.answers["/m.onnx"] = files.answers["/here"] = redirect
        with Gateway(config(pulled(files.url("/m.onnx"), model(), more=", authorization: '${PULL_TOKEN}'")),
                     environment={"PULL_TOKEN": TOKEN}) as gateway:
            until(lambda: first(gateway) == 3.0, "the model")
            equal([request[1].get("authorization") for request in files.requests], [TOKEN, TOKEN])
            equal([request[1].get("authorization") for request in other.requests], [None])
            models = harness.request(gateway.admin_port, "GET", "/admin/v1/models").text()
            check("pull-secret" not in gateway.log() + models + reason(gateway))


def test_refusals_say_why_and_the_gateway_starts_all_the_same():
    def answer(status, location=None):
        def send(request):
            request.send_response(status)
            if location:
                request.send_header("location", location)
            request.send_header("content-length", "0")
            request.end_headers()
        return send

    with Files() as files:
        cases = {"/missing": (None, "there is no such file"), "/denied": (answer(403), "authorization"),
                 "/broken": (answer(500), "500"), "/loop": (answer(302, "/loop"), "from place to place"),
                 "/away": (answer(302, "ftp://127.0.0.1/x"), "no URL of http")}
        for path, (how, words) in cases.items():
            if how:
                files.answers[path] = how
            with Gateway(config(pulled(files.url(path), model()))) as gateway:
                until(lambda: words in reason(gateway), f"{path}: {words} in {reason(gateway)}")
                equal(gateway.stop(), 0)
    with Gateway(config(pulled("http://127.0.0.1:9/m.onnx", model()))) as gateway:
        until(lambda: "could not be fetched" in reason(gateway), reason(gateway))
        equal(gateway.stop(), 0)


def test_large_files_end_at_the_bound():
    with Files() as files:
        files.files["/m.onnx"] = bytes(3 << 20)
        with Gateway("inference: { file_max: 1MB }\n" + config(pulled(files.url("/m.onnx"), bytes(3 << 20)))) as gateway:
            until(lambda: "inference.file_max" in reason(gateway), reason(gateway))
            check(not place(gateway).exists())


def test_signatures_come_along():
    with Files() as files:
        key = folder() / "key"
        subprocess.run([BINARY, "artifact", "keygen", "--out", str(key)], check=True, capture_output=True)
        made = folder() / "1"
        shutil.copytree(SCALE / "1", made)
        files.files["/v/m.onnx"] = model()
        text = config(pulled(files.url("/v/m.onnx"), model()), more=f", signed_by: '${{file:{key}.pub}}'")
        with Gateway(text) as gateway:
            until(lambda: "there is none beside" in reason(gateway), reason(gateway))
            equal(first(gateway), None)
            subprocess.run([BINARY, "artifact", "sign", "--key", str(key), str(made)], check=True, capture_output=True)
            for name in ("manifest.json", "manifest.sig"):
                files.files[f"/v/{name}"] = (made / name).read_bytes()
            until(lambda: first(gateway) == 3.0, "the signed model", 30)


harness.run(globals())
