// The document model: small messages, translation, answers we write ourselves. Request bodies on the hot path go
// through json/peek.h instead.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/string.hpp>
#include <boost/json/value.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace penstock::json {

using Value = boost::json::value;
using Object = boost::json::object;
using Array = boost::json::array;

// 64 levels: deeper than any schema we speak, shallow enough for every stack.
constexpr std::size_t kDepthMax = 64;

// Strict RFC 8259: one value, valid UTF-8, no trailing bytes. The error says what and at which byte.
Result<Value> parse(std::string_view text, std::size_t depth_max = kDepthMax);

std::string dump(const Value& value);
std::string dump(const Object& value);

// Member access without exceptions: null, empty or the fallback when absent or of another type.
const Value* find(const Value& value, std::string_view key);
std::string_view string_or(const Value& value, std::string_view key, std::string_view fallback);
std::int64_t int_or(const Value& value, std::string_view key, std::int64_t fallback);
bool bool_or(const Value& value, std::string_view key, bool fallback);

// Appends `text` as the inside of a JSON string (no quotes added). Invalid UTF-8 becomes U+FFFD, so that a log line or
// an error is always valid JSON whatever a stranger sent.
void append_escaped(std::string& out, std::string_view text);
// The same with the quotes.
void append_quoted(std::string& out, std::string_view text);

// RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.
bool is_valid_utf8(std::string_view text);

}  // namespace penstock::json
