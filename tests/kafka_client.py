"""What a test sees of Kafka: a reader over librdkafka (ctypes), of a broker or of the brokers that the library plays."""

import ctypes
import json

import harness
from harness import check, equal

try:
    K = ctypes.CDLL("librdkafka.so.1")
except OSError:
    harness.skip("librdkafka is not installed; ./dev setup test installs it")

for function in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_mock_cluster_new", "rd_kafka_mock_cluster_bootstraps", "rd_kafka_consumer_poll",
                 "rd_kafka_topic_partition_list_new", "rd_kafka_topic_partition_list_add"):
    getattr(K, function).restype = ctypes.c_void_p
K.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
PRODUCER, CONSUMER, BEGINNING = 0, 1, ctypes.c_int64(-2)
PARTITIONS = 4  # of every topic here


def murmur2(key):
    """The hash that Kafka's Java clients choose a partition by: MurmurHash2 of 32 bits, little-endian, with Kafka's seed."""
    mask, factor = 0xFFFFFFFF, 0x5BD1E995
    hashed = 0x9747B28C ^ len(key)
    whole = len(key) // 4 * 4
    for at in range(0, whole, 4):
        word = int.from_bytes(key[at:at + 4], "little") * factor & mask
        hashed = hashed * factor & mask ^ (word ^ word >> 24) * factor & mask
    if whole < len(key):
        hashed = (hashed ^ int.from_bytes(key[whole:], "little")) * factor & mask
    hashed = (hashed ^ hashed >> 13) * factor & mask
    return hashed ^ hashed >> 15


def java_partition(key):
    return (murmur2(key.encode()) & 0x7FFFFFFF) % PARTITIONS


class Message(ctypes.Structure):
    _fields_ = [("err", ctypes.c_int), ("topic", ctypes.c_void_p), ("partition", ctypes.c_int32), ("payload", ctypes.c_void_p), ("size", ctypes.c_size_t),
                ("key", ctypes.c_void_p), ("key_size", ctypes.c_size_t), ("offset", ctypes.c_int64), ("private", ctypes.c_void_p)]


def client(kind, **settings):
    conf = ctypes.c_void_p(K.rd_kafka_conf_new())
    why = ctypes.create_string_buffer(512)
    for name, value in settings.items():
        check(K.rd_kafka_conf_set(conf, name.replace("_", ".").encode(), value.encode(), why, 512) == 0, why.value)
    K.rd_kafka_conf_set_log_cb(conf, None)  # a broker that goes away is what tests are about
    made = K.rd_kafka_new(kind, conf, why, 512)
    check(made, why.value)
    return ctypes.c_void_p(made)


class Reader:
    """Everything of a topic so far: (partition, key, value, headers)."""

    def __init__(self, address, topic):
        self.client = client(CONSUMER, bootstrap_servers=address, group_id="test", topic_metadata_refresh_interval_ms="500")
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

    def check_devices(self, partition_of=java_partition):
        """The key of every message is its device, and decides on its partition. Returns the numbers of each device as they came."""
        partitions, numbers = {}, {}
        for partition, key, value, _ in self.messages:
            equal(key, value["device"])
            partitions.setdefault(key, set()).add(partition)
            numbers.setdefault(key, []).append(value["n"])
        equal(partitions, {device: {partition_of(device)} for device in partitions}, "partitions of each device:")
        return numbers


def config(address, topic, more="", source="http: {}"):
    return f"""
sources: {{ line: {{ {source} }} }}
pipelines: {{ out: {{ from: line, to: [ {{ kafka: {{ brokers: [ "{address.replace(',', '", "')}" ], topic: {topic} {more} }} }} ] }} }}
"""


def push(gateway, samples):
    answer = gateway.post("/ingest/line", "\n".join(map(json.dumps, samples)), headers={"Content-Type": "application/x-ndjson"})
    equal(answer.status, 202, answer)
