#include "chat/data_url.h"

#include <algorithm>
#include <array>
#include <utility>

#include "chat/base64.h"

namespace penstock::chat {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

}  // namespace

std::optional<DataUrl> read_data_url(std::string_view url) {
  constexpr std::string_view kScheme = "data:";
  if (!equal_ignoring_case(url.substr(0, kScheme.size()), kScheme)) return std::nullopt;
  url.remove_prefix(kScheme.size());
  std::size_t comma = url.find(',');
  if (comma == std::string_view::npos) return std::nullopt;
  std::string_view head = url.substr(0, comma);
  std::size_t last = head.rfind(';');
  if (last == std::string_view::npos || !equal_ignoring_case(head.substr(last + 1), "base64")) return std::nullopt;
  return DataUrl{head.substr(0, head.find(';')), url.substr(comma + 1)};
}

std::string write_data_url(std::string_view type, std::string_view data) {
  std::string url = "data:";
  url.reserve(type.size() + data.size() + 16);
  url += type;
  url += ";base64,";
  return url += data;
}

std::string_view sniff_media_type(std::string_view base64) {
  using namespace std::string_view_literals;
  std::string bytes = read_base64(base64.substr(0, 24)).value_or("");
  std::string_view view = bytes;
  constexpr auto kStarts = std::to_array<std::pair<std::string_view, std::string_view>>({
      {"\x89PNG\r\n\x1a\n", "image/png"},
      {"\xff\xd8\xff", "image/jpeg"},
      {"GIF8", "image/gif"},
      {"BM", "image/bmp"},
      {"%PDF-", "application/pdf"},
      {"ID3", "audio/mpeg"},
      {"\xff\xfb", "audio/mpeg"},
      {"OggS", "audio/ogg"},
      {"fLaC", "audio/flac"},
  });
  for (const auto& [start, type] : kStarts) {
    if (view.starts_with(start)) return type;
  }
  if (view.starts_with("RIFF") && view.size() >= 12) {
    if (view.substr(8, 4) == "WEBP") return "image/webp";
    if (view.substr(8, 4) == "WAVE") return "audio/wav";
  }
  if (view.size() >= 12 && view.substr(4, 4) == "ftyp") return "video/mp4";
  return {};
}

std::string_view media_type_of_name(std::string_view name) {
  std::size_t path_end = name.find_first_of("?#");
  name = name.substr(0, path_end);
  std::size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) return {};
  constexpr auto kEndings = std::to_array<std::pair<std::string_view, std::string_view>>({
      {"png", "image/png"},    {"jpg", "image/jpeg"},  {"jpeg", "image/jpeg"},     {"gif", "image/gif"},
      {"webp", "image/webp"},  {"bmp", "image/bmp"},   {"pdf", "application/pdf"}, {"txt", "text/plain"},
      {"md", "text/markdown"}, {"html", "text/html"},  {"csv", "text/csv"},        {"json", "application/json"},
      {"mp3", "audio/mpeg"},   {"wav", "audio/wav"},   {"ogg", "audio/ogg"},       {"flac", "audio/flac"},
      {"mp4", "video/mp4"},    {"webm", "video/webm"}, {"heic", "image/heic"},
  });
  for (const auto& [ending, type] : kEndings) {
    if (equal_ignoring_case(name.substr(dot + 1), ending)) return type;
  }
  return {};
}

}  // namespace penstock::chat
