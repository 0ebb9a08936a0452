#include "ext/steps/lookup/lookup.h"

#include <filesystem>
#include <mutex>
#include <thread>

#include "ext/steps/lookup/lookup_table.h"
#include "ingest/expr.h"
#include "ingest/field_access.h"
#include "obs/log.h"

namespace penstock::ext::steps {
namespace {

using ingest::NamePattern;
using ingest::Sample;

// How often a file is looked at.
constexpr base::WallMicros kLookEvery = 5'000'000;

enum class Missing { pass, drop, dead_letter };

struct Settings {
  std::string file;  // empty: the table stands in the configuration
  std::string key;
  std::optional<ingest::Expression> by;  // none: the device
  std::vector<NamePattern> add;          // empty: all
  bool as_tags = false;
  Missing missing = Missing::pass;
};

// When a file was written last and how large it was then: whether it has to be read again.
struct Stamp {
  std::filesystem::file_time_type time{};
  std::uintmax_t size = 0;
  bool operator==(const Stamp&) const = default;
};

Stamp stamp_of(const std::string& path) {
  std::error_code error;
  Stamp stamp{std::filesystem::last_write_time(path, error), 0};
  if (!error) stamp.size = std::filesystem::file_size(path, error);
  return error ? Stamp{} : stamp;
}

// Reads a changed file on a thread of its own; the loop fetches what came of it.
class Reloader {
 public:
  explicit Reloader(const Settings& settings) : path_(settings.file), key_(settings.key), read_(stamp_of(path_)) {}

  // On the loop. A table that was read meanwhile; looks at the file now and then.
  std::shared_ptr<const LookupTable> poll(base::WallMicros now) {
    std::shared_ptr<const LookupTable> fresh;
    {
      std::lock_guard lock(mutex_);
      fresh = std::exchange(fresh_, nullptr);
      if (reading_) return fresh;
    }
    // The clock of `penstock test` may run backwards between feeds.
    if (now >= looked_ && now - looked_ < kLookEvery) return fresh;
    looked_ = now;
    const Stamp stamp = stamp_of(path_);
    // A file that is gone keeps the table that was read.
    if (stamp == read_ || stamp == Stamp{}) return fresh;
    read_ = stamp;
    reading_ = true;
    thread_ = std::jthread([this] { read(); });
    return fresh;
  }

 private:
  void read() {
    auto table = load_lookup_table(path_, key_);
    if (!table) {
      obs::log(obs::Level::warn, "lookup: the changed file was not taken", {{"why", table.error().detail}});
    }
    std::lock_guard lock(mutex_);
    if (table) fresh_ = std::make_shared<const LookupTable>(std::move(*table));
    reading_ = false;
  }

  const std::string path_;
  const std::string key_;
  Stamp read_;
  base::WallMicros looked_ = 0;
  std::mutex mutex_;  // guards the two below
  std::shared_ptr<const LookupTable> fresh_;
  bool reading_ = false;
  std::jthread thread_;  // last: it is waited for before the rest goes
};

class Lookup : public ingest::Step {
 public:
  Lookup(Settings settings, std::shared_ptr<const LookupTable> table, ingest::StepContext context)
      : settings_(std::move(settings)), table_(std::move(table)), context_(std::move(context)) {
    if (!settings_.file.empty()) reloader_ = std::make_unique<Reloader>(settings_);
  }

  void push(Sample sample, ingest::Output& out) override {
    const std::string key = key_of(sample);
    const auto row = table_->find(key);
    if (row == table_->end()) return missing(std::move(sample), key, out);
    for (const ingest::Field& field : row->second) {
      if (!wanted(field.name)) continue;
      if (settings_.as_tags) {
        set_tag(sample, field);
      } else {
        sample.set(field.name, field.value, field.unit);
      }
    }
    out.emit(std::move(sample));
  }

  void tick(base::WallMicros now, ingest::Output&) override {
    if (!reloader_) return;
    if (auto fresh = reloader_->poll(now)) table_ = std::move(fresh);
  }

  ingest::StepPlan plan(const ingest::Shape& in) const override {
    ingest::StepPlan plan{.out = in, .problems = {}};
    plan.memory_bytes_max = settings_.file.empty() ? 0 : 2 * kLookupBytesMax * 8;
    if (settings_.by) settings_.by->gives(in, plan);
    if (settings_.as_tags) return plan;
    std::map<std::string, ingest::FieldType, std::less<>> found;
    for (const auto& [key, row] : *table_) {
      for (const ingest::Field& field : row) {
        if (wanted(field.name)) found[field.name].unit = field.unit;
      }
    }
    for (const NamePattern& pattern : settings_.add) {
      if (auto problem = missing_field({.fields = found, .open = false, .samples_per_second = {}}, pattern);
          !problem.empty()) {
        plan.problems.push_back("in the table: " + problem);
      }
    }
    // Kinds may differ from row to row, and a file may change.
    plan.out.fields.merge(found);
    return plan;
  }

 private:
  bool wanted(std::string_view name) const {
    return settings_.add.empty() || find_match(settings_.add, name) != nullptr;
  }

  std::string key_of(const Sample& sample) const {
    if (!settings_.by) return sample.device;
    const auto value = ingest::to_value(settings_.by->evaluate(sample));
    return value ? lookup_key(*value) : std::string();
  }

  static void set_tag(Sample& sample, const ingest::Field& field) {
    std::string text = lookup_key(field.value);
    for (auto& [name, value] : sample.tags) {
      if (name == field.name) {
        value = std::move(text);
        return;
      }
    }
    sample.tags.emplace_back(field.name, std::move(text));
  }

  void missing(Sample sample, const std::string& key, ingest::Output& out) {
    switch (settings_.missing) {
      case Missing::pass: return out.emit(std::move(sample));
      case Missing::drop: return context_.drop();
      case Missing::dead_letter:
        return context_.error(fmt::format("lookup: the table has no '{}'", key), std::move(sample));
    }
  }

  Settings settings_;
  std::shared_ptr<const LookupTable> table_;
  ingest::StepContext context_;
  std::unique_ptr<Reloader> reloader_;
};

// { press-1: { line: A, limit: 80 } }
LookupTable read_table(const config::Node& node) {
  LookupTable table;
  for (const auto& [key, row] : node.map().entries()) {
    LookupRow fields;
    for (const auto& [name, value] : row.map().entries()) {
      const std::string text = value.text();
      char* end = nullptr;
      const double number = std::strtod(text.c_str(), &end);
      const bool whole = end != text.c_str() && *end == '\0';
      ingest::Value read = text;
      if (whole) read = number;
      if (text == "true" || text == "false") read = text == "true";
      fields.push_back({name, std::move(read), {}});
    }
    table.emplace(key, std::move(fields));
  }
  return table;
}

}  // namespace

std::unique_ptr<ingest::Step> make_lookup(const config::Node& node, const ingest::StepContext& context) {
  config::Map map = node.map();
  Settings settings;
  settings.file = map.text("file");
  settings.key = map.text("key", "device");
  const config::Node by = map.get("by");
  if (by.present()) settings.by = ingest::Expression::compile(by);
  settings.add = ingest::read_patterns(map.get("add"));
  settings.as_tags = map.choice("to", {"fields", "tags"}, "fields") == "tags";
  const std::string missing = map.choice("missing", {"pass", "drop", "dead_letter"}, "pass");
  settings.missing = missing == "drop" ? Missing::drop : missing == "pass" ? Missing::pass : Missing::dead_letter;
  const config::Node inline_table = map.get("table");
  map.done();
  if (settings.file.empty() != inline_table.present()) {
    node.problem("needs one of: file: machines.csv, or table: { press-1: { line: A } }");
    return nullptr;
  }
  LookupTable table;
  if (inline_table.present()) {
    table = read_table(inline_table);
  } else if (auto loaded = load_lookup_table(settings.file, settings.key)) {
    table = std::move(*loaded);
  } else {
    map.get("file").problem(loaded.error().detail);
    return nullptr;
  }
  if (by.present() && !settings.by) return nullptr;
  return std::make_unique<Lookup>(std::move(settings), std::make_shared<const LookupTable>(std::move(table)), context);
}

}  // namespace penstock::ext::steps
