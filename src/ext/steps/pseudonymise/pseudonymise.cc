#include "ext/steps/pseudonymise/pseudonymise.h"

#include <unordered_map>

#include "base/secret.h"
#include "ingest/alarm_reason.h"
#include "ingest/device_name.h"
#include "ingest/field_access.h"

namespace penstock::ext::steps {
namespace {

using ingest::NamePattern;
using ingest::Sample;

// Half of the hash: two of a billion names share one with a chance of 1 in 10^20.
constexpr std::size_t kHexDigits = 32;
constexpr std::size_t kKeyBytesMin = 16;
// Pseudonyms remembered, so that a device that speaks often is not hashed each time. When full the memory starts anew.
constexpr std::size_t kRememberedMax = 10'000;
constexpr std::size_t kRememberedBytesMax = 128;  // of a name; a longer one is hashed each time

struct Settings {
  base::Secret key;
  bool device = false;
  std::vector<NamePattern> fields;
  std::vector<NamePattern> tags;
};

class Pseudonymise : public ingest::Step {
 public:
  explicit Pseudonymise(Settings settings) : settings_(std::move(settings)) {}

  void push(Sample sample, ingest::Output& out) override {
    if (settings_.device)
      ingest::rename_device(sample, [this](const std::string& device) { return pseudonym(device); });
    for (ingest::Field& field : sample.fields) {
      if (find_match(settings_.fields, field.name) == nullptr) continue;
      field.value = pseudonym(words(field.value));
      field.unit.clear();
    }
    for (auto& [name, value] : sample.tags) {
      if (find_match(settings_.tags, name) != nullptr) value = pseudonym(value);
    }
    if (!settings_.fields.empty() || !settings_.tags.empty()) ingest::withhold_reason(sample);
    out.emit(std::move(sample));
  }

  ingest::StepPlan plan(const ingest::Shape& in) const override {
    ingest::StepPlan plan{.out = in, .memory_bytes_max = kRememberedMax * (kRememberedBytesMax + 256), .problems = {}};
    for (const NamePattern& pattern : settings_.fields) {
      if (auto problem = missing_field(in, pattern); !problem.empty()) plan.problems.push_back(std::move(problem));
    }
    for (auto& [name, type] : plan.out.fields) {
      if (find_match(settings_.fields, name) != nullptr) type = {ingest::FieldType::Kind::text, ""};
    }
    return plan;
  }

 private:
  static std::string words(const ingest::Value& value) {
    if (const auto* text = std::get_if<std::string>(&value)) return *text;
    if (const auto* whole = std::get_if<std::int64_t>(&value)) return fmt::format("{}", *whole);
    if (const auto* array = std::get_if<std::vector<double>>(&value)) return fmt::format("{}", fmt::join(*array, ","));
    if (const auto* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
    return fmt::format("{}", std::get<double>(value));
  }

  std::string pseudonym(const std::string& of) {
    if (auto known = known_.find(of); known != known_.end()) return known->second;
    std::string made = base::hmac_sha256_hex(settings_.key.reveal(), of).substr(0, kHexDigits);
    if (of.size() > kRememberedBytesMax) return made;
    if (known_.size() >= kRememberedMax) known_.clear();
    known_.emplace(of, made);
    return made;
  }

  Settings settings_;
  std::unordered_map<std::string, std::string> known_;
};

}  // namespace

std::unique_ptr<ingest::Step> make_pseudonymise(const config::Node& node, const ingest::StepContext&) {
  config::Map map = node.map();
  Settings settings;
  map.required("key");
  settings.key = map.secret("key");
  settings.device = map.boolean("device", false);
  settings.fields = ingest::read_patterns(map.get("fields"));
  settings.tags = ingest::read_patterns(map.get("tags"));
  map.done();
  if (!settings.key.empty() && settings.key.reveal().size() < kKeyBytesMin) {
    map.get("key").problem("is too short to keep a secret: at least 16 bytes, for example from `openssl rand -hex 32`");
  }
  if (!settings.device && settings.fields.empty() && settings.tags.empty()) {
    node.problem("names nothing; write { key: ${KEY}, device: true, fields: [operator], tags: [badge] }");
    return nullptr;
  }
  return std::make_unique<Pseudonymise>(std::move(settings));
}

}  // namespace penstock::ext::steps
