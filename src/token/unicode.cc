#include "token/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <span>
#include <vector>

namespace penstock::token {
namespace {

utf8proc_category_t category(char32_t point) { return utf8proc_category(static_cast<utf8proc_int32_t>(point)); }

// Alphabetic beyond letters, marks and letter numbers: circled and squared Latin letters.
bool is_enclosed_letter(char32_t point) {
  return (point >= 0x24B6 && point <= 0x24E9) || (point >= 0x1F130 && point <= 0x1F149) ||
         (point >= 0x1F150 && point <= 0x1F169) || (point >= 0x1F170 && point <= 0x1F189);
}

bool is_in(utf8proc_category_t kind, utf8proc_category_t first, utf8proc_category_t last) {
  return kind >= first && kind <= last;
}

unsigned class_of(utf8proc_int32_t point) {
  return static_cast<unsigned>(utf8proc_get_property(point)->combining_class);
}

void sort_run(std::span<utf8proc_int32_t> run) {
  std::vector<std::pair<std::uint64_t, utf8proc_int32_t>> keyed;
  for (std::size_t i = 0; i < run.size(); ++i) keyed.emplace_back(std::uint64_t{class_of(run[i])} << 32 | i, run[i]);
  std::ranges::sort(keyed);
  for (std::size_t i = 0; i < run.size(); ++i) run[i] = keyed[i].second;
}

// Canonical order: marks between two starters by their class, the order of equals kept.
void order_marks(std::vector<utf8proc_int32_t>& points) {
  for (std::size_t i = 0; i < points.size();) {
    if (class_of(points[i]) == 0) {
      ++i;
      continue;
    }
    std::size_t end = i;
    while (end < points.size() && class_of(points[end]) != 0) ++end;
    if (end - i > 1) sort_run(std::span(points).subspan(i, end - i));
    i = end;
  }
}

}  // namespace

char32_t take_point(const char*& at, const char* end) {
  auto lead = static_cast<unsigned char>(*at);
  if (lead < 0x80) {
    ++at;
    return lead;
  }
  utf8proc_int32_t point = 0;
  auto size = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(at), end - at, &point);
  if (size <= 0) {
    ++at;
    return 0xFFFD;
  }
  at += size;
  return static_cast<char32_t>(point);
}

void append_point(std::string& out, char32_t point) {
  if (point < 0x80) {
    out += static_cast<char>(point);
    return;
  }
  std::array<utf8proc_uint8_t, 4> bytes{};
  auto size = utf8proc_encode_char(static_cast<utf8proc_int32_t>(point), bytes.data());
  out.append(reinterpret_cast<const char*>(bytes.data()), static_cast<std::size_t>(size));
}

bool is_ascii(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

bool is_white(char32_t point) {
  if (point < 0x80) return point == ' ' || (point >= 9 && point <= 13);
  return point == 0x85 || point == 0xA0 || point == 0x1680 || (point >= 0x2000 && point <= 0x200A) || point == 0x2028 ||
         point == 0x2029 || point == 0x202F || point == 0x205F || point == 0x3000;
}

bool is_number(char32_t point) {
  if (point < 0x80) return point >= '0' && point <= '9';
  return is_in(category(point), UTF8PROC_CATEGORY_ND, UTF8PROC_CATEGORY_NO);
}

bool is_decimal(char32_t point) {
  return point < 0x80 ? point >= '0' && point <= '9' : category(point) == UTF8PROC_CATEGORY_ND;
}

bool is_mark(char32_t point) {
  return point >= 0x300 && is_in(category(point), UTF8PROC_CATEGORY_MN, UTF8PROC_CATEGORY_ME);
}

bool is_nonspacing_mark(char32_t point) { return point >= 0x300 && category(point) == UTF8PROC_CATEGORY_MN; }

bool is_punctuation(char32_t point) {
  if (point < 0x80)
    return (point >= 33 && point <= 47) || (point >= 58 && point <= 64) || (point >= 91 && point <= 96) ||
           (point >= 123 && point <= 126);
  return is_in(category(point), UTF8PROC_CATEGORY_PC, UTF8PROC_CATEGORY_PO);
}

bool is_other(char32_t point) {
  if (point < 0x80) return point < 0x20 || point == 0x7F;
  return is_in(category(point), UTF8PROC_CATEGORY_CC, UTF8PROC_CATEGORY_CO);
}

bool is_word(char32_t point) {
  if (point < 0x80)
    return (point >= '0' && point <= '9') || ((point | 0x20) >= 'a' && (point | 0x20) <= 'z') || point == '_';
  auto kind = category(point);
  return is_in(kind, UTF8PROC_CATEGORY_LU, UTF8PROC_CATEGORY_ND) || kind == UTF8PROC_CATEGORY_NL ||
         kind == UTF8PROC_CATEGORY_PC || is_enclosed_letter(point) || point == 0x200C || point == 0x200D;
}

void append_lower(std::string& out, char32_t point) {
  if (point < 0x80) {
    out += static_cast<char>(point >= 'A' && point <= 'Z' ? point | 0x20 : point);
  } else if (point == 0x130) {
    out += "i\xCC\x87";
  } else {
    append_point(out, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(point))));
  }
}

// Not by utf8proc_map(): it orders marks in quadratic time.
std::string normalized(std::string_view text, Form form) {
  if (is_ascii(text)) return std::string(text);
  bool compatible = form == Form::nfkc || form == Form::nfkd;
  bool composed = form == Form::nfc || form == Form::nfkc;
  auto options =
      static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | (compatible ? UTF8PROC_COMPAT : 0));
  std::vector<utf8proc_int32_t> points;
  points.reserve(text.size());
  constexpr utf8proc_ssize_t kLongest = 32;  // U+FDFA becomes 18
  int boundary = 0;
  for (const char *at = text.data(), *end = at + text.size(); at != end;) {
    auto point = static_cast<utf8proc_int32_t>(take_point(at, end));
    std::size_t size = points.size();
    points.resize(size + kLongest);
    auto made = utf8proc_decompose_char(point, points.data() + size, kLongest, options, &boundary);
    points.resize(size + (made > 0 && made <= kLongest ? static_cast<std::size_t>(made) : 0));
  }
  order_marks(points);
  if (composed) {
    auto size = utf8proc_normalize_utf32(points.data(), static_cast<utf8proc_ssize_t>(points.size()),
                                         static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
    points.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  }
  std::string out;
  out.reserve(text.size() + text.size() / 2);
  for (utf8proc_int32_t point : points) append_point(out, static_cast<char32_t>(point));
  return out;
}

}  // namespace penstock::token
