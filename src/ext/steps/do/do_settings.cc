#include "ext/steps/do/do_settings.h"

#include <charconv>

#include "base/quantity.h"

namespace penstock::ext::steps {
namespace {

std::vector<Trigger> read_on(config::Map& map, const ingest::StepContext& context) {
  std::vector<Trigger> triggers;
  map.required("on");
  for (const std::string& text : map.texts("on")) {
    std::size_t dot = text.rfind('.');
    std::string event = dot == std::string::npos ? "" : text.substr(dot + 1);
    if (dot == 0 || (event != "raised" && event != "cleared")) {
      map.get("on").problem(fmt::format("'{}' is no event: write an alarm's name with .raised or .cleared", text));
      continue;
    }
    Trigger trigger{.alarm = text.substr(0, dot), .raised = event == "raised"};
    if (context.alarms && !context.alarms->contains(trigger.alarm)) {
      std::vector<std::string> known;
      for (const auto& [name, rules] : *context.alarms) known.push_back(name);
      auto hint = base::closest(trigger.alarm, known);
      map.get("on").problem(fmt::format("no step before this one has an alarm '{}'{}", trigger.alarm,
                                        hint ? fmt::format("; did you mean '{}'?", *hint) : ""));
      continue;
    }
    triggers.push_back(std::move(trigger));
  }
  return triggers;
}

// "3/min", "1/10s"
void read_at_most(const config::Node& node, DoSettings& settings) {
  if (!node.present()) return;
  std::string text = node.text();
  std::size_t slash = text.find('/');
  std::int64_t most = 0;
  const char* end = text.data() + std::min(slash, text.size());
  auto read = std::from_chars(text.data(), end, most);
  std::string per = slash == std::string::npos ? "" : text.substr(slash + 1);
  if (per == "min") per = "m";
  if (!per.empty() && std::isdigit(static_cast<unsigned char>(per.front())) == 0) per = "1" + per;
  auto period = base::parse_duration(per);
  if (read.ec != std::errc() || read.ptr != end || most < 1 || most > static_cast<std::int64_t>(kDoStartsMax) ||
      !period || *period <= base::Duration::zero()) {
    return node.problem("write how many in which time, such as 1/min, 3/h or 1/10s");
  }
  settings.most = static_cast<std::size_t>(most);
  settings.per = *period;
}

}  // namespace

std::optional<DoSettings> read_do(const config::Node& node, const ingest::StepContext& context) {
  config::Map map = node.map();
  DoSettings settings;
  settings.on = read_on(map, context);
  settings.name = map.text("name");
  settings.confirm_within = map.duration("confirm_within", std::chrono::seconds(5));
  settings.deeds = read_deeds(map, settings.confirm_within);
  read_at_most(map.get("at_most"), settings);
  settings.max_age = map.duration("max_age", std::chrono::seconds(30));
  config::Node only_if = map.get("only_if");
  if (only_if.present()) {
    settings.only_if = ingest::Expression::compile(only_if, ingest::Expression::Wants::condition);
    if (!settings.only_if) {
      map.done();
      return std::nullopt;
    }
  }
  settings.dry_run = map.boolean("dry_run", false);
  settings.alarm_on_failure = map.choice("on_failure", {"alarm", "log"}, "alarm") == "alarm";
  map.done();
  if (settings.on.empty()) return std::nullopt;
  if (settings.deeds.empty()) {
    node.problem("says nothing to do: write `write`, `publish` or `call`");
    return std::nullopt;
  }
  if (settings.name.empty())
    settings.name = settings.on.front().alarm + "-" + (settings.on.front().raised ? "raised" : "cleared");
  if (settings.name.size() > 128 || settings.name.find('\n') != std::string::npos) {
    map.get("name").problem("a name is one line of at most 128 bytes");
    return std::nullopt;
  }
  if (context.alarms && !context.alarms->try_emplace(settings.failure()).second) {
    node.problem(fmt::format(
        "this pipeline has an action or alarm of that name already: give it another `name` than '{}'", settings.name));
    return std::nullopt;
  }
  return settings;
}

}  // namespace penstock::ext::steps
