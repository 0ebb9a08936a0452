"""The gateway's own certificate authority: openssl verifies what it signs, and a device gets in with its certificate."""

import http.client
import json
import ssl
import subprocess

import certificates
import harness
from harness import Gateway, check, command, equal, folder, request, until

CONFIG = """
sources: { plant: { http: {} } }
pipelines: { all: { from: plant, to: [ { log: {} } ] } }
keys: [ { name: app, secret: "an-app-key-0123456789" } ]
"""


def openssl(*arguments, where=None, status=0):
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False, cwd=where)
    equal(done.returncode == 0, status == 0, arguments, done.stdout, done.stderr)
    return done.stdout + done.stderr


def cli(data_dir, *arguments, status=0):
    got, out, err = command("device", *arguments, "--data-dir", str(data_dir))
    equal(got, status, arguments, out, err)
    return out.strip() if status == 0 else err


class Plant:
    """A gateway that asks for certificates of its own authority."""

    def __init__(self):
        harness.need("openssl")
        self.data_dir = folder() / "data"
        self.trust = cli(self.data_dir, "ca", "init", "--name", "Plant 4")
        self.server = certificates.local()
        self.out = folder()
        tls = f"{{ {self.server.pair('server')}, client_ca: {self.trust}, client_auth: optional }}"
        self.gateway = Gateway(CONFIG, data_dir=self.data_dir, listen=f"{{ address: 127.0.0.1:0, tls: {tls} }}")

    def issue(self, name, *more):
        cli(self.data_dir, "issue", name, "--out", str(self.out), *more)
        return self.out / f"{name}.pem", self.out / f"{name}.key"

    def ask(self, method, path, body=None, pair=None, key=None):
        context = ssl.create_default_context(cafile=self.server.path("ca.pem"))
        if pair:
            context.load_cert_chain(*map(str, pair))
        connection = http.client.HTTPSConnection("127.0.0.1", self.gateway.port, timeout=20, context=context)
        try:
            headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.gateway.__exit__()


def test_openssl_verifies_what_the_authority_signs():
    harness.need("openssl")
    data, out = folder() / "data", folder()
    cli(data, "issue", "press-7", status=1)
    cli(data, "ca", "init")
    check("already" in cli(data, "ca", "init", status=2), "made once")
    equal((data / "devices" / "ca.key").stat().st_mode & 0o777, 0o600)
    equal((data / "devices").stat().st_mode & 0o777, 0o700)
    cli(data, "issue", "press-7", "--days", "30", "--out", str(out))
    equal((out / "press-7.key").stat().st_mode & 0o777, 0o600)
    check("OK" in openssl("verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", str(out / "ca.pem"), str(out / "press-7.pem")), "the chain")
    text = openssl("x509", "-in", str(out / "press-7.pem"), "-noout", "-text", "-nameopt", "RFC2253")
    for words in ("CN=press-7", "URI:urn:penstock:device:press-7:", "TLS Web Client Authentication", "CA:FALSE", "Digital Signature", "prime256v1"):
        check(words in text, "without", words, text)
    openssl("verify", "-purpose", "sslserver", "-CAfile", str(out / "ca.pem"), str(out / "press-7.pem"), status=1)
    check("TLS" not in (out / "press-7.pem").read_text() and "PRIVATE" not in (out / "press-7.pem").read_text(), "no key")


def test_a_revoked_certificate_is_on_the_list():
    harness.need("openssl")
    data, out = folder() / "data", folder()
    cli(data, "ca", "init")
    for name in ("press-7", "press-8"):
        cli(data, "issue", name, "--out", str(out))
    cli(data, "revoke", "press-7")
    crl = data / "devices" / "ca.crl"
    equal(cli(data, "ca", "crl"), str(crl))
    both = ["-crl_check", "-CAfile", str(out / "ca.pem"), "-CRLfile", str(crl)]
    check("revoked" in openssl("verify", *both, str(out / "press-7.pem"), status=1), "revoked")
    openssl("verify", *both, str(out / "press-8.pem"))
    cli(data, "retire", "press-8")
    check("revoked" in openssl("verify", *both, str(out / "press-8.pem"), status=1), "retired")


def test_a_request_is_signed_for_its_key_alone():
    harness.need("openssl")
    data, out = folder() / "data", folder()
    cli(data, "ca", "init")
    openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "own.key", "-out", "own.csr", "-subj",
            "/CN=somebody-else", "-addext", "basicConstraints=CA:TRUE", where=out)
    cli(data, "issue", "press-7", "--csr", str(out / "own.csr"), "--out", str(out))
    text = openssl("x509", "-in", str(out / "press-7.pem"), "-noout", "-text")
    check("somebody-else" not in text and "CA:TRUE" not in text and "press-7" in text, text)
    check(not (out / "press-7.key").exists(), "the device has its key")
    openssl("req", "-new", "-newkey", "rsa:1024", "-nodes", "-keyout", "weak.key", "-out", "weak.csr", "-subj", "/CN=x", where=out)
    check("its key is none of" in cli(data, "issue", "press-7", "--csr", str(out / "weak.csr"), "--out", str(out), status=2), "weak")


def test_a_device_gets_in_with_its_certificate_until_it_is_taken_back():
    with Plant() as plant:
        pair = plant.issue("press-7")
        until(lambda: plant.ask("POST", "/ingest/plant", {"v": 1}, pair)[0] == 202, "the certificate")
        equal(plant.ask("POST", "/ingest/plant", {"v": 1, "device": "press-8"}, pair)[0], 403)
        equal(plant.ask("GET", "/devices/press-7/twin", None, pair)[0], 200)
        equal(plant.ask("GET", "/devices/press-8/twin", None, pair)[0], 403)
        equal(plant.ask("POST", "/ingest/plant", {"v": 1})[0], 401)
        serial = openssl("x509", "-in", str(pair[0]), "-noout", "-serial").strip().removeprefix("serial=")
        identity = f"urn:penstock:device:press-7:{serial}"
        equal(plant.ask("POST", "/ingest/plant", {"v": 1}, None, identity)[0], 401, "an identity is no secret")
        other = plant.issue("press-7-again")
        until(lambda: plant.ask("POST", "/ingest/plant", {"v": 1}, other)[0] == 202, "the other one")
        cli(plant.data_dir, "revoke", "press-7", serial)
        until(lambda: plant.ask("POST", "/ingest/plant", {"v": 1}, pair)[0] == 401, "its end")
        equal(plant.ask("POST", "/ingest/plant", {"v": 1}, other)[0], 202)


def test_a_device_onboards_with_a_request_and_comes_back_with_its_certificate():
    with Plant() as plant:
        code = cli(plant.data_dir, "onboard-code", "press-9")
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "own.key", "-out", "own.csr", "-subj", "/CN=x", where=plant.out)
        status, body = plant.ask("POST", "/devices/onboard", {"code": code, "csr": "nonsense"})
        equal(status, 400, body)
        status, body = plant.ask("POST", "/devices/onboard", {"code": code, "csr": (plant.out / "own.csr").read_text()})
        equal(status, 201, "the code is good as long as nothing was made for it", body)
        (plant.out / "own.pem").write_text(json.loads(body)["certificate"])
        check("BEGIN CERTIFICATE" in json.loads(body)["authority"] and "secret" not in json.loads(body), body)
        pair = (plant.out / "own.pem", plant.out / "own.key")
        equal(plant.ask("POST", "/ingest/plant", {"v": 1}, pair)[0], 202)
        admin = request(plant.gateway.admin_port, "GET", "/admin/v1/devices/press-9").json()
        equal([one["kind"] for one in admin["credentials"]], ["certificate"])


def test_after_a_rotation_both_authorities_are_trusted():
    with Plant() as plant:
        old = plant.issue("press-7")
        until(lambda: plant.ask("POST", "/ingest/plant", {"v": 1}, old)[0] == 202, "the certificate")
        cli(plant.data_dir, "ca", "rotate", "--name", "Plant 4, second")
        new = plant.issue("press-8")

        def gets_in():
            try:
                return plant.ask("POST", "/ingest/plant", {"v": 1}, new)[0] == 202
            except (ssl.SSLError, ConnectionError):
                return False  # the file of trusted authorities was not read again yet

        until(gets_in, "the new authority")
        equal(plant.ask("POST", "/ingest/plant", {"v": 1}, old)[0], 202)


if __name__ == "__main__":
    harness.run(globals())
