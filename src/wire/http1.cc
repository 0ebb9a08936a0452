#include "wire/http1.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/status.hpp>
#include <charconv>

#include "wire/chunk_decoder.h"

namespace penstock::wire {
namespace {

namespace beast = boost::beast;
namespace bhttp = boost::beast::http;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

std::unexpected<Http1Error> refuse(int status, std::string detail) {
  return std::unexpected(Http1Error{status, std::move(detail)});
}

// What Beast's parser does not insist on: every line of the head ends in CRLF, none is folded, no control characters.
// `head` may stop anywhere; what is still open at its end is not judged.
const char* head_defect(std::string_view head) {
  for (std::size_t i = 0; i < head.size(); ++i) {
    auto c = static_cast<unsigned char>(head[i]);
    if (c >= 0x20 && c != 0x7f) continue;
    if (c == '\t') continue;
    if (c == '\r') {
      if (i + 1 == head.size()) break;
      if (head[i + 1] != '\n') return "a carriage return without a line feed in the head";
      if (i + 2 < head.size() && (head[i + 2] == ' ' || head[i + 2] == '\t')) return "a folded header line";
      ++i;
      continue;
    }
    return c == '\n' ? "a line feed without a carriage return in the head" : "a control character in the head";
  }
  return nullptr;
}

bool all_digits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// The framing fields as they arrived, judged together once the head is complete.
struct Framing {
  // Connection is a comma-separated list of tokens.
  void read_connection(std::string_view value) {
    while (!value.empty()) {
      std::size_t comma = value.find(',');
      std::string_view token = value.substr(0, comma);
      value.remove_prefix(comma == std::string_view::npos ? value.size() : comma + 1);
      while (!token.empty() && (token.front() == ' ' || token.front() == '\t')) token.remove_prefix(1);
      while (!token.empty() && (token.back() == ' ' || token.back() == '\t')) token.remove_suffix(1);
      close = close || equal_ignoring_case(token, "close");
      keep_alive = keep_alive || equal_ignoring_case(token, "keep-alive");
    }
  }

  bool close = false;
  bool keep_alive = false;
  int content_lengths = 0;
  int transfer_encodings = 0;
  int hosts = 0;
  std::string_view content_length;
  std::string_view transfer_encoding;
};

// Null when the framing is beyond doubt.
const char* framing_defect(const Framing& framing, const Http1Head& head, bool request) {
  if (framing.content_lengths > 1) return "more than one Content-Length";
  if (framing.content_lengths == 1 && (!all_digits(framing.content_length) || framing.content_length.size() > 18)) {
    return "a Content-Length that is not a plain number";
  }
  if (framing.transfer_encodings > 1) return "more than one Transfer-Encoding";
  if (framing.transfer_encodings == 1) {
    if (!equal_ignoring_case(framing.transfer_encoding, "chunked")) return "a Transfer-Encoding other than chunked";
    if (framing.content_lengths > 0) return "Content-Length together with Transfer-Encoding";
    if (head.version_minor == 0) return "Transfer-Encoding in HTTP/1.0";
  }
  if (request && head.version_minor == 1 && framing.hosts != 1) return "not exactly one Host";
  return nullptr;
}

// Beast's parser, used for heads only: bodies are a count or a ChunkDecoder.
template <bool IsRequest>
class HeadParser : public bhttp::basic_parser<IsRequest> {
 public:
  HeadParser(std::size_t head_bytes_max, Http1Head& out) : head_(out) {
    this->header_limit(static_cast<std::uint32_t>(head_bytes_max + 4));
    this->body_limit(boost::none);
    this->skip(true);
  }
  Framing framing;

 private:
  using Text = beast::string_view;
  static std::string_view view(Text text) { return {text.data(), text.size()}; }

  void on_request_impl(bhttp::verb, Text method, Text target, int version, beast::error_code&) override {
    head_.method = view(method);
    head_.target = view(target);
    head_.version_minor = version % 10;
  }
  void on_response_impl(int code, Text, int version, beast::error_code&) override {
    head_.status = code;
    head_.version_minor = version % 10;
  }
  void on_field_impl(bhttp::field name, Text name_text, Text value, beast::error_code&) override {
    head_.fields.add(view(name_text), view(value));
    switch (name) {
      case bhttp::field::content_length:
        ++framing.content_lengths;
        framing.content_length = view(value);
        break;
      case bhttp::field::transfer_encoding:
        ++framing.transfer_encodings;
        framing.transfer_encoding = view(value);
        break;
      case bhttp::field::host: ++framing.hosts; break;
      case bhttp::field::connection: framing.read_connection(view(value)); break;
      case bhttp::field::expect: head_.expects_continue = equal_ignoring_case(view(value), "100-continue"); break;
      default: break;
    }
  }
  void on_header_impl(beast::error_code&) override {}
  void on_body_init_impl(boost::optional<std::uint64_t> const&, beast::error_code&) override {}
  std::size_t on_body_impl(Text piece, beast::error_code&) override { return piece.size(); }
  void on_chunk_header_impl(std::uint64_t, Text, beast::error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, Text piece, beast::error_code&) override { return piece.size(); }
  void on_finish_impl(beast::error_code&) override {}

  Http1Head& head_;
};

}  // namespace

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return lower(x) == lower(y); });
}

void Fields::clear() {
  text_.clear();
  entries_.clear();
}

void Fields::add(std::string_view name, std::string_view value) {
  auto at = static_cast<std::uint32_t>(text_.size());
  text_ += name;
  text_ += value;
  entries_.push_back({at, static_cast<std::uint32_t>(name.size()), at + static_cast<std::uint32_t>(name.size()),
                      static_cast<std::uint32_t>(value.size())});
}

Fields::Field Fields::at(std::size_t index) const {
  const Entry& entry = entries_[index];
  std::string_view text = text_;
  return {text.substr(entry.name_at, entry.name_size), text.substr(entry.value_at, entry.value_size)};
}

std::string_view Fields::get(std::string_view name, bool* found) const {
  std::string_view text = text_;
  for (const Entry& entry : entries_) {
    if (entry.name_size != name.size() || !equal_ignoring_case(text.substr(entry.name_at, entry.name_size), name))
      continue;
    if (found != nullptr) *found = true;
    return text.substr(entry.value_at, entry.value_size);
  }
  if (found != nullptr) *found = false;
  return {};
}

bool Fields::has(std::string_view name) const {
  bool found = false;
  get(name, &found);
  return found;
}

struct Http1Parser::Impl {
  enum class Body { none, length, chunked, until_end };
  enum class Phase { head, body, done };

  Impl(Kind k, const Http1Limits& l) : kind(k), limits(l) { reset(); }

  void reset() {
    head.method.clear();
    head.target.clear();
    head.fields.clear();
    head.status = 0;
    head.expects_continue = false;
    pending.clear();
    phase = Phase::head;
    body_bytes_max = limits.body_bytes_max;
    received = 0;
    body_suppressed = false;
    fed = false;
  }

  std::expected<std::size_t, Http1Error> feed_head(std::string_view bytes);
  std::expected<std::size_t, Http1Error> feed_body(std::string_view bytes, std::string& body);
  template <class P>
  std::expected<void, Http1Error> parse_head(P& parser, std::string_view text);
  std::expected<void, Http1Error> frame(const Framing& framing);
  std::unexpected<Http1Error> too_large() const {
    return refuse(413, fmt::format("the body is larger than the limit of {} bytes", body_bytes_max));
  }

  Kind kind;
  Http1Limits limits;
  Http1Head head;
  Phase phase = Phase::head;
  Body body_kind = Body::none;
  std::string pending;  // a head that is not complete yet
  std::uint64_t length = 0;
  std::uint64_t received = 0;
  std::uint64_t body_bytes_max = 0;
  ChunkDecoder chunks;
  bool body_suppressed = false;
  bool fed = false;
};

// RFC 9112 section 6.3, on framing fields that are beyond doubt.
std::expected<void, Http1Error> Http1Parser::Impl::frame(const Framing& framing) {
  if (const char* why = framing_defect(framing, head, kind == Kind::request)) {
    return refuse(400, fmt::format("the message framing is ambiguous: {}", why));
  }
  head.keep_alive = head.version_minor == 0 ? framing.keep_alive && !framing.close : !framing.close;
  length = 0;
  if (framing.content_lengths == 1) {
    std::from_chars(framing.content_length.data(), framing.content_length.data() + framing.content_length.size(),
                    length);
  }
  bool bodiless =
      kind == Kind::response && (body_suppressed || head.status < 200 || head.status == 204 || head.status == 304);
  if (bodiless) {
    body_kind = Body::none;
  } else if (framing.transfer_encodings == 1) {
    body_kind = Body::chunked;
    chunks = ChunkDecoder();
  } else if (framing.content_lengths == 1) {
    body_kind = length > 0 ? Body::length : Body::none;
  } else if (kind == Kind::response) {
    body_kind = Body::until_end;
    head.keep_alive = false;
  } else {
    body_kind = Body::none;
  }
  if (body_kind == Body::length && length > body_bytes_max) return too_large();
  head.has_body = body_kind != Body::none;
  phase = head.has_body ? Phase::body : Phase::done;
  return {};
}

template <class P>
std::expected<void, Http1Error> Http1Parser::Impl::parse_head(P& parser, std::string_view text) {
  beast::error_code ec;
  parser.put(boost::asio::const_buffer(text.data(), text.size()), ec);
  if (ec == bhttp::error::bad_version) return refuse(505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
  bool framing_only = ec == bhttp::error::bad_transfer_encoding || ec == bhttp::error::bad_content_length;
  if (ec && ec != bhttp::error::need_more && !framing_only) {
    return refuse(400, fmt::format("malformed HTTP head: {}", ec.message()));
  }
  if (framing_only && framing_defect(parser.framing, head, kind == Kind::request) == nullptr) {
    return refuse(400, "the message framing is ambiguous");
  }
  if (!framing_only && !parser.is_header_done()) return refuse(400, "malformed HTTP head");
  return frame(parser.framing);
}

std::expected<std::size_t, Http1Error> Http1Parser::Impl::feed_head(std::string_view bytes) {
  // An empty line before a request line is left over from an old client's body (RFC 9112 section 2.2).
  std::size_t before = pending.size();
  std::string_view so_far = bytes;
  if (before > 0) {
    pending += bytes;
    so_far = pending;
  }
  std::size_t skipped = kind == Kind::request && so_far.starts_with("\r\n") ? 2 : 0;
  std::string_view text = so_far.substr(skipped);
  // The search starts where an end cut by the last piece could begin.
  std::size_t from = before > skipped + 3 ? before - skipped - 3 : 0;
  std::size_t end = text.find("\r\n\r\n", from);
  bool complete = end != std::string_view::npos;
  if (complete) text = text.substr(0, end + 4);
  std::size_t line = std::min(text.find('\n'), text.size());
  if (kind == Kind::request && line > limits.line_bytes_max) {
    return refuse(414, fmt::format("the request line is longer than the limit of {} bytes", limits.line_bytes_max));
  }
  if (text.size() > limits.head_bytes_max) {
    return refuse(431, fmt::format("the header fields are larger than the limit of {} bytes", limits.head_bytes_max));
  }
  // A defect already visible is answered now: the rest may never come.
  if (const char* defect = head_defect(text)) return refuse(400, fmt::format("malformed HTTP head: {}", defect));
  if (!complete) {
    if (before == 0) pending = bytes;
    return bytes.size();
  }
  std::expected<void, Http1Error> parsed;
  if (kind == Kind::request) {
    HeadParser<true> parser(limits.head_bytes_max, head);
    parsed = parse_head(parser, text);
  } else {
    HeadParser<false> parser(limits.head_bytes_max, head);
    parsed = parse_head(parser, text);
  }
  if (!parsed) return std::unexpected(parsed.error());
  std::size_t used = skipped + end + 4 - before;
  pending.clear();
  return used;
}

std::expected<std::size_t, Http1Error> Http1Parser::Impl::feed_body(std::string_view bytes, std::string& body) {
  std::string_view input = bytes;
  std::size_t body_before = body.size();
  if (body_kind == Body::chunked) {
    auto state = chunks.feed(input, body);
    if (state == ChunkDecoder::State::malformed)
      return refuse(400, fmt::format("malformed HTTP body: {}", chunks.defect()));
    if (state == ChunkDecoder::State::done) phase = Phase::done;
  } else {
    std::uint64_t wanted = body_kind == Body::length ? length - received : bytes.size();
    auto take = static_cast<std::size_t>(std::min<std::uint64_t>(wanted, bytes.size()));
    // Room for all of a body of ordinary size at once; larger ones grow as they come.
    if (received == 0 && body_kind == Body::length && length <= (1U << 20))
      body.reserve(body.size() + static_cast<std::size_t>(length) + 64);
    body.append(bytes.substr(0, take));
    input.remove_prefix(take);
    if (body_kind == Body::length && received + take == length) phase = Phase::done;
  }
  received += body.size() - body_before;
  if (received > body_bytes_max) return too_large();
  return bytes.size() - input.size();
}

Http1Parser::Http1Parser(Kind kind, const Http1Limits& limits) : impl_(std::make_unique<Impl>(kind, limits)) {}
Http1Parser::~Http1Parser() = default;
void Http1Parser::reset() { impl_->reset(); }
void Http1Parser::expect_no_body() { impl_->body_suppressed = true; }
void Http1Parser::limit_body(std::uint64_t bytes_max) { impl_->body_bytes_max = bytes_max; }

std::expected<std::size_t, Http1Error> Http1Parser::feed(std::string_view bytes, std::string& body) {
  if (bytes.empty() || message_done()) return 0;
  impl_->fed = true;
  return head_done() ? impl_->feed_body(bytes, body) : impl_->feed_head(bytes);
}

bool Http1Parser::finish() {
  if (impl_->phase == Impl::Phase::body && impl_->body_kind == Impl::Body::until_end) impl_->phase = Impl::Phase::done;
  return message_done();
}

bool Http1Parser::head_done() const { return impl_->phase != Impl::Phase::head; }
bool Http1Parser::message_done() const { return impl_->phase == Impl::Phase::done; }
bool Http1Parser::untouched() const { return !impl_->fed; }
const Http1Head& Http1Parser::head() const { return impl_->head; }
bool Http1Parser::content_length(std::uint64_t& length) const {
  length = impl_->length;
  return impl_->body_kind == Impl::Body::length;
}

std::string_view reason_phrase(int status) {
  auto text = bhttp::obsolete_reason(bhttp::int_to_status(static_cast<unsigned>(status)));
  return {text.data(), text.size()};
}

}  // namespace penstock::wire
