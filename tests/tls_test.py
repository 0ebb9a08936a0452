"""TLS towards callers: certificates by name, clients' certificates, sessions, reload, and who speaks no TLS."""
import contextlib
import http.client
import os
import signal
import socket
import ssl
import subprocess

import harness
from certificates import PAST, Certificates
from harness import check, equal, until

CERTIFICATES = Certificates()
CERTIFICATES.leaf("first", "DNS:localhost,DNS:a.example,IP:127.0.0.1")
FILES = CERTIFICATES.path

QUIET = "providers:\n  p: { type: openai, base_url: 'http://127.0.0.1:9/v1' }\n"


def listen(tls):
    return f'{{ address: "127.0.0.1:0", tls: {{ {tls} }} }}'


def context(client=None, version=None, alpn=None):
    made = ssl.create_default_context(cafile=FILES("ca.pem"))
    if client:
        made.load_cert_chain(FILES(client + ".pem"), FILES(client + ".key"))
    if version:
        made.minimum_version = made.maximum_version = version
    if alpn:
        made.set_alpn_protocols(alpn)
    return made


@contextlib.contextmanager
def connected(gateway, host="a.example", session=None, using=None):
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as plain:
        with (using or context()).wrap_socket(plain, server_hostname=host, session=session) as secure:
            yield secure


def ask(secure, path="/v1/models", fields=""):
    """One request; returns the status and the body."""
    secure.sendall(f"GET {path} HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n".encode())
    answer = http.client.HTTPResponse(secure)
    answer.begin()
    return answer.status, answer.read()


def served(gateway, host):
    """The certificate shown to who asks for `host`, whatever it says."""
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as plain:
        with trusting.wrap_socket(plain, server_hostname=host) as secure:
            return ssl.DER_cert_to_PEM_cert(secure.getpeercert(True))


def failures(gateway, reason):
    return gateway.metric("penstock_tls_handshake_failures_total", side="server", reason=reason)


def test_each_name_gets_its_certificate():
    CERTIFICATES.leaf("second", "DNS:B.example,DNS:api.c.example").leaf("wild", "DNS:*.c.example")
    tls = "certificates: [ " + ", ".join(f"{{ {CERTIFICATES.pair(name)} }}" for name in ("first", "second", "wild")) + " ]"
    with harness.Gateway(QUIET, listen=listen(tls)) as gateway:
        for host, name in [("a.example", "first"), ("b.EXAMPLE", "second"), ("api.c.example", "second"),
                           ("www.c.example", "wild"), ("x.y.c.example", "first"), ("nobody.example", "first"), (None, "first")]:
            equal(served(gateway, host), CERTIFICATES.text(name), host)


def test_a_client_gets_the_kind_of_key_it_knows():
    CERTIFICATES.leaf("rsa", "DNS:localhost,DNS:a.example", kind="rsa")
    tls = f"certificates: [ {{ {CERTIFICATES.pair('first')} }}, {{ {CERTIFICATES.pair('rsa')} }} ]"
    with harness.Gateway(QUIET, listen=listen(tls)) as gateway:
        for sort, name in [("ECDSA+SHA256", "first"), ("RSA-PSS+SHA256", "rsa")]:
            for version in ("-tls1_2", "-tls1_3"):
                shown = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{gateway.port}", "-servername",
                                        "A.example", "-sigalgs", sort, version], capture_output=True, text=True,
                                       stdin=subprocess.DEVNULL, timeout=20, check=False).stdout
                check(f"subject=CN = {name}" in shown or f"subject=CN={name}" in shown, sort, version, shown)


def test_a_client_certificate_says_who_is_calling():
    CERTIFICATES.leaf("press", "URI:spiffe://plant.example/press,DNS:press").leaf("other", "DNS:other")
    keys = 'keys:\n  - { name: press, identity: "spiffe://plant.example/press" }\n  - { name: app, secret: secret-of-app-0001 }\n'
    tls = f"{CERTIFICATES.pair('first')}, client_ca: {FILES('ca.pem')}, client_auth: optional"
    with harness.Gateway(QUIET + keys, listen=listen(tls)) as gateway:
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with connected(gateway, using=context("press", version)) as secure:
                for _ in range(2):
                    status, body = ask(secure)
                    equal(status, 200, body)
        with connected(gateway, using=context("press")) as secure:
            equal(ask(secure, fields="Authorization: Bearer some-text-an-sdk-wants\r\n")[0], 200)
        with connected(gateway, using=context("other")) as secure:
            status, body = ask(secure)
            equal(status, 401)
            check(b"bound to the identity 'other'" in body, body)
            equal(ask(secure, fields="Authorization: Bearer secret-of-app-0001\r\n")[0], 200)
        with connected(gateway) as secure:
            equal(ask(secure)[0], 401)


def refused(gateway, client):
    """The TLS alert with which the gateway ends a connection: with TLS 1.3 the first read tells."""
    try:
        with connected(gateway, using=context(client)) as secure:
            secure.sendall(b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n")
            check(not secure.recv(100), "an answer")
    except ssl.SSLError as error:
        return str(error)
    raise harness.Failure("the connection ended without an alert")


def test_a_wrong_client_certificate_is_refused_with_a_reason():
    CERTIFICATES.leaf("press", "DNS:press").leaf("old", "DNS:old", dates=PAST).own("stranger", "DNS:stranger")
    tls = f"{CERTIFICATES.pair('first')}, client_ca: {FILES('ca.pem')}"
    with harness.Gateway(QUIET, listen=listen(tls)) as gateway:
        with connected(gateway, using=context("press")) as secure:
            equal(ask(secure)[0], 200)
        for client, alert, reason in [(None, "CERTIFICATE_REQUIRED", "certificate_missing"),
                                      ("old", "CERTIFICATE_EXPIRED", "certificate_expired"),
                                      ("stranger", "UNKNOWN_CA", "certificate_untrusted")]:
            said = refused(gateway, client)
            check(alert in said.upper().replace(" ", "_"), client, said)
            until(lambda: failures(gateway, reason) == 1, f"the metric of {reason}")
            until(lambda: f'"reason":"{reason}"' in gateway.log(), f"the line about {reason}")
        refused(gateway, "old")
        until(lambda: failures(gateway, "certificate_expired") == 2, "the metric")
        check(gateway.log().count('"reason":"certificate_expired"') == 1, "lines are limited", gateway.log())


def test_sessions_are_resumed():
    with harness.Gateway(QUIET, listen=listen(CERTIFICATES.pair("first"))) as gateway:
        for version, name in [(ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")]:
            using = context(version=version)
            with connected(gateway, using=using) as secure:
                ask(secure)
                check(not secure.session_reused)
                session = secure.session
            with connected(gateway, using=using, session=session) as secure:
                equal(ask(secure)[0], 200)
                check(secure.session_reused, name)
            for resumed in ("true", "false"):
                count = lambda: gateway.metric("penstock_tls_handshakes_total", side="server", version=name, resumed=resumed)
                until(lambda: count() == 1, f"the metric of {name}")


def test_protocols_are_agreed_on():
    with harness.Gateway(QUIET, listen=listen(CERTIFICATES.pair("first"))) as gateway:
        with connected(gateway, using=context(alpn=["http/1.1"])) as secure:
            equal(secure.selected_alpn_protocol(), "http/1.1")
            equal(ask(secure)[0], 200)
        try:
            with connected(gateway, using=context(alpn=["smtp"])):
                raise harness.Failure("connected")
        except ssl.SSLError as error:
            check("application" in str(error), error)
        until(lambda: failures(gateway, "alpn") == 1, "the metric")


def test_old_versions_and_weak_ciphers_are_refused():
    with harness.Gateway(QUIET, listen=listen(CERTIFICATES.pair("first") + ", min_version: 1.3")) as gateway:
        for options in (["-tls1_2"], ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]):
            done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{gateway.port}", *options],
                                  capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=20, check=False)
            check("alert protocol version" in done.stderr, options, done.stderr)
        until(lambda: failures(gateway, "version") == 2, "the metric")
    with harness.Gateway(QUIET, listen=listen(CERTIFICATES.pair("first"))) as gateway:
        done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{gateway.port}", "-tls1_2", "-cipher",
                               "ECDHE-ECDSA-AES128-SHA"], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                              timeout=20, check=False)
        check("alert handshake failure" in done.stderr, done.stderr)
        until(lambda: failures(gateway, "parameters") == 1, "the metric")


def test_who_speaks_no_tls_is_told_or_cut_off():
    config = QUIET + "http: { head_timeout: 500ms }\n"
    with harness.Gateway(config, listen=listen(CERTIFICATES.pair("first"))) as gateway:
        answer = harness.raw(gateway.port, b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n")
        check(answer.startswith(b"HTTP/1.1 400 ") and b"https://" in answer, answer)
        for rubbish in (b"SSH-2.0-x\r\n", bytes(range(256)) * 40, b"\x16\x03\x01\xff\xff" + b"x" * 20000):
            answer = harness.raw(gateway.port, rubbish)
            check(b"HTTP" not in answer, answer)
        until(lambda: failures(gateway, "not_tls") >= 2, "failures counted")
        # Half a ClientHello, then silence: cut at the deadline.
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as plain:
            plain.sendall(b"\x16\x03\x01\x02\x00\x01")
            equal(plain.recv(100), b"")
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as plain:
            equal(plain.recv(100), b"")
        until(lambda: failures(gateway, "timeout") == 2, "timeouts counted")
        with connected(gateway) as secure:
            equal(ask(secure)[0], 200)


def test_certificates_are_replaced_while_it_runs():
    CERTIFICATES.leaf("live", "DNS:a.example").leaf("renewed", "DNS:a.example").leaf("again", "DNS:a.example")
    with harness.Gateway(QUIET, listen=listen(CERTIFICATES.pair("live"))) as gateway:
        using = context()
        with connected(gateway, using=using) as old:
            ask(old)
            session = old.session
            CERTIFICATES.replace("live", "renewed")  # noticed without being told
            until(lambda: served(gateway, "a.example") == CERTIFICATES.text("renewed"), "the renewed certificate", 20)
            equal(ask(old)[0], 200, "a connection that stood stays")
        with connected(gateway, using=using, session=session) as secure:
            check(secure.session_reused, "sessions go on across a reload")
            equal(ask(secure)[0], 200)
        # A key that does not fit changes nothing.
        os.rename(FILES("again.key"), FILES("live.key"))
        gateway.send(signal.SIGHUP)
        until(lambda: "it is not the key of the certificate" in gateway.log(), "the reason in the log")
        check(FILES("live.key") in gateway.log(), gateway.log())
        equal(served(gateway, "a.example"), CERTIFICATES.text("renewed"))
        os.rename(FILES("again.pem"), FILES("live.pem"))
        gateway.send(signal.SIGHUP)
        until(lambda: served(gateway, "a.example") != CERTIFICATES.text("renewed"), "the last certificate")


def test_a_certificate_that_cannot_be_used_stops_the_start():
    CERTIFICATES.leaf("x", "DNS:x").leaf("y", "DNS:y")
    for tls, complaint in [(f"cert: {FILES('x.pem')}, key: {FILES('y.key')}", "it is not the key of the certificate"),
                           (f"cert: {FILES('none.pem')}, key: {FILES('y.key')}", "No such file"),
                           (f"{CERTIFICATES.pair('x')}, client_ca: {FILES('x.key')}", "authorities of client certificates")]:
        config = harness.folder() / "penstock.yaml"
        config.write_text(f"listen: {listen(tls)}\nadmin: 127.0.0.1:0\n{QUIET}")
        status, _, errors = harness.command("run", "--config", str(config), "--data-dir", str(harness.folder()))
        equal(status, 2)
        check(complaint in errors, complaint, errors)


if __name__ == "__main__":
    harness.run(globals())
