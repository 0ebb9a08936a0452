"""An Apache Kafka broker for tests, from the jars of tools/fetch_kafka.sh: one node that is its own controller (KRaft)."""

import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile

import harness
from harness import check, until

JARS = harness.ROOT / ".cache" / "kafka"
START_SECONDS = 120
# As little as a test needs of memory, and of time to start.
JAVA = ["java", "-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-cp", f"{JARS}/lib/*"]
CLUSTER = "4L6g3nShT-eMCtK--X86sw"


def why_not():
    """The reason there is no broker here, or nothing."""
    if (JARS / "stamp").exists() and shutil.which("java"):
        return ""
    reason = JARS / "reason"
    return reason.read_text().strip() if reason.exists() else "no Apache Kafka broker here; ./dev setup test fetches one where java and mvn are"


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Broker:
    """On a port of its own, which it keeps when it is started again; so does what it has stored. Topics make themselves."""

    def __init__(self, partitions, **settings):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="penstock-kafka-"))  # outlives the tests' own, which goes first
        port, controller = free_ports(2)
        self.address = f"127.0.0.1:{port}"
        self.port = port
        self.file = self.folder / "server.properties"
        self.log = self.folder / "broker.log"
        properties = {
            "process.roles": "broker,controller", "node.id": 1, "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "listeners": f"PLAINTEXT://{self.address},CONTROLLER://127.0.0.1:{controller}", "advertised.listeners": f"PLAINTEXT://{self.address}",
            "controller.listener.names": "CONTROLLER", "log.dirs": self.folder / "logs", "num.partitions": partitions,
            "broker.session.timeout.ms": 3000, "broker.heartbeat.interval.ms": 500,  # it is soon believed that it was away
            "offsets.topic.replication.factor": 1, "offsets.topic.num.partitions": 1,
            "transaction.state.log.replication.factor": 1, "transaction.state.log.min.isr": 1,
            **{name.replace("_", "."): value for name, value in settings.items()}}
        self.file.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
        self._java("kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c", self.file).wait(START_SECONDS)
        self.process = None
        self.start()

    def _java(self, *command):
        with open(self.log, "ab") as log:
            return subprocess.Popen([*JAVA, *map(str, command)], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder)

    def answers(self):
        check(self.process.poll() is None, "the broker ended:", self.log.read_text(errors="replace")[-2000:])
        with socket.socket() as one:
            return one.connect_ex(("127.0.0.1", self.port)) == 0

    def start(self):
        self.process = self._java("kafka.Kafka", self.file)
        until(self.answers, "the broker", START_SECONDS)

    def stop(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.wait(START_SECONDS)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop(signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)
