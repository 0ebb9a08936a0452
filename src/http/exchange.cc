#include "http/exchange.h"

namespace penstock::http {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::string percent_decode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    int high = text[i] == '%' && i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
    int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
    if (low >= 0) {
      out += static_cast<char>(high * 16 + low);
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string query_value(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    std::size_t end = query.find('&');
    std::string_view pair = query.substr(0, end);
    query.remove_prefix(end == std::string_view::npos ? query.size() : end + 1);
    std::size_t equals = pair.find('=');
    if (pair.substr(0, equals) != name || equals == std::string_view::npos) continue;
    std::string value(pair.substr(equals + 1));
    std::replace(value.begin(), value.end(), '+', ' ');
    return percent_decode(value);
  }
  return {};
}

void append_field(std::string& lines, std::string_view name, std::string_view value) {
  std::size_t before = lines.size();
  base::append(lines, name, ": ", value, "\r\n");
  // A value from elsewhere must not be able to start a line of its own.
  auto begin = lines.begin() + static_cast<std::ptrdiff_t>(before + name.size() + 2);
  std::replace_if(begin, lines.end() - 2, [](char c) { return c == '\r' || c == '\n' || c == '\0'; }, ' ');
}

ResponseHead& ResponseHead::add(std::string_view name, std::string_view value) {
  append_field(*lines_, name, value);
  return *this;
}

ResponseHead& ResponseHead::add(std::string_view name, std::int64_t value) {
  base::append(*lines_, name, ": ", base::Digits(value), "\r\n");
  return *this;
}

}  // namespace penstock::http
