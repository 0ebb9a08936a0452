"""TLS both ways: a provider behind https is verified, and the gateway's own listener speaks TLS."""
import http.client
import http.server
import json
import os
import shutil
import ssl
import subprocess
import tempfile
import threading

import harness
from harness import check

ANSWER = json.dumps({"id": "x", "object": "chat.completion", "created": 1, "model": "m",
                     "choices": [{"index": 0, "message": {"role": "assistant", "content": "over TLS"}, "finish_reason": "stop"}],
                     "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}).encode()


class Upstream(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)

    def log_message(self, *args):
        pass


def make_certificates(folder):
    """A CA and a certificate of it for 127.0.0.1 and localhost."""
    def openssl(*args):
        subprocess.run(["openssl", *args], cwd=folder, check=True, capture_output=True)
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=test CA")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=localhost")
    with open(os.path.join(folder, "names"), "w") as names:
        names.write("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names", "-out", "server.pem")


def start_upstream(folder):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.path.join(folder, "server.pem"), os.path.join(folder, "server.key"))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


FOLDER = tempfile.mkdtemp(prefix="penstock-tls-")


LISTEN = f'{{ address: "127.0.0.1:0", tls: {{ cert: {FOLDER}/server.pem, key: {FOLDER}/server.key }} }}'


def config(port):
    return f"""
providers:
  trusted: {{ type: openai, base_url: "https://localhost:{port}/v1", tls: {{ ca: {FOLDER}/ca.pem }} }}
  unknown: {{ type: openai, base_url: "https://localhost:{port}/v1" }}
models:
  chat: {{ route: [ {{ to: trusted/m }} ] }}
  distrusted: {{ route: [ {{ to: unknown/m }} ], retry: {{ attempts: 1 }} }}
"""


def post(gateway, model):
    context = ssl.create_default_context(cafile=os.path.join(FOLDER, "ca.pem"))
    connection = http.client.HTTPSConnection("127.0.0.1", gateway.port, context=context, timeout=10)
    connection.request("POST", "/v1/chat/completions", json.dumps({"model": model, "messages": []}))
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def test_both_sides_speak_tls():
    make_certificates(FOLDER)
    upstream = start_upstream(FOLDER)
    try:
        with harness.Gateway(config(upstream.server_address[1]), listen=LISTEN) as gateway:
            for _ in range(3):
                status, body = post(gateway, "chat")
                check(status == 200 and body["choices"][0]["message"]["content"] == "over TLS", status, body)
            status, body = post(gateway, "distrusted")
            check(status == 502, status, body)
            check("certificate" in body["error"]["message"], body)
    finally:
        upstream.shutdown()
        shutil.rmtree(FOLDER)


if __name__ == "__main__":
    if shutil.which("openssl") is None:
        harness.skip("the openssl program is not installed")
    harness.run(globals())
