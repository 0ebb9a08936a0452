#include "ext/sinks/kafka/librdkafka.h"

#include <dlfcn.h>

#include <mutex>

namespace penstock::ext {
namespace {

constexpr const char* kFileName = "librdkafka.so.1";

Result<Librdkafka> open_once() {
  void* handle = ::dlopen(kFileName, RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    return fail(Errc::unavailable, fmt::format("Kafka's client library cannot be loaded ({}): install the package "
                                               "librdkafka1",
                                               ::dlerror()));
  }
  Librdkafka lib;
  const std::pair<const char*, void*> names[] = {
      {"rd_kafka_conf_new", &lib.conf_new},
      {"rd_kafka_conf_destroy", &lib.conf_destroy},
      {"rd_kafka_conf_set", &lib.conf_set},
      {"rd_kafka_conf_set_opaque", &lib.conf_set_opaque},
      {"rd_kafka_conf_set_dr_msg_cb", &lib.conf_set_dr_msg_cb},
      {"rd_kafka_conf_set_error_cb", &lib.conf_set_error_cb},
      {"rd_kafka_conf_set_log_cb", &lib.conf_set_log_cb},
      {"rd_kafka_new", &lib.create},
      {"rd_kafka_destroy_flags", &lib.destroy_flags},
      {"rd_kafka_producev", &lib.producev},
      {"rd_kafka_poll", &lib.poll},
      {"rd_kafka_purge", &lib.purge},
      {"rd_kafka_err2str", &lib.err2str},
      {"rd_kafka_fatal_error", &lib.fatal_error},
      {"rd_kafka_queue_get_main", &lib.queue_get_main},
      {"rd_kafka_queue_destroy", &lib.queue_destroy},
      {"rd_kafka_queue_io_event_enable", &lib.queue_io_event_enable},
  };
  for (const auto& [name, place] : names) {
    void* symbol = ::dlsym(handle, name);
    if (symbol == nullptr) return fail(Errc::unavailable, fmt::format("{} has no {}: it is too old", kFileName, name));
    std::memcpy(place, &symbol, sizeof(symbol));
  }
  return lib;
}

}  // namespace

Result<const Librdkafka*> open_librdkafka() {
  static std::mutex mutex;
  static std::optional<Librdkafka> opened;
  std::lock_guard lock(mutex);
  if (!opened) {
    auto lib = open_once();
    if (!lib) return std::unexpected(lib.error());
    opened = *lib;
  }
  return &*opened;
}

}  // namespace penstock::ext
