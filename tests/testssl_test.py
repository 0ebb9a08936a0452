"""What testssl.sh thinks of the gateway's TLS: nothing worse than a low finding, but that nobody knows the authority."""
import json
import shutil
import subprocess

import harness
from certificates import Certificates
from harness import check

# The whole of it takes minutes: protocols, ciphers, forward secrecy, the server's defaults and the attacks that take no
# timing; not the simulation of browsers.
CHECKS = ["--protocols", "--std", "--fs", "--server-preference", "--server-defaults", "--renegotiation", "--crime", "--heartbleed",
          "--ccs-injection", "--ticketbleed", "--robot", "--fallback", "--poodle", "--sweet32", "--beast", "--lucky13", "--rc4",
          "--freak", "--logjam", "--drown", "--winshock"]
# A test's certificate is of a test's authority: unknown, without revocation, without transparency, made for two days.
OF_THE_CERTIFICATE = ("cert", "chain", "OCSP", "DNS_CAA", "intermediate", "overall")


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
        subprocess.run([program(), "--quiet", "--color", "0", "--warnings", "off", "--ip", "one", "--nodns", "min", *CHECKS,
                        "--jsonfile", str(found), f"localhost:{gateway.port}"],
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=280, check=False)
        check(gateway.alive(), gateway.tail())
    findings = json.loads(found.read_text())
    check(len(findings) > 50, "testssl.sh said too little:", findings)
    serious = [f"{one['id']} {one['severity']}: {one['finding']}" for one in findings
               if one["severity"] in ("MEDIUM", "HIGH", "CRITICAL", "FATAL") and not one["id"].startswith(OF_THE_CERTIFICATE)]
    check(not serious, "\n".join(serious))
    for one in findings:
        if one["severity"] == "LOW":
            print(f"     {one['id']}: {one['finding']}")


if __name__ == "__main__":
    harness.run(globals())
