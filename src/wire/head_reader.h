// Reads the head of an HTTP/1.1 message in one pass (RFC 9112 sections 2 to 6): takes it apart, validates every byte
// and notes the places of method, target and fields. Goes on where the last piece ended, so a head that comes byte by
// byte costs the same work, and what is wrong is found at the first byte that makes it so, whatever the pieces were.
#pragma once

#include <cstdint>
#include <string_view>

#include "wire/fields.h"

namespace penstock::wire {

struct Http1Limits;

// What the framing and connection fields of a head say, each validated when its line ends.
struct HeadFacts {
  std::uint64_t content_length = 0;
  int status = 0;
  int version_minor = 1;
  bool has_length = false;
  bool chunked = false;
  bool has_host = false;
  bool close = false;
  bool keep_alive = false;
  bool expects_continue = false;
};

class HeadReader {
 public:
  enum class Outcome { more, done, refused };

  void reset(bool request);
  // `text` is the head from its first byte, all of the pieces so far; it may go on behind the head's end. Fields are
  // noted in `fields` as places in `text`.
  Outcome read(std::string_view text, const Http1Limits& limits, Fields& fields);

  // How far it has read; after done, where the head ends.
  std::size_t position() const { return at_; }
  // Nothing but the empty line that may stand before a request has been seen.
  bool untouched() const { return step_ == Step::begin_lf || (step_ <= Step::method && at_ == begin_); }
  const HeadFacts& facts() const { return facts_; }
  std::string_view method(std::string_view text) const { return text.substr(begin_, method_size_); }
  // Empty until the whole target has been read.
  std::string_view target(std::string_view text) const { return text.substr(target_at_, target_size_); }
  // The target without scheme and host; empty when there is nothing behind them.
  std::string_view origin(std::string_view text) const { return text.substr(target_at_, target_size_).substr(origin_); }
  // After refused.
  int status() const { return status_; }
  const char* why() const { return why_; }

 private:
  enum class Step : std::uint8_t {
    begin,
    begin_lf,
    method,
    target,
    version,
    version_end,
    status,
    status_end,
    reason,
    start_lf,
    line,
    name,
    before_value,
    value,
    value_lf,
    end_lf,
    done
  };
  // Each goes on at `p` and returns where it stopped: at `end`, or behind its part when that is complete. Null:
  // refused.
  const char* read_start_line(const char* base, const char* p, const char* end);
  const char* read_request_line(const char* base, const char* p, const char* end);
  const char* read_status_line(const char* base, const char* p, const char* end);
  const char* read_version(const char* base, const char* p, const char* end);
  const char* read_fields(const char* base, const char* p, const char* end, Fields& fields);
  bool take_version(const char* version);
  bool take_target(const char* base, const char* target_end);
  // A whole field, and what is known about some. What is wrong with it, or null.
  const char* take_field(const char* base, const char* value_end, Fields& fields);
  const char* take_known(const char* base, std::string_view value);
  const char* take_content_length(std::string_view value);
  const char* take_transfer_encoding(std::string_view value);
  const char* take_host(const char* base, std::string_view value);
  const char* take_connection(std::string_view value);
  Outcome refuse(int status, const char* why) {
    status_ = status;
    why_ = why;
    return Outcome::refused;
  }
  const char* stop(const char* why, int status = 400) {
    refuse(status, why);
    return nullptr;
  }

  HeadFacts facts_;
  const char* why_ = nullptr;
  int status_ = 0;
  int refused_with_ = 400;  // for a field
  std::size_t fields_max_ = 0;
  std::uint32_t at_ = 0;         // the next byte to read
  std::uint32_t begin_ = 0;      // first byte of the start line
  std::uint32_t mark_ = 0;       // first byte of the part being read
  std::uint32_t name_size_ = 0;  // of the field being read
  std::uint32_t value_at_ = 0;   // of the field being read
  std::uint32_t method_size_ = 0;
  std::uint32_t target_at_ = 0;
  std::uint32_t target_size_ = 0;
  std::uint32_t origin_ = 0;        // where the path starts in the target
  std::uint32_t authority_at_ = 0;  // in the target, where it has one
  std::uint32_t authority_size_ = 0;
  FieldId id_ = FieldId::other;  // of the field being read
  Step step_ = Step::begin;
  bool request_ = true;
};

}  // namespace penstock::wire
