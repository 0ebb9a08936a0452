// What libmosquitto tells us, on the connection's thread.
#include <fmt/format.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>

#include <cstdlib>

#include "mqtt/reason.h"
#include "mqtt/worker.h"
#include "obs/log.h"

namespace penstock::mqtt {
namespace {

// MQTT 5.0 section 3.8.3.1.
int retain_option(Retained retained) {
  if (retained == Retained::none) return MQTT_SUB_OPT_SEND_RETAIN_NEVER;
  return retained == Retained::if_new ? MQTT_SUB_OPT_SEND_RETAIN_NEW : MQTT_SUB_OPT_SEND_RETAIN_ALWAYS;
}

struct Properties {
  std::string content_type;
  std::vector<std::pair<std::string, std::string>> pairs;
};

Properties read_properties(const mosquitto_property* from) {
  Properties read;
  char* name = nullptr;
  char* value = nullptr;
  if (mosquitto_property_read_string(from, MQTT_PROP_CONTENT_TYPE, &value, false) != nullptr) {
    read.content_type = value;
    std::free(value);
  }
  bool again = false;
  while ((from = mosquitto_property_read_string_pair(from, MQTT_PROP_USER_PROPERTY, &name, &value, again)) != nullptr) {
    read.pairs.emplace_back(name, value);
    std::free(name);
    std::free(value);
    again = true;
  }
  return read;
}

}  // namespace

void Worker::install_callbacks() {
  mosquitto_connect_v5_callback_set(mosq_, [](mosquitto*, void* self, int code, int, const mosquitto_property*) {
    static_cast<Worker*>(self)->on_connect(code);
  });
  mosquitto_subscribe_callback_set(mosq_, [](mosquitto*, void* self, int id, int count, const int* granted) {
    if (count > 0) static_cast<Worker*>(self)->on_subscribe(id, granted[0]);
  });
  mosquitto_publish_v5_callback_set(mosq_, [](mosquitto*, void* self, int id, int code, const mosquitto_property*) {
    static_cast<Worker*>(self)->on_publish(id, code);
  });
  mosquitto_message_v5_callback_set(
      mosq_, [](mosquitto*, void* self, const mosquitto_message* message, const mosquitto_property* properties) {
        static_cast<Worker*>(self)->on_message(*message, properties);
      });
  mosquitto_disconnect_v5_callback_set(mosq_, [](mosquitto*, void* self, int code, const mosquitto_property*) {
    static_cast<Worker*>(self)->on_disconnect(code);
  });
}

// While connecting, for what OpenSSL has to say. Not longer: the library writes a line for every packet first, and then
// asks whether anybody reads it.
void Worker::listen_to_log(bool listen) {
  using Log = void (*)(mosquitto*, void*, int, const char*);
  const Log on_log = [](mosquitto*, void* self, int log_level, const char* text) {
    static_cast<Worker*>(self)->on_log(log_level, text);
  };
  mosquitto_log_callback_set(mosq_, listen ? on_log : nullptr);
}

void Worker::on_connect(int code) {
  if (code != 0) {
    end_reason_ = connect_refusal(options_.version, code);
    return;
  }
  greeted_ = true;
  ever_failed_ = false;
  listen_to_log(false);
  if (!std::exchange(last_loss_, {}).empty()) {
    obs::log(obs::Level::info, "mqtt: connected again", {{"broker", options_.address()}});
  }
  set_status(true, fmt::format("connected to {} (MQTT {})", options_.address(),
                               options_.version == Version::v5 ? "5" : "3.1.1"));
  subscribe_all();
  if (handlers_.greeted) handlers_.greeted();
}

void Worker::subscribe_all() {
  pending_filters_.clear();
  refused_filters_ = 0;
  for (const Subscription& one : subscriptions_) {
    int id = 0;
    const int code = options_.version == Version::v5 ? mosquitto_subscribe_v5(mosq_, &id, one.filter.c_str(), one.qos,
                                                                              retain_option(one.retained), nullptr)
                                                     : mosquitto_subscribe(mosq_, &id, one.filter.c_str(), one.qos);
    if (code == MOSQ_ERR_SUCCESS) {
      pending_filters_[id] = one.filter;
    } else {
      set_status(true, fmt::format("{}: cannot subscribe to '{}': {}", options_.address(), one.filter,
                                   mosquitto_strerror(code)));
    }
  }
}

void Worker::on_subscribe(int message_id, int granted) {
  auto pending = pending_filters_.find(message_id);
  if (pending == pending_filters_.end()) return;
  const std::string filter = std::move(pending->second);
  pending_filters_.erase(pending);
  if (granted < MQTT_RC_UNSPECIFIED) return;
  ++refused_filters_;
  obs::log(obs::Level::warn, "mqtt: subscription refused",
           {{"broker", options_.address()}, {"topic", filter}, {"why", request_refusal(granted)}});
  set_status(refused_filters_ < subscriptions_.size(),
             fmt::format("{}: subscription to '{}' refused: {}", options_.address(), filter, request_refusal(granted)));
}

void Worker::on_publish(int message_id, int code) {
  auto found = in_flight_.find(message_id);
  if (found == in_flight_.end()) return;
  const InFlight one = std::move(found->second);
  in_flight_.erase(found);
  const bool taken = code < MQTT_RC_UNSPECIFIED;
  (taken ? delivered_ : dropped_).fetch_add(1, std::memory_order_relaxed);
  if (!taken) set_status(true, fmt::format("{}: a message was refused: {}", options_.address(), request_refusal(code)));
  if (!one.delivery) return;
  if (!taken) one.delivery->reject(one.position, request_refusal(code));
  --one.delivery->open;
  if (one.delivery->finished()) answer(*one.delivery);
}

void Worker::on_message(const mosquitto_message& message, const mqtt5__property* properties) {
  received_.fetch_add(1, std::memory_order_relaxed);
  burst_open_ = true;
  if (!handlers_.message) return;
  Incoming incoming{
      .topic = message.topic,
      .payload = {static_cast<const char*>(message.payload), static_cast<std::size_t>(message.payloadlen)},
      .retained = message.retain};
  if (!wants_properties_ || properties == nullptr) return handlers_.message(incoming);
  const Properties read = read_properties(properties);
  incoming.content_type = read.content_type;
  incoming.properties = &read.pairs;
  handlers_.message(incoming);
}

void Worker::on_disconnect(int code) {
  greeted_ = false;
  // 128 and above come from the broker's DISCONNECT; a refused greeting has left its own reason already.
  if (code >= MQTT_RC_UNSPECIFIED && end_reason_.empty()) end_reason_ = disconnect_reason(code, 0, {});
}

void Worker::on_log(int log_level, const char* text) {
  if (log_level == MOSQ_LOG_ERR) library_log_ = text;
}

}  // namespace penstock::mqtt
