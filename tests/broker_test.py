"""The embedded broker: one command gives devices something to connect to. Kill it, take its port, take its program, end
or replace the gateway: what flows again, what is said, and that nothing stays behind."""

import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import stat
import subprocess
import threading

import certificates
from harness import Gateway, check, command, equal, folder, need, run, skip, until

if shutil.which("mosquitto") is None and not os.access("/usr/sbin/mosquitto", os.X_OK):
    skip("mosquitto is not installed; ./dev setup test installs it")
need("mosquitto_pub", "mosquitto_sub")

PIPELINE = """
sources:
  press: {{ mqtt: embedded, topic: "devices/+/vibration", qos: 1, version: 5 }}
pipelines:
  guard:
    from: press
    to: [ {{ mqtt: {{ url: embedded, topic: "site/{{device}}/score", qos: 1 }} }} ]
broker:
  listen: 127.0.0.1:{port}
  users:
    press-3: {{ password: first-secret }}
    line-9: {{ password: other-secret, subscribe: [ "site/#" ] }}
{more}
"""


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def config(port, more=""):
    return PIPELINE.format(port=port, more=more)


def publish(port, value, user="press-3", password="first-secret", topic="devices/press-3/vibration"):
    return told(["-h", "127.0.0.1", "-p", str(port), "-V", "5", "-q", "1", "-u", user, "-P", password, "-t", topic, "-m", json.dumps({"vib": value})]) == "taken"


def told(options):
    """What a publisher was told: taken, denied (the broker let it in and takes nothing), refused or, by a broker that ended meanwhile, nothing."""
    try:
        done = subprocess.run(["mosquitto_pub", *options], capture_output=True, text=True, timeout=10, check=False)
    except subprocess.TimeoutExpired:
        return "nothing"
    if done.returncode != 0:
        return "refused"
    return "denied" if "uthorized" in done.stderr + done.stdout else "taken"


class Listener:
    """What comes out of the gateway, by way of its own broker."""

    def __init__(self, port):
        self.process = subprocess.Popen(["mosquitto_sub", "-h", "127.0.0.1", "-p", str(port), "-q", "1", "-u", "line-9", "-P", "other-secret", "-t", "site/#"],
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.values = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.values.append(json.loads(line)["vib"])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def flows(port, value):
    """A reading goes in and comes out."""
    until(lambda: accepts(port), "the broker", 30)
    with Listener(port) as listener:
        def came():
            publish(port, value)
            return value in listener.values
        until(came, "the reading", 30)


def broker_pids(gateway):
    return [int(line["pid"]) for line in map(parsed, gateway.log().splitlines()) if line.get("msg") == "broker: started"]


def parsed(line):
    try:
        return json.loads(line)
    except ValueError:
        return {}


def gone(pid):
    try:
        # A zombie of somebody who does not look after it is as good.
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def notes(gateway):
    return " ".join(gateway.request("GET", "/readyz").json().get("notes", []))


def parent(pid):
    return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


def memory(pid):
    """Bytes that it has in memory."""
    return int(re.search(r"VmRSS:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text())[1]) << 10


def accepts(port):
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def test_devices_have_something_to_connect_to():
    port = free_port()
    with Gateway(config(port)) as gateway:
        flows(port, 1)
        check(not publish(port, 1, password="wrong"), "a wrong password")
        check(not publish(port, 1, topic="devices/other/vibration"), "another device's topic")
        until(lambda: gateway.metric("penstock_broker_up") == 1, "the metric")
        equal(notes(gateway), "")
        place = gateway.data_dir / "broker"
        equal(stat.S_IMODE(place.stat().st_mode), 0o700)
        for name in ("mosquitto.conf", "passwords", "acl"):
            equal(stat.S_IMODE((place / name).stat().st_mode), 0o600, name)
        check("first-secret" not in gateway.log() + (place / "passwords").read_text(), "the password is in the log or a file")
        gateway.stop()


def test_a_killed_broker_comes_back():
    port = free_port()
    with Gateway(config(port)) as gateway:
        flows(port, 1)
        for round_number in range(2):
            pid = broker_pids(gateway)[-1]
            os.kill(pid, signal.SIGKILL)
            until(lambda before=pid: broker_pids(gateway)[-1] != before, "another broker")
            flows(port, 2 + round_number)
        equal(gateway.metric("penstock_broker_starts_total"), 3)
        gateway.stop()


def test_without_a_program_everything_else_serves():
    with Gateway(config(free_port(), "  program: /nowhere/mosquitto")) as gateway:
        until(lambda: "/nowhere/mosquitto" in notes(gateway), "the note")
        equal(gateway.request("GET", "/healthz").status, 200)
        equal(gateway.metric("penstock_broker_up"), 0)
        equal(gateway.stop(), 0)
    status, out, _ = command("doctor", str(gateway.config_path))
    check(status == 1 and "/nowhere/mosquitto" in out, "doctor:", status, out)


def test_a_taken_port_is_named_and_tried_again():
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with Gateway(config(port)) as gateway:
            until(lambda: "another program listens" in notes(gateway), "the note")
            taken.close()
            flows(port, 1)
            gateway.stop()


def test_a_drain_ends_the_broker_and_keeps_its_messages():
    port = free_port()
    with Gateway(config(port)) as gateway:
        flows(port, 1)
        # A session of a device that is away.
        subprocess.run(["mosquitto_sub", "-h", "127.0.0.1", "-p", str(port), "-q", "1", "-c", "-i", "line-9", "-u", "line-9", "-P", "other-secret",
                        "-t", "site/#", "-E"], timeout=20, check=True)
        publish(port, 7)
        until(lambda: gateway.metric("penstock_broker_up") == 1, "the broker")
        pid = broker_pids(gateway)[-1]
        equal(gateway.stop(), 0)
        check(gone(pid) and not accepts(port), "the broker stayed")
    with Gateway(config(port), data_dir=gateway.data_dir) as second:
        until(lambda: accepts(port), "the broker")
        got = subprocess.run(["mosquitto_sub", "-h", "127.0.0.1", "-p", str(port), "-q", "1", "-c", "-i", "line-9", "-u", "line-9", "-P", "other-secret",
                              "-t", "site/#", "-W", "3"], capture_output=True, text=True, timeout=20, check=False)
        check('"vib":7' in got.stdout.replace(" ", ""), "what was kept:", got.stdout, got.stderr)
        second.stop()


def test_a_killed_gateway_leaves_no_broker():
    port = free_port()
    with Gateway(config(port)) as gateway:
        flows(port, 1)
        pid = broker_pids(gateway)[-1]
        keeper = parent(pid)
        gateway.kill()
    until(lambda: gone(pid) and gone(keeper), "the end of the broker and its keeper")
    with Gateway(config(port)) as gateway:  # both at once
        flows(port, 1)
        pid = broker_pids(gateway)[-1]
        os.kill(parent(pid), signal.SIGKILL)
        gateway.kill()
    until(lambda: gone(pid), "the broker's end")
    with Gateway(config(port), data_dir=gateway.data_dir) as second:
        flows(port, 2)
        second.stop()


def test_a_storm_for_somebody_who_is_away_takes_bounded_memory_and_nothing_from_others():
    port = free_port()
    bounds = "    logger: { password: third-secret, subscribe: [ \"devices/#\" ] }\n  queued_bytes_max: 1MiB\n  memory_max: 32MiB"
    with Gateway(config(port, bounds)) as gateway:
        flows(port, 1)
        pid = broker_pids(gateway)[-1]
        subprocess.run(["mosquitto_sub", "-h", "127.0.0.1", "-p", str(port), "-q", "1", "-c", "-i", "logger", "-u", "logger", "-P", "third-secret",
                        "-t", "devices/#", "-E"], timeout=20, check=True)
        heavy = folder() / "heavy"
        heavy.write_bytes(b"x" * 100_000)
        subprocess.run(["mosquitto_pub", "-h", "127.0.0.1", "-p", str(port), "-q", "1", "-u", "press-3", "-P", "first-secret", "-t", "devices/press-3/storm",
                        "-f", str(heavy), "--repeat", "600"], timeout=60, check=True)
        until(lambda: gateway.metric("penstock_broker_messages_dropped_total") > 500, "what found no room")
        check(memory(pid) < 40 << 20, "bytes in memory:", memory(pid))
        flows(port, 2)
        equal(broker_pids(gateway), [pid])
        gateway.stop()


class Plant:
    """A gateway whose broker asks for certificates of the gateway's own authority."""

    def __init__(self, client_ca=None):
        need("openssl")
        self.data_dir, self.out = folder() / "data", folder()
        self.cli("ca", "init")
        self.server = certificates.local()
        self.port = free_port()
        self.gateway = Gateway(f"""
sources: {{ press: {{ mqtt: embedded, topic: "devices/+/vibration", qos: 1 }} }}
pipelines: {{ all: {{ from: press, to: [ {{ log: {{}} }} ] }} }}
broker:
  listen: 127.0.0.1:{self.port}
  tls: {{ {self.server.pair("server")}, client_ca: {client_ca or self.data_dir / "devices" / "trust.pem"} }}
  users: {{ line-9: {{ subscribe: [ "devices/#" ] }} }}
""", data_dir=self.data_dir)

    def cli(self, *arguments):
        status, out, err = command("device", *arguments, "--data-dir", str(self.data_dir))
        equal(status, 0, arguments, out, err)
        return out.strip()

    def issue(self, name):
        """A certificate: how a client shows it, and its number."""
        place = folder()
        self.cli("issue", name, "--out", str(place))
        pem = place / f"{name}.pem"
        serial = subprocess.run(["openssl", "x509", "-in", str(pem), "-noout", "-serial"], capture_output=True, text=True, check=True).stdout
        options = ["-h", "127.0.0.1", "-p", str(self.port), "-V", "5", "-q", "1", "--cafile", self.server.path("ca.pem"), "--cert", str(pem),
                   "--key", str(place / f"{name}.key")]
        return options, serial.strip().removeprefix("serial=")

    def publish(self, shown, topic="devices/press-7/vibration"):
        return told([*shown, "-t", topic, "-m", '{"vib":1}'])

    def taken(self):
        return self.gateway.metric("penstock_samples_total", source="press")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.gateway.__exit__()


class Standing:
    """A publisher that stays connected."""

    def __init__(self, shown):
        self.process = subprocess.Popen(["mosquitto_pub", *shown, "-t", "devices/press-7/vibration", "-l"], stdin=subprocess.PIPE,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.said = []
        threading.Thread(target=lambda: self.said.extend(self.process.stderr), daemon=True).start()

    def publish(self):
        self.process.stdin.write('{"vib":2}\n')
        self.process.stdin.flush()

    def denied(self):
        return self.process.poll() is not None or any("uthorized" in line for line in list(self.said))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def test_a_revoked_certificate_is_nobodys_at_the_broker():
    with Plant() as plant:
        (stolen, serial), (other, _) = plant.issue("press-7"), plant.issue("press-7")
        until(lambda: plant.publish(stolen) == "taken", "the certificate", 30)
        until(lambda: plant.publish(other) == "taken", "the other one of the same device", 30)
        equal(plant.publish(stolen, "devices/press-8/vibration"), "denied")
        with Standing(stolen) as standing, Standing(other) as neighbour:
            before = plant.taken()
            standing.publish()
            neighbour.publish()
            until(lambda: plant.taken() >= before + 2, "what both said")
            plant.cli("revoke", "press-7", serial)
            until(lambda: plant.publish(stolen) == "refused", "the end of the certificate")
            before = plant.taken()
            standing.publish()
            until(standing.denied, "the end of the connection that stood")
            neighbour.publish()
            until(lambda: plant.taken() > before, "what the other one said")
            equal(plant.taken(), before + 1, "readings of a revoked certificate:")
            check(not neighbour.denied(), "the other certificate was thrown out")
            tries = []
            plant.cli("quarantine", "press-7")
            until(lambda: tries.append(plant.publish(other)) or tries[-1] == "denied", "the quarantine")
            neighbour.publish()
            until(neighbour.denied, "its end on the connection that stood")
        check(plant.taken() <= before + 1 + tries.count("taken"), "readings from quarantine:", plant.taken(), before, tries)
        plant.cli("release", "press-7")
        until(lambda: plant.publish(other) == "taken", "the release")
        # A broker that was started again knows it too.
        os.kill(broker_pids(plant.gateway)[-1], signal.SIGKILL)
        until(lambda: plant.publish(other) == "taken", "another broker", 30)
        equal(plant.publish(stolen), "refused")
        plant.cli("retire", "press-7")
        until(lambda: plant.publish(other) == "refused", "the device's end")
        plant.gateway.stop()


def test_what_the_disk_does_not_take_is_written_by_itself_and_nobody_keeps_rights_meanwhile():
    with Plant() as plant:
        (stolen, serial), (other, _) = plant.issue("press-7"), plant.issue("press-7")
        until(lambda: plant.publish(stolen) == "taken", "the broker", 30)
        until(lambda: plant.publish(other) == "taken", "the other certificate")
        rules = plant.data_dir / "broker" / "acl"
        limits = resource.prlimit(plant.gateway.pid, resource.RLIMIT_FSIZE)
        with Standing(stolen) as standing:
            # No file of the gateway grows; what is there may become shorter.
            resource.prlimit(plant.gateway.pid, resource.RLIMIT_FSIZE, (rules.stat().st_size, limits[1]))
            new = [plant.issue("press-8")[0] for _ in range(4)]
            until(lambda: "is told again" in notes(plant.gateway), "the note")
            equal(plant.publish(new[0], "devices/press-8/vibration"), "denied")
            plant.cli("revoke", "press-7", serial)
            until(lambda: plant.publish(stolen) != "taken", "the end of the certificate")
            standing.publish()
            until(standing.denied, "the end of the connection that stood")
            equal(plant.publish(other), "taken")
            equal(plant.publish(new[0], "devices/press-8/vibration"), "denied")
            resource.prlimit(plant.gateway.pid, resource.RLIMIT_FSIZE, limits)
        until(lambda: plant.publish(new[0], "devices/press-8/vibration") == "taken", "the new certificate", 90)
        until(lambda: plant.publish(stolen) == "refused", "the list of revoked certificates", 90)
        equal(plant.publish(other), "taken")
        until(lambda: notes(plant.gateway) == "", "the end of the note")
        plant.gateway.stop()


def test_a_copy_of_the_authority_is_the_authority_and_one_beside_others_is_refused():
    copy = folder() / "devices.pem"
    with Plant(client_ca=copy) as plant:
        until(lambda: "does not answer" in notes(plant.gateway), "the note of a file that is not there")
        shutil.copy(plant.data_dir / "devices" / "trust.pem", copy)
        plant.gateway.send(signal.SIGHUP)
        (stolen, serial), (other, _) = plant.issue("press-7"), plant.issue("press-7")
        until(lambda: plant.publish(stolen) == "taken", "the broker", 30)
        until(lambda: plant.publish(other) == "taken", "the other certificate")
        plant.cli("revoke", "press-7", serial)
        until(lambda: plant.publish(stolen) == "refused", "the end of one")
        equal(plant.publish(other), "taken")
        plant.cli("ca", "rotate")
        new, _ = plant.issue("press-8")
        until(lambda: plant.publish(new, "devices/press-8/vibration") == "taken", "the new authority", 30)
        with open(copy, "a", encoding="ascii") as file:
            file.write(pathlib.Path(plant.server.path("ca.pem")).read_text())
        plant.gateway.send(signal.SIGHUP)
        until(lambda: "beside others" in notes(plant.gateway), "the note")
        equal(plant.publish(stolen), "refused")
        plant.gateway.stop()


def test_a_certificate_gives_no_rights_of_a_user_or_of_the_gateway():
    with Plant() as plant:
        status, _, err = command("device", "issue", "penstock-gateway", "--out", str(plant.out), "--data-dir", str(plant.data_dir))
        check(status != 0 and "the gateway's own" in err, status, err)
        shown, _ = plant.issue("press-7")
        until(lambda: plant.publish(shown) == "taken", "the broker", 30)
        # The name of a user of the configuration: it is not that user, and it is said.
        named, _ = plant.issue("line-9")
        until(lambda: "line-9" in notes(plant.gateway), "the note")
        equal(plant.publish(named, "devices/line-9/vibration"), "denied")
        plant.gateway.stop()


def test_after_a_rotation_certificates_of_both_authorities_are_good():
    with Plant() as plant:
        (old, _), (revoked, serial) = plant.issue("press-7"), plant.issue("press-7")
        until(lambda: plant.publish(old) == "taken", "the broker", 30)
        plant.cli("revoke", "press-7", serial)
        plant.cli("ca", "rotate")
        new, _ = plant.issue("press-8")
        until(lambda: plant.publish(new, "devices/press-8/vibration") == "taken", "the new authority", 30)
        equal(plant.publish(old), "taken")
        equal(plant.publish(revoked), "refused")
        plant.gateway.stop()


def test_an_upgrade_hands_the_broker_over():
    port = free_port()
    with Gateway(config(port)) as gateway:
        flows(port, 1)
        gateway.send(signal.SIGUSR2)
        pid = until(lambda: next((int(line["pid"]) for line in map(parsed, gateway.log().splitlines())
                                  if line.get("msg", "").startswith("another process has taken over")), None), "the successor", 30)
        try:
            gateway.wait()
            flows(port, 2)
            until(lambda: len(broker_pids(gateway)) == 2, "the successor's broker")  # both write to one log
        finally:
            os.kill(pid, signal.SIGTERM)
            until(lambda: gone(pid), "the successor's end", 30)
        until(lambda: all(gone(one) for one in broker_pids(gateway)), "the brokers' end")


def test_the_filter_of_system_calls_is_no_obstacle():
    port = free_port()
    with Gateway(config(port) + "\nsecurity: { seccomp: on }\n") as gateway:
        flows(port, 1)
        os.kill(broker_pids(gateway)[-1], signal.SIGKILL)
        until(lambda: len(broker_pids(gateway)) == 2, "another broker")
        flows(port, 2)
        equal(gateway.stop(), 0)


def test_a_reload_changes_users_without_a_restart_and_the_port_with_one():
    port, other = free_port(), free_port()
    with Gateway(config(port)) as gateway:
        flows(port, 1)
        gateway.write(config(port).replace("first-secret", "second-secret"))
        gateway.send(signal.SIGHUP)
        until(lambda: publish(port, 2, password="second-secret"), "the new password")
        check(not publish(port, 2), "the old password still opens")
        equal(len(broker_pids(gateway)), 1)
        gateway.write(config(other))
        gateway.send(signal.SIGHUP)
        flows(other, 3)
        check(not accepts(port), "the old port is still open")
        gateway.stop()


run(globals())
