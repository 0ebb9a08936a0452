"""Clients that ask all the time and forgive nothing: whole answers and streams, on kept and on new connections."""

import http.client
import json
import threading
import time

import harness
from harness import check


class Load:
    """`with Load(...) as load:` asks until the end of the block; then nothing may have failed."""

    def __init__(self, port, model="chat", key=None, path="/v1/chat/completions", kept=2, fresh=1, streams=2):
        self.port, self.model, self.key, self.path = port, model, key, path
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self.done = 0
        self.failures = []
        workers = [self._keep] * kept + [self._renew] * fresh + [self._stream] * streams
        self.threads = [threading.Thread(target=self._run, args=(worker,), daemon=True) for worker in workers]

    def _run(self, worker):
        while not self.stopping.is_set():
            try:
                worker()
            except Exception as error:  # whatever a client may see
                with self.lock:
                    self.failures.append(f"{worker.__name__} at {time.monotonic():.3f}: {error!r}")
                time.sleep(0.05)

    def _succeeded(self):
        with self.lock:
            self.done += 1

    def _ask(self, connection):
        connection.request("POST", self.path, json.dumps(harness.chat_body(self.model)), harness.fields(self.key, None))
        answer = connection.getresponse()
        body = answer.read()
        check(answer.status == 200 and b'"content"' in body, answer.status, body[:300])
        self._succeeded()

    def _keep(self):
        """One connection for as long as the server keeps it; one that says it closes is made again."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            while not self.stopping.is_set():
                self._ask(connection)
                time.sleep(0.002)
        finally:
            connection.close()

    def _renew(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            self._ask(connection)
        finally:
            connection.close()
        time.sleep(0.002)

    def _stream(self):
        with harness.Stream(self.port, self.path, harness.chat_body(self.model, stream=True), self.key) as answer:
            check(answer.status == 200, "a stream's status is", answer.status)
            events = [data for _, data in answer.events()]
            check(events and events[-1] == b"[DONE]", "a stream ended with", events[-1:])
        self._succeeded()

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        harness.until(lambda: self.done > 0 or self.failures, "the first answer")
        return self

    def __exit__(self, kind, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join(40)
        if kind is None:
            check(not self.failures, len(self.failures), "of", self.done + len(self.failures), "requests failed:", *self.failures[:3])
