// Kafka's client library, opened when the first sink starts: who has none pays nothing for it.
#pragma once

#include <librdkafka/rdkafka.h>

#include "base/result.h"

namespace penstock::ext {

struct Librdkafka {
  decltype(&rd_kafka_conf_new) conf_new = nullptr;
  decltype(&rd_kafka_conf_destroy) conf_destroy = nullptr;
  decltype(&rd_kafka_conf_set) conf_set = nullptr;
  decltype(&rd_kafka_conf_set_opaque) conf_set_opaque = nullptr;
  decltype(&rd_kafka_conf_set_dr_msg_cb) conf_set_dr_msg_cb = nullptr;
  decltype(&rd_kafka_conf_set_error_cb) conf_set_error_cb = nullptr;
  decltype(&rd_kafka_conf_set_log_cb) conf_set_log_cb = nullptr;
  decltype(&rd_kafka_new) create = nullptr;
  decltype(&rd_kafka_destroy_flags) destroy_flags = nullptr;
  decltype(&rd_kafka_producev) producev = nullptr;
  decltype(&rd_kafka_poll) poll = nullptr;
  decltype(&rd_kafka_purge) purge = nullptr;
  decltype(&rd_kafka_err2str) err2str = nullptr;
  decltype(&rd_kafka_fatal_error) fatal_error = nullptr;
  decltype(&rd_kafka_queue_get_main) queue_get_main = nullptr;
  decltype(&rd_kafka_queue_destroy) queue_destroy = nullptr;
  decltype(&rd_kafka_queue_io_event_enable) queue_io_event_enable = nullptr;
};

// Any thread. The error says what was tried and what to install.
Result<const Librdkafka*> open_librdkafka();

}  // namespace penstock::ext
