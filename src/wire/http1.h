// HTTP/1.1 messages, bytes in, head and body out (RFC 9110, RFC 9112). Pure: holds no socket and no clock. Accepts
// input in pieces of any size and yields the same message for any split. Stricter than the RFC asks where leniency is
// how requests are smuggled: bare LF or CR, folded lines, more than one or a malformed Content-Length, Content-Length
// with Transfer-Encoding and any transfer coding but one plain `chunked` are refused.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::wire {

struct Http1Limits {
  std::size_t line_bytes_max = 8 * 1024;       // request line: 414
  std::size_t head_bytes_max = 32 * 1024;      // all of the head: 431
  std::uint64_t body_bytes_max = 32ULL << 20;  // body, decoded from chunks: 413
};

// The status a server answers with, and why. Parsing cannot go on after it.
struct Http1Error {
  int status = 400;
  std::string detail;
};

// Header fields in arrival order, in one allocation. Names compare without case.
class Fields {
 public:
  struct Field {
    std::string_view name;
    std::string_view value;
  };
  void clear();
  void add(std::string_view name, std::string_view value);
  // The first with that name, or empty. `found` tells an empty value from none.
  std::string_view get(std::string_view name, bool* found = nullptr) const;
  bool has(std::string_view name) const;
  std::size_t size() const { return entries_.size(); }
  Field at(std::size_t index) const;

 private:
  struct Entry {
    std::uint32_t name_at;
    std::uint32_t name_size;
    std::uint32_t value_at;
    std::uint32_t value_size;
  };
  std::string text_;
  std::vector<Entry> entries_;
};

bool equal_ignoring_case(std::string_view a, std::string_view b);

struct Http1Head {
  std::string method;     // requests
  std::string target;     // requests: as sent
  int status = 0;         // responses
  int version_minor = 1;  // HTTP/1.0 or HTTP/1.1
  Fields fields;
  bool keep_alive = true;
  bool has_body = false;  // a length above zero, chunked, or (responses) until the end of the stream
  bool expects_continue = false;
};

class Http1Parser {
 public:
  enum class Kind { request, response };
  Http1Parser(Kind kind, const Http1Limits& limits);
  ~Http1Parser();
  Http1Parser(const Http1Parser&) = delete;
  Http1Parser& operator=(const Http1Parser&) = delete;

  // Ready for the next message.
  void reset();
  // Responses: the request was HEAD, so no body follows whatever the head says.
  void expect_no_body();
  void limit_body(std::uint64_t bytes_max);

  // Takes bytes; returns how many were used. Stops after the head, and after the message. Body bytes (decoded from
  // chunks) are appended to `body`.
  std::expected<std::size_t, Http1Error> feed(std::string_view bytes, std::string& body);
  // The stream ended: true when that is a proper end of the message.
  bool finish();

  bool head_done() const;
  bool message_done() const;
  // True before the first byte of a message: an end of stream here is a clean close.
  bool untouched() const;
  const Http1Head& head() const;
  // Declared by Content-Length, if any.
  bool content_length(std::uint64_t& length) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

std::string_view reason_phrase(int status);

}  // namespace penstock::wire
