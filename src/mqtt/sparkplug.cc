#include "mqtt/sparkplug.h"

#include <fmt/format.h>

#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <protozero/exception.hpp>
#include <protozero/pbf_reader.hpp>
#include <protozero/pbf_writer.hpp>

#include "wire/utf8.h"

namespace penstock::mqtt::sparkplug {
namespace {

using protozero::pbf_reader;
using protozero::pbf_wire_type;
using protozero::pbf_writer;

// Field numbers of the schema, by message.
namespace payload {
constexpr std::uint32_t kTimestamp = 1, kMetrics = 2, kSequence = 3;
}
namespace metric {
constexpr std::uint32_t kName = 1, kAlias = 2, kTimestamp = 3, kType = 4, kHistorical = 5, kNull = 7, kProperties = 9,
                        kInt = 10, kLong = 11, kFloat = 12, kDouble = 13, kBoolean = 14, kString = 15, kBytes = 16;
}
namespace property {
constexpr std::uint32_t kKeys = 1, kValues = 2;
constexpr std::uint32_t kType = 1, kInt = 3, kLong = 4, kString = 8;
}  // namespace property
constexpr std::size_t kPropertiesMax = 100;
constexpr std::string_view kUnit = "engUnit";
constexpr std::string_view kQuality = "Quality";

constexpr std::uint32_t varint(std::uint32_t tag) { return protozero::tag_and_type(tag, pbf_wire_type::varint); }
constexpr std::uint32_t bytes(std::uint32_t tag) {
  return protozero::tag_and_type(tag, pbf_wire_type::length_delimited);
}
constexpr std::uint32_t four(std::uint32_t tag) { return protozero::tag_and_type(tag, pbf_wire_type::fixed32); }
constexpr std::uint32_t eight(std::uint32_t tag) { return protozero::tag_and_type(tag, pbf_wire_type::fixed64); }

// pbf_reader::get_bool() looks at a byte before it knows that there is one.
bool truth_of(pbf_reader& field) { return field.get_uint64() != 0; }

// What is thrown here is caught in decode().
struct Malformed {
  Error error;
};

std::string text_of(pbf_reader& field) {
  const protozero::data_view view = field.get_view();
  wire::Utf8Validator validator;
  if (!validator.feed({view.data(), view.size()}) || !validator.complete())
    throw Malformed{{Errc::invalid_argument, "a text of the Sparkplug payload is not UTF-8"}};
  return {view.data(), view.size()};
}

// One value of a property set, as far as it is a number or a text.
struct PropertyValue {
  std::uint64_t number = 0;
  std::string text;
};
PropertyValue read_property(pbf_reader from) {
  PropertyValue value;
  while (from.next()) {
    switch (from.tag_and_type()) {
      case varint(property::kInt): value.number = from.get_uint32(); break;
      case varint(property::kLong): value.number = from.get_uint64(); break;
      case bytes(property::kString): value.text = text_of(from); break;
      default: from.skip();
    }
  }
  return value;
}

void read_properties(pbf_reader from, Metric& metric) {
  std::vector<std::string> keys;
  std::vector<PropertyValue> values;
  while (from.next()) {
    if (keys.size() > kPropertiesMax || values.size() > kPropertiesMax)
      throw Malformed{{Errc::out_of_range, "a metric of the Sparkplug payload has too many properties"}};
    switch (from.tag_and_type()) {
      case bytes(property::kKeys): keys.push_back(text_of(from)); break;
      case bytes(property::kValues): values.push_back(read_property(from.get_message())); break;
      default: from.skip();
    }
  }
  for (std::size_t i = 0; i < std::min(keys.size(), values.size()); ++i) {
    if (keys[i] == kUnit) metric.unit = std::move(values[i].text);
    if (keys[i] == kQuality) metric.quality = static_cast<int>(values[i].number & 0xffff);
  }
}

Metric read_metric(pbf_reader from) {
  Metric out;
  while (from.next()) {
    switch (from.tag_and_type()) {
      case bytes(metric::kName): out.name = text_of(from); break;
      case varint(metric::kAlias): out.alias = from.get_uint64(); break;
      case varint(metric::kTimestamp): out.timestamp_ms = from.get_uint64(); break;
      case varint(metric::kType): out.type = static_cast<DataType>(from.get_uint32()); break;
      case varint(metric::kHistorical): out.historical = truth_of(from); break;
      case varint(metric::kNull): out.null = truth_of(from); break;
      case bytes(metric::kProperties): read_properties(from.get_message(), out); break;
      case varint(metric::kInt): out.value = std::uint64_t{from.get_uint32()}; break;
      case varint(metric::kLong): out.value = from.get_uint64(); break;
      case four(metric::kFloat): out.value = static_cast<double>(from.get_float()); break;
      case eight(metric::kDouble): out.value = from.get_double(); break;
      case varint(metric::kBoolean): out.value = truth_of(from); break;
      case bytes(metric::kString): out.value = text_of(from); break;
      case bytes(metric::kBytes): out.value = RawBytes{from.get_bytes()}; break;
      default: from.skip();
    }
  }
  return out;
}

Payload read_payload(std::string_view from) {
  Payload out;
  pbf_reader reader(from.data(), from.size());
  while (reader.next()) {
    switch (reader.tag_and_type()) {
      case varint(payload::kTimestamp): out.timestamp_ms = reader.get_uint64(); break;
      case varint(payload::kSequence): out.sequence = reader.get_uint64(); break;
      case bytes(payload::kMetrics):
        if (out.metrics.size() >= kMetricsMax)
          throw Malformed{
              {Errc::out_of_range, fmt::format("the Sparkplug payload has more than {} metrics", kMetricsMax)}};
        out.metrics.push_back(read_metric(reader.get_message()));
        break;
      default: reader.skip();
    }
  }
  return out;
}

void write_properties(const Metric& from, pbf_writer& to) {
  if (from.unit.empty() && !from.quality) return;
  pbf_writer set(to, metric::kProperties);
  if (!from.unit.empty()) set.add_string(property::kKeys, std::string(kUnit));
  if (from.quality) set.add_string(property::kKeys, std::string(kQuality));
  if (!from.unit.empty()) {
    pbf_writer value(set, property::kValues);
    value.add_uint32(property::kType, static_cast<std::uint32_t>(DataType::string));
    value.add_string(property::kString, from.unit);
  }
  if (from.quality) {
    pbf_writer value(set, property::kValues);
    value.add_uint32(property::kType, static_cast<std::uint32_t>(DataType::int32));
    value.add_uint32(property::kInt, static_cast<std::uint32_t>(*from.quality));
  }
}

void write_value(const Metric& from, pbf_writer& to) {
  if (const auto* number = std::get_if<std::uint64_t>(&from.value)) {
    // Section 6.4.16: up to 32 bits in one field, more in the other.
    const bool is_long = from.type == DataType::int64 || from.type == DataType::uint64 ||
                         from.type == DataType::date_time || *number > std::numeric_limits<std::uint32_t>::max();
    if (is_long) return to.add_uint64(metric::kLong, *number);
    return to.add_uint32(metric::kInt, static_cast<std::uint32_t>(*number));
  }
  if (const auto* real = std::get_if<double>(&from.value)) {
    if (from.type == DataType::float32) return to.add_float(metric::kFloat, static_cast<float>(*real));
    return to.add_double(metric::kDouble, *real);
  }
  if (const auto* flag = std::get_if<bool>(&from.value)) return to.add_bool(metric::kBoolean, *flag);
  if (const auto* text = std::get_if<std::string>(&from.value)) return to.add_string(metric::kString, *text);
  if (const auto* array = std::get_if<RawBytes>(&from.value)) to.add_bytes(metric::kBytes, array->bytes);
}

void write_metric(const Metric& from, pbf_writer to) {
  if (!from.name.empty()) to.add_string(metric::kName, from.name);
  if (from.alias) to.add_uint64(metric::kAlias, *from.alias);
  if (from.timestamp_ms != 0) to.add_uint64(metric::kTimestamp, from.timestamp_ms);
  if (from.type != DataType::unknown) to.add_uint32(metric::kType, static_cast<std::uint32_t>(from.type));
  if (from.historical) to.add_bool(metric::kHistorical, true);
  if (from.null) to.add_bool(metric::kNull, true);
  write_properties(from, to);
  if (!from.null) write_value(from, to);
}

// Signed values are two's complement in an unsigned field, in their own width or wider.
std::optional<Value> integer_of(std::uint64_t raw_value, DataType type) {
  switch (type) {
    case DataType::int8: return std::int64_t{static_cast<std::int8_t>(raw_value)};
    case DataType::int16: return std::int64_t{static_cast<std::int16_t>(raw_value)};
    case DataType::int32: return std::int64_t{static_cast<std::int32_t>(raw_value)};
    case DataType::int64: return static_cast<std::int64_t>(raw_value);
    case DataType::boolean: return raw_value != 0;
    default: break;
  }
  if (raw_value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
    return static_cast<double>(raw_value);
  return static_cast<std::int64_t>(raw_value);
}

template <class Number>
std::vector<double> numbers_of(std::string_view from) {
  std::vector<double> out;
  out.reserve(from.size() / sizeof(Number));
  for (std::size_t at = 0; at + sizeof(Number) <= from.size(); at += sizeof(Number)) {
    Number one;
    std::memcpy(&one, from.data() + at, sizeof one);  // little-endian, as are we
    out.push_back(static_cast<double>(one));
  }
  return out;
}

// Section 6.4.17: the numbers one after the other.
std::optional<Value> array_of(std::string_view from, DataType type) {
  switch (static_cast<std::uint32_t>(type)) {
    case 22: return numbers_of<std::int8_t>(from);
    case 23: return numbers_of<std::int16_t>(from);
    case 24: return numbers_of<std::int32_t>(from);
    case 25: return numbers_of<std::int64_t>(from);
    case 26: return numbers_of<std::uint8_t>(from);
    case 27: return numbers_of<std::uint16_t>(from);
    case 28: return numbers_of<std::uint32_t>(from);
    case 29: return numbers_of<std::uint64_t>(from);
    case 30: return numbers_of<float>(from);
    case 31: return numbers_of<double>(from);
    default: return std::nullopt;
  }
}
static_assert(std::endian::native == std::endian::little);

constexpr std::array<std::string_view, 8> kKinds{"NBIRTH", "NDEATH", "DBIRTH", "DDEATH",
                                                 "NDATA",  "DDATA",  "NCMD",   "DCMD"};

}  // namespace

Result<Payload> decode(std::string_view from) {
  try {
    return read_payload(from);
  } catch (const Malformed& malformed) {
    return std::unexpected(malformed.error);
  } catch (const protozero::exception& broken) {
    return fail(Errc::invalid_argument, fmt::format("no Sparkplug B payload: {}", broken.what()));
  }
}

std::string encode(const Payload& from) {
  std::string out;
  pbf_writer writer(out);
  writer.add_uint64(payload::kTimestamp, from.timestamp_ms);
  for (const Metric& one : from.metrics) write_metric(one, pbf_writer(writer, payload::kMetrics));
  if (from.sequence) writer.add_uint64(payload::kSequence, *from.sequence);
  return out;
}

std::optional<Value> value_of(const Metric& metric, DataType type) {
  if (metric.null) return std::nullopt;
  if (const auto* number = std::get_if<std::uint64_t>(&metric.value)) return integer_of(*number, type);
  if (const auto* real = std::get_if<double>(&metric.value)) return *real;
  if (const auto* flag = std::get_if<bool>(&metric.value)) return *flag;
  if (const auto* text = std::get_if<std::string>(&metric.value)) return *text;
  if (const auto* array = std::get_if<RawBytes>(&metric.value)) return array_of(array->bytes, type);
  return std::nullopt;
}

DataType type_of(const Value& value) {
  constexpr std::array kTypes{DataType::boolean, DataType::int64, DataType::float64, DataType::string,
                              DataType::double_array};
  return kTypes[value.index()];
}

RawValue raw(const Value& value) {
  if (const auto* flag = std::get_if<bool>(&value)) return *flag;
  if (const auto* integer = std::get_if<std::int64_t>(&value)) return static_cast<std::uint64_t>(*integer);
  if (const auto* real = std::get_if<double>(&value)) return *real;
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  const auto& array = std::get<std::vector<double>>(value);
  return RawBytes{std::string(reinterpret_cast<const char*>(array.data()), array.size() * sizeof(double))};
}

std::string Topic::text() const {
  return fmt::format("{}/{}/{}/{}{}{}", kNamespace, group, kKinds[static_cast<std::size_t>(kind)], node,
                     device.empty() ? "" : "/", device);
}

std::optional<Topic> parse_topic(std::string_view topic) {
  std::vector<std::string_view> levels;
  for (std::size_t from = 0; from <= topic.size();) {
    const std::size_t end = std::min(topic.find('/', from), topic.size());
    levels.push_back(topic.substr(from, end - from));
    from = end + 1;
  }
  if (levels.size() < 4 || levels.size() > 5 || levels[0] != kNamespace) return std::nullopt;
  const auto kind = std::find(kKinds.begin(), kKinds.end(), levels[2]);
  if (kind == kKinds.end() || levels[1].empty() || levels[3].empty()) return std::nullopt;
  const bool of_device = levels[2].starts_with('D');
  if (of_device != (levels.size() == 5) || (of_device && levels[4].empty())) return std::nullopt;
  return Topic{std::string(levels[1]), static_cast<Kind>(kind - kKinds.begin()), std::string(levels[3]),
               of_device ? std::string(levels[4]) : std::string()};
}

}  // namespace penstock::mqtt::sparkplug
