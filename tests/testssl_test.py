"""What testssl.sh thinks of the gateway's TLS: nothing worse than a low finding."""
import json
import shutil
import subprocess

import harness
from certificates import Certificates
from harness import check

# Protocols, ciphers, forward secrecy, the server's preferences and defaults, all attacks it knows. Not the simulation of
# browsers and each cipher of each protocol, which take minutes.
CHECKS = ["-p", "-s", "-f", "-P", "-S", "-U"]
# A test's certificate lives two days and says nothing of revocation.
OF_THE_CERTIFICATE = ("cert_expirationStatus", "cert_notAfter", "cert_revocation")


def program():
    found = shutil.which("testssl") or shutil.which("testssl.sh")
    if found is None:
        harness.skip("testssl.sh is not installed; ./dev setup test fetches it")
    return found


def test_nothing_worse_than_low():
    certificates = Certificates()
    certificates.leaf("first", "DNS:localhost,IP:127.0.0.1")
    listen = f'{{ address: "127.0.0.1:0", tls: {{ {certificates.pair("first")} }} }}'
    found = harness.folder() / "findings.json"
    with harness.Gateway("providers:\n  p: { type: openai, base_url: 'http://127.0.0.1:9/v1' }\n", listen=listen) as gateway:
        subprocess.run([program(), "--quiet", "--color", "0", "--warnings", "off", "--ip", "one", "--nodns", "min", "--add-ca", certificates.path("ca.pem"), *CHECKS,
                        "--jsonfile", str(found), f"localhost:{gateway.port}"],
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=280, check=False)
        check(gateway.alive(), gateway.tail())
    findings = json.loads(found.read_text())
    check(len(findings) > 50, "testssl.sh said too little:", findings)
    serious = [f"{one['id']} {one['severity']}: {one['finding']}" for one in findings
               if one["severity"] in ("MEDIUM", "HIGH", "CRITICAL", "FATAL") and one["id"] not in OF_THE_CERTIFICATE]
    check(not serious, "\n".join(serious))
    for one in findings:
        if one["severity"] == "LOW":
            print(f"     {one['id']}: {one['finding']}")


if __name__ == "__main__":
    harness.run(globals())
