#include "ext/sinks/kafka/producer.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "ext/sinks/kafka/librdkafka.h"

namespace penstock::ext {
namespace {

constexpr std::size_t kErrorBytes = 512;
// The place of a message in its batch; a batch has at most 10,000.
constexpr std::uint64_t kIndexBits = 16;

// Errors that another day does not change: it is the message's own fault.
bool is_about_the_message(int error) {
  switch (error) {
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_MSG:
    case RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE:
    case RD_KAFKA_RESP_ERR_INVALID_RECORD:
    case RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP: return true;
    default: return false;
  }
}

}  // namespace

KafkaProducer::KafkaProducer(rt::Loop& loop, const Librdkafka& lib, Reported reported)
    : loop_(loop), lib_(lib), reported_(std::move(reported)) {}

Result<std::unique_ptr<KafkaProducer>> KafkaProducer::create(rt::Loop& loop, const Settings& settings,
                                                             Reported reported) {
  auto lib = open_librdkafka();
  if (!lib) return std::unexpected(lib.error());
  std::unique_ptr<KafkaProducer> producer(new KafkaProducer(loop, **lib, std::move(reported)));
  if (auto opened = producer->open(settings); !opened) return std::unexpected(opened.error());
  return producer;
}

Result<void> KafkaProducer::open(const Settings& settings) {
  char why[kErrorBytes] = {};
  rd_kafka_conf_t* conf = lib_.conf_new();
  for (const auto& [name, value] : settings) {
    if (lib_.conf_set(conf, name.c_str(), value.c_str(), why, sizeof(why)) == RD_KAFKA_CONF_OK) continue;
    lib_.conf_destroy(conf);
    // The library's words may hold the value, and the value may be a secret.
    return fail(Errc::invalid_argument, fmt::format("Kafka's client library does not take the setting {}", name));
  }
  lib_.conf_set_opaque(conf, this);
  lib_.conf_set_dr_msg_cb(conf, &KafkaProducer::delivered);
  lib_.conf_set_error_cb(conf, [](rd_kafka_t*, int, const char* reason, void* self) {
    static_cast<KafkaProducer*>(self)->trouble_ = reason;
  });
  lib_.conf_set_log_cb(conf, nullptr);
  handle_ = lib_.create(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
  if (handle_ == nullptr) {
    lib_.conf_destroy(conf);
    return fail(Errc::unavailable, fmt::format("Kafka's client library does not start: {}", why));
  }
  event_fd_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (event_fd_ < 0 || loop_.add(event_fd_, this) != 0) return fail(Errc::unavailable, "no descriptor is left");
  const std::uint64_t one = 1;
  rd_kafka_queue_t* queue = lib_.queue_get_main(handle_);
  lib_.queue_io_event_enable(queue, event_fd_, &one, sizeof(one));
  lib_.queue_destroy(queue);
  return {};
}

KafkaProducer::~KafkaProducer() {
  if (handle_ != nullptr) {
    // What is under way is forgotten, not waited for.
    lib_.purge(handle_, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    broken_ = true;
    lib_.poll(handle_, 0);
    lib_.destroy_flags(handle_, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
  }
  if (event_fd_ < 0) return;
  loop_.remove(event_fd_, this);
  ::close(event_fd_);
}

void KafkaProducer::on_ready(bool, bool, bool) {
  eventfd_t count = 0;
  ::eventfd_read(event_fd_, &count);
  serve();
}

void KafkaProducer::serve() {
  while (lib_.poll(handle_, 0) > 0) {
  }
}

void KafkaProducer::delivered(rd_kafka_s*, const rd_kafka_message_s* message, void* self) {
  const auto tag = reinterpret_cast<std::uintptr_t>(message->_private);
  static_cast<KafkaProducer*>(self)->report(tag >> kIndexBits, tag & ((1U << kIndexBits) - 1), message->err, true);
}

void KafkaProducer::report(std::uint64_t batch, std::size_t index, int error, bool by_broker) {
  using Outcome = KafkaReport::Outcome;
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
    trouble_.clear();
    return reported_(batch, index, {});
  }
  char why[kErrorBytes] = {};
  broken_ = broken_ || lib_.fatal_error(handle_, why, sizeof(why)) != RD_KAFKA_RESP_ERR_NO_ERROR;
  std::string text = lib_.err2str(static_cast<rd_kafka_resp_err_t>(error));
  if (!trouble_.empty()) text += " (" + trouble_ + ")";
  const Outcome refused = by_broker ? Outcome::request_refused : Outcome::refused;
  reported_(batch, index, {is_about_the_message(error) ? refused : Outcome::again, std::move(text)});
}

void KafkaProducer::produce(const std::string& topic, std::uint64_t batch, std::vector<KafkaMessage> messages) {
  for (std::size_t i = 0; i < messages.size(); ++i) {
    KafkaMessage& message = messages[i];
    const auto tag = reinterpret_cast<void*>(static_cast<std::uintptr_t>(batch << kIndexBits | i));
    std::vector<std::pair<std::string, std::string>> headers = std::move(message.headers);
    headers.resize(2);
    const auto send = [&](auto... more) {
      return lib_.producev(handle_, RD_KAFKA_V_TOPIC(topic.c_str()), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                           RD_KAFKA_V_KEY(message.key.data(), message.key.size()),
                           RD_KAFKA_V_VALUE(message.value.data(), message.value.size()),
                           RD_KAFKA_V_TIMESTAMP(message.time_millis), RD_KAFKA_V_OPAQUE(tag), more..., RD_KAFKA_V_END);
    };
    const auto& [name, value] = headers[0];
    const auto& [name2, value2] = headers[1];
    const auto error = name.empty()
                           ? send()
                           : send(RD_KAFKA_V_HEADER(name.c_str(), value.data(), static_cast<ssize_t>(value.size())),
                                  RD_KAFKA_V_HEADER(name2.c_str(), value2.data(), static_cast<ssize_t>(value2.size())));
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) report(batch, i, error, false);
  }
}

}  // namespace penstock::ext
