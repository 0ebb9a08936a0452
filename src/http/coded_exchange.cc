#include "http/coded_exchange.h"

namespace penstock::http {
namespace {

// The value of one field of an answer's head; empty when there is none.
std::string_view field_of(const ResponseHead& head, std::string_view name) {
  std::string_view lines = head.lines();
  while (!lines.empty()) {
    std::string_view line = lines.substr(0, lines.find("\r\n"));
    lines.remove_prefix(line.size() + 2);
    std::size_t colon = line.find(": ");
    if (wire::equal_ignoring_case(line.substr(0, colon), name)) return line.substr(colon + 2);
  }
  return {};
}

bool starts_with(std::string_view text, std::string_view prefix) {
  return wire::equal_ignoring_case(text.substr(0, prefix.size()), prefix);
}

// Text in all its forms. Images, sound, tensors and archives do not get smaller.
bool compressible(std::string_view content_type) {
  std::string_view type = content_type.substr(0, content_type.find(';'));
  while (type.ends_with(' ')) type.remove_suffix(1);
  if (starts_with(type, "text/")) return !wire::equal_ignoring_case(type, "text/event-stream");
  for (std::string_view known : {"application/json", "application/javascript", "application/xml"}) {
    if (wire::equal_ignoring_case(type, known)) return true;
  }
  std::string_view suffix = type.substr(std::min(type.rfind('+'), type.size()));
  return wire::equal_ignoring_case(suffix, "+json") || wire::equal_ignoring_case(suffix, "+xml");
}

// RFC 9110 section 7.7: the origin does not want its content changed on the way.
bool forbids_transforming(std::string_view cache_control) {
  while (!cache_control.empty()) {
    std::string_view directive = cache_control.substr(0, cache_control.find(','));
    cache_control.remove_prefix(std::min(directive.size() + 1, cache_control.size()));
    while (directive.starts_with(' ') || directive.starts_with('\t')) directive.remove_prefix(1);
    while (directive.ends_with(' ') || directive.ends_with('\t')) directive.remove_suffix(1);
    if (wire::equal_ignoring_case(directive, "no-transform")) return true;
  }
  return false;
}

}  // namespace

rt::Task<Result<std::string_view>> CodedExchange::read_body(std::uint64_t bytes_max) {
  std::string_view codings = request().field(wire::FieldId::content_encoding);
  if (codings.empty()) return inner_.read_body(bytes_max);
  return read_coded(bytes_max, codings);
}

rt::Task<Result<std::string_view>> CodedExchange::read_coded(std::uint64_t bytes_max, std::string_view codings) {
  auto known = codec::parse_content_encoding(codings);
  if (!known) co_return std::unexpected(known.error());
  auto body = co_await inner_.read_body(bytes_max);
  if (!body || known->empty()) co_return body;
  auto decoded = co_await codec_.decode(loop(), std::move(*known), *body, bytes_max);
  if (!decoded) {
    Error error = decoded.error();
    if (error.code == Errc::data_loss) error.code = Errc::invalid_argument;
    co_return std::unexpected(std::move(error));
  }
  decoded_ = std::move(*decoded);
  co_return std::string_view(decoded_);
}

rt::Task<Result<std::string_view>> CodedExchange::read_piece(std::uint64_t bytes_max) {
  std::string_view codings = request().field(wire::FieldId::content_encoding);
  if (codings.empty() || wire::equal_ignoring_case(codings, "identity")) return inner_.read_piece(bytes_max);
  return refuse_coded();
}

rt::Task<Result<std::string_view>> CodedExchange::refuse_coded() {
  co_return fail(Errc::unimplemented, "uploads pass through as they come: send this one without content-encoding");
}

rt::Task<Result<void>> CodedExchange::respond(ResponseHead head, std::string_view body) {
  bool eligible = compression_.responses && body.size() >= compression_.min_bytes && head.status() >= 200 &&
                  head.status() != 204 && head.status() != 304 && request().method != "HEAD" &&
                  compressible(field_of(head, "content-type")) && field_of(head, "content-encoding").empty() &&
                  !forbids_transforming(field_of(head, "cache-control"));
  if (!eligible) return inner_.respond(std::move(head), body);
  head.add("vary", "accept-encoding");
  codec::Coding coding = codec::negotiate(request().field(wire::FieldId::accept_encoding), compression_.codings);
  if (coding == codec::Coding::identity) return inner_.respond(std::move(head), body);
  return respond_coded(std::move(head), body, coding);
}

rt::Task<Result<void>> CodedExchange::respond_coded(ResponseHead head, std::string_view body, codec::Coding coding) {
  auto coded = co_await codec_.encode(loop(), coding, body);
  // Threads that are busy, or bytes that do not shrink, are no reason to fail: the answer goes as it is.
  bool smaller = coded && coded->size() < body.size();
  if (smaller) head.add("content-encoding", codec::name_of(coding));
  auto sent = co_await inner_.respond(std::move(head), smaller ? std::string_view(*coded) : body);
  co_return sent;
}

}  // namespace penstock::http
