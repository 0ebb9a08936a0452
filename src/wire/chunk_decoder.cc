#include "wire/chunk_decoder.h"

#include <algorithm>

#include "wire/chars.h"

namespace penstock::wire {
namespace {

// More than any limit allows, and one more digit still fits.
constexpr std::uint64_t kSizeMax = 1ULL << 56U;
// Leading zeros included.
constexpr std::size_t kSizeDigitsMax = 16;

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

bool may_trail(FieldId id, std::string_view name) {
  switch (id) {
    case FieldId::api_key:
    case FieldId::authorization:
    case FieldId::cache_control:
    case FieldId::content_encoding:
    case FieldId::content_type:
    case FieldId::cookie:
    case FieldId::date:
    case FieldId::expect:
    case FieldId::forwarded:
    case FieldId::host:
    case FieldId::keep_alive:
    case FieldId::location:
    case FieldId::proxy_authenticate:
    case FieldId::proxy_authorization:
    case FieldId::proxy_connection:
    case FieldId::retry_after:
    case FieldId::set_cookie:
    case FieldId::te:
    case FieldId::trailer:
    case FieldId::upgrade:
    case FieldId::vary:
    case FieldId::www_authenticate:
    case FieldId::x_api_key:
    case FieldId::x_forwarded_for:
    case FieldId::x_goog_api_key: return false;
    default: break;
  }
  constexpr std::array<std::string_view, 13> kForbidden{
      "age",          "content-range",       "expires", "if-match", "if-modified-since", "if-none-match",   "if-range",
      "max-forwards", "if-unmodified-since", "pragma",  "range",    "warning",           "x-forwarded-host"};
  return std::none_of(kForbidden.begin(), kForbidden.end(),
                      [&](std::string_view forbidden) { return equal_ignoring_case(name, forbidden); });
}

void ChunkDecoder::reset() {
  step_ = Step::size_first;
  bytes_max_ = UINT64_MAX;
  declared_ = left_ = 0;
  extension_bytes_ = trailer_bytes_ = 0;
  line_.clear();
  trailers_.clear();
}

ChunkDecoder::State ChunkDecoder::next(std::string_view& input, std::string_view& piece) {
  piece = {};
  while (!input.empty() && !over()) {
    if (step_ == Step::data) {
      if (!piece.empty()) break;
      auto size = static_cast<std::size_t>(std::min<std::uint64_t>(left_, input.size()));
      piece = input.substr(0, size);
      input.remove_prefix(size);
      left_ -= size;
      if (left_ == 0) step_ = Step::data_cr;
    } else if (step_ == Step::trailer) {
      take_trailers(input);
    } else {
      step_ = take(input.front());
      if (!over()) input.remove_prefix(1);
    }
  }
  if (step_ == Step::done) return State::done;
  // Data in front of what is wrong is given first; the bytes that are wrong stay in the input for the next call.
  if (!over() || !piece.empty()) return State::more;
  return step_ == Step::malformed ? State::malformed : State::too_large;
}

ChunkDecoder::Step ChunkDecoder::take(char c) {
  switch (step_) {
    case Step::size_first:
    case Step::size: return take_size(c);
    case Step::size_lf: return c == '\n' ? take_size_end() : fail("a chunk size line that does not end in CRLF");
    case Step::data_cr: return c == '\r' ? Step::data_lf : fail("chunk data longer than its size");
    case Step::data_lf: return c == '\n' ? Step::size_first : fail("chunk data not followed by CRLF");
    default: return take_extension(c);
  }
}

ChunkDecoder::Step ChunkDecoder::take_size(char c) {
  if (step_ == Step::size_first) left_ = size_digits_ = 0;
  if (int digit = hex_digit(c); digit >= 0) {
    if (left_ >= kSizeMax || ++size_digits_ > kSizeDigitsMax) return fail("a chunk size beyond every limit");
    left_ = left_ * 16 + static_cast<std::uint64_t>(digit);
    return Step::size;
  }
  if (step_ == Step::size && c == '\r') return Step::size_lf;
  if (step_ == Step::size && c == ';') return Step::extension_name_first;
  return fail("a chunk size that is not hexadecimal");
}

ChunkDecoder::Step ChunkDecoder::take_size_end() {
  if (left_ == 0) return Step::trailer;
  if (left_ > bytes_max_ || declared_ > bytes_max_ - left_) return Step::too_large;
  declared_ += left_;
  return Step::data;
}

// ;name  ;name=token  ;name="quoted"
ChunkDecoder::Step ChunkDecoder::take_extension(char c) {
  if (++extension_bytes_ > kExtensionBytesMax) return fail("chunk extensions without end");
  switch (step_) {
    case Step::extension_quoted:
      if (c == '"') return Step::extension_after;
      if (c == '\\') return Step::extension_escape;
      [[fallthrough]];
    case Step::extension_escape:
      return is_control(c) ? fail("a control character in a chunk extension") : Step::extension_quoted;
    case Step::extension_name_first:
    case Step::extension_name:
      if (is_token(c)) return Step::extension_name;
      if (step_ == Step::extension_name_first) return fail("a chunk extension without a name");
      if (c == '=') return Step::extension_value_first;
      break;
    case Step::extension_value_first:
      if (c == '"') return Step::extension_quoted;
      return is_token(c) ? Step::extension_token : fail("a chunk extension without a value");
    case Step::extension_token:
      if (is_token(c)) return Step::extension_token;
      break;
    default: break;
  }
  if (c == '\r') return Step::size_lf;
  return c == ';' ? Step::extension_name_first : fail("a character no chunk extension may have");
}

void ChunkDecoder::take_trailers(std::string_view& input) {
  std::size_t room = kTrailerBytesMax - trailer_bytes_;
  std::string_view part = input.substr(0, std::min(input.find('\n'), input.size() - 1) + 1);
  if (part.size() > room) {
    step_ = fail("trailers without end");
    return;
  }
  bool complete = part.ends_with('\n');
  if (!complete || !line_.empty()) line_ += part;
  if (complete) step_ = take_trailer_line(line_.empty() ? part : std::string_view(line_));
  if (step_ == Step::malformed) return;
  if (complete) line_.clear();
  trailer_bytes_ += part.size();
  input.remove_prefix(part.size());
}

ChunkDecoder::Step ChunkDecoder::take_trailer_line(std::string_view line) {
  if (!line.ends_with("\r\n")) return fail("a trailer that does not end in CRLF");
  line.remove_suffix(2);
  if (line.empty()) return Step::done;
  std::size_t colon = std::min(line.find(':'), line.size());
  std::string_view name = line.substr(0, colon);
  if (name.empty() || colon == line.size() || !std::all_of(name.begin(), name.end(), is_token))
    return fail("a trailer that does not start with a name and a colon");
  std::string_view value = line.substr(colon + 1);
  if (std::any_of(value.begin(), value.end(), is_control)) return fail("a control character in a trailer");
  while (!value.empty() && is_blank(value.front())) value.remove_prefix(1);
  while (!value.empty() && is_blank(value.back())) value.remove_suffix(1);
  FieldId id = field_id(name);
  // Dropping these would do; but who sends them means to confuse somebody.
  if (id == FieldId::content_length || id == FieldId::transfer_encoding || id == FieldId::connection)
    return fail("a trailer about framing");
  if (may_trail(id, name)) trailers_.add(name, value);
  return Step::trailer;
}

}  // namespace penstock::wire
