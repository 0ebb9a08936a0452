#include "http/h2_head.h"

#include "wire/chars.h"
#include "wire/field_id.h"

namespace penstock::http {
namespace {

using wire::FieldId;

// nghttp2 sends heads of up to 64 KiB.
constexpr std::size_t kHeadBytesMax = 60 * 1024;

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::string_view next_line(std::string_view& text) {
  std::size_t end = text.find("\r\n");
  std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 2);
  return line;
}

bool concerns_the_connection(FieldId id, std::string_view value) {
  switch (id) {
    case FieldId::connection:
    case FieldId::host:  // said as :authority
    case FieldId::keep_alive:
    case FieldId::proxy_connection:
    case FieldId::transfer_encoding:
    case FieldId::upgrade: return true;
    case FieldId::te: return !wire::equal_ignoring_case(value, "trailers");
    default: return false;
  }
}

// `list` is the value of Connection: names between commas.
bool names(std::string_view list, std::string_view name) {
  while (!list.empty()) {
    std::size_t comma = list.find(',');
    if (wire::equal_ignoring_case(trimmed(list.substr(0, comma)), name)) return true;
    list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
  }
  return false;
}

struct Line {
  std::string_view name;
  std::string_view value;
};

Result<Line> split(std::string_view line) {
  std::size_t colon = line.find(':');
  if (colon == std::string_view::npos || colon == 0)
    return fail(Errc::invalid_argument, "a line of the request's head is no field");
  return Line{line.substr(0, colon), trimmed(line.substr(colon + 1))};
}

}  // namespace

Result<std::vector<wire::H2Field>> h2_request_head(std::string_view head, std::string_view scheme,
                                                   std::string& names_text) {
  if (head.size() > kHeadBytesMax) return fail(Errc::out_of_range, "the request's head is larger than 60 KiB");
  std::string_view request_line = next_line(head);
  std::size_t method_end = request_line.find(' ');
  std::size_t target_end = request_line.rfind(' ');
  if (method_end == std::string_view::npos || target_end <= method_end + 1)
    return fail(Errc::invalid_argument, "the request's head has no request line");
  std::string_view authority;
  std::string_view connection;
  for (std::string_view rest = head; !rest.empty();) {
    auto line = split(next_line(rest));
    if (!line) return std::unexpected(line.error());
    FieldId id = wire::field_id(line->name);
    if (id == FieldId::host) authority = line->value;
    if (id == FieldId::connection) connection = line->value;
  }
  std::vector<wire::H2Field> fields;
  fields.reserve(20);
  fields.push_back({":method", request_line.substr(0, method_end)});
  fields.push_back({":scheme", scheme});
  if (!authority.empty()) fields.push_back({":authority", authority});
  fields.push_back({":path", request_line.substr(method_end + 1, target_end - method_end - 1)});
  names_text.clear();
  names_text.reserve(head.size());  // views into it stay
  for (std::string_view rest = head; !rest.empty();) {
    Line line = *split(next_line(rest));
    if (concerns_the_connection(wire::field_id(line.name), line.value) || names(connection, line.name)) continue;
    std::size_t at = names_text.size();
    for (char c : line.name) names_text += wire::lower(c);
    fields.push_back({std::string_view(names_text).substr(at), line.value});
  }
  return fields;
}

}  // namespace penstock::http
