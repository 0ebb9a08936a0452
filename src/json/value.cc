#include "json/value.h"

#include <simdjson.h>

#include <boost/json/monotonic_resource.hpp>
#include <boost/json/parser.hpp>
#include <boost/json/serialize.hpp>
#include <boost/system/system_error.hpp>

#include "json/scan.h"

namespace penstock::json {

Result<Value> parse(std::string_view text, std::size_t depth_max) {
  boost::json::parse_options options;
  options.max_depth = depth_max;
  try {
    boost::json::parser parser({}, options);
    boost::system::error_code ec;
    std::size_t used = parser.write(boost::json::string_view(text.data(), text.size()), ec);
    if (ec) {
      // The parser's own message names no source file; the offset is ours.
      return fail(Errc::invalid_argument, fmt::format("malformed JSON at byte {}: {}", used, ec.message()));
    }
    return parser.release();
  } catch (const std::exception&) {
    return fail(Errc::invalid_argument, "malformed JSON: the document is incomplete or too large");
  }
}

std::string dump(const Value& value) { return boost::json::serialize(value); }
std::string dump(const Object& value) { return boost::json::serialize(value); }

const Value* find(const Value& value, std::string_view key) {
  const Object* object = value.if_object();
  return object == nullptr ? nullptr : object->if_contains(boost::json::string_view(key.data(), key.size()));
}

std::string_view string_or(const Value& value, std::string_view key, std::string_view fallback) {
  const Value* member = find(value, key);
  if (member == nullptr || !member->is_string()) return fallback;
  const auto& text = member->get_string();
  return {text.data(), text.size()};
}

std::int64_t int_or(const Value& value, std::string_view key, std::int64_t fallback) {
  const Value* member = find(value, key);
  if (member == nullptr) return fallback;
  boost::system::error_code ec;
  auto number = member->to_number<std::int64_t>(ec);
  return ec ? fallback : number;
}

bool bool_or(const Value& value, std::string_view key, bool fallback) {
  const Value* member = find(value, key);
  return member != nullptr && member->is_bool() ? member->get_bool() : fallback;
}

bool is_valid_utf8(std::string_view text) { return simdjson::validate_utf8(text.data(), text.size()); }

namespace {

// Length of the valid UTF-8 sequence at the start of `text`, 0 when there is none.
std::size_t utf8_sequence(std::string_view text) {
  auto lead = static_cast<unsigned char>(text[0]);
  std::size_t length = lead < 0x80 ? 1 : lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
  if (length == 0 || length > text.size()) return 0;
  return is_valid_utf8(text.substr(0, length)) ? length : 0;
}

// As append_escaped() for text of which some is not valid UTF-8: the bytes that are not are replaced.
std::string repaired(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    std::size_t length = utf8_sequence(text.substr(i));
    if (length == 0) {
      out += "\xEF\xBF\xBD";
      ++i;
    } else {
      out.append(text, i, length);
      i += length;
    }
  }
  return out;
}

void append_escape(std::string& out, char byte) {
  constexpr std::string_view kHex = "0123456789abcdef";
  switch (byte) {
    case '"': out += "\\\""; break;
    case '\\': out += "\\\\"; break;
    case '\n': out += "\\n"; break;
    case '\r': out += "\\r"; break;
    case '\t': out += "\\t"; break;
    default:
      out += "\\u00";
      out += kHex[static_cast<unsigned char>(byte) >> 4];
      out += kHex[byte & 0xF];
  }
}

// Quotes, backslashes and control characters become escapes; the rest is copied as it is, clearing `ascii` on the way.
void append_escapes(std::string& out, std::string_view text, bool& ascii) {
  const char* at = text.data();
  const char* end = at + text.size();
  while (true) {
    const char* stop = plain_end(at, end, ascii);
    out.append(at, stop);
    if (stop == end) return;
    append_escape(out, *stop);
    at = stop + 1;
  }
}

}  // namespace

void append_escaped(std::string& out, std::string_view text) {
  std::size_t before = out.size();
  bool ascii = true;
  append_escapes(out, text, ascii);
  if (ascii || is_valid_utf8(text)) return;
  out.resize(before);
  append_escapes(out, repaired(text), ascii);
}

void append_quoted(std::string& out, std::string_view text) {
  out += '"';
  append_escaped(out, text);
  out += '"';
}

}  // namespace penstock::json
