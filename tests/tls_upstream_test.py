"""TLS towards providers: who they are is verified, and what is wrong with them is said."""
import contextlib
import http.server
import json
import os
import signal
import socket
import ssl
import threading

import harness
from certificates import Certificates
from harness import check, equal, until

CERTIFICATES = Certificates()
CERTIFICATES.leaf("good", "DNS:localhost,DNS:llm.example,IP:127.0.0.1")
FILES = CERTIFICATES.path

ANSWER = json.dumps({"id": "x", "object": "chat.completion", "created": 1, "model": "m",
                     "choices": [{"index": 0, "message": {"role": "assistant", "content": "over TLS"}, "finish_reason": "stop"}],
                     "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}).encode()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.server.callers.append(self.connection.getpeercert())
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)

    def log_message(self, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *args):
        pass  # handshakes that fail are what is tested


@contextlib.contextmanager
def provider(certificate, client_ca=None):
    server = Server(("127.0.0.1", 0), Handler)
    server.callers = []
    server.names = []
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(FILES(certificate + ".pem"), FILES(certificate + ".key"))
    made.sni_callback = lambda connection, name, context: server.names.append(name)
    if client_ca:
        made.verify_mode = ssl.CERT_REQUIRED
        made.load_verify_locations(FILES(client_ca + ".pem"))
    # Each connection shakes hands in its own thread, when it is first read.
    server.socket = made.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def config(port, tls=None, host="localhost"):
    extra = f", tls: {{ {tls} }}" if tls else ""
    return (f'providers:\n  p: {{ type: openai, base_url: "https://{host}:{port}/v1"{extra} }}\n'
            "models:\n  chat: { route: [ { to: p/m } ], retry: { attempts: 1 } }\n")


def trusting(more=""):
    return f"ca: {FILES('ca.pem')}{more}"


def refused(gateway, why, reason=None):
    answer = gateway.chat()
    equal(answer.status, 502, answer)
    message = answer.json()["error"]["message"]
    check(why in message, why, message)
    until(lambda: gateway.metric("penstock_requests_total", error_type="provider_connect") == 1, "the error's type")
    if reason:
        until(lambda: gateway.metric("penstock_tls_handshake_failures_total", side="client", reason=reason) == 1, reason)
    until(lambda: why in gateway.log(), "the reason in the log")


def test_a_good_provider_is_called_and_its_session_resumed():
    with provider("good") as upstream:
        text = config(upstream.port, trusting()).replace("https://localhost", "https://127.0.0.1")
        text = text.replace("type: openai,", "type: openai, connections: { idle: 1ms },")
        with harness.Gateway(text) as gateway:
            for _ in range(3):
                equal(gateway.chat().status, 200)
                until(lambda: len(upstream.callers) > 0, "a call")
            done = lambda resumed: gateway.metric("penstock_tls_handshakes_total", side="client", resumed=resumed)
            check(done("false") == 1 and done("true") >= 1, gateway.metrics())


def test_the_name_to_verify_can_be_another():
    with provider("good") as upstream:
        with harness.Gateway(config(upstream.port, trusting(", server_name: llm.example"))) as gateway:
            equal(gateway.chat().status, 200)
            equal(upstream.names, ["llm.example"])


def test_a_wrong_certificate_is_a_bad_gateway_with_a_reason():
    CERTIFICATES.leaf("old", "DNS:localhost", days=-1).leaf("elsewhere", "DNS:elsewhere.example").own("lonely", "DNS:localhost")
    for certificate, why, reason in [("old", "certificate has expired", "certificate_expired"),
                                     ("elsewhere", "hostname mismatch", "certificate_name"),
                                     ("lonely", "self-signed certificate", "certificate_untrusted")]:
        with provider(certificate) as upstream, harness.Gateway(config(upstream.port, trusting())) as gateway:
            refused(gateway, why, reason)
            equal(upstream.callers, [], "no request was sent")
    with provider("good") as upstream, harness.Gateway(config(upstream.port)) as gateway:
        refused(gateway, "the certificate was not accepted", "certificate_untrusted")


def test_a_pinned_key_is_checked_besides():
    CERTIFICATES.leaf("next", "DNS:localhost")
    with provider("good") as upstream:
        both = f"[{CERTIFICATES.pin('next')}, {CERTIFICATES.pin('good')}]"
        with harness.Gateway(config(upstream.port, trusting(f", pin: {both}"))) as gateway:
            equal(gateway.chat().status, 200)
        with harness.Gateway(config(upstream.port, trusting(f", pin: {CERTIFICATES.pin('next')}"))) as gateway:
            refused(gateway, "its public key is not one of the pinned ones", "certificate_pin")
        with harness.Gateway(config(upstream.port, f"pin: {CERTIFICATES.pin('good')}")) as gateway:
            refused(gateway, "the certificate was not accepted", "certificate_untrusted")


def test_a_client_certificate_is_shown_and_replaced():
    CERTIFICATES.leaf("gate", "URI:spiffe://plant.example/gate").leaf("gate2", "URI:spiffe://plant.example/gate2")
    with provider("good", client_ca="ca") as upstream:
        with harness.Gateway(config(upstream.port, trusting())) as gateway:
            refused(gateway, "does not accept our certificate, or the lack of one")
        with harness.Gateway(config(upstream.port, trusting(", " + CERTIFICATES.pair("gate")))) as gateway:
            equal(gateway.chat().status, 200)
            check(("URI", "spiffe://plant.example/gate") in upstream.callers[-1]["subjectAltName"], upstream.callers)
            CERTIFICATES.replace("gate", "gate2")  # noticed without being told
            until(lambda: "configuration reloaded" in gateway.log(), "the reload", 20)
            equal(gateway.chat().status, 200)
            check(("URI", "spiffe://plant.example/gate2") in upstream.callers[-1]["subjectAltName"], upstream.callers)
            os.rename(FILES("gate2.pem"), FILES("gate.pem.aside"))
            os.rename(FILES("gate.key"), FILES("gate.key.aside"))
            gateway.send(signal.SIGHUP)
            until(lambda: "reload refused" in gateway.log(), "the refusal")
            check(FILES("gate.key") in gateway.log(), "names the file")
            equal(gateway.chat().status, 200)


@contextlib.contextmanager
def rubbish(answer):
    """A server that says this to everybody, and closes."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(answer)
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(4096):
                        pass
    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()


def test_a_provider_without_tls_is_a_bad_gateway():
    for answer, why, reason in [(b"HTTP/1.1 400 Bad Request\r\n\r\n", "what came is no TLS", "not_tls"),
                                (os.urandom(64).replace(b"\x15", b"\x00").replace(b"\x16", b"\x00"), "TLS", None),
                                (b"", "without a TLS goodbye", "gone")]:
        with rubbish(answer) as port, harness.Gateway(config(port, trusting())) as gateway:
            refused(gateway, why, reason)


def test_mistakes_in_the_configuration_are_told():
    for tls, complaint in [("pin: sha256/abc", "is no pin"), (f"cert: {FILES('good.pem')}", "needs both"),
                           (f"ca: {FILES('none.pem')}", "none.pem"), ("insecure_skip_verify: true", "insecure_skip_verify")]:
        file = harness.folder() / "penstock.yaml"
        file.write_text(config(9, tls))
        status, _, errors = harness.command("check", str(file))
        equal(status, 2)
        check(complaint in errors and "penstock.yaml:2" in errors, complaint, errors)


if __name__ == "__main__":
    harness.run(globals())
