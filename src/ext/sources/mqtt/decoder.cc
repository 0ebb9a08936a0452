#include "ext/sources/mqtt/decoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "ingest/device_check.h"
#include "json/value.h"
#include "mqtt/topic.h"

namespace penstock::ext {
namespace {

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

template <class Number>
bool whole(std::string_view text, Number& value) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

ingest::Value value_of(std::string_view text) {
  std::int64_t integer = 0;
  double number = 0;
  if (text == "true") return true;
  if (text == "false") return false;
  if (whole(text, integer)) return integer;
  if (whole(text, number)) return number;
  return std::string(text);
}

}  // namespace

MqttDecoder::MqttDecoder(std::string source, MqttFormat format, std::string field, std::optional<DeviceName> device,
                         const std::vector<std::string>& filters)
    : source_(std::move(source)), format_(format), field_(std::move(field)), device_(std::move(device)) {
  for (const std::string& filter : filters) {
    filters_.push_back({std::string(mqtt::without_share(filter)), mqtt::first_wildcard(filter)});
  }
}

// Until now the sample's device is what the payload says. A broker's access list is about topics: what a topic says is
// who published, what a payload says is only said.
Result<void> MqttDecoder::name(std::string_view topic, std::optional<std::string_view> level,
                               ingest::Sample& sample) const {
  const std::string_view own = !level || level->empty() ? std::string_view(source_) : *level;
  auto named = device_ ? device_->render(topic, sample) : std::nullopt;
  if (named) {
    sample.device = std::move(*named);
  } else if (device_ || sample.device.empty()) {
    sample.device = own;
  } else if (level && sample.device != own) {
    return fail(
        Errc::permission_denied,
        fmt::format("the topic is that of the device '{}', and this is a reading of '{}': leave `device` out of "
                    "the payload, or write `device: \"{{device}}\"` at the source if it may name others",
                    own.substr(0, 100), std::string_view(sample.device).substr(0, 100)));
  }
  return ingest::check_device(sample.device);
}

Result<void> MqttDecoder::decode(std::string_view topic, std::string_view payload, base::WallMicros now,
                                 std::vector<ingest::Sample>& out) {
  if (payload.size() > kMqttPayloadBytesMax) return fail(Errc::out_of_range, "the payload is larger than 1 MiB");
  const auto filter =
      std::ranges::find_if(filters_, [&](const Filter& one) { return mqtt::matches(one.pattern, topic); });
  if (filter == filters_.end()) {
    return fail(Errc::permission_denied,
                fmt::format("'{}' is no `topic` of this source: the broker keeps a subscription of before for its "
                            "session; write another `client_id`, or unsubscribe it there",
                            topic.substr(0, 100)));
  }
  defaults_.now = now;
  const std::size_t before = out.size();
  auto decoded = format_ == MqttFormat::json ? decode_json(payload, out) : decode_text(topic, payload, now, out);
  // The part of the topic that the first wildcard stands for; nothing without one.
  std::optional<std::string_view> level;
  if (filter->level) level = mqtt::level(topic, *filter->level);
  for (std::size_t i = before; decoded && i < out.size(); ++i) decoded = name(topic, level, out[i]);
  if (!decoded) out.resize(before);
  return decoded;
}

Result<void> MqttDecoder::decode_json(std::string_view payload, std::vector<ingest::Sample>& out) {
  auto samples = ingest::samples_from_json(payload, defaults_);
  if (!samples) return std::unexpected(std::move(samples.error()));
  for (ingest::Sample& sample : *samples) out.push_back(std::move(sample));
  return {};
}

Result<void> MqttDecoder::decode_text(std::string_view topic, std::string_view payload, base::WallMicros now,
                                      std::vector<ingest::Sample>& out) {
  const std::string_view text = trimmed(payload);
  if (text.empty()) return fail(Errc::invalid_argument, "the payload is empty");
  if (!json::is_valid_utf8(text)) return fail(Errc::invalid_argument, "the payload is no UTF-8 text");
  ingest::Sample sample;
  sample.event_time = sample.ingest_time = now;
  const std::string_view last = topic.substr(topic.rfind('/') + 1);
  sample.set(field_.empty() ? (last.empty() ? std::string_view("value") : last) : std::string_view(field_),
             value_of(text));
  out.push_back(std::move(sample));
  return {};
}

}  // namespace penstock::ext
