"""Samples in a Kafka topic. The brokers are those that librdkafka brings for tests: in this process, spoken to over TCP.
kafka_broker_test.py has a real one."""

import ctypes
import zlib

import harness
from harness import check, equal, until
from kafka_client import K, PARTITIONS, PRODUCER, Reader, client, config, java_partition, murmur2, push

NO_ERROR, REQUEST_TIMED_OUT, TOO_LARGE, PRODUCE = 0, 7, 10, 0


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

    def refuse(self, *errors):
        K.rd_kafka_mock_push_request_errors(self.cluster, ctypes.c_int16(PRODUCE), ctypes.c_size_t(len(errors)), *map(ctypes.c_int, errors))


def test_messages_have_the_device_as_key_and_keep_its_order():
    topic = cluster.topic()
    with harness.Gateway(config(cluster.address, topic, ", compress: zstd")) as gateway:
        for start in range(0, 2000, 200):
            push(gateway, [{"device": f"d{n % 7}", "n": n} for n in range(start, start + 200)])
        reader = Reader(cluster.address, topic)
        until(lambda: len(reader.read()) == 2000, "two thousand messages", 30)
    equal(reader.numbers(), list(range(2000)))
    equal([headers for *_, headers in reader.messages if headers], [])
    for device, numbers in reader.check_devices().items():
        equal(numbers, sorted(numbers), device)


def test_a_partition_is_the_one_that_java_clients_choose():
    # Values as Kafka's own clients have them (as signed numbers of 32 bits).
    known = {"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536, "a-little-bit-longer-string": -1486304829,
             "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971, "abc": 479470107}
    equal({key: murmur2(key.encode()) for key in known}, {key: value & 0xFFFFFFFF for key, value in known.items()})
    devices = [*known, *(f"press-{n}" for n in range(40))]
    for more, partition_of in (("", java_partition), (", partitioner: consistent_random", lambda key: zlib.crc32(key.encode()) % PARTITIONS)):
        topic = cluster.topic()
        with harness.Gateway(config(cluster.address, topic, more)) as gateway:
            push(gateway, [{"device": device, "n": n} for n, device in enumerate(devices)])
            reader = Reader(cluster.address, topic)
            until(lambda: len(reader.read()) == len(devices), "all of them", 30)
        reader.check_devices(partition_of)


def test_nothing_is_lost_when_brokers_refuse_or_are_away():
    topic = cluster.topic()
    with harness.Gateway(config(cluster.address, topic, ", timeout: 2s, batch: 50")) as gateway:
        push(gateway, [{"n": n} for n in range(100)])
        reader = Reader(cluster.address, topic)
        until(lambda: reader.numbers() == list(range(100)), "the first ones", 30)
        cluster.refuse(*[REQUEST_TIMED_OUT] * 3)
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


def test_a_request_that_is_refused_is_not_held_against_its_messages():
    topic = cluster.topic()
    with harness.Gateway(config(cluster.address, topic, ", batch: 50")) as gateway:
        cluster.refuse(NO_ERROR, TOO_LARGE)  # the first sample goes alone, at once
        push(gateway, [{"n": n} for n in range(50)])
        reader = Reader(cluster.address, topic)
        until(lambda: set(reader.numbers()) == set(range(50)), "all of them", 30)
        equal(gateway.metric("penstock_dead_letters_total"), 0, "dead letters:")


def test_it_stops_while_no_broker_answers():
    with harness.Gateway(config("127.0.0.1:1", "x")) as gateway:
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
