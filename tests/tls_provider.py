"""A provider that answers chat over TLS."""

import contextlib
import http.server
import json
import ssl
import threading

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
def provider(files, certificate, client_ca=None):
    """Serves chat behind a certificate of `files` (a Certificates); keeps what callers showed and asked for."""
    server = Server(("127.0.0.1", 0), Handler)
    server.callers = []
    server.names = []
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(files.path(certificate + ".pem"), files.path(certificate + ".key"))
    made.sni_callback = lambda connection, name, context: server.names.append(name)
    if client_ca:
        made.verify_mode = ssl.CERT_REQUIRED
        made.load_verify_locations(files.path(client_ca + ".pem"))
    # Each connection shakes hands in its own thread, when it is first read.
    server.socket = made.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
