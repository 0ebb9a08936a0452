// Sparkplug B payloads and topics (Eclipse Sparkplug Specification 3.0.0, sections 4 and 6; field numbers of its
// published protobuf schema). Pure: bytes in, values out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

namespace penstock::mqtt::sparkplug {

// What a metric can be here: data sets, templates and files are left out.
using Value = std::variant<bool, std::int64_t, double, std::string, std::vector<double>>;

// Section 6.4.16 (DataType).
enum class DataType : std::uint32_t {
  unknown = 0,
  int8 = 1,
  int16 = 2,
  int32 = 3,
  int64 = 4,
  uint8 = 5,
  uint16 = 6,
  uint32 = 7,
  uint64 = 8,
  float32 = 9,
  float64 = 10,
  boolean = 11,
  string = 12,
  date_time = 13,
  text = 14,
  uuid = 15,
  bytes = 17,
  int8_array = 22,
  double_array = 31,
};

// A value as it came, before its type is known: data messages leave that to the birth.
struct RawBytes {
  std::string bytes;
};
using RawValue = std::variant<std::monostate, std::uint64_t, double, bool, std::string, RawBytes>;

struct Metric {
  std::string name;  // empty: named by its alias
  std::optional<std::uint64_t> alias;
  std::uint64_t timestamp_ms = 0;  // 0: the payload's
  DataType type = DataType::unknown;
  bool historical = false;
  bool null = false;
  RawValue value;
  std::string unit;            // the property engUnit
  std::optional<int> quality;  // the property Quality: 192 good, 0 bad, 500 stale
};

struct Payload {
  std::uint64_t timestamp_ms = 0;
  std::optional<std::uint64_t> sequence;  // 0 to 255
  std::vector<Metric> metrics;
};

constexpr std::size_t kMetricsMax = 10'000;  // of one payload

// Strict: text is UTF-8, nothing is cut short. Fields of other kinds are passed over. Errors: invalid_argument,
// out_of_range.
Result<Payload> decode(std::string_view bytes);
std::string encode(const Payload& payload);

// The value, read as `type`; nothing when it is null, of another kind, or of one that is left out.
std::optional<Value> value_of(const Metric& metric, DataType type);
DataType type_of(const Value& value);
RawValue raw(const Value& value);

enum class Kind : std::uint8_t { nbirth, ndeath, dbirth, ddeath, ndata, ddata, ncmd, dcmd };

// spBv1.0/GROUP/KIND/NODE[/DEVICE]
struct Topic {
  std::string group;
  Kind kind = Kind::ndata;
  std::string node;
  std::string device;  // empty: the node itself

  std::string text() const;
};
// Nothing for topics of other shapes, STATE messages of hosts among them.
std::optional<Topic> parse_topic(std::string_view topic);

constexpr std::string_view kNamespace = "spBv1.0";
constexpr std::string_view kRebirth = "Node Control/Rebirth";
constexpr std::string_view kBirthNumber = "bdSeq";

}  // namespace penstock::mqtt::sparkplug
