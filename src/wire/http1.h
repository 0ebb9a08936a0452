// HTTP/1.1 messages, bytes in, head and body out (RFC 9110, RFC 9112). Pure: holds no socket and no clock. Accepts
// input in pieces of any size and yields the same message for any split. Stricter than the RFC asks where leniency is
// how requests are smuggled: bare LF or CR, folded lines, more than one or a malformed Content-Length, Content-Length
// with Transfer-Encoding and any transfer coding but one plain `chunked` are refused, as soon as they are seen.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "wire/chunk_decoder.h"
#include "wire/fields.h"
#include "wire/head_reader.h"

namespace penstock::wire {

// Counted from the first byte of a message, with an empty line that stands before it.
struct Http1Limits {
  std::size_t line_bytes_max = 8 * 1024;       // request or status line: 414
  std::size_t head_bytes_max = 32 * 1024;      // all of the head: 431
  std::size_t fields_max = 512;                // at most 65,535: 431
  std::uint64_t body_bytes_max = 32ULL << 20;  // body, decoded from chunks: 413

  bool operator==(const Http1Limits&) const = default;
};

// The status a server answers with, and why. Parsing cannot go on after it.
struct Http1Error {
  int status = 400;
  std::string detail;
};

// Views stay valid until the parser's reset(). After an error they hold what was read before it.
struct Http1Head {
  std::string_view method;  // requests
  std::string_view target;  // requests: as sent; a path, http(s)://host/path, `*` or host:port
  std::string_view path;    // requests: of the target, without host and query, percent-encoding as sent; `*` as it is
  std::string_view query;   // requests: without the question mark
  int status = 0;           // responses
  int version_minor = 1;    // HTTP/1.0 or HTTP/1.1
  Fields fields;
  bool keep_alive = true;
  bool has_body = false;  // a length above zero, chunked, or (responses) until the end of the stream
  bool expects_continue = false;
};

// Made once per connection and reused: a message costs no allocation once its buffers have grown to the usual size.
class Http1Parser {
 public:
  enum class Kind { request, response };
  Http1Parser(Kind kind, const Http1Limits& limits);
  Http1Parser(const Http1Parser&) = delete;
  Http1Parser& operator=(const Http1Parser&) = delete;

  // Ready for the next message.
  void reset();
  // Responses: the request was HEAD, so no body follows whatever the head says.
  void expect_no_body() { body_suppressed_ = true; }
  void limit_body(std::uint64_t bytes_max);

  // Takes bytes; returns how many were used. Stops after the head, and after the message. Body bytes (decoded from
  // chunks) are appended to `body`.
  std::expected<std::size_t, Http1Error> feed(std::string_view bytes, std::string& body);
  // The same without a copy: `piece` is the part of `bytes` that is body, empty when there was none. One chunk's data
  // at most, so there may be more in the bytes that were not used.
  std::expected<std::size_t, Http1Error> feed_view(std::string_view bytes, std::string_view& piece);
  // The stream ended: true when that is a proper end of the message.
  bool finish();

  bool head_done() const { return phase_ != Phase::head; }
  bool message_done() const { return phase_ == Phase::done; }
  // True before the first byte of a message: an end of stream here is a clean close.
  bool untouched() const { return phase_ == Phase::head && reader_.untouched(); }
  const Http1Head& head() const { return head_; }
  // Of a chunked body, without those that could change how the message is understood (RFC 9110 section 6.5.1).
  const Fields& trailers() const { return chunks_.trailers(); }
  // Declared by Content-Length, if any and above zero.
  bool content_length(std::uint64_t& length) const {
    length = length_;
    return body_kind_ == Body::length;
  }
  // Responses: the body has no other end than the stream's.
  bool ends_with_stream() const { return body_kind_ == Body::until_end; }
  // What the body is known to have at least: declared by Content-Length or by the chunks so far.
  std::uint64_t body_declared() const {
    return body_kind_ == Body::length ? length_ : body_kind_ == Body::chunked ? chunks_.declared() : 0;
  }
  // What is still to come of such a body.
  std::uint64_t content_left() const { return body_kind_ == Body::length ? length_ - received_ : 0; }

 private:
  enum class Body { none, length, chunked, until_end };
  enum class Phase { head, body, done };
  using Used = std::expected<std::size_t, Http1Error>;

  Used feed_head(std::string_view bytes);
  Used feed_body(std::string_view bytes, std::string_view& piece);
  Used feed_chunks(std::string_view bytes, std::string_view& piece);
  bool take_head();
  void set_views();
  Http1Error refused() const;
  Http1Error too_large() const;

  HeadReader reader_;
  Http1Head head_;
  ChunkDecoder chunks_;
  Http1Limits limits_;
  std::uint64_t body_bytes_max_ = 0;
  std::uint64_t length_ = 0;
  std::uint64_t received_ = 0;
  Kind kind_;
  Phase phase_ = Phase::head;
  Body body_kind_ = Body::none;
  bool body_suppressed_ = false;
};

// The registered reason phrase, empty for others.
std::string_view reason_phrase(int status);

}  // namespace penstock::wire
