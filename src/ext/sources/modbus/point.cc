#include "ext/sources/modbus/point.h"

#include <fmt/format.h>

#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <limits>

#include "ingest/field_access.h"
#include "json/value.h"

namespace penstock::ext::modbus {
namespace {

struct TypeFacts {
  std::string_view name;
  Type type;
  std::uint16_t registers;
};

constexpr std::array<TypeFacts, 12> kTypes{{{"bool", Type::bit, 1},
                                            {"u16", Type::u16, 1},
                                            {"i16", Type::i16, 1},
                                            {"u32", Type::u32, 2},
                                            {"i32", Type::i32, 2},
                                            {"u64", Type::u64, 4},
                                            {"i64", Type::i64, 4},
                                            {"f32", Type::f32, 2},
                                            {"f64", Type::f64, 4},
                                            {"bcd16", Type::bcd16, 1},
                                            {"bcd32", Type::bcd32, 2},
                                            {"text", Type::text, 1}}};

const TypeFacts& facts(Type type) {
  for (const TypeFacts& one : kTypes) {
    if (one.type == type) return one;
  }
  return kTypes[1];
}

std::string type_names() {
  std::vector<std::string_view> names;
  for (const TypeFacts& one : kTypes) names.push_back(one.type == Type::text ? "text16" : one.name);
  return fmt::format("{}", fmt::join(names, ", "));
}

Result<std::uint32_t> parse_number(std::string_view digits, std::string_view whole) {
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (digits.empty() || error != std::errc() || end != digits.data() + digits.size()) {
    return fail(Errc::invalid_argument, fmt::format("'{}' is no address; write c17, d10003, i30001 or h40001", whole));
  }
  return number;
}

// The digits in front of five- and six-digit numbers (40001, 400001), by table.
std::uint32_t leading(Table table) {
  switch (table) {
    case Table::coils: return 0;
    case Table::discrete_inputs: return 1;
    case Table::input_registers: return 3;
    case Table::holding_registers: return 4;
  }
  return 0;
}

Result<std::uint16_t> parse_address(std::string_view text, Table table) {
  std::string_view digits = text.substr(1);
  const bool wire = digits.starts_with('#');
  if (wire) digits.remove_prefix(1);
  auto number = parse_number(digits, text);
  if (!number) return std::unexpected(number.error());
  std::uint32_t address = *number;
  if (!wire) {
    const std::uint32_t long_base = leading(table) * 100'000;
    const std::uint32_t short_base = leading(table) * 10'000;
    if (digits.size() == 6 && address > long_base && leading(table) > 0) {
      address -= long_base;
    } else if (digits.size() == 5 && address > short_base && address <= short_base + 9'999) {
      address -= short_base;
    }
    if (address == 0)
      return fail(Errc::invalid_argument,
                  fmt::format("'{}': numbers begin with 1; {}#0 is the address on the wire", text, text.front()));
    --address;
  }
  if (address > 65'535)
    return fail(Errc::out_of_range, fmt::format("'{}': the last address is {}#65535", text, text.front()));
  return static_cast<std::uint16_t>(address);
}

Result<void> parse_place(std::string_view text, Point& point) {
  constexpr std::string_view kLetters = "cdhi";
  constexpr std::array<Table, 4> kTables{Table::coils, Table::discrete_inputs, Table::holding_registers,
                                         Table::input_registers};
  const std::size_t letter = text.empty() ? std::string_view::npos : kLetters.find(text.front());
  if (letter == std::string_view::npos) {
    return fail(Errc::invalid_argument, fmt::format("'{}' is no address; write c17, d10003, i30001 or h40001", text));
  }
  point.table = kTables[letter];
  const std::size_t dot = text.find('.');
  if (dot != std::string_view::npos) {
    auto bit = parse_number(text.substr(dot + 1), text);
    if (!bit) return std::unexpected(bit.error());
    if (*bit > 15 || has_bits(point.table)) {
      return fail(Errc::invalid_argument, fmt::format("'{}': only registers have bits, 0 to 15", text));
    }
    point.bit = static_cast<int>(*bit);
  }
  auto address = parse_address(text.substr(0, dot), point.table);
  if (!address) return std::unexpected(address.error());
  point.address = *address;
  return {};
}

// "f32x4.cdab", "text16": the type, how many, and the order.
Result<void> parse_type(std::string_view text, Point& point) {
  const std::size_t dot = text.find('.');
  const std::string_view whole = text.substr(0, dot);
  constexpr std::string_view kText = "text";
  const bool is_text = whole.starts_with(kText);
  const std::size_t x = is_text ? std::string_view::npos : whole.find('x');
  const std::string_view name = is_text ? kText : whole.substr(0, x);
  const TypeFacts* found = nullptr;
  for (const TypeFacts& one : kTypes) found = one.name == name ? &one : found;
  if (found == nullptr) {
    return fail(Errc::invalid_argument, fmt::format("'{}' is no type; there are {}", name, type_names()));
  }
  point.type = found->type;
  const bool counted = is_text || x != std::string_view::npos;
  const std::string_view digits = is_text ? whole.substr(kText.size()) : counted ? whole.substr(x + 1) : "1";
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), point.count);
  if (digits.empty() || error != std::errc() || end != digits.data() + digits.size() || point.count == 0) {
    return fail(Errc::invalid_argument,
                fmt::format("'{}': {}", text,
                            is_text ? "a text says how many bytes it has: text16" : "how many is written u16x8"));
  }
  if (dot == std::string_view::npos) return {};
  auto order = parse_order(text.substr(dot + 1));
  if (!order) return std::unexpected(order.error());
  point.order = *order;
  return {};
}

Result<void> check(const Point& point) {
  const bool single = has_bits(point.table) || point.bit >= 0;
  if (single && point.type != Type::bit) return fail(Errc::invalid_argument, "a bit is a bool");
  if (!single && point.type == Type::bit)
    return fail(Errc::invalid_argument, "a register is no bool: name its bit, as h40010.3");
  if (point.bit >= 0 && point.count > 1) return fail(Errc::invalid_argument, "bits of a register are read one by one");
  const std::uint32_t most = has_bits(point.table) ? 2000 : 125;
  const std::uint32_t width =
      point.type == Type::text ? (point.count + 1U) / 2 : facts(point.type).registers * std::uint32_t{point.count};
  if (width > most)
    return fail(Errc::out_of_range, fmt::format("takes more than {} {}, which one request can read", most,
                                                has_bits(point.table) ? "bits" : "registers"));
  if (point.address + width > 65'536) return fail(Errc::out_of_range, "reaches beyond the last address");
  const bool read_only = point.table == Table::discrete_inputs || point.table == Table::input_registers;
  if (point.writable && read_only)
    return fail(Errc::invalid_argument, "inputs cannot be written; rw is for coils and holding registers");
  return {};
}

// The bytes of one number, most significant first.
template <std::size_t N>
std::uint64_t gather(std::span<const std::uint16_t> words, Order order) {
  const bool turn_words = order == Order::cdab || order == Order::dcba;
  const bool turn_bytes = order == Order::badc || order == Order::dcba;
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < N; ++i) {
    std::uint16_t word = words[turn_words ? N - 1 - i : i];
    if (turn_bytes) word = static_cast<std::uint16_t>((word << 8) | (word >> 8));
    bits = (bits << 16) | word;
  }
  return bits;
}

void scatter(std::uint64_t bits, std::size_t registers, Order order, std::vector<std::uint16_t>& out) {
  const bool turn_words = order == Order::cdab || order == Order::dcba;
  const bool turn_bytes = order == Order::badc || order == Order::dcba;
  for (std::size_t i = 0; i < registers; ++i) {
    const std::size_t from_top = turn_words ? registers - 1 - i : i;
    auto word = static_cast<std::uint16_t>(bits >> (16 * (registers - 1 - from_top)));
    if (turn_bytes) word = static_cast<std::uint16_t>((word << 8) | (word >> 8));
    out.push_back(word);
  }
}

// NaN for a digit above 9.
double from_bcd(std::uint64_t bits, int digits) {
  double value = 0;
  for (int i = digits - 1; i >= 0; --i) {
    const auto digit = (bits >> (4 * i)) & 0xf;
    if (digit > 9) return std::nan("");
    value = value * 10 + static_cast<double>(digit);
  }
  return value;
}

std::uint64_t to_bcd(std::uint64_t value) {
  std::uint64_t bits = 0;
  for (int i = 0; value > 0; ++i, value /= 10) bits |= (value % 10) << (4 * i);
  return bits;
}

// As a whole number where it is one, so that counters keep all their digits.
using Raw = std::variant<std::int64_t, double>;

Raw raw_of(const Point& point, std::span<const std::uint16_t> words) {
  switch (point.type) {
    case Type::i16: return std::int64_t{static_cast<std::int16_t>(gather<1>(words, point.order))};
    case Type::u32: return static_cast<std::int64_t>(gather<2>(words, point.order));
    case Type::i32: return std::int64_t{static_cast<std::int32_t>(gather<2>(words, point.order))};
    case Type::i64: return static_cast<std::int64_t>(gather<4>(words, point.order));
    case Type::f32:
      return static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(gather<2>(words, point.order))));
    case Type::f64: return std::bit_cast<double>(gather<4>(words, point.order));
    case Type::bcd16: return from_bcd(gather<1>(words, point.order), 4);
    case Type::bcd32: return from_bcd(gather<2>(words, point.order), 8);
    case Type::u64: {
      const std::uint64_t value = gather<4>(words, point.order);
      if (value > std::numeric_limits<std::int64_t>::max()) return static_cast<double>(value);
      return static_cast<std::int64_t>(value);
    }
    case Type::bit:
    case Type::text:
    case Type::u16: break;
  }
  return static_cast<std::int64_t>(gather<1>(words, point.order));
}

// What older devices hold where they go beyond ASCII.
std::string from_latin1(std::string_view text) {
  std::string utf8;
  for (const char one : text) {
    const auto byte = static_cast<unsigned char>(one);
    if (byte < 0x80) {
      utf8 += one;
    } else {
      utf8 += static_cast<char>(0xc0 | byte >> 6);
      utf8 += static_cast<char>(0x80 | (byte & 0x3f));
    }
  }
  return utf8;
}

std::string text_of(const Point& point, std::span<const std::uint16_t> words) {
  const bool turned = point.order == Order::badc || point.order == Order::dcba;
  std::string text;
  for (std::uint16_t word : words) {
    const char high = static_cast<char>(word >> 8);
    const char low = static_cast<char>(word & 0xff);
    text += turned ? low : high;
    text += turned ? high : low;
  }
  text.resize(std::min<std::size_t>(text.size(), point.count));
  text.resize(std::min(text.find('\0'), text.size()));
  while (text.ends_with(' ')) text.pop_back();
  return json::is_valid_utf8(text) ? text : from_latin1(text);
}

struct Bounds {
  double least;
  double most;
};

std::optional<Bounds> bounds(Type type) {
  switch (type) {
    case Type::u16: return Bounds{0, 65535};
    case Type::i16: return Bounds{-32768, 32767};
    case Type::u32: return Bounds{0, 4294967295.0};
    case Type::i32: return Bounds{-2147483648.0, 2147483647.0};
    case Type::u64: return Bounds{0, 18446744073709549568.0};
    case Type::i64: return Bounds{-9223372036854775808.0, 9223372036854774784.0};
    case Type::bcd16: return Bounds{0, 9999};
    case Type::bcd32: return Bounds{0, 99999999};
    default: return std::nullopt;
  }
}

Result<std::uint64_t> bits_of(const Point& point, const ingest::Value& value) {
  const auto* whole = std::get_if<std::int64_t>(&value);
  const bool exact = whole != nullptr && point.scale == 1 && point.offset == 0;
  if (exact && point.type == Type::i64) return static_cast<std::uint64_t>(*whole);
  if (exact && point.type == Type::u64 && *whole >= 0) return static_cast<std::uint64_t>(*whole);
  const double raw = (ingest::number_of(value) - point.offset) / point.scale;
  if (!std::isfinite(raw)) return fail(Errc::invalid_argument, fmt::format("'{}' takes a number", point.name));
  if (point.type == Type::f64) return std::bit_cast<std::uint64_t>(raw);
  if (point.type == Type::f32) {
    const auto narrow = static_cast<float>(raw);
    if (!std::isfinite(narrow))
      return fail(Errc::out_of_range, fmt::format("{} is too large for '{}' (f32)", raw, point.name));
    return std::bit_cast<std::uint32_t>(narrow);
  }
  const auto range = bounds(point.type);
  const double rounded = std::round(raw);
  if (!range || rounded < range->least || rounded > range->most) {
    return fail(Errc::out_of_range,
                fmt::format("{} does not fit '{}' ({})", rounded, point.name, facts(point.type).name));
  }
  if (rounded < 0) return static_cast<std::uint64_t>(static_cast<std::int64_t>(rounded));
  const auto positive = static_cast<std::uint64_t>(rounded);
  return point.type == Type::bcd16 || point.type == Type::bcd32 ? to_bcd(positive) : positive;
}

Result<std::vector<std::uint16_t>> encode_text(const Point& point, const std::string& text) {
  if (text.size() > point.count) {
    return fail(Errc::out_of_range,
                fmt::format("the text has {} bytes, '{}' takes {}", text.size(), point.name, point.count));
  }
  std::string padded = text;
  padded.resize(std::size_t{point.width()} * 2, '\0');
  const bool turned = point.order == Order::badc || point.order == Order::dcba;
  std::vector<std::uint16_t> words;
  for (std::size_t i = 0; i < padded.size(); i += 2) {
    const auto first = static_cast<unsigned char>(padded[i]);
    const auto second = static_cast<unsigned char>(padded[i + 1]);
    words.push_back(static_cast<std::uint16_t>(turned ? second << 8 | first : first << 8 | second));
  }
  return words;
}

}  // namespace

std::uint16_t Point::width() const {
  if (type == Type::text) return static_cast<std::uint16_t>((count + 1) / 2);
  return static_cast<std::uint16_t>(facts(type).registers * count);
}

ingest::FieldType Point::field_type() const {
  using Kind = ingest::FieldType::Kind;
  if (type == Type::text) return {Kind::text, unit};
  if (count > 1) return {Kind::array, unit};
  return {type == Type::bit ? Kind::boolean : Kind::number, unit};
}

Result<Order> parse_order(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, Order>, 4> kOrders{
      {{"abcd", Order::abcd}, {"cdab", Order::cdab}, {"badc", Order::badc}, {"dcba", Order::dcba}}};
  for (const auto& [name, order] : kOrders) {
    if (name == text) return order;
  }
  return fail(
      Errc::invalid_argument,
      fmt::format("'{}' is no order of bytes; there are abcd (as the protocol has it), cdab, badc and dcba", text));
}

Result<void> parse_point(std::string_view text, Point& point) {
  std::size_t colon = text.find(':');
  if (auto place = parse_place(text.substr(0, colon), point); !place) return place;
  if (has_bits(point.table) || point.bit >= 0) point.type = Type::bit;
  bool typed = false;
  while (colon != std::string_view::npos) {
    const std::size_t next = text.find(':', colon + 1);
    const std::string_view part = text.substr(colon + 1, next == std::string_view::npos ? next : next - colon - 1);
    colon = next;
    if (part == "rw") {
      point.writable = true;
      continue;
    }
    if (std::exchange(typed, true))
      return fail(Errc::invalid_argument, fmt::format("'{}' names more than one type", text));
    if (auto type = parse_type(part, point); !type) return type;
  }
  if (auto checked = check(point); !checked) {
    return fail(checked.error().code, fmt::format("'{}': {}", text, checked.error().detail));
  }
  return {};
}

std::optional<ingest::Value> decode(const Point& point, std::span<const std::uint16_t> words) {
  if (words.size() < point.width()) return std::nullopt;
  words = words.first(point.width());
  if (point.bit >= 0) return ingest::Value((words[0] >> point.bit & 1) != 0);
  if (point.type == Type::text) return ingest::Value(text_of(point, words));
  if (point.type == Type::bit && point.count == 1) return ingest::Value(words[0] != 0);
  const bool scaled = point.scale != 1 || point.offset != 0;
  const std::size_t each = facts(point.type).registers;
  std::vector<double> many;
  for (std::size_t i = 0; i < point.count; ++i) {
    const Raw raw =
        point.type == Type::bit ? Raw(std::int64_t{words[i] != 0}) : raw_of(point, words.subspan(i * each, each));
    const auto* whole = std::get_if<std::int64_t>(&raw);
    if (point.count == 1 && whole != nullptr && !scaled) return ingest::Value(*whole);
    const double number = whole != nullptr ? static_cast<double>(*whole) : std::get<double>(raw);
    const double value = number * point.scale + point.offset;
    if (!std::isfinite(value)) return std::nullopt;
    if (point.count == 1) return ingest::Value(value);
    many.push_back(value);
  }
  return ingest::Value(std::move(many));
}

Result<std::vector<std::uint16_t>> encode(const Point& point, const ingest::Value& value) {
  if (point.type == Type::text) {
    const auto* text = std::get_if<std::string>(&value);
    if (text == nullptr) return fail(Errc::invalid_argument, fmt::format("'{}' takes a text", point.name));
    return encode_text(point, *text);
  }
  std::vector<ingest::Value> values;
  if (const auto* array = std::get_if<std::vector<double>>(&value)) {
    values.assign(array->begin(), array->end());
  } else {
    values.push_back(value);
  }
  if (values.size() != point.count) {
    return fail(Errc::invalid_argument,
                fmt::format("'{}' takes {} numbers, not {}", point.name, point.count, values.size()));
  }
  std::vector<std::uint16_t> words;
  for (const ingest::Value& one : values) {
    if (point.type == Type::bit) {
      const double number = ingest::number_of(one);
      if (number != 0 && number != 1)
        return fail(Errc::invalid_argument, fmt::format("'{}' takes true or false", point.name));
      words.push_back(number == 1 ? 1 : 0);
      continue;
    }
    auto bits = bits_of(point, one);
    if (!bits) return std::unexpected(bits.error());
    scatter(*bits, facts(point.type).registers, point.order, words);
  }
  return words;
}

}  // namespace penstock::ext::modbus
