#include "ingest/mqtt_publisher.h"

#include "mqtt/topic.h"

namespace penstock::ingest {
namespace {

constexpr std::size_t kQueueMessages = 1000;

}  // namespace

Result<void> MqttPublisher::publish(mqtt::Outgoing message) {
  if (auto good = mqtt::check_topic(message.topic); !good) return good;
  std::lock_guard lock(mutex_);
  if (!connection_) {
    auto connection = std::make_unique<mqtt::Connection>(broker_, std::vector<mqtt::Subscription>(), mqtt::Handlers(),
                                                         kQueueMessages);
    if (auto started = connection->start(); !started) return started;
    connection_ = std::move(connection);
  }
  if (connection_->publish(std::move(message))) return {};
  return fail(Errc::backpressure, fmt::format("{} takes nothing; the oldest of {} messages was given up",
                                              broker_.address(), kQueueMessages));
}

std::string fill_in(std::string_view text, const std::vector<std::pair<std::string_view, std::string_view>>& values,
                    const std::function<std::string(std::string_view)>& fit) {
  std::string out;
  while (!text.empty()) {
    auto here = std::find_if(values.begin(), values.end(), [&](const auto& value) {
      return text.size() >= value.first.size() + 2 && text.front() == '{' &&
             text.substr(1, value.first.size()) == value.first && text[value.first.size() + 1] == '}';
    });
    if (here == values.end()) {
      out += text.front();
      text.remove_prefix(1);
    } else {
      out += fit(here->second);
      text.remove_prefix(here->first.size() + 2);
    }
  }
  return out;
}

}  // namespace penstock::ingest
