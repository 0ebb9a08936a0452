#include "app/setting_options.h"

#include <charconv>

#include "app/admin_text.h"

namespace penstock::app {
namespace {

using json::Array;
using json::Object;
using json::Value;

constexpr std::string_view kNone = "none";

void add_list(Object& settings, std::string_view name, const std::string& given) {
  if (given.empty()) return;
  settings[name] = given == kNone ? Value(nullptr) : Value(texts(split_commas(given)));
}

// A whole number as one, anything else as text: the reader says what was expected.
Value number_or_text(std::string_view given) {
  std::int64_t number = 0;
  auto [end, ec] = std::from_chars(given.data(), given.data() + given.size(), number);
  return ec == std::errc{} && end == given.data() + given.size() ? Value(number) : text(given);
}

// Several rates of one kind make a list.
void add_rate(Object& limits, std::string_view name, std::string_view rate) {
  Value& rates = limits[name];
  if (!rates.is_array()) rates = Array();
  rates.get_array().push_back(text(rate));
}

Result<void> add_limit(Object& limits, std::string_view part) {
  std::size_t equals = part.find('=');
  if (equals == std::string_view::npos) {
    if (part.find('/') == std::string_view::npos)
      return fail(
          Errc::invalid_argument,
          fmt::format("--limits: '{}' is none; write requests=10/s, tokens=100000/day, concurrent=5, input=32000, "
                      "output=4096, throttle=2s, rpm=600 or tpm=200000",
                      part));
    add_rate(limits, "requests", part);
    return {};
  }
  std::string_view name = part.substr(0, equals);
  std::string_view value = part.substr(equals + 1);
  if (value == kNone) {
    limits[name] = nullptr;
  } else if (name == "requests" || name == "tokens") {
    add_rate(limits, name, value);
  } else {
    limits[name] = name == "throttle" ? text(value) : number_or_text(value);
  }
  return {};
}

Result<void> add_limits(Object& settings, const SettingOptions& options) {
  Object limits;
  for (const std::string& given : options.limits) {
    if (given == kNone) {
      settings["limits"] = nullptr;
      return {};
    }
    for (const std::string& part : split_commas(given)) {
      if (auto added = add_limit(limits, part); !added) return added;
    }
  }
  if (options.rpm > 0) limits["rpm"] = options.rpm;
  if (options.tpm > 0) limits["tpm"] = options.tpm;
  if (!limits.empty()) settings["limits"] = std::move(limits);
  return {};
}

std::string words_of(const Value& value) {
  if (value.is_string()) return std::string(value.get_string());
  if (value.is_null()) return "-";
  if (!value.is_array()) return json::dump(value);
  std::vector<std::string> words;
  for (const Value& item : value.get_array()) words.push_back(words_of(item));
  return fmt::format("{}", fmt::join(words, "+"));
}

// { "amount": "5USD", "per": "day", ... } as 5USD/day
std::string budget_text(const Value& budget) {
  if (!budget.is_object()) return words_of(budget);
  std::string_view per = json::string_or(budget, "per", json::string_or(budget, "rolling", "?"));
  std::string out = fmt::format("{}/{}", json::string_or(budget, "amount", "?"), per);
  for (const auto& member : budget.get_object()) {
    if (member.key() == "amount" || member.key() == "per" || member.key() == "rolling") continue;
    out += fmt::format(" {}={}", std::string(member.key()), words_of(member.value()));
  }
  return out;
}

}  // namespace

void add_options(CLI::App& command, DataFolder& folder) {
  command.add_option("--config", folder.config, "the gateway's configuration, for its data_dir");
  command.add_option("--data-dir", folder.data_dir, "the gateway's data folder (default ./var)");
}

void add_options(CLI::App& command, SettingOptions& options) {
  command.add_option("--models", options.models,
                     "comma-separated models, * as a wildcard, !model denies (default: all)");
  command.add_option("--apis", options.apis, "comma-separated APIs: openai, anthropic, ... (default: all)");
  command.add_option("--can", options.can,
                     "comma-separated capabilities: chat, tools, vision, embeddings, images, infer, ingest, admin "
                     "(default: all but admin)");
  command.add_option("--from", options.from, "comma-separated addresses or networks: 10.0.0.0/8 (default: all)");
  command.add_option("--rpm", options.rpm, "requests per minute")->check(CLI::PositiveNumber);
  command.add_option("--tpm", options.tpm, "tokens per minute")->check(CLI::PositiveNumber);
  command.add_option(
      "--limit,--limits", options.limits,
      "requests=10/s,tokens=1000000/day,concurrent=5,input=32000,output=4096,throttle=2s; 10/s alone is of "
      "requests; may be repeated");
  command.add_option("--budget", options.budgets, "5USD/day, 2000000tokens/week, 50USD/30d; may be repeated");
}

Result<Object> settings_of(const SettingOptions& options) {
  Object settings;
  add_list(settings, "models", options.models);
  add_list(settings, "apis", options.apis);
  add_list(settings, "can", options.can);
  add_list(settings, "from", options.from);
  if (auto limits = add_limits(settings, options); !limits) return std::unexpected(limits.error());
  if (options.budgets.size() == 1 && options.budgets.front() == kNone) {
    settings["budget"] = nullptr;
  } else if (!options.budgets.empty()) {
    settings["budget"] = texts(options.budgets);
  }
  return settings;
}

void add_text(Object& settings, std::string_view name, const std::string& given) {
  if (!given.empty()) settings[name] = given == kNone ? Value(nullptr) : text(given);
}

std::vector<std::string> split_commas(const std::string& text) {
  std::vector<std::string> parts;
  std::size_t from = 0;
  while (from < text.size()) {
    std::size_t comma = std::min(text.find(',', from), text.size());
    if (comma > from) parts.push_back(text.substr(from, comma - from));
    from = comma + 1;
  }
  return parts;
}

std::string limits_text(const Object& shown) {
  std::vector<std::string> parts;
  const Value* limits = shown.if_contains("limits");
  if (limits == nullptr || !limits->is_object()) return "";
  for (const auto& member : limits->get_object())
    parts.push_back(fmt::format("{}={}", std::string(member.key()), words_of(member.value())));
  return fmt::format("{}", fmt::join(parts, ","));
}

std::string budgets_text(const Object& shown) {
  std::vector<std::string> parts;
  const Value* budgets = shown.if_contains("budget");
  if (budgets == nullptr || !budgets->is_array()) return "";
  for (const Value& budget : budgets->get_array()) parts.push_back(budget_text(budget));
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string list_text(const Object& shown, std::string_view name) {
  std::vector<std::string> parts;
  const Value* list = shown.if_contains(name);
  if (list == nullptr || !list->is_array()) return "";
  for (const Value& item : list->get_array()) parts.push_back(words_of(item));
  return fmt::format("{}", fmt::join(parts, ","));
}

}  // namespace penstock::app
