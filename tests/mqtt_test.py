"""Sources and sinks on a real Mosquitto: what waits while the gateway is away, shared subscriptions, certificates, wills,
Sparkplug B from an edge node to a host."""

import json
import os
import shutil
import socket
import subprocess
import threading
import time

from harness import Gateway, check, command, equal, folder, need, run, skip, until

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
if MOSQUITTO is None:
    skip("mosquitto is not installed; ./dev setup test installs it")
need("mosquitto_pub", "mosquitto_sub")


class Broker:
    def __init__(self, more="allow_anonymous true\n"):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        place = folder()
        os.chmod(place, 0o755)
        settings = place / "mosquitto.conf"
        settings.write_text(f"listener {self.port} 127.0.0.1\npersistence false\nlog_dest stderr\nmax_queued_messages 100000\n{more}"
                            + ("user root\n" if os.getuid() == 0 else ""))
        self.process = subprocess.Popen([MOSQUITTO, "-c", str(settings)], stderr=subprocess.DEVNULL)
        until(self.accepts, "the broker")

    def accepts(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def publish(self, topic, *lines):
        """One message for each line, at QoS 1."""
        subprocess.run(["mosquitto_pub", "-p", str(self.port), "-q", "1", "-t", topic, "-l"], input="\n".join(lines) + "\n", text=True, timeout=30,
                       check=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


class Listener:
    def __init__(self, port, topic):
        self.process = subprocess.Popen(["mosquitto_sub", "-p", str(port), "-q", "1", "-t", topic, "-F", "%t %p"], stdout=subprocess.PIPE, text=True,
                                        errors="replace")
        self.lines = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def numbers(self):
        return [json.loads(line.split(" ", 1)[1])["n"] for line in self.lines if '"n"' in line]

    def ready(self, broker, topic):
        def came():
            broker.publish(topic, "ready")
            return any(line.endswith(" ready") for line in self.lines)
        until(came, "the subscription")
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def config(port, more="", out="out/{device}", source=""):
    return (f"sources:\n  press: {{ mqtt: \"mqtt://127.0.0.1:{port}\", topic: \"plant/+/state\", qos: 1, version: 5{source} }}\n"
            f"pipelines:\n  guard:\n    from: press\n    to: [ {{ mqtt: {{ url: \"mqtt://127.0.0.1:{port}\", topic: \"{out}\", qos: 1 }} }} ]\n{more}")


def test_what_was_published_while_the_gateway_was_away_arrives():
    with Broker() as broker, Listener(broker.port, "out/#") as listener:
        listener.ready(broker, "out/x")
        with Gateway(config(broker.port)) as gateway:
            def came():
                broker.publish("plant/a/state", json.dumps({"n": -1}))
                return -1 in listener.numbers()
            until(came, "the first reading")
            gateway.kill()
        broker.publish("plant/a/state", *(json.dumps({"n": n}) for n in range(500)))
        with Gateway(config(broker.port), data_dir=gateway.data_dir) as second:
            until(lambda: set(range(500)) <= set(listener.numbers()), "all of them", 30)
            first = [n for i, n in enumerate(listener.numbers()) if n >= 0 and n not in listener.numbers()[:i]]
            equal(first, list(range(500)), "their order")
            equal(second.stop(), 0)


def test_two_gateways_share_a_subscription():
    with Broker() as broker, Listener(broker.port, "out/#") as listener:
        listener.ready(broker, "out/x")
        text = [config(broker.port, out=f"out/{name}").replace("topic: \"plant/+/state\"", "topic: \"$share/gateways/plant/+/state\"") for name in "ab"]
        with Gateway(text[0]) as one, Gateway(text[1]) as two:
            def both():
                broker.publish("plant/a/state", json.dumps({"n": -1}))
                return all(any(line.startswith(f"out/{name} ") and '"n"' in line for line in listener.lines) for name in "ab")
            until(both, "both gateways")
            broker.publish("plant/a/state", *(json.dumps({"n": n}) for n in range(200)))
            until(lambda: set(range(200)) <= set(listener.numbers()), "all of them")
            time.sleep(0.2)
            equal(sorted(n for n in listener.numbers() if n >= 0), list(range(200)), "each once")
            one.stop()
            two.stop()


def test_a_broker_that_wants_certificates():
    need("openssl")
    place = folder()
    os.chmod(place, 0o755)

    def openssl(*words):
        subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=place)
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl("req", "-x509", "-days", "2", "-subj", "/CN=throwaway", "-keyout", "ca.key", "-out", "ca.pem", *new)
    (place / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    for name in ("broker", "gateway"):
        openssl("req", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr", *new)
        openssl("x509", "-req", "-days", "2", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names", "-out", f"{name}.pem")
    for file in place.iterdir():
        file.chmod(0o644)
    more = (f"cafile {place}/ca.pem\ncertfile {place}/broker.pem\nkeyfile {place}/broker.key\nrequire_certificate true\nuse_identity_as_username true\n"
            "allow_anonymous false\n")
    with Broker(more) as broker:
        keys = f"tls: {{ ca: {place}/ca.pem, cert: {place}/gateway.pem, key: {place}/gateway.key }}"
        text = config(broker.port, source=f", {keys}").replace("mqtt://", "mqtts://", 1)
        text = text.split("pipelines:")[0] + "pipelines:\n  guard: { from: press, to: [ { log: {} } ] }\n"
        with Gateway(text) as gateway:
            words = ["-h", "127.0.0.1", "-p", str(broker.port), "--cafile", f"{place}/ca.pem", "--cert", f"{place}/gateway.pem", "--key", f"{place}/gateway.key"]

            def came():
                subprocess.run(["mosquitto_pub", *words, "-q", "1", "-t", "plant/a/state", "-m", '{"n":1}'], check=True, timeout=20)
                return '"n":1' in gateway.log().replace("\\", "").replace(" ", "")
            until(came, "a reading")
            gateway.stop()


def test_sparkplug_from_an_edge_node_to_a_host():
    """One gateway is the edge node, another the host that reads it; the first dies, and its last values come as bad."""
    with Broker() as broker, Listener(broker.port, "host/#") as listener:
        listener.ready(broker, "host/x")
        edge = config(broker.port).replace('topic: "out/{device}", qos: 1', "sparkplug: { group: Plant, node: line-1 }")
        host = (f"sources:\n  spb: {{ mqtt: \"mqtt://127.0.0.1:{broker.port}\", topic: \"spBv1.0/Plant/#\", format: sparkplug }}\n"
                f"pipelines:\n  read:\n    from: spb\n    to: [ {{ mqtt: {{ url: \"mqtt://127.0.0.1:{broker.port}\", topic: \"host/{{device}}\" }} }} ]\n")
        with Gateway(edge) as node, Gateway(host) as reader:
            def came():
                broker.publish("plant/a/state", json.dumps({"n": 7}))
                return any(line.startswith("host/a ") and '"n":7' in line.replace(" ", "") for line in listener.lines)
            until(came, "the value", 30)
            broker.publish("plant/a/state", json.dumps({"n": 8}))
            until(lambda: any('"n":8' in line.replace(" ", "") for line in listener.lines), "the next value, by its alias")
            node.kill()
            until(lambda: any("bad" in line for line in listener.lines), "the death", 30)
            # A host that comes late asks the node to be born again.
            reader.kill()
            with Gateway(edge) as again, Gateway(host) as late:
                before = len(listener.lines)

                def known():
                    broker.publish("plant/a/state", json.dumps({"n": 9}))
                    return any('"n":9' in line.replace(" ", "") for line in listener.lines[before:])
                until(known, "the value after a rebirth", 30)
                again.stop()
                late.stop()


def test_mistakes_are_found_before_the_start():
    place = folder() / "penstock.yaml"
    place.write_text("sources:\n  a: { mqtt: mqtt://h, topic: t, qos: 2, durable: true }\n"
                     "pipelines:\n  p: { from: a, to: [ { mqtt: { url: embedded, topic: t, password: x } } ] }\n")
    status, _, error = command("check", str(place))
    equal(status, 2)
    check(":2:" in error and "`qos: 1`" in error, error)
    check("its own credentials" in error, error)


run(globals())
