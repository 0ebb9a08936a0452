#include "wire/head_reader.h"

#include <algorithm>

#include "wire/authority.h"
#include "wire/chars.h"
#include "wire/http1.h"

namespace penstock::wire {
namespace {

// Longer than any registered method.
constexpr std::uint32_t kMethodBytesMax = 32;
// 18 digits fit any machine and any limit.
constexpr std::size_t kLengthDigitsMax = 18;
constexpr std::string_view kVersion = "HTTP/1.1";
constexpr const char* kNoLineEnd = "a carriage return without a line feed";

std::uint32_t offset(const char* base, const char* p) { return static_cast<std::uint32_t>(p - base); }

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

}  // namespace

void HeadReader::reset(bool request) {
  *this = HeadReader();
  request_ = request;
}

HeadReader::Outcome HeadReader::read(std::string_view text, const Http1Limits& limits, Fields& fields) {
  const char* base = text.data();
  const char* p = base + at_;
  std::size_t head_stop = std::min(text.size(), limits.head_bytes_max);
  bool more_than_head = text.size() > limits.head_bytes_max;
  if (step_ < Step::line) {
    // One byte more than the longest line: its line feed.
    p = read_start_line(base, p, base + std::min(head_stop, limits.line_bytes_max + 1));
    if (p == nullptr) return Outcome::refused;
    at_ = offset(base, p);
    if (step_ < Step::line) {
      if (at_ > limits.line_bytes_max) return refuse(414, nullptr);
      return more_than_head ? refuse(431, nullptr) : Outcome::more;
    }
  }
  fields_max_ = limits.fields_max;
  p = read_fields(base, p, base + head_stop, fields);
  if (p == nullptr) return Outcome::refused;
  at_ = offset(base, p);
  if (step_ != Step::done) return more_than_head ? refuse(431, nullptr) : Outcome::more;
  if (request_ && facts_.version_minor == 1 && !facts_.has_host) return refuse(400, "no Host");
  return Outcome::done;
}

const char* HeadReader::read_start_line(const char* base, const char* p, const char* end) {
  // An empty line before a request line is left over from an old client's body (RFC 9112 section 2.2).
  if (step_ == Step::begin && request_ && p != end && *p == '\r') {
    step_ = Step::begin_lf;
    ++p;
  }
  if (step_ == Step::begin_lf) {
    if (p == end) return p;
    if (*p != '\n') return stop(kNoLineEnd);
    ++p;
    begin_ = mark_ = offset(base, p);
    step_ = Step::method;
  }
  if (p == end) return p;
  if (step_ == Step::begin) step_ = request_ ? Step::method : Step::version;
  p = request_ ? read_request_line(base, p, end) : read_status_line(base, p, end);
  if (p == nullptr || p == end || step_ != Step::start_lf) return p;
  if (*p != '\n') return stop(kNoLineEnd);
  step_ = Step::line;
  return p + 1;
}

const char* HeadReader::read_request_line(const char* base, const char* p, const char* end) {
  if (step_ == Step::method) {
    while (p != end && is_token(*p)) ++p;
    std::uint32_t size = offset(base, p) - mark_;
    if (size > kMethodBytesMax) return stop("a method longer than any there is");
    if (p == end) return p;
    if (*p != ' ' || size == 0) return stop("no method with one space behind it at the start");
    method_size_ = size;
    mark_ = offset(base, ++p);
    step_ = Step::target;
  }
  if (step_ == Step::target) {
    while (p != end && is_target(*p)) ++p;
    if (p == end) return p;
    if (*p != ' ') return stop("a request line other than a method, a target and a version");
    if (!take_target(base, p)) return nullptr;
    mark_ = offset(base, ++p);
    step_ = Step::version;
  }
  if (step_ == Step::version) {
    p = read_version(base, p, end);
    if (p == nullptr || step_ == Step::version) return p;
  }
  if (step_ == Step::version_end) {
    if (p == end) return p;
    if (*p != '\r') return stop("something between the version and the end of its line");
    ++p;
    step_ = Step::start_lf;
  }
  return p;
}

const char* HeadReader::read_status_line(const char* base, const char* p, const char* end) {
  if (step_ == Step::version) {
    p = read_version(base, p, end);
    if (p == nullptr || step_ == Step::version) return p;
  }
  if (step_ == Step::version_end) {
    if (p == end) return p;
    if (*p != ' ') return stop("no space behind the version");
    mark_ = offset(base, ++p);
    step_ = Step::status;
  }
  if (step_ == Step::status) {
    for (std::uint32_t digits = offset(base, p) - mark_; digits < 3; ++digits, ++p) {
      if (p == end) return p;
      if (!is_digit(*p) || (digits == 0 && *p == '0')) return stop("a status that is not three digits");
      facts_.status = facts_.status * 10 + (*p - '0');
    }
    step_ = Step::status_end;
  }
  if (step_ == Step::status_end) {
    if (p == end) return p;
    if (*p != ' ' && *p != '\r') return stop("a status that is not three digits");
    step_ = Step::reason;
  }
  if (step_ == Step::reason) {
    p = find_control(p, end);
    if (p == end) return p;
    if (*p != '\r') return stop("a control character in the status line");
    ++p;
    step_ = Step::start_lf;
  }
  return p;
}

const char* HeadReader::read_version(const char* base, const char* p, const char* end) {
  for (std::uint32_t i = offset(base, p) - mark_; i < kVersion.size(); ++i, ++p) {
    if (p == end) return p;
    bool digit = i == 5 || i == 7;
    if (digit ? !is_digit(*p) : *p != kVersion[i]) return stop("a version other than HTTP/ and two digits");
  }
  if (p[-3] != '1' || p[-1] > '1') return stop("only HTTP/1.0 and HTTP/1.1 are spoken here", 505);
  facts_.version_minor = p[-1] - '0';
  step_ = Step::version_end;
  return p;
}

bool HeadReader::take_target(const char* base, const char* target_end) {
  target_at_ = mark_;
  target_size_ = offset(base, target_end) - mark_;
  std::string_view text(base, static_cast<std::size_t>(target_end - base));
  std::string_view authority;
  if (const char* why = target_defect(method(text), target(text), authority)) {
    refuse(400, why);
    return false;
  }
  if (authority.data() == nullptr) return true;
  bool absolute = method(text) != "CONNECT";
  if (absolute) origin_ = offset(base + mark_, authority.data() + authority.size());
  authority_at_ = offset(base, authority.data());
  authority_size_ = static_cast<std::uint32_t>(authority.size());
  return true;
}

const char* HeadReader::read_fields(const char* base, const char* p, const char* end, Fields& fields) {
  bool looked_up = false;
  while (true) {
    switch (step_) {
      case Step::line:
        if (p == end) return p;
        mark_ = offset(base, p);
        if (*p == '\r') {
          ++p;
          step_ = Step::end_lf;
          continue;
        }
        if (is_blank(*p)) return stop("a folded line, or one that starts with a space");
        step_ = Step::name;
        id_ = FieldId::other;
        // Most names are ones that are known, and then known to be valid.
        if (const char* colon = find_colon(p, end); colon != end) {
          looked_up = true;
          id_ = field_id({p, static_cast<std::size_t>(colon - p)});
          if (id_ != FieldId::other) p = colon;
        }
        [[fallthrough]];
      case Step::name:
        while (p != end && is_token(*p)) ++p;
        if (p == end) return p;
        name_size_ = offset(base, p) - mark_;
        if (*p != ':' || name_size_ == 0) return stop("a header line that does not start with a name and a colon");
        if (!looked_up) id_ = field_id({base + mark_, name_size_});
        looked_up = false;
        ++p;
        step_ = Step::before_value;
        [[fallthrough]];
      case Step::before_value:
        while (p != end && is_blank(*p)) ++p;
        if (p == end) return p;
        value_at_ = offset(base, p);
        step_ = Step::value;
        [[fallthrough]];
      case Step::value:
        p = find_control(p, end);
        if (p == end) return p;
        if (*p != '\r') return stop("a control character, or a line feed without a carriage return");
        ++p;
        step_ = Step::value_lf;
        [[fallthrough]];
      case Step::value_lf:
        if (p == end) return p;
        if (*p != '\n') return stop(kNoLineEnd);
        if (const char* why = take_field(base, p - 1, fields)) return stop(why, refused_with_);
        ++p;
        step_ = Step::line;
        continue;
      case Step::end_lf:
        if (p == end) return p;
        if (*p != '\n') return stop(kNoLineEnd);
        step_ = Step::done;
        return p + 1;
      default: return p;
    }
  }
}

const char* HeadReader::take_field(const char* base, const char* value_end, Fields& fields) {
  const char* value_begin = base + value_at_;
  while (value_end != value_begin && is_blank(value_end[-1])) --value_end;
  std::string_view value(value_begin, static_cast<std::size_t>(value_end - value_begin));
  if (fields.size() == fields_max_) {
    refused_with_ = 431;
    return "more header fields than are taken";
  }
  fields.note(id_, mark_, name_size_, value_at_, static_cast<std::uint32_t>(value.size()));
  return id_ == FieldId::other ? nullptr : take_known(base, value);
}

const char* HeadReader::take_known(const char* base, std::string_view value) {
  switch (id_) {
    case FieldId::content_length: return take_content_length(value);
    case FieldId::transfer_encoding: return take_transfer_encoding(value);
    case FieldId::host: return request_ ? take_host(base, value) : nullptr;
    case FieldId::connection: return take_connection(value);
    case FieldId::expect:
      // RFC 9110 section 10.1.1: HTTP/1.0 does not know it.
      if (!request_ || facts_.version_minor == 0) return nullptr;
      facts_.expects_continue = equal_ignoring_case(value, "100-continue");
      if (facts_.expects_continue) return nullptr;
      refused_with_ = 417;
      return "the only expectation that can be met is 100-continue";
    default: return nullptr;
  }
}

const char* HeadReader::take_content_length(std::string_view value) {
  if (facts_.has_length) return "more than one Content-Length";
  if (facts_.chunked) return "Content-Length together with Transfer-Encoding";
  bool number = !value.empty() && value.size() <= kLengthDigitsMax && std::all_of(value.begin(), value.end(), is_digit);
  if (!number) return "a Content-Length that is not a plain number";
  facts_.has_length = true;
  for (char c : value) facts_.content_length = facts_.content_length * 10 + static_cast<std::uint64_t>(c - '0');
  return nullptr;
}

const char* HeadReader::take_transfer_encoding(std::string_view value) {
  if (facts_.chunked) return "more than one Transfer-Encoding";
  if (facts_.has_length) return "Content-Length together with Transfer-Encoding";
  if (facts_.version_minor == 0) return "Transfer-Encoding in HTTP/1.0";
  facts_.chunked = equal_ignoring_case(value, "chunked");
  return facts_.chunked ? nullptr : "a Transfer-Encoding other than chunked";
}

const char* HeadReader::take_host(const char* base, std::string_view value) {
  if (facts_.has_host) return "more than one Host";
  facts_.has_host = true;
  if (!is_authority(value)) return "a Host that is not one host with or without a port";
  // RFC 9112 section 3.2.2 lets the target win; who sends two different ones means to confuse somebody.
  bool agrees = authority_size_ == 0 || equal_ignoring_case(value, {base + authority_at_, authority_size_});
  return agrees ? nullptr : "a Host other than the one of the request target";
}

// A list of tokens with empty places allowed; may come more than once.
const char* HeadReader::take_connection(std::string_view value) {
  while (!value.empty()) {
    std::size_t comma = value.find(',');
    std::string_view token = trimmed(value.substr(0, comma));
    value.remove_prefix(comma == std::string_view::npos ? value.size() : comma + 1);
    if (!std::all_of(token.begin(), token.end(), is_token)) return "a Connection that is not a list of names";
    facts_.close = facts_.close || equal_ignoring_case(token, "close");
    facts_.keep_alive = facts_.keep_alive || equal_ignoring_case(token, "keep-alive");
  }
  return nullptr;
}

}  // namespace penstock::wire
