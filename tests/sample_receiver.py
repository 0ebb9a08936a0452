"""An HTTP endpoint that takes samples, can be cut off, and remembers what arrived when."""

import http.server
import json
import socketserver
import threading
import time


class Receiver:
    """Listens on a free port, and on the same one again after every cut. `arrived` has (seconds, sample) in order."""

    def __init__(self, up=True, delay=0.0):
        self.arrived = []
        self.requests = 0
        self.status = 200
        self.judge = lambda body: self.status  # of each request
        self.delay = delay
        self.lock = threading.Lock()
        self.turn = threading.Lock()  # whoever takes samples answers before anything is cut
        self.server = None
        self.thread = None
        self.connections = set()
        self.port = 0
        self.restore()
        if not up:
            self.cut()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/samples"

    def restore(self):
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self):
                super().setup()
                receiver.connections.add(self.connection)

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                if receiver.delay:
                    time.sleep(receiver.delay)
                with receiver.turn:
                    if self.connection not in receiver.connections:
                        return  # it was cut
                    status = receiver.judge(body)
                    if status == 200:
                        receiver.take(body)
                    self.send_response(status)
                    self.send_header("content-length", "0")
                    self.end_headers()

            def log_message(self, *_):
                pass

        class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
            daemon_threads = True
            allow_reuse_address = True

            def handle_error(self, *_):
                pass  # a cut ends requests in the middle

        self.server = Server(("127.0.0.1", self.port), Handler)
        self.port = self.server.server_port
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def cut(self):
        """Nobody listens any more, and what was open is closed. Samples that were taken have been answered for."""
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
        with self.turn:
            for connection in list(self.connections):
                try:
                    connection.shutdown(2)
                except OSError:
                    pass
            self.connections.clear()

    def take(self, body):
        samples = json.loads(body)
        now = time.monotonic()
        with self.lock:
            self.requests += 1
            self.arrived += [(now, one) for one in (samples if isinstance(samples, list) else [samples])]

    def samples(self):
        with self.lock:
            return [sample for _, sample in self.arrived]

    def count(self):
        with self.lock:
            return len(self.arrived)

    def close(self):
        self.cut()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def duplicates(samples):
    """How many were delivered before under the same name."""
    names = [(sample["origin"], sample["seq"]) for sample in samples]
    return len(names) - len(set(names))
