// Options of the command line that say what a key or a team may do, as the JSON that the admin API takes.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "app/data_folder.h"
#include "json/value.h"

namespace penstock::app {

struct SettingOptions {
  std::string models, apis, can, from;  // separated by commas
  std::int64_t rpm = 0;
  std::int64_t tpm = 0;
  std::vector<std::string> limits;   // "requests=10/s,concurrent=5", "10/s"
  std::vector<std::string> budgets;  // "5USD/day"
};

// --config and --data-dir.
void add_options(CLI::App& command, DataFolder& folder);
// --models, --rpm, --budget, ...
void add_options(CLI::App& command, SettingOptions& options);

// Members of those options that were given; "none" becomes null, which takes away. Errors: invalid_argument.
Result<json::Object> settings_of(const SettingOptions& options);
// A text that may be "none"; nothing when it was not given.
void add_text(json::Object& settings, std::string_view name, const std::string& given);

// "a,b" without empty parts.
std::vector<std::string> split_commas(const std::string& text);

// What `limits`, `budget` and `models` of a key or team say, in a few words.
std::string limits_text(const json::Object& shown);
std::string budgets_text(const json::Object& shown);
std::string list_text(const json::Object& shown, std::string_view name);

}  // namespace penstock::app
