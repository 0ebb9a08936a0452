#include "wire/http1.h"

#include <fmt/format.h>

#include <algorithm>

namespace penstock::wire {
namespace {

// Memory an unusually large message leaves behind is given back; ordinary ones reuse theirs.
constexpr std::size_t kKeptBytes = 16 * 1024;
// Room for all of a body up to this size at once; larger ones grow as they come.
constexpr std::uint64_t kReservedBytes = 1U << 20;

}  // namespace

Http1Parser::Http1Parser(Kind kind, const Http1Limits& limits) : limits_(limits), kind_(kind) { reset(); }

void Http1Parser::reset() {
  reader_.reset(kind_ == Kind::request);
  if (head_.fields.text().capacity() > kKeptBytes) head_.fields = {};
  head_.fields.clear();
  head_.method = head_.target = head_.path = head_.query = {};
  head_.status = 0;
  head_.version_minor = 1;
  head_.keep_alive = true;
  head_.has_body = head_.expects_continue = false;
  body_bytes_max_ = limits_.body_bytes_max;
  length_ = received_ = 0;
  if (body_kind_ == Body::chunked) chunks_.reset();
  body_kind_ = Body::none;
  phase_ = Phase::head;
  body_suppressed_ = false;
}

void Http1Parser::limit_body(std::uint64_t bytes_max) {
  body_bytes_max_ = bytes_max;
  chunks_.limit(bytes_max);
}

Http1Error Http1Parser::refused() const {
  const char* why = reader_.why();
  switch (reader_.status()) {
    case 400: return {400, fmt::format("malformed HTTP head: {}", why)};
    case 414:
      return {414, fmt::format("the {} line is longer than the limit of {} bytes",
                               kind_ == Kind::request ? "request" : "status", limits_.line_bytes_max)};
    case 431:
      if (why != nullptr) return {431, fmt::format("{}: the limit is {}", why, limits_.fields_max)};
      return {431, fmt::format("the header fields are larger than the limit of {} bytes", limits_.head_bytes_max)};
    default: return {reader_.status(), why};
  }
}

Http1Error Http1Parser::too_large() const {
  return {413, fmt::format("the body is larger than the limit of {} bytes", body_bytes_max_)};
}

void Http1Parser::set_views() {
  std::string_view text = head_.fields.text();
  head_.method = reader_.method(text);
  head_.target = reader_.target(text);
  std::string_view origin = reader_.origin(text);
  std::size_t mark = std::min(origin.find('?'), origin.size());
  head_.path = origin.substr(0, mark);
  head_.query = origin.substr(std::min(mark + 1, origin.size()));
  // http://host is the same as http://host/ (RFC 9110 section 4.2.3).
  if (head_.path.empty() && !head_.target.empty()) head_.path = "/";
}

Http1Parser::Used Http1Parser::feed_head(std::string_view bytes) {
  std::string& kept = head_.fields.text();
  std::size_t before = kept.size();
  std::string_view text = bytes;
  if (before > 0) {
    // No more than it takes to see that the head is too large; a body behind it is not copied far.
    kept.append(bytes.substr(0, limits_.head_bytes_max + 1 - before));
    text = kept;
  }
  HeadReader::Outcome outcome = reader_.read(text, limits_, head_.fields);
  // A head that comes in one piece is copied here, once.
  std::size_t end = outcome == HeadReader::Outcome::done ? reader_.position() : text.size();
  if (before == 0) {
    kept.assign(text.substr(0, end));
  } else {
    kept.resize(end);
  }
  if (outcome == HeadReader::Outcome::more) return bytes.size();
  set_views();
  if (outcome == HeadReader::Outcome::refused) return std::unexpected(refused());
  if (!take_head()) return std::unexpected(too_large());
  return end - before;
}

// RFC 9112 section 6.3, on framing fields that are beyond doubt. False when the body is too large.
bool Http1Parser::take_head() {
  const HeadFacts& facts = reader_.facts();
  head_.status = facts.status;
  head_.version_minor = facts.version_minor;
  head_.keep_alive = !facts.close && (facts.version_minor == 1 || facts.keep_alive);
  head_.expects_continue = facts.expects_continue;
  length_ = facts.content_length;
  bool bodiless =
      kind_ == Kind::response && (body_suppressed_ || facts.status < 200 || facts.status == 204 || facts.status == 304);
  if (bodiless) {
    body_kind_ = Body::none;
  } else if (facts.chunked) {
    body_kind_ = Body::chunked;
    chunks_.limit(body_bytes_max_);
  } else if (facts.has_length) {
    body_kind_ = length_ > 0 ? Body::length : Body::none;
  } else if (kind_ == Kind::response) {
    body_kind_ = Body::until_end;
    head_.keep_alive = false;
  }
  if (body_kind_ == Body::length && length_ > body_bytes_max_) return false;
  head_.has_body = body_kind_ != Body::none;
  phase_ = head_.has_body ? Phase::body : Phase::done;
  return true;
}

Http1Parser::Used Http1Parser::feed_body(std::string_view bytes, std::string_view& piece) {
  if (body_kind_ == Body::chunked) return feed_chunks(bytes, piece);
  // Without a declared length, what still fits is taken before the first byte too many is refused.
  bool counted = body_kind_ == Body::length;
  if (counted ? length_ > body_bytes_max_ : received_ >= body_bytes_max_) return std::unexpected(too_large());
  std::uint64_t left = (counted ? length_ : body_bytes_max_) - received_;
  auto take = static_cast<std::size_t>(std::min<std::uint64_t>(left, bytes.size()));
  piece = bytes.substr(0, take);
  received_ += take;
  if (counted && received_ == length_) phase_ = Phase::done;
  return take;
}

Http1Parser::Used Http1Parser::feed_chunks(std::string_view bytes, std::string_view& piece) {
  std::string_view input = bytes;
  switch (chunks_.next(input, piece)) {
    case ChunkDecoder::State::too_large: return std::unexpected(too_large());
    case ChunkDecoder::State::malformed:
      return std::unexpected(Http1Error{400, fmt::format("malformed HTTP body: {}", chunks_.defect())});
    case ChunkDecoder::State::done: phase_ = Phase::done; break;
    case ChunkDecoder::State::more: break;
  }
  return bytes.size() - input.size();
}

std::expected<std::size_t, Http1Error> Http1Parser::feed_view(std::string_view bytes, std::string_view& piece) {
  piece = {};
  if (bytes.empty() || phase_ == Phase::done) return 0;
  return phase_ == Phase::head ? feed_head(bytes) : feed_body(bytes, piece);
}

std::expected<std::size_t, Http1Error> Http1Parser::feed(std::string_view bytes, std::string& body) {
  if (phase_ == Phase::head) return bytes.empty() ? 0 : feed_head(bytes);
  std::size_t total = 0;
  if (body_kind_ == Body::length && received_ == 0 && length_ <= kReservedBytes)
    body.reserve(body.size() + static_cast<std::size_t>(length_) + 64);
  while (total < bytes.size() && phase_ == Phase::body) {
    std::string_view piece;
    auto used = feed_body(bytes.substr(total), piece);
    body += piece;
    if (!used) return used;
    total += *used;
  }
  return total;
}

bool Http1Parser::finish() {
  if (phase_ == Phase::body && body_kind_ == Body::until_end) phase_ = Phase::done;
  return message_done();
}

}  // namespace penstock::wire
