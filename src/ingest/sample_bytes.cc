#include "ingest/sample_bytes.h"

#include <bit>
#include <cstring>

#include <fmt/format.h>

namespace penstock::ingest {
namespace {

enum class Type : std::uint8_t { no, yes, integer, number, text, array };

// --- writing ---------------------------------------------------------------------------------------------------------

void put(std::string& out, std::uint64_t number) {
  while (number >= 0x80) {
    out += static_cast<char>(number | 0x80U);
    number >>= 7U;
  }
  out += static_cast<char>(number);
}

// Small ones of either sign are short.
void put_signed(std::string& out, std::int64_t number) {
  put(out, (static_cast<std::uint64_t>(number) << 1U) ^ static_cast<std::uint64_t>(number >> 63));
}

void put(std::string& out, std::string_view text) {
  put(out, std::uint64_t{text.size()});
  out += text;
}

void put(std::string& out, double number) {
  static_assert(std::endian::native == std::endian::little, "the bytes of a number are written as they lie in memory");
  std::array<char, sizeof number> bytes;
  std::memcpy(bytes.data(), &number, sizeof number);
  out.append(bytes.data(), bytes.size());
}

void put(std::string& out, Type type) { out += static_cast<char>(type); }

struct ValueWriter {
  std::string& out;
  void operator()(bool value) const { put(out, value ? Type::yes : Type::no); }
  void operator()(std::int64_t value) const {
    put(out, Type::integer);
    put_signed(out, value);
  }
  void operator()(double value) const {
    put(out, Type::number);
    put(out, value);
  }
  void operator()(const std::string& value) const {
    put(out, Type::text);
    put(out, std::string_view(value));
  }
  void operator()(const std::vector<double>& value) const {
    put(out, Type::array);
    put(out, std::uint64_t{value.size()});
    for (const double number : value) put(out, number);
  }
};

void put(std::string& out, const AlarmChange& alarm) {
  for (const std::string* text : {&alarm.pipeline, &alarm.name, &alarm.device, &alarm.why, &alarm.severity}) {
    put(out, std::string_view(*text));
  }
  put_signed(out, alarm.at);
  out += static_cast<char>(alarm.raised);
}

// --- reading ---------------------------------------------------------------------------------------------------------

// After the first mistake everything reads as nothing.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}
  bool failed() const { return failed_; }
  bool done() const { return rest_.empty() && !failed_; }
  void fail() {
    failed_ = true;
    rest_ = {};
  }

  std::uint8_t byte() {
    const std::string_view one = take(1);
    return one.empty() ? 0 : static_cast<std::uint8_t>(one.front());
  }
  std::uint64_t number() {
    std::uint64_t result = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const std::uint8_t next = byte();
      if (shift == 63 && next > 1) break;
      result |= std::uint64_t{next & 0x7FU} << shift;
      if (next < 0x80) return result;
    }
    fail();
    return 0;
  }
  std::int64_t integer() {
    const std::uint64_t folded = number();
    return static_cast<std::int64_t>((folded >> 1U) ^ (~(folded & 1U) + 1));
  }
  std::string_view text() { return take(number()); }
  double real() {
    double result = 0;
    const std::string_view bytes = take(sizeof result);
    if (!failed_) std::memcpy(&result, bytes.data(), sizeof result);
    return result;
  }
  // How many of things that take `least` bytes each: never more than there can be.
  std::size_t count(std::size_t least) {
    const std::uint64_t said = number();
    if (said > rest_.size() / least) fail();
    return failed_ ? 0 : static_cast<std::size_t>(said);
  }

 private:
  std::string_view take(std::uint64_t size) {
    if (size > rest_.size()) {
      fail();
      return {};
    }
    const std::string_view taken = rest_.substr(0, static_cast<std::size_t>(size));
    rest_.remove_prefix(taken.size());
    return taken;
  }

  std::string_view rest_;
  bool failed_ = false;
};

Value read_value(Reader& in) {
  switch (static_cast<Type>(in.byte())) {
    case Type::no: return false;
    case Type::yes: return true;
    case Type::integer: return in.integer();
    case Type::number: return in.real();
    case Type::text: return std::string(in.text());
    case Type::array: {
      std::vector<double> numbers(in.count(sizeof(double)));
      for (double& number : numbers) number = in.real();
      return numbers;
    }
  }
  in.fail();
  return false;
}

bool read_flag(Reader& in) {
  const std::uint8_t flag = in.byte();
  if (flag > 1) in.fail();
  return flag == 1;
}

std::shared_ptr<const AlarmChange> read_alarm(Reader& in) {
  auto alarm = std::make_shared<AlarmChange>();
  for (std::string* text : {&alarm->pipeline, &alarm->name, &alarm->device, &alarm->why, &alarm->severity}) {
    *text = in.text();
  }
  alarm->at = in.integer();
  alarm->raised = read_flag(in);
  return alarm;
}

void read_name(Reader& in, Sample& sample) {
  sample.sequence = in.number();
  if (sample.sequence != 0) sample.origin = std::make_shared<const std::string>(in.text());
}

void read_sample(Reader& in, Sample& sample) {
  sample.event_time = in.integer();
  const auto later = static_cast<std::uint64_t>(in.integer());
  sample.ingest_time = static_cast<base::WallMicros>(static_cast<std::uint64_t>(sample.event_time) + later);
  sample.device = in.text();
  const std::uint8_t kinds = in.byte();
  if ((kinds & 0x0FU) > 2 || (kinds >> 4U) > 2) return in.fail();
  sample.quality = static_cast<Quality>(kinds & 0x0FU);
  sample.priority = static_cast<Priority>(kinds >> 4U);
  // A field is at least a length, a type and a length; a tag two lengths.
  sample.fields.resize(in.count(3));
  for (Field& field : sample.fields) {
    field.name = in.text();
    field.value = read_value(in);
    field.unit = in.text();
  }
  sample.tags.resize(in.count(2));
  for (auto& [name, value] : sample.tags) {
    name = in.text();
    value = in.text();
  }
  if (read_flag(in)) sample.alarm = read_alarm(in);
}

}  // namespace

void append_bytes(std::string& out, const Sample& sample) {
  out += static_cast<char>(kSampleBytesVersion);
  put_signed(out, sample.event_time);
  // In wrapping arithmetic: any two times have a difference.
  put_signed(out, static_cast<std::int64_t>(static_cast<std::uint64_t>(sample.ingest_time) -
                                            static_cast<std::uint64_t>(sample.event_time)));
  put(out, std::string_view(sample.device));
  out += static_cast<char>(static_cast<unsigned>(sample.quality) | static_cast<unsigned>(sample.priority) << 4U);
  put(out, std::uint64_t{sample.fields.size()});
  for (const Field& field : sample.fields) {
    put(out, std::string_view(field.name));
    std::visit(ValueWriter{out}, field.value);
    put(out, std::string_view(field.unit));
  }
  put(out, std::uint64_t{sample.tags.size()});
  for (const auto& [name, value] : sample.tags) {
    put(out, std::string_view(name));
    put(out, std::string_view(value));
  }
  out += static_cast<char>(sample.alarm != nullptr);
  if (sample.alarm) put(out, *sample.alarm);
  const bool named = sample.sequence != 0 && sample.origin;
  put(out, named ? sample.sequence : 0);
  if (named) put(out, std::string_view(*sample.origin));
}

std::string to_bytes(const Sample& sample) {
  std::string out;
  append_bytes(out, sample);
  return out;
}

Result<Sample> sample_from_bytes(std::string_view bytes) {
  Reader in(bytes);
  const std::uint8_t version = in.byte();
  if (version > kSampleBytesVersion) {
    return fail(Errc::unimplemented, fmt::format("a stored sample is of form {}, which a later version of Penstock "
                                                 "writes; this one reads up to {}",
                                                 version, kSampleBytesVersion));
  }
  Sample sample;
  if (version >= 1) read_sample(in, sample);
  if (version >= 2) read_name(in, sample);
  if (version == 0 || !in.done()) return fail(Errc::data_loss, "the bytes of a stored sample are damaged");
  return sample;
}

}  // namespace penstock::ingest
