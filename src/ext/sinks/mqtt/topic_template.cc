#include "ext/sinks/mqtt/topic_template.h"

#include <fmt/format.h>

#include "mqtt/topic.h"

namespace penstock::ext {
namespace {

std::string as_text(const ingest::Value& value) {
  struct Visitor {
    std::string operator()(bool flag) const { return flag ? "true" : "false"; }
    std::string operator()(std::int64_t number) const { return fmt::format("{}", number); }
    std::string operator()(double number) const { return fmt::format("{}", number); }
    std::string operator()(const std::string& text) const { return text; }
    std::string operator()(const std::vector<double>&) const { return {}; }
  };
  return std::visit(Visitor{}, value);
}

}  // namespace

Result<TopicTemplate::Part> TopicTemplate::parse_place(std::string_view name, bool with_alarm) {
  constexpr std::string_view kField = "field:";
  if (name == "device") return Part{Kind::device, {}};
  if (name == "pipeline") return Part{Kind::pipeline, {}};
  if (name.starts_with(kField) && name.size() > kField.size()) {
    return Part{Kind::field, std::string(name.substr(kField.size()))};
  }
  if (name != "alarm") {
    return fail(
        Errc::invalid_argument,
        fmt::format("'{{{}}}' is no place of a topic: {{device}}, {{pipeline}}, {{alarm}} or {{field:name}}", name));
  }
  if (!with_alarm) {
    return fail(Errc::invalid_argument, "{alarm} stands only in the topic of a sink with `what: alarms`");
  }
  return Part{Kind::alarm, {}};
}

Result<TopicTemplate> TopicTemplate::parse(std::string_view text, bool with_alarm) {
  TopicTemplate out;
  std::string probe;  // the topic with something in every place
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::size_t open = rest.find('{');
    const std::string_view literal = rest.substr(0, open);
    if (literal.find('}') != std::string_view::npos) return fail(Errc::invalid_argument, "a '}' without its '{'");
    if (!literal.empty()) out.parts_.push_back({Kind::literal, std::string(literal)});
    probe += literal;
    if (open == std::string_view::npos) break;
    const std::size_t close = rest.find('}', open);
    if (close == std::string_view::npos) return fail(Errc::invalid_argument, "a '{' without its '}'");
    auto part = parse_place(rest.substr(open + 1, close - open - 1), with_alarm);
    if (!part) return std::unexpected(part.error());
    out.parts_.push_back(std::move(*part));
    probe += 'x';
    rest.remove_prefix(close + 1);
  }
  if (auto checked = mqtt::check_topic(probe); !checked) return std::unexpected(checked.error());
  return out;
}

std::string TopicTemplate::render(const ingest::Sample& sample, std::string_view pipeline) const {
  std::string topic;
  for (const Part& part : parts_) {
    switch (part.kind) {
      case Kind::literal: topic += part.text; break;
      case Kind::device: topic += mqtt::as_level(sample.device); break;
      case Kind::pipeline: topic += mqtt::as_level(pipeline); break;
      case Kind::alarm: topic += mqtt::as_level(sample.alarm ? sample.alarm->name : std::string()); break;
      case Kind::field: {
        const ingest::Field* field = sample.find(part.text);
        topic += mqtt::as_level(field == nullptr ? std::string() : as_text(field->value));
        break;
      }
    }
  }
  return topic;
}

}  // namespace penstock::ext
