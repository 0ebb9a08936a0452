"""Several gateways that share limits through a real Redis (or Valkey), and clients that ask all of them for all they give."""

import asyncio
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import threading
import time

import harness
from harness import check, until

KEY = "sk-shared-key-00000001"
SERVERS = ["redis-server", "valkey-server"]

# One token of output costs 100 micro-dollars and input nothing, so that sums can be said beforehand.
CONFIG = """
providers:
  lab: {{ type: openai, base_url: {url} }}
models:
  chat: {{ route: [ {{ to: lab/small }} ], price: {{ input: 0USD/1M, output: 100USD/1M }} }}
keys:
  - {{ name: app, secret: {key}{rules} }}
shared: {{ redis: {redis}{shared} }}
"""
TOKENS = 50
CALL_MICROS = TOKENS * 100


def server_program():
    return next((name for name in SERVERS if shutil.which(name)), None)


class Redis:
    """A server without persistence on a free port; it can be killed, made to stand still and started again, empty."""

    def __init__(self, *arguments):
        self.program = server_program()
        if self.program is None:
            harness.skip("neither redis-server nor valkey-server is installed; ./dev setup test installs one")
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            self.port = taken.getsockname()[1]
        self.arguments = arguments
        self.folder = tempfile.mkdtemp(prefix="penstock-redis-")
        self.process = None
        self.start()

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self):
        self.process = subprocess.Popen(
            [self.program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", self.folder, *self.arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(self._answers, "the store to answer")

    def _answers(self):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False

    def kill(self):
        """As a crash: nothing is written, nothing is said."""
        self.process.kill()
        self.process.wait()

    def send(self, number):
        os.kill(self.process.pid, number)

    def ask(self, *words):
        """One command in the server's own words; the answer is of one line."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(b"".join([f"*{len(words)}\r\n".encode(), *(f"${len(w.encode())}\r\n{w}\r\n".encode() for w in words)]))
            return connection.makefile("rb").readline().decode().strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.send(signal.SIGCONT)
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def join(data, gateway):
    """A new data folder with the secret.key of that gateway, as the guide says."""
    status, out, err = harness.command("key", "list", "--data-dir", str(data))
    check(status == 0, out, err)
    shutil.copy2(gateway.data_dir / "secret.key", data / "secret.key")


@contextlib.contextmanager
def fleet(redis_url, rules="", shared=", gateways: 3", count=3, mock_arguments=("--first-token", "2ms"), tokens=TOKENS):
    """Gateways with one secret.key over one provider. Yields them; `.mock` of each is the provider."""
    with contextlib.ExitStack() as stack:
        mock = stack.enter_context(harness.Mock("--tokens", str(tokens), *mock_arguments))
        gateways = []
        for _ in range(count):
            data = harness.folder() / "data"
            if gateways:
                join(data, gateways[0])
            text = CONFIG.format(url=mock.url, key=KEY, rules=rules, redis=redis_url, shared=shared)
            gateway = stack.enter_context(harness.Gateway(text, data_dir=data))
            gateway.mock = mock
            gateways.append(gateway)
        yield gateways


def connected(gateways, count=None):
    """Waits until all of them share, and know of each other."""
    for gateway in gateways:
        until(lambda g=gateway: g.metric("penstock_shared_connected") == 1, "a gateway to share")
        until(lambda g=gateway: g.metric("penstock_shared_gateways") == (count or len(gateways)), "the gateways to know of each other")


def lost(gateways):
    for gateway in gateways:
        until(lambda g=gateway: g.metric("penstock_shared_connected") == 0, "a gateway to notice that the store is lost")


class Drive:
    """`with Drive(gateways) as drive:` asks all gateways all the time, over kept connections, until the end of the block."""

    def __init__(self, gateways, workers=4, pause=0.0, **body):
        self.ports = [gateway.port for gateway in gateways]
        self.workers, self.pause = workers, pause
        self.body = json.dumps(harness.chat_body(**body)).encode()
        self.answers = []  # (time, gateway, status, seconds)
        self.odd = []
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def granted(self, since=0.0, gateway=None):
        return sum(status == 200 and at >= since and gateway in (None, who) for at, who, status, _ in list(self.answers))

    def refused(self, since=0.0):
        return sum(status == 429 and at >= since for at, _, status, _ in list(self.answers))

    def latencies(self, begin, end):
        return [took for at, _, status, took in list(self.answers) if status == 200 and begin <= at < end]

    def used_up(self, quiet=1.5, seconds=60):
        """Waits until nobody has granted anything for a while, and somebody refused."""
        def done():
            now = time.monotonic()
            return self.refused(now - quiet) >= len(self.ports) and self.granted(now - quiet) == 0
        until(done, "all of it to be given out", seconds)

    async def _run(self):
        await asyncio.gather(*(self._work(who) for who in range(len(self.ports)) for _ in range(self.workers)))

    async def _work(self, who):
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {KEY}\r\nContent-Type: application/json\r\nContent-Length: {len(self.body)}\r\n\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", self.ports[who])
        while not self.stopping.is_set():
            begun = time.monotonic()
            writer.write(head.encode() + self.body)
            answer = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)).lower()
            status = int(answer.split(b" ", 2)[1])
            length = int(answer.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
            text = await asyncio.wait_for(reader.readexactly(length), 60)
            now = time.monotonic()
            self.answers.append((now, who, status, now - begun))
            if status not in (200, 429):
                self.odd.append((status, text[:300]))
            await asyncio.sleep(self.pause if status == 200 else 0.01)
        writer.close()

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join(70)
        check(not self.odd, "answers:", self.odd[:3])


def lease(amount, slice_share=0.02, count=3):
    """What all together may give out beyond the amount: a slice each, at least one unit."""
    return count * max(1, int(amount * slice_share))


def figure(name, limit, granted, bound, more=""):
    return {"scenario": name, "limit": limit, "granted": granted, "bound": bound, "more": more}


def line(one):
    return f"     {one['scenario']}: granted {one['granted']} of {one['limit']}, bound {one['bound']}{'; ' + one['more'] if one['more'] else ''}"


# --- what is shown, each with its own store and its own three gateways ---

def requests_together(limit=900):
    with Redis() as redis, fleet(redis.url, f", limits: {{ requests: {limit}/day }}") as gateways:
        connected(gateways)
        with Drive(gateways) as drive:
            drive.used_up()
        each = [drive.granted(gateway=i) for i in range(3)]
        check(drive.granted() == gateways[0].mock.stats()["requests"], "what was granted reached the provider")
        return figure("requests per day", limit, drive.granted(), limit + lease(limit), f"by gateway {each}")


def money_together(usd=1):
    with Redis() as redis, fleet(redis.url, f", budget: {usd}USD/day") as gateways:
        connected(gateways)
        with Drive(gateways, workers=8, max_tokens=4 * TOKENS) as drive:
            drive.used_up()
        limit = usd * 1_000_000
        return figure("budget, micro-dollars", limit, drive.granted() * CALL_MICROS, limit + lease(limit), f"{drive.granted()} calls, each held four times its cost")


def lost_under_load(limit=3000, away=4):
    """kill -9 in the middle; then an empty one in its place."""
    with Redis() as redis, fleet(redis.url, f", limits: {{ requests: {limit}/day }}") as gateways:
        connected(gateways)
        with Drive(gateways, pause=0.005) as drive:
            until(lambda: drive.granted() > limit / 4, "a quarter to be given out", 60)
            redis.kill()
            killed = time.monotonic()
            lost(gateways)
            noticed = time.monotonic() - killed
            before = drive.granted()
            for gateway in gateways:
                answer = gateway.request("GET", "/readyz")
                check(answer.status == 200 and "gives out 1/3" in answer.text(), "the note:", answer)
                check("does not answer" in gateway.log(), "the log says so")
            until(lambda: drive.granted() > before, "calls to go on without the store")
            time.sleep(max(0, killed + away - time.monotonic()))
            meanwhile = drive.granted() - before
            redis.start()
            begun = time.monotonic()
            connected(gateways)
            back = time.monotonic() - begun
            drive.used_up()
        return figure("requests per day, store killed and started empty", limit, drive.granted(), limit + 2 * lease(limit),
                      f"noticed after {noticed:.2f} s, {meanwhile} granted without it, shared again {back:.2f} s after its start")


def lost_for_good(limit=1500):
    with Redis() as redis, fleet(redis.url, f", limits: {{ requests: {limit}/day }}") as gateways:
        connected(gateways)
        with Drive(gateways) as drive:
            until(lambda: drive.granted() > limit / 5, "a fifth to be given out", 60)
            redis.kill()
            drive.used_up()
        each = [drive.granted(gateway=i) for i in range(3)]
        return figure("requests per day, store killed for good", limit, drive.granted(), limit + lease(limit), f"by gateway {each}")


def never_there(limit=600):
    with Redis() as redis:
        redis.kill()
        with fleet(redis.url, f", limits: {{ requests: {limit}/day }}") as gateways, Drive(gateways) as drive:
            drive.used_up()
            each = [drive.granted(gateway=i) for i in range(3)]
            return figure("requests per day, started without a store", limit, drive.granted(), limit, f"by gateway {each}")


def standing_still(seconds=3):
    """SIGSTOP: the server takes connections and answers nothing. Medians of calls before and meanwhile."""
    with Redis() as redis, fleet(redis.url, ", limits: { requests: 10000000/day }") as gateways:
        connected(gateways)
        with Drive(gateways, workers=2, pause=0.01) as drive:
            time.sleep(2)
            stopped = time.monotonic()
            redis.send(signal.SIGSTOP)
            time.sleep(seconds)
            end = time.monotonic()
            redis.send(signal.SIGCONT)
            connected(gateways)
        before, meanwhile = drive.latencies(0, stopped), drive.latencies(stopped, end)
        return {"before_ms": statistics.median(before) * 1000, "meanwhile_ms": statistics.median(meanwhile) * 1000,
                "worst_ms": max(meanwhile) * 1000, "calls": len(meanwhile)}


def key_command(gateway, *arguments):
    status, out, err = harness.command("key", *arguments, "--data-dir", str(gateway.data_dir))
    check(status == 0, arguments, out, err)
    return out.strip()


def revocation(rounds=5):
    """Milliseconds from `penstock key revoke` at one gateway to the first refusal at another."""
    with Redis() as redis, fleet(redis.url, count=2) as (a, b):
        connected([a, b])
        taken = []
        for i in range(rounds):
            name = f"visitor{i}"
            secret = key_command(a, "create", "--name", name)
            until(lambda: b.chat(key=secret).status == 200, "a key made at one gateway to be known at the other")
            key_command(a, "revoke", name)
            begun = time.monotonic()
            until(lambda: b.chat(key=secret).status == 401, "a key revoked at one gateway to be refused at the other")
            taken.append((time.monotonic() - begun) * 1000)
        return taken
