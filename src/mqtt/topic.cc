#include "mqtt/topic.h"

#include <fmt/format.h>
#include <mosquitto.h>

namespace penstock::mqtt {
namespace {

constexpr std::string_view kShare = "$share/";
// The longest string the protocol can carry.
constexpr std::size_t kTopicBytesMax = 65535;

bool plain_text(std::string_view text) {
  return !text.empty() && text.size() <= kTopicBytesMax && text.find('\0') == std::string_view::npos &&
         mosquitto_validate_utf8(text.data(), static_cast<int>(text.size())) == MOSQ_ERR_SUCCESS;
}

}  // namespace

Result<void> check_filter(std::string_view filter) {
  if (plain_text(filter) && mosquitto_sub_topic_check2(filter.data(), filter.size()) == MOSQ_ERR_SUCCESS) return {};
  return fail(Errc::invalid_argument,
              fmt::format("'{}' is no topic filter: `+` stands for one whole level, `#` only at the end, as in "
                          "plant/+/vibration or plant/#",
                          filter));
}

Result<void> check_topic(std::string_view topic) {
  if (plain_text(topic) && mosquitto_pub_topic_check2(topic.data(), topic.size()) == MOSQ_ERR_SUCCESS) return {};
  return fail(Errc::invalid_argument, fmt::format("'{}' is no topic to publish to: no `+`, no `#`, not empty", topic));
}

std::string_view level(std::string_view topic, std::size_t index) {
  for (; index > 0; --index) {
    const std::size_t slash = topic.find('/');
    if (slash == std::string_view::npos) return {};
    topic.remove_prefix(slash + 1);
  }
  return topic.substr(0, topic.find('/'));
}

std::string_view without_share(std::string_view filter) {
  if (!filter.starts_with(kShare)) return filter;
  const std::size_t group_end = filter.find('/', kShare.size());
  return group_end == std::string_view::npos ? std::string_view() : filter.substr(group_end + 1);
}

bool matches(std::string_view filter, std::string_view topic) {
  bool result = false;
  return mosquitto_topic_matches_sub2(filter.data(), filter.size(), topic.data(), topic.size(), &result) ==
             MOSQ_ERR_SUCCESS &&
         result;
}

std::optional<std::size_t> first_wildcard(std::string_view filter) {
  filter = without_share(filter);
  std::size_t index = 0;
  for (char c : filter) {
    if (c == '+' || c == '#') return index;
    if (c == '/') ++index;
  }
  return std::nullopt;
}

std::string as_level(std::string_view value) {
  std::string out(value);
  for (char& c : out) {
    if (c == '/' || c == '+' || c == '#' || static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '_';
  }
  return out.empty() ? "_" : out;
}

}  // namespace penstock::mqtt
