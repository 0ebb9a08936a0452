"""Everything a configuration says changes while requests run, and not one of them fails."""

import http.client
import re
import signal
import socket
import ssl
import subprocess

import harness
from certificates import LOCAL, Certificates
from harness import check, equal, until
from load import Load

KEY = "sk-reload-test-0001"
RELOADS = 200


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Changing:
    """A gateway whose file is written anew with other listeners, routes, providers, keys, limits, pipelines and files."""

    def __init__(self, mock):
        self.mock = mock
        made = Certificates().own("first", LOCAL).own("second", LOCAL)
        self.folder = made.folder
        self.main, self.extra, self.tls = free_port(), free_port(), free_port()
        self.use_certificate("first")
        self.path = self.folder / "penstock.yaml"
        self.admin = free_port()

    def use_certificate(self, name):
        for kind in ("pem", "key"):
            temporary = self.folder / f"next.{kind}"
            temporary.write_bytes((self.folder / f"{name}.{kind}").read_bytes())
            temporary.rename(self.folder / f"server.{kind}")

    def text(self, turn):
        listen = [f"127.0.0.1:{self.main}"]
        if turn % 2:
            listen.append(f"127.0.0.1:{self.extra}")
        if turn % 3:
            listen.append(f"{{ address: unix:{self.folder}/http.sock, mode: 0600 }}")
        trusted = ", trusted_proxies: [127.0.0.0/8]" if turn % 4 else ""
        listen.append(f"{{ address: '127.0.0.1:{self.tls}', tls: {{ cert: {self.folder}/server.pem, key: {self.folder}/server.key }}{trusted} }}")
        provider = "" if turn % 5 else ", timeout: 31s"
        routes = f"  chat: {{ route: [ lab/small ], timeout: {{ total: {60 + turn % 7}s }} }}\n"
        if turn % 2:
            routes += "  other: { route: [ lab/small, spare/small ] }\n"
        return (f"listen: [ {', '.join(listen)} ]\nadmin: 127.0.0.1:{self.admin}\nthreads: 2\n{harness.PATIENT}"
                f"http: {{ idle_timeout: {60 + turn % 9}s }}\n"
                f"providers:\n  lab: {{ type: openai, base_url: {self.mock.url}{provider} }}\n"
                f"  spare: {{ type: openai, base_url: '{self.mock.url}', connect_timeout: {2 + turn % 3}s }}\n"
                f"models:\n{routes}"
                f"keys:\n  - {{ name: app, secret: {KEY}, limits: {{ rpm: {10_000_000 + turn} }} }}\n"
                f"  - {{ name: extra{turn % 3}, secret: sk-another-one-00{turn % 3} }}\n"
                "sources:\n  bench: { http: {} }\n"
                f"pipelines:\n  p: {{ from: bench, steps: [ {{ filter: 'x > {turn % 4}' }} ] }}\n")

    def write(self, text):
        temporary = self.path.with_suffix(".new")
        temporary.write_text(text)
        temporary.rename(self.path)

    def start(self):
        self.write(self.text(0))
        self.gateway = harness.Process(["run", "--config", str(self.path), "--data-dir", str(self.folder / "data")], r"penstock ready data=(\S+)")
        return self.gateway

    def reloads(self):
        """By SIGHUP, taken and refused. The file is watched as well, and may be looked at once more."""
        log = self.gateway.log()
        return log.count('"configuration reloaded","why":"SIGHUP"'), log.count('"reload refused, the running configuration stays","why":"SIGHUP"')

    def reload(self, text):
        """SIGHUP; returns once the file was taken or refused."""
        before = sum(self.reloads())
        self.write(text)
        self.gateway.send(signal.SIGHUP)
        until(lambda: sum(self.reloads()) > before, "the reload")


def served_name(port):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain, context.wrap_socket(plain) as wrapped:
        certificate = wrapped.getpeercert(binary_form=True)
    text = subprocess.run(["openssl", "x509", "-inform", "der", "-noout", "-subject"], input=certificate, capture_output=True, check=True).stdout
    return re.search(rb"CN\s*=\s*(\w+)", text)[1].decode()


def accepts(port):
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def test_two_hundred_reloads_under_load_fail_no_request():
    with harness.Mock("--tokens", "8", "--per-token", "2ms") as mock:
        changing = Changing(mock)
        with changing.start() as gateway:
            with Load(changing.main, key=KEY) as load:
                for turn in range(1, RELOADS + 1):
                    if turn % 10 == 0:
                        changing.use_certificate("second" if turn % 20 else "first")
                    changing.reload(changing.text(turn))
                    if turn % 8 == 0:
                        taken = changing.reloads()[0]
                        changing.reload(bad_file(changing, turn))
                        equal(changing.reloads()[0], taken, "a bad file was taken:")
                    if turn % 50 in (24, 25):
                        equal(accepts(changing.extra), bool(turn % 2), "the listener that comes and goes:")
            taken, refused = changing.reloads()
            equal((taken, refused), (RELOADS, RELOADS // 8), "reloads taken and refused:", gateway.tail())
            check(load.done > RELOADS, "only", load.done, "requests")
            equal(gateway.stop(), 0)


def bad_file(changing, turn):
    kind = turn // 8 % 4
    if kind == 0:
        return changing.text(turn) + "providrs: {}\n"
    if kind == 1:
        return changing.text(turn).replace("listen: [ ", f"listen: [ '127.0.0.1:{changing.mock.port}', ")
    if kind == 2:
        return changing.text(turn).replace("server.pem", "missing.pem")
    return changing.text(turn).replace("lab/small", "nobody/small")


def test_a_bad_change_changes_nothing_at_all():
    with harness.Mock() as mock:
        changing = Changing(mock)
        with changing.start() as gateway:
            for kind in range(4):
                # Everything else in the file would open the extra listener and the other model.
                changing.reload(bad_file(changing, 8 * kind).replace("listen: [ ", f"listen: [ 127.0.0.1:{changing.extra}, ")
                                .replace("models:\n", "models:\n  late: { route: [ lab/small ] }\n"))
                check("reload refused" in gateway.log(), gateway.tail())
                check(not accepts(changing.extra), "a listener of a bad file is open")
                equal(harness.request(changing.main, "GET", "/v1/models/late", key=KEY).status, 404)
            log = gateway.log()
            for words in ("providrs", "in use by another program", "missing.pem", "nobody"):
                check(words in log, "the log does not name", words)
            equal(changing.reloads()[0], 0)


def test_a_removed_listener_lets_its_connections_finish():
    with harness.Mock("--tokens", "30", "--per-token", "20ms") as mock:
        changing = Changing(mock)
        with changing.start():
            changing.reload(changing.text(1))
            kept = http.client.HTTPConnection("127.0.0.1", changing.extra, timeout=20)
            kept.request("GET", "/healthz")
            kept.getresponse().read()
            with harness.Stream(changing.extra, "/v1/chat/completions", harness.chat_body(stream=True), KEY) as answer:
                events = answer.events()
                next(events)
                changing.reload(changing.text(2))
                check(not accepts(changing.extra), "the removed listener is still open")
                kept.request("GET", "/healthz")
                last = kept.getresponse()
                equal((last.status, last.headers.get("connection")), (200, "close"), "the kept connection's next answer:")
                equal([data for _, data in events][-1], b"[DONE]", "the stream of the removed listener:")


def test_changed_certificates_are_taken_without_a_word():
    with harness.Mock() as mock:
        changing = Changing(mock)
        with changing.start():
            equal(served_name(changing.tls), "first")
            changing.use_certificate("second")
            until(lambda: served_name(changing.tls) == "second", "the new certificate")


def test_limits_and_admin_address_change():
    with harness.Mock() as mock:
        changing = Changing(mock)
        with changing.start() as gateway:
            big = {"x-filler": "x" * 3000}
            equal(harness.request(changing.main, "GET", "/healthz", headers=big).status, 200)
            changing.reload(changing.text(0).replace("\nhttp: {", "\nhttp: { head_max: 2KiB, request_line_max: 1KiB,"))
            equal(harness.request(changing.main, "GET", "/healthz", headers=big).status, 431)
            moved = free_port()
            changing.reload(changing.text(0).replace(f"admin: 127.0.0.1:{changing.admin}", f"admin: 127.0.0.1:{moved}"))
            check(accepts(moved) and not accepts(changing.admin), "the admin listener did not move")
            changing.reload(changing.text(0).replace("threads: 2", "threads: 1"))
            check(re.search(r'restart.*"threads"', gateway.log()), "no word about threads:", gateway.tail())


if __name__ == "__main__":
    harness.run(globals())
