// One reading, or one reading's worth of readings, of one device at one moment.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/clock.h"

namespace penstock::ingest {

// OPC UA's three classes. `bad` values are carried, so that a pipeline may decide.
enum class Quality : std::uint8_t { good, uncertain, bad };

// Arrays are what a window of one field or a model's output is.
using Value = std::variant<bool, std::int64_t, double, std::string, std::vector<double>>;

struct Field {
  std::string name;
  Value value;
  std::string unit;  // as written by the source or a map step ("degC", "mm/s"), empty when unknown
};

struct Sample;

// A raised or cleared alarm travels down the pipeline as the `alarm` of the sample that decided it.
struct AlarmChange {
  std::string pipeline;
  std::string name;
  std::string device;
  bool raised = false;               // false: cleared
  base::WallMicros at = 0;           // event time of the deciding sample
  std::string why;                   // the condition in words with the values that met it
  std::string severity = "warning";  // info, warning or critical
  // The fields and tags whose values `why` tells, as they were then. Only while it travels with its sample: nobody else
  // is told, and nothing is stored.
  std::shared_ptr<const Sample> grounds = {};
};

// Says when a sample is settled: what it became was delivered, stored durably or dropped by rule. Every sample made of
// it carries the receipt too; when the last of them is gone the receipt is destroyed, and that settles it. A gateway
// that stops abandons the receipts of what it could not deliver. Destroyed on any thread.
class Receipt {
 public:
  Receipt() = default;
  virtual ~Receipt() = default;
  Receipt(const Receipt&) = delete;
  Receipt& operator=(const Receipt&) = delete;
  void abandon() const { abandoned_.store(true, std::memory_order_relaxed); }
  bool abandoned() const { return abandoned_.load(std::memory_order_relaxed); }

 private:
  mutable std::atomic<bool> abandoned_{false};
};
using ReceiptPtr = std::shared_ptr<const Receipt>;

// For a sample made of several. Adding one to what the last one was joined with costs no memory.
class JoinedReceipts : public Receipt {
 public:
  ~JoinedReceipts() override {
    if (!abandoned()) return;
    for (const ReceiptPtr& one : parts) one->abandon();
  }
  std::vector<ReceiptPtr> parts;
};
// Null ones and repetitions of the last one are left out.
class ReceiptGatherer {
 public:
  void add(const ReceiptPtr& receipt) {
    if (receipt && (parts_.empty() || parts_.back() != receipt)) parts_.push_back(receipt);
  }
  // What was gathered stays.
  ReceiptPtr joined() const {
    if (parts_.empty()) return nullptr;
    if (parts_.size() == 1) return parts_.front();
    auto all = std::make_shared<JoinedReceipts>();
    all->parts = parts_;
    return all;
  }
  void clear() { parts_.clear(); }
  std::size_t size() const { return parts_.size(); }

 private:
  std::vector<ReceiptPtr> parts_;
};

// Where there is not room or time for all, the higher goes first and is dropped last.
enum class Priority : std::uint8_t { bulk, normal, alarm };

struct Sample {
  base::WallMicros event_time = 0;   // when it happened, by the source's clock
  base::WallMicros ingest_time = 0;  // when it reached us
  std::string device;                // who measured; the source's name when the source has one device
  Quality quality = Quality::good;
  std::vector<Field> fields;
  std::vector<std::pair<std::string, std::string>> tags;
  std::shared_ptr<const AlarmChange> alarm;
  // Together the sample's name: whoever has seen both has seen the sample. The first thing on disk that it comes to
  // gives it, the journal of its source or else the buffer of its sink, and it stays the same however often that offers
  // it. Where one sample becomes several, `origin` says on which way (origin.h). 0: none.
  std::uint64_t sequence = 0;
  std::shared_ptr<const std::string> origin;
  std::uint64_t position = 0;  // in the log that handed it out, for its reader; 0: it is under way
  Priority priority = Priority::normal;
  ReceiptPtr receipt;

  // For what a step makes of several samples, or beside the one that goes on.
  void forget_name() {
    sequence = 0;
    origin.reset();
  }
  // Null when absent. Linear: samples have a handful of fields.
  const Field* find(std::string_view name) const {
    for (const Field& field : fields) {
      if (field.name == name) return &field;
    }
    return nullptr;
  }
  void set(std::string_view name, Value value, std::string_view unit = {}) {
    for (Field& field : fields) {
      if (field.name != name) continue;
      field.value = std::move(value);
      field.unit = unit;
      return;
    }
    fields.push_back({std::string(name), std::move(value), std::string(unit)});
  }
};

}  // namespace penstock::ingest
