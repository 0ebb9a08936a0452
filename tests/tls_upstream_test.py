"""TLS towards providers: who they are is verified, and what is wrong with them is said."""
import os
import signal

import harness
from certificates import PAST, Certificates
from harness import check, equal, until
from scripted_upstream import raw_server, say
from tls_provider import provider

CERTIFICATES = Certificates()
CERTIFICATES.leaf("good", "DNS:localhost,DNS:llm.example,IP:127.0.0.1")
FILES = CERTIFICATES.path


def config(port, tls=None, host="localhost"):
    extra = f", tls: {{ {tls} }}" if tls else ""
    return (f'providers:\n  p: {{ type: openai, base_url: "https://{host}:{port}/v1"{extra} }}\n'
            "models:\n  chat: { route: [ { to: p/m } ], retry: { attempts: 1 } }\n")


def trusting(more=""):
    return f"ca: {FILES('ca.pem')}{more}"


def refused(gateway, *reasons, reason=None):
    """Refused for one of the reasons."""
    answer = gateway.chat()
    equal(answer.status, 502, answer)
    message = answer.json()["error"]["message"]
    why = next((each for each in reasons if each in message), None)
    check(why, reasons, message)
    until(lambda: gateway.metric("penstock_requests_total", error_type="provider_connect") == 1, "the error's type")
    if reason:
        until(lambda: gateway.metric("penstock_tls_handshake_failures_total", side="client", reason=reason) == 1, reason)
    until(lambda: why in gateway.log(), "the reason in the log")


def test_a_good_provider_is_called_and_its_session_resumed():
    with provider(CERTIFICATES, "good") as upstream:
        text = config(upstream.port, trusting()).replace("https://localhost", "https://127.0.0.1")
        text = text.replace("type: openai,", "type: openai, connections: { idle: 1ms },")
        with harness.Gateway(text) as gateway:
            for _ in range(3):
                equal(gateway.chat().status, 200)
                until(lambda: len(upstream.callers) > 0, "a call")
            done = lambda resumed: gateway.metric("penstock_tls_handshakes_total", side="client", resumed=resumed)
            # A connection that is closed before the provider's ticket came leaves nothing to resume.
            until(lambda: gateway.chat().status == 200 and done("true") >= 1, "a resumed session")
            check(done("false") <= 2, gateway.metrics())


def test_the_name_to_verify_can_be_another():
    with provider(CERTIFICATES, "good") as upstream:
        with harness.Gateway(config(upstream.port, trusting(", server_name: llm.example"))) as gateway:
            equal(gateway.chat().status, 200)
            equal(upstream.names, ["llm.example"])


def test_a_wrong_certificate_is_a_bad_gateway_with_a_reason():
    CERTIFICATES.leaf("old", "DNS:localhost", dates=PAST).leaf("elsewhere", "DNS:elsewhere.example").own("lonely", "DNS:localhost")
    for certificate, why, reason in [("old", "certificate has expired", "certificate_expired"),
                                     ("elsewhere", "hostname mismatch", "certificate_name"),
                                     ("lonely", "self-signed certificate", "certificate_untrusted")]:
        with provider(CERTIFICATES, certificate) as upstream, harness.Gateway(config(upstream.port, trusting())) as gateway:
            refused(gateway, why, reason=reason)
            equal(upstream.callers, [], "no request was sent")
    with provider(CERTIFICATES, "good") as upstream, harness.Gateway(config(upstream.port)) as gateway:
        refused(gateway, "the certificate was not accepted", reason="certificate_untrusted")


def test_a_pinned_key_is_checked_besides():
    CERTIFICATES.leaf("next", "DNS:localhost")
    with provider(CERTIFICATES, "good") as upstream:
        both = f"[{CERTIFICATES.pin('next')}, {CERTIFICATES.pin('good')}]"
        with harness.Gateway(config(upstream.port, trusting(f", pin: {both}"))) as gateway:
            equal(gateway.chat().status, 200)
        with harness.Gateway(config(upstream.port, trusting(f", pin: {CERTIFICATES.pin('next')}"))) as gateway:
            refused(gateway, "its public key is not one of the pinned ones", reason="certificate_pin")
        with harness.Gateway(config(upstream.port, f"pin: {CERTIFICATES.pin('good')}")) as gateway:
            refused(gateway, "the certificate was not accepted", reason="certificate_untrusted")


def test_a_client_certificate_is_shown_and_replaced():
    CERTIFICATES.leaf("gate", "URI:spiffe://plant.example/gate").leaf("gate2", "URI:spiffe://plant.example/gate2")
    with provider(CERTIFICATES, "good", client_ca="ca") as upstream:
        with harness.Gateway(config(upstream.port, trusting())) as gateway:
            # The provider's alert, unless its reset overtakes it: the request was on its way already.
            refused(gateway, "does not accept our certificate, or the lack of one", "was reset by the other side")
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


def test_a_provider_without_tls_is_a_bad_gateway():
    for answer, why, reason in [(b"HTTP/1.1 400 Bad Request\r\n\r\n", "what came is no TLS", "not_tls"),
                                (os.urandom(64).replace(b"\x15", b"\x00").replace(b"\x16", b"\x00"), "TLS", None),
                                (b"", "without a TLS goodbye", "gone")]:
        with raw_server(say(answer)) as server, harness.Gateway(config(server.getsockname()[1], trusting())) as gateway:
            refused(gateway, why, reason=reason)


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
