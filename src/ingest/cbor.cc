#include "ingest/cbor.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace penstock::ingest {
namespace {

// RFC 8949 section 3.1.
enum Major : std::uint8_t { kUnsigned, kNegative, kBytes, kText, kArray, kMap, kTag, kSimple };

constexpr std::uint8_t kIndefinite = 31;
constexpr std::uint64_t kTypedFirst = 64;  // RFC 8746 section 2.1
constexpr std::uint64_t kTypedLast = 87;
constexpr std::uint64_t kNoTag = std::numeric_limits<std::uint64_t>::max();

struct Head {
  Major major = kUnsigned;
  std::uint8_t info = 0;  // the low five bits
  std::uint64_t argument = 0;
};

// RFC 8949 appendix D.
double half_to_double(std::uint64_t half) {
  const int exponent = static_cast<int>(half >> 10 & 31);
  const double mantissa = static_cast<double>(half & 1023);
  double value = 0;
  if (exponent == 0) {
    value = std::ldexp(mantissa, -24);
  } else if (exponent != 31) {
    value = std::ldexp(mantissa + 1024, exponent - 25);
  } else {
    value = mantissa == 0 ? std::numeric_limits<double>::infinity() : std::nan("");
  }
  return (half & 0x8000U) != 0 ? -value : value;
}

// The bits of a typed array's tag: 0b010_f_s_e_ll.
class TypedArray {
 public:
  explicit TypedArray(std::uint64_t tag)
      : floating_((tag & 16) != 0), sign_((tag & 8) != 0), little_((tag & 4) != 0), length_(tag & 3) {}

  // 0 for float128 and for the tag that is reserved.
  std::size_t width() const {
    if (floating_) return length_ == 3 || sign_ ? 0 : std::size_t{2} << length_;
    if (length_ == 0 && little_) return sign_ ? 0 : 1;  // 68: bytes that are clamped; 76: reserved
    return std::size_t{1} << length_;
  }
  double at(const unsigned char* bytes) const {
    const std::size_t size = width();
    std::uint64_t bits = 0;
    for (std::size_t i = 0; i < size; ++i) bits = bits << 8 | bytes[little_ ? size - 1 - i : i];
    if (floating_) {
      if (size == 2) return half_to_double(bits);
      return size == 4 ? static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(bits)))
                       : std::bit_cast<double>(bits);
    }
    if (!sign_) return static_cast<double>(bits);
    const auto unused = static_cast<int>(64 - 8 * size);
    return static_cast<double>(static_cast<std::int64_t>(bits << unused) >> unused);
  }

 private:
  bool floating_;
  bool sign_;
  bool little_;
  std::uint64_t length_;
};

class Reader {
 public:
  explicit Reader(std::string_view bytes) : all_(bytes), rest_(bytes) {}
  bool done() const { return rest_.empty(); }

  Result<json::Value> item(int depth, std::uint64_t tag = kNoTag) {
    if (depth > kCborDepthMax) return bad("data is nested too deep");
    if (++items_ > kCborItemsMax) {
      return fail(Errc::out_of_range,
                  fmt::format("a message holds at most {} data items; send more messages", kCborItemsMax));
    }
    auto head = read_head();
    if (!head) return std::unexpected(head.error());
    switch (head->major) {
      case kUnsigned:
        if (head->argument > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
          return json::Value(head->argument);
        }
        return json::Value(static_cast<std::int64_t>(head->argument));
      case kNegative:
        if (head->argument > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
          return json::Value(-1.0 - static_cast<double>(head->argument));
        }
        return json::Value(-1 - static_cast<std::int64_t>(head->argument));
      case kBytes: return typed(*head, tag);
      case kText: {
        auto text = string_of(*head);
        if (!text) return std::unexpected(text.error());
        if (!json::is_valid_utf8(*text)) return bad("a text is no UTF-8");
        return json::Value(boost::json::string(*text));
      }
      case kArray: return array(*head, depth);
      case kMap: return map(*head, depth);
      case kTag: return item(depth + 1, head->argument);
      case kSimple: return simple(*head);
    }
    return bad("unknown data");
  }

 private:
  std::unexpected<Error> bad(std::string_view what) const {
    return fail(Errc::invalid_argument, fmt::format("CBOR, byte {}: {}", all_.size() - rest_.size(), what));
  }

  Result<Head> read_head() {
    if (rest_.empty()) return bad("the data ends too early");
    const auto first = static_cast<unsigned char>(rest_.front());
    Head head{static_cast<Major>(first >> 5), static_cast<std::uint8_t>(first & 31), 0};
    const std::size_t more = head.info < 24 || head.info == kIndefinite ? 0
                             : head.info < 28                           ? std::size_t{1} << (head.info - 24)
                                                                        : rest_.size();
    if (head.info >= 28 && head.info != kIndefinite) return bad("this head is not defined");
    if (head.info == kIndefinite && (head.major <= kNegative || head.major == kTag)) {
      return bad("this head is not defined");
    }
    if (rest_.size() < 1 + more) return bad("the data ends too early");
    if (head.info < 24) head.argument = head.info;
    for (std::size_t i = 1; i <= more; ++i) head.argument = head.argument << 8 | static_cast<unsigned char>(rest_[i]);
    rest_.remove_prefix(1 + more);
    return head;
  }

  bool at_break() const { return !rest_.empty() && static_cast<unsigned char>(rest_.front()) == 0xff; }

  // True while there is one more item of what `head` opened; takes the break behind the last one.
  bool more_of(const Head& head, std::uint64_t taken) {
    if (head.info != kIndefinite) return taken < head.argument;
    if (!at_break()) return true;
    rest_.remove_prefix(1);
    return false;
  }

  Result<std::string> string_of(const Head& head) {
    std::string text;
    if (head.info != kIndefinite) {
      if (head.argument > rest_.size()) return bad("the data ends too early");
      text = rest_.substr(0, head.argument);
      rest_.remove_prefix(head.argument);
      return text;
    }
    while (more_of(head, 0)) {
      auto piece = read_head();
      if (!piece) return std::unexpected(piece.error());
      if (piece->major != head.major || piece->info == kIndefinite) return bad("a piece of a string is no string");
      auto bytes = string_of(*piece);
      if (!bytes) return bytes;
      text += *bytes;
    }
    return text;
  }

  Result<json::Value> typed(const Head& head, std::uint64_t tag) {
    auto bytes = string_of(head);
    if (!bytes) return std::unexpected(bytes.error());
    const TypedArray type(tag);
    if (tag < kTypedFirst || tag > kTypedLast || type.width() == 0) {
      return bad("bytes are no reading; send numbers, text, or a typed array (RFC 8746)");
    }
    const std::size_t count = bytes->size() / type.width();
    if (count * type.width() != bytes->size()) return bad("a typed array with half an element");
    if (count > kSampleArrayMax) return bad(fmt::format("an array has more than {} elements", kSampleArrayMax));
    json::Array array;
    array.reserve(count);
    const auto* at = reinterpret_cast<const unsigned char*>(bytes->data());
    for (std::size_t i = 0; i < count; ++i) array.emplace_back(type.at(at + i * type.width()));
    return json::Value(std::move(array));
  }

  Result<json::Value> array(const Head& head, int depth) {
    json::Array array;
    while (more_of(head, array.size())) {
      auto element = item(depth + 1);
      if (!element) return element;
      if (array.size() >= kSampleArrayMax) {
        return bad(fmt::format("an array has more than {} elements", kSampleArrayMax));
      }
      array.push_back(std::move(*element));
    }
    return json::Value(std::move(array));
  }

  Result<json::Value> map(const Head& head, int depth) {
    json::Object object;
    for (std::uint64_t taken = 0; more_of(head, taken); ++taken) {
      auto name = item(depth + 1);
      if (!name) return name;
      auto value = item(depth + 1);
      if (!value) return value;
      if (name->is_int64()) {
        object.insert_or_assign(std::to_string(name->get_int64()), std::move(*value));
      } else if (name->is_string()) {
        object.insert_or_assign(name->get_string(), std::move(*value));
      } else {
        return bad("the name of a member is neither text nor a whole number");
      }
    }
    return json::Value(std::move(object));
  }

  Result<json::Value> simple(const Head& head) {
    switch (head.info) {
      case 20: return json::Value(false);
      case 21: return json::Value(true);
      case 22:
      case 23: return json::Value(nullptr);
      case 25: return json::Value(half_to_double(head.argument));
      case 26: {
        const auto single = std::bit_cast<float>(static_cast<std::uint32_t>(head.argument));
        return json::Value(static_cast<double>(single));
      }
      case 27: return json::Value(std::bit_cast<double>(head.argument));
      default: return bad("a simple value without a meaning here");
    }
  }

  std::string_view all_;
  std::string_view rest_;
  std::size_t items_ = 0;
};

Result<void> add_samples(std::vector<Sample>& samples, const json::Value& value, const SampleDefaults& defaults) {
  const auto add = [&](const json::Value& one) -> Result<void> {
    if (samples.size() >= kSamplesPerMessageMax) {
      return fail(Errc::out_of_range,
                  fmt::format("a message holds at most {} samples; send more messages", kSamplesPerMessageMax));
    }
    auto sample = sample_from_json(one, defaults);
    if (!sample) return fail(sample.error().code, fmt::format("element {}: {}", samples.size(), sample.error().detail));
    samples.push_back(std::move(*sample));
    return {};
  };
  const json::Array* array = value.if_array();
  if (array == nullptr) return add(value);
  for (const json::Value& one : *array) {
    if (auto added = add(one); !added) return added;
  }
  return {};
}

// --- writing ---------------------------------------------------------------------------------------------------------

void append_head(std::string& out, Major major, std::uint64_t argument) {
  const auto top = static_cast<unsigned>(major) << 5;
  if (argument < 24) {
    out += static_cast<char>(top | argument);
    return;
  }
  const int power = argument <= 0xff ? 0 : argument <= 0xffff ? 1 : argument <= 0xffffffff ? 2 : 3;
  out += static_cast<char>(top | (24U + static_cast<unsigned>(power)));
  for (int shift = 8 * (1 << power) - 8; shift >= 0; shift -= 8) out += static_cast<char>(argument >> shift & 0xff);
}

void append_text(std::string& out, std::string_view text) {
  // A device name may hold bytes that are no UTF-8, which the format forbids.
  std::string repaired;
  if (!json::is_valid_utf8(text)) {
    for (char c : text) repaired += static_cast<unsigned char>(c) < 0x80 ? c : '?';
    text = repaired;
  }
  append_head(out, kText, text.size());
  out += text;
}

void append_double(std::string& out, double number) {
  out += static_cast<char>(0xfb);
  const auto bits = std::bit_cast<std::uint64_t>(number);
  for (int shift = 56; shift >= 0; shift -= 8) out += static_cast<char>(bits >> shift & 0xff);
}

void append_numbers(std::string& out, const std::vector<double>& numbers) {
  constexpr std::uint64_t kFloat64LittleEndian = 86;
  static_assert(std::endian::native == std::endian::little);
  append_head(out, kTag, kFloat64LittleEndian);
  append_head(out, kBytes, numbers.size() * sizeof(double));
  const std::size_t before = out.size();
  out.resize(before + numbers.size() * sizeof(double));
  if (!numbers.empty()) std::memcpy(out.data() + before, numbers.data(), numbers.size() * sizeof(double));
}

struct AppendValue {
  std::string& out;
  void operator()(bool value) const { out += static_cast<char>(value ? 0xf5 : 0xf4); }
  void operator()(std::int64_t value) const {
    value < 0 ? append_head(out, kNegative, static_cast<std::uint64_t>(-1 - value))
              : append_head(out, kUnsigned, static_cast<std::uint64_t>(value));
  }
  void operator()(double value) const { append_double(out, value); }
  void operator()(const std::string& value) const { append_text(out, value); }
  void operator()(const std::vector<double>& value) const { append_numbers(out, value); }
};

void append_alarm(std::string& out, const AlarmChange& change) {
  std::string at;
  append_time(at, change.at);
  append_head(out, kMap, 5);
  append_text(out, "name");
  append_text(out, change.name);
  append_text(out, "raised");
  AppendValue{out}(change.raised);
  append_text(out, "severity");
  append_text(out, change.severity);
  append_text(out, "at");
  append_text(out, at);
  append_text(out, "why");
  append_text(out, change.why);
}

}  // namespace

Result<json::Value> value_from_cbor(std::string_view bytes) {
  Reader reader(bytes);
  auto value = reader.item(0);
  if (value && !reader.done()) return fail(Errc::invalid_argument, "CBOR: bytes behind the end of the data");
  return value;
}

Result<std::vector<Sample>> samples_from_cbor(std::string_view bytes, const SampleDefaults& defaults) {
  if (bytes.empty()) return fail(Errc::invalid_argument, "the message is empty; expected CBOR");
  Reader reader(bytes);
  std::vector<Sample> samples;
  while (!reader.done()) {
    auto value = reader.item(0);
    if (!value) return std::unexpected(value.error());
    if (auto added = add_samples(samples, *value, defaults); !added) return std::unexpected(added.error());
  }
  return samples;
}

void append_cbor_array_head(std::string& out, std::size_t items) { append_head(out, kArray, items); }

void append_cbor(std::string& out, const Sample& sample) {
  const auto units = static_cast<std::size_t>(std::count_if(sample.fields.begin(), sample.fields.end(),
                                                            [](const Field& field) { return !field.unit.empty(); }));
  const bool poor = sample.quality != Quality::good;
  append_head(out, kMap,
              2 + sample.fields.size() + (poor ? 1U : 0U) + (units > 0 ? 1U : 0U) + (sample.tags.empty() ? 0U : 1U) +
                  (sample.alarm ? 1U : 0U) + (sample.sequence != 0 ? 1U : 0U) +
                  (sample.sequence != 0 && sample.origin ? 1U : 0U));
  std::string time;
  append_time(time, sample.event_time);
  append_text(out, "time");
  append_text(out, time);
  append_text(out, "device");
  append_text(out, sample.device);
  if (poor) {
    append_text(out, "quality");
    append_text(out, sample.quality == Quality::bad ? "bad" : "uncertain");
  }
  for (const Field& field : sample.fields) {
    append_text(out, field.name);
    std::visit(AppendValue{out}, field.value);
  }
  if (units > 0) {
    append_text(out, "units");
    append_head(out, kMap, units);
    for (const Field& field : sample.fields) {
      if (field.unit.empty()) continue;
      append_text(out, field.name);
      append_text(out, field.unit);
    }
  }
  if (!sample.tags.empty()) {
    append_text(out, "tags");
    append_head(out, kMap, sample.tags.size());
    for (const auto& [name, value] : sample.tags) {
      append_text(out, name);
      append_text(out, value);
    }
  }
  if (sample.alarm) {
    append_text(out, "alarm");
    append_alarm(out, *sample.alarm);
  }
  if (sample.sequence != 0) {
    append_text(out, "seq");
    append_head(out, kUnsigned, sample.sequence);
    if (sample.origin) {
      append_text(out, "origin");
      append_text(out, *sample.origin);
    }
  }
}

}  // namespace penstock::ingest
