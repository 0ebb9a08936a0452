"""What the process may do while it serves: no new privileges, no dumps, no secrets in its environment, and by option
another user, no capabilities and a filter of system calls, under which every lane goes on working."""

import json
import os
import pathlib
import pwd
import re
import shutil
import signal
import subprocess
import tempfile

import certificates
import harness
import tls_provider
from harness import Gateway, Mock, Stream, check, equal, request, until

SHUT = "security: { seccomp: on, capabilities: drop }\n"
SANITIZED = b"__asan_init" in pathlib.Path(harness.BINARY).read_bytes()


def status(pid):
    """The words of /proc/PID/status by name, of every thread."""
    found = []
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        found.append(dict(re.findall(r"^(\w+):\s*(.*)$", (task / "status").read_text(), re.M)))
    return found


def every_thread(gateway, **wanted):
    for thread in status(gateway.pid):
        for name, value in wanted.items():
            equal(thread[name].split()[0], value, thread["Name"], name)


def test_no_new_privileges_and_no_dumps_are_the_rule():
    with Gateway("security: {}\n") as gateway:
        every_thread(gateway, NoNewPrivs="1", Seccomp=status(os.getpid())[0]["Seccomp"])
        limits = pathlib.Path(f"/proc/{gateway.pid}/limits").read_text()
        check(re.search(r"Max core file size\s+0\s+0", limits), limits)
        # What cannot be dumped belongs to root: another process of the same user cannot look into it.
        equal(os.stat(f"/proc/{gateway.pid}/mem").st_uid, 0)
    with Gateway("security: { core_dumps: true }\n") as gateway:
        limits = pathlib.Path(f"/proc/{gateway.pid}/limits").read_text()
        own = pathlib.Path("/proc/self/limits").read_text()
        core = r"Max core file size.*"
        equal(re.search(core, limits)[0], re.search(core, own)[0])


def test_variables_the_configuration_names_are_wiped_where_others_could_read_them():
    secrets = {"LAB_KEY": "sk-lab-0123456789abcdef", "APP_KEY": "pk-app-0123456789abcdef", "LATER_KEY": "pk-later-0123456789ab"}
    with Mock("--api-key", secrets["LAB_KEY"]) as mock:
        config = f"""
providers: {{ lab: {{ type: openai, base_url: {mock.url}, api_key: '${{LAB_KEY}}' }} }}
models: {{ chat: {{ route: [ lab/m ] }} }}
security: {{ core_dumps: true }}
keys:
  - {{ name: app, secret: '${{APP_KEY}}' }}
"""
        with Gateway(config, environment={**secrets, "NOT_NAMED": "stays"}) as gateway:
            seen = pathlib.Path(f"/proc/{gateway.pid}/environ").read_bytes()
            for name in ("LAB_KEY", "APP_KEY"):
                check(secrets[name].encode() not in seen, "the environment shows", name)
            check(b"NOT_NAMED=stays" in seen and b"PATH=" in seen, "other variables are gone")
            equal(gateway.chat(key=secrets["APP_KEY"]).status, 200)
            gateway.write(config + "  - { name: later, secret: '${LATER_KEY}' }\n")
            until(lambda: gateway.chat(key=secrets["LATER_KEY"]).status == 200, "a reload that names the same variables and another")
            equal(gateway.chat(key=secrets["APP_KEY"]).status, 200)
            check(secrets["LATER_KEY"].encode() not in pathlib.Path(f"/proc/{gateway.pid}/environ").read_bytes(), "a variable named later is still there")


class Broker:
    """mosquitto on a free port."""

    def __init__(self):
        import socket
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self.port = one.getsockname()[1]
        path = harness.folder() / "mosquitto.conf"
        path.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\n")
        program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        self.process = subprocess.Popen([program, "-c", str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def publish(self, topic, payload):
        return subprocess.run(["mosquitto_pub", "-p", str(self.port), "-t", topic, "-m", payload], check=False, capture_output=True).returncode == 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)


DIGITS = harness.ROOT / "configs" / "models" / "digits"


def all_lanes(config_more, environment=None):
    """Everything the gateway can do, once, with `config_more` in the configuration; the checks follow."""
    made = certificates.local()
    with Mock() as mock, Broker() as broker, tls_provider.provider(made, "server") as upstream:
        config = f"""
providers:
  lab: {{ type: openai, base_url: {mock.url} }}
  named: {{ type: openai, base_url: 'http://localhost:{mock.port}/v1' }}
  nowhere: {{ type: openai, base_url: 'http://nowhere.invalid/v1', connect_timeout: 2s }}
  secure: {{ type: openai, base_url: 'https://localhost:{upstream.port}/v1', tls: {{ ca: {made.path('ca.pem')} }} }}
models:
  chat: {{ route: [ lab/m ] }}
  named: {{ route: [ named/m ] }}
  nowhere: {{ route: [ nowhere/m ], retry: {{ attempts: 1 }} }}
  secure: {{ route: [ secure/m ] }}
  digits: {{ path: {DIGITS} }}
keys: [ {{ name: app, secret: pk-app-0123456789abcdef }} ]
sources:
  press: {{ mqtt: 'mqtt://127.0.0.1:{broker.port}', topic: press }}
  host: {{ host: {{}}, every: 100ms }}
pipelines:
  p:
    from: press
    steps: [ {{ map: {{ twice: "x * 2" }} }}, {{ alarm: {{ name: high, raise: "x > 5", clear: "x < 1" }} }} ]
    to: [ {{ mqtt: {{ url: 'mqtt://127.0.0.1:{broker.port}', topic: out }} }}, {{ http: {{ url: '{mock.url}/hook' }} }}, {{ log: {{}} }} ]
{config_more}"""
        listen = f'[ "127.0.0.1:0", {{ address: "127.0.0.1:0", tls: {{ {made.pair("server")} }} }} ]'
        key = "pk-app-0123456789abcdef"
        with Gateway(config, listen=listen, environment=environment) as gateway:
            gateway.port, tls_port = map(int, re.search(r"data=\S+?:(\d+),\S+?:(\d+) ", gateway.lines[0]).groups())
            equal(gateway.chat(key=key).status, 200)
            equal(gateway.chat("named", key=key).status, 200)
            equal(gateway.chat("nowhere", key=key).status, 502)
            equal(gateway.chat("secure", key=key).status, 200)
            with Stream(gateway.port, "/v1/chat/completions", harness.chat_body(stream=True), key) as stream:
                check(sum(1 for _ in stream.events()) > 3, "too few events")
            sent = subprocess.run(["curl", "-s", "--cacert", f"{made.path('ca.pem')}", f"https://localhost:{tls_port}/healthz"], capture_output=True, check=False)
            check(b"alive" in sent.stdout, "over TLS:", sent)
            sample = json.loads((harness.ROOT / "configs" / "samples" / "digit_7.json").read_text())
            if "digits" not in request(gateway.port, "GET", "/readyz").text():
                equal(gateway.post("/v2/models/digits/infer", sample, key).status, 200)
            until(lambda: broker.publish("press", '{"device": "a", "x": 9}') and gateway.metric("penstock_samples_total", source="press") > 0, "a sample by MQTT")
            until(lambda: gateway.metric("penstock_samples_total", source="host") > 1, "samples of this machine")
            until(lambda: gateway.metric("penstock_alarms_active") == 1, "the alarm")
            until(lambda: request(gateway.admin_port, "GET", "/admin/v1/usage").json()["usage"], "usage in the database")
            made = subprocess.run([harness.BINARY, "key", "create", "--name", "other", "--data-dir", str(gateway.data_dir)], capture_output=True, text=True, check=True)
            until(lambda: gateway.chat(key=made.stdout.strip()).status == 200, "a stored key")
            gateway.write(config.replace("digits: {", "more: { path: " + str(DIGITS) + " }\n  digits: {").replace("x * 2", "x * 3"))
            until(lambda: "configuration reloaded" in gateway.log(), "the reload")
            if "digits" not in request(gateway.port, "GET", "/readyz").text():
                equal(gateway.post("/v2/models/more/infer", sample, key).status, 200, "a model loaded after the start")
            equal(gateway.post("/v1/chat/completions", json.dumps(harness.chat_body(text="x" * 200_000)), key, {"Accept-Encoding": "gzip"}).status, 200)
            yield gateway
            equal(gateway.stop(), 0)
    upstream.shutdown()


def test_every_lane_works_with_system_calls_filtered_and_capabilities_dropped():
    if SANITIZED:
        print("     (not with sanitizers, whose own calls the filter does not know)")
        return
    if not shutil.which("mosquitto_pub"):
        print("     (mosquitto is not installed)")
        return
    for gateway in all_lanes(SHUT):
        every_thread(gateway, NoNewPrivs="1", Seccomp="2", CapEff="0000000000000000", CapPrm="0000000000000000", CapAmb="0000000000000000")
        said = gateway.log()
        for word in ("not permitted", "EPERM"):
            check(word not in said, "something was refused that is needed:", [line for line in said.splitlines() if word in line][:3])


def test_started_as_root_it_becomes_the_user_that_is_named():
    if os.getuid() != 0:
        print("     (needs root)")
        return
    nobody = pwd.getpwnam("nobody")
    for parent in [harness.FOLDER]:
        os.chmod(parent, 0o755)
    config = "security: { user: nobody, seccomp: " + ("off" if SANITIZED else "on") + " }\n"
    with Gateway(config, data_dir=harness.FOLDER / "given" / "data") as gateway:
        for thread in status(gateway.pid):
            equal(thread["Uid"].split(), [str(nobody.pw_uid)] * 4, thread["Name"])
            equal(thread["Gid"].split(), [str(nobody.pw_gid)] * 4, thread["Name"])
            equal(int(thread["CapEff"], 16) | int(thread["CapPrm"], 16), 0, thread["Name"])
            check("0" not in thread["Groups"].split(), "still in root's group")
        for file in gateway.data_dir.iterdir():
            equal(file.stat().st_uid, nobody.pw_uid, file)
        equal(gateway.data_dir.stat().st_mode & 0o777, 0o700)
        equal(gateway.stop(), 0)
    with Gateway(config, data_dir=harness.FOLDER / "given" / "data") as gateway:
        equal(gateway.request("GET", "/healthz").status, 200, "a second start with the same data")
    path = harness.folder() / "c.yaml"
    path.write_text("listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nsecurity: { user: nobody-of-this-name }\n")
    code, _, error = harness.command("run", "--config", str(path), "--data-dir", str(harness.folder()))
    check(code == 2 and "there is no user 'nobody-of-this-name'" in error, code, error)


def test_started_as_root_it_binds_a_low_port_before_it_steps_down():
    if os.getuid() != 0:
        print("     (needs root)")
        return
    os.chmod(harness.FOLDER, 0o755)
    port = 991
    with Gateway("security: { user: nobody }\n", data_dir=harness.FOLDER / "low" / "data", listen=f"127.0.0.1:{port}") as gateway:
        equal(gateway.request("GET", "/healthz").status, 200)
        equal(gateway.port, port)


def test_started_as_root_its_local_sockets_are_the_users_and_can_be_changed():
    if os.getuid() != 0:
        print("     (needs root)")
        return
    os.chmod(harness.FOLDER, 0o755)
    nobody = pwd.getpwnam("nobody")
    path = harness.folder() / "http.sock"
    os.chmod(path.parent, 0o755)  # root's: only root can make the file
    config = "security: { user: nobody }\n"

    def listen(mode):
        return f"[ {{ address: 'unix:{path}', mode: {mode} }}, 127.0.0.1:0 ]"
    with Gateway(config, data_dir=harness.FOLDER / "local" / "data", listen=listen("0660")) as gateway:
        info = path.stat()
        equal((info.st_uid, info.st_gid, info.st_mode & 0o777), (nobody.pw_uid, nobody.pw_gid, 0o660))
        os.chmod(gateway.folder, 0o755)
        os.chmod(gateway.config_path, 0o644)
        gateway.listen = listen("0600")
        gateway.write(config)
        until(lambda: path.stat().st_mode & 0o777 == 0o600, "the new mode")
        os.chown(path, 0, 0)
        gateway.listen = listen("0666")
        gateway.write(config)
        until(lambda: "mode stays as it was" in gateway.log(), "word of the mode that cannot be set")
        equal(gateway.stop(), 0)


def as_nobody(*arguments):
    """The program as an ordinary user from the start."""
    nobody = pwd.getpwnam("nobody")

    def step_down():
        os.setgroups([])
        os.setgid(nobody.pw_gid)
        os.setuid(nobody.pw_uid)

    return subprocess.Popen([harness.BINARY, *arguments], preexec_fn=step_down if os.getuid() == 0 else None,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_an_ordinary_user_runs_it_and_owns_its_data():
    os.chmod(harness.FOLDER, 0o755)
    folder = pathlib.Path(tempfile.mkdtemp(dir=harness.FOLDER))
    os.chmod(folder, 0o777)
    config = folder / "c.yaml"
    config.write_text("listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nthreads: 1\nsecurity: { capabilities: drop }\n")
    process = as_nobody("run", "--config", str(config), "--data-dir", str(folder / "data"))
    try:
        check("penstock ready" in process.stdout.readline(), "no ready line")
        for file in [folder / "data", *(folder / "data").iterdir()]:
            equal(file.stat().st_mode & 0o077, 0, file, "is open to others")
        process.send_signal(signal.SIGTERM)
        equal(process.wait(30), 0)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()
    if os.getuid() == 0:
        config.write_text("listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nsecurity: { user: daemon }\n")
        other = as_nobody("run", "--config", str(config), "--data-dir", str(folder / "data"))
        _, error = other.communicate(timeout=30)
        check(other.returncode == 2 and "only root can become 'daemon'" in error, other.returncode, error)


if __name__ == "__main__":
    if shutil.which("openssl") is None:
        harness.skip("the openssl program is not installed")
    harness.run(globals())
