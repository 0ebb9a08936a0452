"""Samples in a Kafka topic. The brokers are those that librdkafka brings for tests: in this process, spoken to over TCP."""

import ctypes
import ctypes.util
import json

import harness
from harness import check, equal, until

try:
    K = ctypes.CDLL("librdkafka.so.1")
except OSError:
    harness.skip("librdkafka is not installed; ./dev setup test installs it")

for name in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_mock_cluster_new", "rd_kafka_mock_cluster_bootstraps", "rd_kafka_consumer_poll",
             "rd_kafka_topic_partition_list_new", "rd_kafka_topic_partition_list_add"):
    getattr(K, name).restype = ctypes.c_void_p
K.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
PRODUCER, CONSUMER, BEGINNING, REQUEST_TIMED_OUT, MESSAGE_TOO_LARGE, PRODUCE = 0, 1, ctypes.c_int64(-2), 7, 10, 0
PARTITIONS = 4


class Message(ctypes.Structure):
    _fields_ = [("err", ctypes.c_int), ("topic", ctypes.c_void_p), ("partition", ctypes.c_int32), ("payload", ctypes.c_void_p), ("size", ctypes.c_size_t),
                ("key", ctypes.c_void_p), ("key_size", ctypes.c_size_t), ("offset", ctypes.c_int64), ("private", ctypes.c_void_p)]


def client(kind, **settings):
    conf = ctypes.c_void_p(K.rd_kafka_conf_new())
    why = ctypes.create_string_buffer(512)
    for name, value in settings.items():
        check(K.rd_kafka_conf_set(conf, name.replace("_", ".").encode(), value.encode(), why, 512) == 0, why.value)
    made = K.rd_kafka_new(kind, conf, why, 512)
    check(made, why.value)
    return ctypes.c_void_p(made)


class Cluster:
    def __init__(self):
        self.client = client(PRODUCER)
        self.cluster = ctypes.c_void_p(K.rd_kafka_mock_cluster_new(self.client, 3))
        self.address = K.rd_kafka_mock_cluster_bootstraps(self.cluster).decode()
        self.topics = 0

    def topic(self):
        self.topics += 1
        name = f"readings-{self.topics}"
        equal(K.rd_kafka_mock_topic_create(self.cluster, name.encode(), PARTITIONS, 3), 0)
        return name

    def down(self, down):
        for broker in (1, 2, 3):
            (K.rd_kafka_mock_broker_set_down if down else K.rd_kafka_mock_broker_set_up)(self.cluster, broker)

    def answer(self, *errors):
        """What the next requests to write are answered; 0: they are taken."""
        K.rd_kafka_mock_push_request_errors(self.cluster, ctypes.c_int16(PRODUCE), ctypes.c_size_t(len(errors)), *map(ctypes.c_int, errors))


class Reader:
    """Everything of a topic so far: (partition, key, value, headers)."""

    def __init__(self, topic):
        self.client = client(CONSUMER, bootstrap_servers=cluster.address, group_id="test")
        K.rd_kafka_poll_set_consumer(self.client)
        parts = ctypes.c_void_p(K.rd_kafka_topic_partition_list_new(PARTITIONS))
        for number in range(PARTITIONS):
            K.rd_kafka_topic_partition_list_add(parts, topic.encode(), number)
            K.rd_kafka_topic_partition_list_set_offset(parts, topic.encode(), number, BEGINNING)
        equal(K.rd_kafka_assign(self.client, parts), 0)
        K.rd_kafka_topic_partition_list_destroy(parts)
        self.messages = []

    def read(self):
        while found := K.rd_kafka_consumer_poll(self.client, 100):
            message = ctypes.cast(found, ctypes.POINTER(Message)).contents
            if message.err == 0:
                headers = ctypes.c_void_p()
                names = {}
                if K.rd_kafka_message_headers(ctypes.c_void_p(found), ctypes.byref(headers)) == 0:
                    for name in (b"origin", b"seq"):
                        value, size = ctypes.c_void_p(), ctypes.c_size_t()
                        if K.rd_kafka_header_get_last(headers, name, ctypes.byref(value), ctypes.byref(size)) == 0:
                            names[name.decode()] = ctypes.string_at(value, size.value).decode()
                self.messages.append((message.partition, ctypes.string_at(message.key, message.key_size).decode(),
                                      json.loads(ctypes.string_at(message.payload, message.size)), names))
            K.rd_kafka_message_destroy(ctypes.c_void_p(found))
        return self.messages

    def numbers(self):
        return sorted(value["n"] for _, _, value, _ in self.read())


def config(topic, more="", address=None):
    return f"""
sources: {{ line: {{ http: {{}} }} }}
pipelines: {{ out: {{ from: line, to: [ {{ kafka: {{ brokers: [ "{(address or cluster.address).replace(',', '", "')}" ], topic: {topic} {more} }} }} ] }} }}
"""


def push(to, samples):
    answer = to.post("/ingest/line", "\n".join(map(json.dumps, samples)), headers={"Content-Type": "application/x-ndjson"})
    equal(answer.status, 202, answer)


def test_messages_have_the_device_as_key_and_keep_its_order():
    topic = cluster.topic()
    with harness.Gateway(config(topic, ", compress: zstd")) as gateway:
        for start in range(0, 2000, 200):
            push(gateway, [{"device": f"d{n % 7}", "n": n} for n in range(start, start + 200)])
        reader = Reader(topic)
        until(lambda: len(reader.read()) == 2000, "two thousand messages", 30)
    equal(reader.numbers(), list(range(2000)))
    of_device = {}
    for partition, key, value, headers in reader.messages:
        equal(key, value["device"])
        equal(headers, {})
        of_device.setdefault(key, []).append((partition, value["n"]))
    for device, seen in of_device.items():
        equal(len({partition for partition, _ in seen}), 1, device, "is in one partition")
        numbers = [n for _, n in seen]
        equal(numbers, sorted(numbers), device)


def test_nothing_is_lost_when_brokers_refuse_or_are_away():
    topic = cluster.topic()
    with harness.Gateway(config(topic, ", timeout: 2s, batch: 50")) as gateway:
        push(gateway, [{"n": n} for n in range(100)])
        reader = Reader(topic)
        until(lambda: reader.numbers() == list(range(100)), "the first ones", 30)
        cluster.answer(*[REQUEST_TIMED_OUT] * 3)
        push(gateway, [{"n": n} for n in range(100, 300)])
        until(lambda: set(reader.numbers()) == set(range(300)), "those that were refused", 30)
        cluster.down(True)
        try:
            for start in range(300, 1000, 100):
                push(gateway, [{"n": n} for n in range(start, start + 100)])
            until(lambda: "kafka" in harness.request(gateway.admin_port, "GET", "/admin/v1/pipelines").text(), "the status")
        finally:
            cluster.down(False)
        until(lambda: set(reader.numbers()) == set(range(1000)), "all of them", 60)


def test_messages_that_are_too_large_together_are_sent_apart():
    topic = cluster.topic()
    with harness.Gateway(config(topic, ", batch: 100")) as gateway:
        reader = Reader(topic)
        push(gateway, [{"n": 0}])
        until(lambda: reader.numbers() == [0], "the first one", 30)
        cluster.answer(0, MESSAGE_TOO_LARGE)  # the first one goes alone
        push(gateway, [{"n": n} for n in range(1, 100)])
        until(lambda: set(reader.numbers()) == set(range(100)), "those that were refused together", 30)
        letters = harness.request(gateway.admin_port, "GET", "/admin/v1/pipelines/out/dead_letters").json()
        equal(letters["dead_letters"], [])


def test_it_stops_while_no_broker_answers():
    with harness.Gateway(config("x", "", "127.0.0.1:1")) as gateway:
        push(gateway, [{"n": 1}])
        until(lambda: gateway.alive(), "the gateway")
        equal(gateway.stop(), 0)


def test_a_gateway_without_kafka_does_not_load_its_library():
    with harness.Gateway("security: { core_dumps: true }\n") as gateway:
        with open(f"/proc/{gateway.pid}/maps", encoding="utf-8") as maps:
            loaded = maps.read()
        check("rdkafka" not in loaded and "libpq" not in loaded, "a library nobody asked for is loaded")


cluster = Cluster()
harness.run(globals())
