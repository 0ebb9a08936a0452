#include "ext/steps/dedupe/dedupe.h"

#include <deque>
#include <unordered_set>

#include "ingest/device_table.h"
#include "ingest/expr.h"
#include "ingest/field_access.h"

namespace penstock::ext::steps {
namespace {

using base::WallMicros;
using ingest::Sample;

// Keys remembered per device, and over all devices.
constexpr std::size_t kKeysPerDeviceMax = 4096;
constexpr std::size_t kKeysMax = 1'000'000;
constexpr std::size_t kDeviceBytes = 1024;  // without its keys
constexpr std::size_t kKeyBytes = 64;       // with its node and its place in the line

struct Seen {
  std::unordered_set<std::uint64_t> keys;
  std::deque<std::pair<WallMicros, std::uint64_t>> line;  // in the order they came
};

void mix(std::uint64_t& hash, std::uint64_t with) {
  // The finaliser of splitmix64 over both.
  hash ^= with + 0x9e3779b97f4a7c15ULL + (hash << 6) + (hash >> 2);
  hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9ULL;
  hash = (hash ^ (hash >> 27)) * 0x94d049bb133111ebULL;
  hash ^= hash >> 31;
}

std::uint64_t hash_of(const ingest::Value& value) {
  struct Visitor {
    std::uint64_t operator()(bool flag) const { return flag ? 2 : 1; }
    std::uint64_t operator()(std::int64_t number) const { return std::hash<double>{}(static_cast<double>(number)); }
    std::uint64_t operator()(double number) const { return std::hash<double>{}(number); }
    std::uint64_t operator()(const std::string& text) const { return std::hash<std::string>{}(text); }
    std::uint64_t operator()(const std::vector<double>& array) const {
      std::uint64_t hash = array.size();
      for (double one : array) mix(hash, std::hash<double>{}(one));
      return hash;
    }
  };
  return std::visit(Visitor{}, value);
}

// What an alarm adds to the key of its sample: the sample may have gone by without it before, when a hold ends in
// silence, or with another one.
void mix_alarm(std::uint64_t& hash, const ingest::AlarmChange& alarm) {
  for (const std::string* text : {&alarm.pipeline, &alarm.name, &alarm.device}) {
    mix(hash, std::hash<std::string>{}(*text));
  }
  mix(hash, static_cast<std::uint64_t>(alarm.at) * 2 + (alarm.raised ? 1 : 0));
}

// Event time and every field, in any order.
std::uint64_t content_of(const Sample& sample) {
  std::uint64_t hash = static_cast<std::uint64_t>(sample.event_time);
  std::uint64_t fields = 0;
  for (const ingest::Field& field : sample.fields) {
    std::uint64_t one = std::hash<std::string>{}(field.name);
    mix(one, hash_of(field.value));
    fields += one;
  }
  mix(hash, fields);
  return hash;
}

class Dedupe : public ingest::Step {
 public:
  Dedupe(WallMicros within, std::optional<ingest::Expression> key, ingest::StepContext context)
      : within_(within), key_(std::move(key)), context_(std::move(context)) {}

  void push(Sample sample, ingest::Output& out) override {
    auto key = key_of(sample);
    if (!key) return out.emit(std::move(sample));
    if (sample.alarm) mix_alarm(*key, *sample.alarm);
    Seen& seen = devices_.at(sample.device, [this](auto& oldest) { keys_ -= oldest.state.line.size(); });
    while (!seen.line.empty() && (sample.ingest_time - seen.line.front().first > within_ ||
                                  seen.line.size() >= kKeysPerDeviceMax || keys_ >= kKeysMax)) {
      seen.keys.erase(seen.line.front().second);
      seen.line.pop_front();
      --keys_;
    }
    if (!seen.keys.insert(*key).second) return context_.drop();
    seen.line.emplace_back(sample.ingest_time, *key);
    ++keys_;
    out.emit(std::move(sample));
  }

  void adopt(Step& before) override {
    auto* other = dynamic_cast<Dedupe*>(&before);
    const bool same_key = other != nullptr && (key_ ? key_->text() : "") == (other->key_ ? other->key_->text() : "");
    if (!same_key) return;
    devices_ = std::move(other->devices_);
    keys_ = std::exchange(other->keys_, 0);
  }

  ingest::StepPlan plan(const ingest::Shape& in) const override {
    ingest::StepPlan plan{.out = in,
                          .memory_bytes_max = kKeysMax * kKeyBytes + ingest::kDevicesPerStepMax * kDeviceBytes,
                          .problems = {}};
    if (key_) key_->gives(in, plan);
    return plan;
  }

 private:
  // Nothing when the key's value is null: such a sample is no duplicate of another.
  std::optional<std::uint64_t> key_of(const Sample& sample) const {
    if (!key_) return content_of(sample);
    const auto value = ingest::to_value(key_->evaluate(sample));
    return value ? std::optional<std::uint64_t>(hash_of(*value)) : std::nullopt;
  }

  WallMicros within_;
  std::optional<ingest::Expression> key_;
  ingest::StepContext context_;
  ingest::DeviceTable<Seen> devices_;
  std::size_t keys_ = 0;  // over all devices
};

}  // namespace

std::unique_ptr<ingest::Step> make_dedupe(const config::Node& node, const ingest::StepContext& context) {
  using namespace std::chrono_literals;
  config::Map map = node.map();
  const base::Duration within = map.duration("within", 10min);
  std::optional<ingest::Expression> key;
  const config::Node written = map.get("key");
  if (written.present()) key = ingest::Expression::compile(written);
  map.done();
  if (within <= base::Duration{}) map.get("within").problem("must be more than nothing");
  if (written.present() && !key) return nullptr;
  return std::make_unique<Dedupe>(std::chrono::duration_cast<std::chrono::microseconds>(within).count(), std::move(key),
                                  context);
}

}  // namespace penstock::ext::steps
