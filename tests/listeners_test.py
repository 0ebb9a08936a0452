"""Listeners of every kind: local sockets, sockets of systemd, the PROXY protocol, proxies that are believed and that are not."""

import contextlib
import http.client
import os
import pathlib
import shutil
import signal
import socket
import stat
import struct
import subprocess
import time

import harness
from harness import check, equal, until

KEY = "sk-listeners-test-1"


def config(mock, more=""):
    return (f"providers:\n  lab: {{ type: openai, base_url: {mock.url} }}\nmodels:\n  chat: {{ route: [ lab/small ] }}\n"
            f"keys: [ {{ name: app, secret: {KEY} }} ]\n{more}")


class LocalConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=20)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(self.path)


def ask(connection, path="/healthz", headers=None):
    connection.request("GET", path, headers=headers or {})
    answer = connection.getresponse()
    return answer.status, answer.read()


def newest(gateway, count=1):
    """The clients of the last requests, newest first."""
    def look():
        requests = harness.request(gateway.admin_port, "GET", f"/admin/v1/requests?limit={count}").json()["requests"]
        return [one["client"] for one in requests] if len(requests) >= count else None
    return until(look, "requests in the admin API")


def client_of(gateway, headers=None, port=None, source="127.0.0.1"):
    """Whom the gateway takes for the client of a request that comes from `source`."""
    marker = f"m{time.monotonic_ns()}"
    connection = http.client.HTTPConnection("127.0.0.1", port or gateway.port, timeout=20, source_address=(source, 0))
    try:
        equal(ask(connection, headers={**(headers or {}), "x-request-id": marker})[0], 200)
    finally:
        connection.close()

    def look():
        requests = harness.request(gateway.admin_port, "GET", "/admin/v1/requests?limit=20").json()["requests"]
        return next((one for one in requests if one["id"] == marker[:24]), None)
    return until(look, "the request in the admin API")["client"]


# --- local sockets ---


def test_local_sockets_serve_data_and_admin_and_reach_providers():
    folder = harness.folder()
    with harness.Mock() as mock:
        behind = harness.Gateway(config(mock), listen=f"[ unix:{folder}/behind.sock, 127.0.0.1:0 ]")
        front = (f"providers:\n  lab: {{ type: openai, base_url: 'unix:{folder}/behind.sock:/v1', api_key: {KEY} }}\n"
                 "models:\n  chat: { route: [ lab/chat ] }\n")
        with behind, harness.Gateway(front, listen=f"[ {{ address: unix:{folder}/http.sock, mode: 0640 }}, 127.0.0.1:0 ]") as gateway:
            equal(stat.S_IMODE(os.stat(folder / "http.sock").st_mode), 0o640, "the mode of the socket's file:")
            equal(ask(LocalConnection(folder / "http.sock"))[0], 200)
            equal(newest(gateway), ["unix"], "who asked:")
            equal(gateway.chat().status, 200, "a call to a provider behind a local socket:")
            equal(gateway.stop(), 0)
            check(not (folder / "http.sock").exists(), "the socket's file was left behind")


def test_a_file_left_behind_is_replaced_and_one_in_use_is_not():
    path = harness.folder() / "http.sock"
    with harness.Mock() as mock:
        listen = f"[ unix:{path}, 127.0.0.1:0 ]"
        with harness.Gateway(config(mock), listen=listen) as gateway:
            gateway.kill()
        check(path.exists(), "a killed process cannot remove its file")
        with harness.Gateway(config(mock), listen=listen):
            equal(ask(LocalConnection(path))[0], 200)
            other = harness.folder() / "other.yaml"
            other.write_text(f"listen: unix:{path}\nadmin: 127.0.0.1:0\n")
            status, out, err = harness.command("run", "--config", str(other), "--data-dir", str(other.parent / "data"))
            equal(status, 1, out, err)
            check("in use" in err and str(path) in err, err)
            equal(ask(LocalConnection(path))[0], 200, "after the other one gave up:")


def test_admin_may_be_a_local_socket():
    folder = harness.folder()
    (folder / "penstock.yaml").write_text(f"listen: unix:{folder}/http.sock\nadmin: unix:{folder}/admin.sock\n")
    with harness.Process(["run", "--config", str(folder / "penstock.yaml"), "--data-dir", str(folder / "data")],
                         r"penstock ready data=unix:(\S+) admin=unix:(\S+)"):
        equal(ask(LocalConnection(folder / "admin.sock"), "/admin/v1/status")[0], 200)


# --- the PROXY protocol ---


SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V1 = b"PROXY TCP4 203.0.113.9 198.51.100.1 4711 443\r\n"
V2 = SIGNATURE + b"\x21\x11" + struct.pack("!H", 12 + 5) + bytes([203, 0, 113, 10, 198, 51, 100, 1]) + struct.pack("!HH", 4711, 443) + b"\x04\0\2hi"
REQUEST = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def test_a_proxy_header_names_the_client():
    with harness.Mock() as mock, harness.Gateway(config(mock), listen="{ address: '127.0.0.1:0', proxy_protocol: true }") as gateway:
        for header, client in [(V1, "203.0.113.9"), (V2, "203.0.113.10"), (b"PROXY UNKNOWN\r\n", "127.0.0.1"), (SIGNATURE + b"\x20\0\0\0", "127.0.0.1")]:
            check(harness.raw(gateway.port, header + REQUEST).startswith(b"HTTP/1.1 200"), header)
            until(lambda: newest(gateway) == [client], f"{client} in the admin API")
            check(f'"client":"{client}"' in gateway.log(), "the log does not name", client)


def test_a_proxy_header_may_come_in_any_pieces():
    with harness.Mock() as mock, harness.Gateway(config(mock), listen="{ address: '127.0.0.1:0', proxy_protocol: true }") as gateway:
        for header in (V1, V2):
            with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for byte in header + REQUEST:
                    connection.sendall(bytes([byte]))
                check(connection.recv(100).startswith(b"HTTP/1.1 200"), header)


def test_no_or_a_bad_proxy_header_closes_the_connection():
    with harness.Mock() as mock, harness.Gateway(config(mock), listen="{ address: '127.0.0.1:0', proxy_protocol: true }") as gateway:
        for bad in (REQUEST, b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n" + REQUEST, b"PROXY " + b"x" * 200, SIGNATURE + b"\x11\x11\0\0" + REQUEST):
            equal(harness.raw(gateway.port, bad), b"", bad)
        equal(harness.raw(gateway.port, V1[:20], seconds=12), b"", "a header that does not end:")


def test_a_proxy_header_counts_only_from_trusted_proxies():
    listen = "{ address: '127.0.0.1:0', proxy_protocol: true, trusted_proxies: [ 10.0.0.0/8 ] }"
    with harness.Mock() as mock, harness.Gateway(config(mock), listen=listen) as gateway:
        equal(harness.raw(gateway.port, V1 + REQUEST), b"")


def run_proxy(command, port, log):
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)

    def listening():
        with socket.socket() as one:
            return one.connect_ex(("127.0.0.1", port)) == 0
    until(lambda: listening() or process.poll() is not None, "the proxy's port")
    check(process.poll() is None, "the proxy ended:", pathlib.Path(log.name).read_text())
    return process


@contextlib.contextmanager
def proxy(program, text, port):
    folder = harness.folder()
    path = folder / "proxy.conf"
    path.write_text(text)
    command = [shutil.which(program) or f"/usr/sbin/{program}", *(["-f", str(path), "-db"] if program == "haproxy" else ["-c", str(path), "-p", str(folder), "-e", str(folder / "error.log")])]
    with open(folder / "log", "wb") as log:
        process = run_proxy(command, port, log)
        try:
            yield port
        finally:
            process.terminate()
            process.wait(10)


# Its workers reach the sockets of whoever runs the test.
NGINX = ("user root;\n" if os.geteuid() == 0 else "") + "daemon off;\npid nginx.pid;"


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def installed(program):
    found = bool(shutil.which(program)) or os.path.exists(f"/usr/sbin/{program}")
    if not found:
        print(f"     without {program}: it is not installed")
    return found


def test_haproxy_and_nginx_send_what_is_understood():
    with harness.Mock() as mock, harness.Gateway(config(mock), listen="{ address: '127.0.0.1:0', proxy_protocol: true }") as gateway:
        for send in ("send-proxy", "send-proxy-v2") if installed("haproxy") else ():
            port = free_port()
            text = ("defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 20s\n  timeout server 20s\n"
                    f"listen l\n  bind 127.0.0.1:{port}\n  server s 127.0.0.1:{gateway.port} {send}\n")
            with proxy("haproxy", text, port):
                equal(client_of(gateway, port=port, source="127.0.0.2"), "127.0.0.2", send)
        if installed("nginx"):
            port = free_port()
            text = (f"{NGINX}\nevents {{}}\nstream {{ server {{ listen 127.0.0.1:{port}; proxy_pass 127.0.0.1:{gateway.port}; proxy_protocol on; }} }}\n")
            modules = pathlib.Path("/usr/lib/nginx/modules/ngx_stream_module.so")
            if modules.exists():
                text = f"load_module {modules};\n" + text
            try:
                with proxy("nginx", text, port):
                    equal(client_of(gateway, port=port, source="127.0.0.2"), "127.0.0.2", "nginx")
            except harness.Failure as failure:
                if "unknown directive" not in str(failure):
                    raise
                print("     without nginx's PROXY header: its stream module is not installed")


# --- what proxies say in HTTP ---


def test_forwarded_fields_count_only_from_trusted_proxies():
    listen = "[ { address: '127.0.0.1:0', trusted_proxies: [ 127.0.0.0/8, 10.0.0.0/8 ] } ]"
    with harness.Mock() as mock:
        with harness.Gateway(config(mock), listen=listen) as gateway:
            for headers, client in [
                    ({}, "127.0.0.1"),
                    ({"X-Forwarded-For": "203.0.113.5"}, "203.0.113.5"),
                    ({"X-Forwarded-For": "198.51.100.66, 203.0.113.5, 10.1.2.3"}, "203.0.113.5"),
                    ({"X-Forwarded-For": "10.9.9.9, 10.1.2.3"}, "10.9.9.9"),
                    ({"X-Forwarded-For": "rubbish, 10.1.2.3"}, "10.1.2.3"),
                    ({"Forwarded": 'for=203.0.113.7;proto=https;host=example.com, for="10.0.0.9:8080"'}, "203.0.113.7"),
                    ({"Forwarded": 'for="[2001:db8::17]:4711"'}, "2001:db8::17"),
                    ({"Forwarded": "for=_hidden"}, "127.0.0.1"),
                    ({"Forwarded": "for=203.0.113.7", "X-Forwarded-For": "203.0.113.8"}, "127.0.0.1"),
                    ({"Forwarded": "for=203.0.113.7", "X-Forwarded-For": "203.0.113.7"}, "203.0.113.7"),
            ]:
                equal(client_of(gateway, headers), client, headers)
        with harness.Gateway(config(mock)) as gateway:
            equal(client_of(gateway, {"X-Forwarded-For": "203.0.113.5", "Forwarded": "for=203.0.113.5"}), "127.0.0.1")


def test_nginx_is_believed_over_a_local_socket():
    if not installed("nginx"):
        return
    path = harness.folder() / "http.sock"
    port = free_port()
    text = (f"{NGINX}\nevents {{}}\nhttp {{ access_log off; client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;\n"
            f" server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://unix:{path}; proxy_set_header X-Forwarded-For $http_x_test; }} }} }}\n")
    with harness.Mock() as mock, harness.Gateway(config(mock), listen=f"[ {{ address: unix:{path}, trusted_proxies: [ unix ] }}, 127.0.0.1:0 ]") as gateway:
        with proxy("nginx", text, port):
            equal(client_of(gateway, {"X-Test": "203.0.113.21"}, port), "203.0.113.21")


# --- systemd ---


def test_sockets_of_systemd_are_taken_by_address_and_by_name():
    folder = harness.folder()
    with harness.Mock() as mock, contextlib.ExitStack() as stack:
        sockets = []
        for _ in range(2):
            one = stack.enter_context(socket.socket())
            one.bind(("127.0.0.1", 0))
            one.listen()
            sockets.append(one)
        address = "127.0.0.1:%d" % sockets[0].getsockname()[1]
        path = folder / "penstock.yaml"
        path.write_text(f"listen: [ {address}, 'systemd:web' ]\nadmin: 127.0.0.1:0\n{config(mock)}")

        # A shell puts the descriptors where the protocol wants them and says whose they are.
        numbers = [one.fileno() for one in sockets]
        for one in sockets:
            os.set_inheritable(one.fileno(), True)
        script = f'exec 8<&{numbers[0]} 9<&{numbers[1]}; exec 3<&8 4<&9 8<&- 9<&-; export LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=plain:web; exec "$0" "$@"'
        log = stack.enter_context(open(folder / "log", "wb"))
        process = subprocess.Popen(["sh", "-c", script, harness.BINARY, "run", "--config", str(path), "--data-dir", str(folder / "data")],
                                   stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, pass_fds=numbers)
        try:
            text = until(lambda: (lambda t: t if "penstock ready" in t or process.poll() is not None else None)((folder / "log").read_text()), "the ready line")
            check("penstock ready" in text, text)
            for one in sockets:
                equal(harness.request(one.getsockname()[1], "GET", "/healthz").status, 200)
        finally:
            process.terminate()
            equal(process.wait(20), 0)


def test_a_name_nobody_handed_over_is_a_mistake_with_its_place():
    path = harness.folder() / "penstock.yaml"
    path.write_text("listen: systemd:web\nadmin: 127.0.0.1:0\n")
    status, out, err = harness.command("run", "--config", str(path), "--data-dir", str(path.parent / "data"))
    equal(status, 2, out, err)
    check("penstock.yaml:1:9" in err and "web" in err, err)
    equal(harness.command("check", str(path))[0], 0, "checking elsewhere:")


def test_systemd_hears_of_the_life_of_the_service():
    folder = harness.folder()
    with harness.Mock() as mock, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(folder / "notify"))
        manager.settimeout(0.1)
        said = []

        def heard(words):
            with contextlib.suppress(socket.timeout):
                while True:
                    said.append(manager.recv(4096).decode())
            return any(words in one for one in said)
        with harness.Gateway(config(mock), environment={"NOTIFY_SOCKET": str(folder / "notify"), "WATCHDOG_USEC": "400000"}) as gateway:
            until(lambda: heard("READY=1"), "READY=1")
            until(lambda: sum("WATCHDOG=1" in one for one in said) > 2 or heard("nothing"), "signs of life")
            gateway.send(signal.SIGHUP)
            until(lambda: heard("RELOADING=1\nMONOTONIC_USEC="), "RELOADING=1")
            before = len(said)
            until(lambda: heard("READY=1") and any("READY=1" in one for one in said[max(0, before - 1):]), "READY=1 after the reload")
            equal(gateway.stop(), 0)
            check(heard("STOPPING=1"), said)


if __name__ == "__main__":
    harness.run(globals())
