#include "json/value.h"

#include <simdjson.h>

#include <boost/json/monotonic_resource.hpp>
#include <boost/json/parser.hpp>
#include <boost/json/serialize.hpp>
#include <boost/system/system_error.hpp>

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

}  // namespace

void append_escaped(std::string& out, std::string_view text) {
  bool clean_utf8 = is_valid_utf8(text);
  for (std::size_t i = 0; i < text.size();) {
    auto byte = static_cast<unsigned char>(text[i]);
    if (byte >= 0x80 && !clean_utf8) {
      std::size_t length = utf8_sequence(text.substr(i));
      if (length == 0) {
        out += "\xEF\xBF\xBD";
        ++i;
      } else {
        out.append(text, i, length);
        i += length;
      }
      continue;
    }
    switch (byte) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      default:
        if (byte < 0x20) {
          out += fmt::format("\\u{:04x}", byte);
        } else {
          out += static_cast<char>(byte);
        }
    }
    ++i;
  }
}

void append_quoted(std::string& out, std::string_view text) {
  out += '"';
  append_escaped(out, text);
  out += '"';
}

}  // namespace penstock::json
