// One reading, or one reading's worth of readings, of one device at one moment.
#pragma once

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

// A raised or cleared alarm travels down the pipeline as the `alarm` of the sample that decided it.
struct AlarmChange {
  std::string pipeline;
  std::string name;
  std::string device;
  bool raised = false;               // false: cleared
  base::WallMicros at = 0;           // event time of the deciding sample
  std::string why;                   // the condition in words with the values that met it
  std::string severity = "warning";  // info, warning or critical
};

struct Sample {
  base::WallMicros event_time = 0;   // when it happened, by the source's clock
  base::WallMicros ingest_time = 0;  // when it reached us
  std::string device;                // who measured; the source's name when the source has one device
  Quality quality = Quality::good;
  std::vector<Field> fields;
  std::vector<std::pair<std::string, std::string>> tags;
  std::shared_ptr<const AlarmChange> alarm;

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
