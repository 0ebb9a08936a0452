#include "app/text_table.h"

#include <algorithm>

namespace penstock::app {
namespace {

// Characters, not bytes: those that continue one are not counted.
std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

void append_padded(std::string& line, const std::string& cell, std::size_t width, bool right) {
  std::string padding(width - width_of(cell), ' ');
  line += right ? padding + cell : cell + padding;
  line += "  ";
}

}  // namespace

TextTable::TextTable(std::vector<std::string_view> columns) {
  for (std::string_view name : columns) {
    right_.push_back(name.starts_with('>'));
    names_.emplace_back(name.substr(name.starts_with('>') ? 1 : 0));
  }
}

void TextTable::add(std::vector<std::string> cells) {
  cells.resize(names_.size());
  for (std::string& cell : cells) {
    if (cell.empty()) cell = "-";
    std::replace_if(
        cell.begin(), cell.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }, '?');
  }
  rows_.push_back(std::move(cells));
}

std::string TextTable::text() const {
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < names_.size(); ++i) {
    widths.push_back(width_of(names_[i]));
    for (const auto& row : rows_) widths[i] = std::max(widths[i], width_of(row[i]));
  }
  std::string out;
  auto append_line = [&](const std::vector<std::string>& cells) {
    std::string line;
    for (std::size_t i = 0; i < cells.size(); ++i) append_padded(line, cells[i], widths[i], right_[i]);
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  };
  append_line(names_);
  for (const auto& row : rows_) append_line(row);
  return out;
}

std::string grouped(std::int64_t number) {
  std::string digits = std::to_string(number);
  std::size_t first = number < 0 ? 1 : 0;
  for (std::size_t at = digits.size(); at > first + 3;) digits.insert(at -= 3, ",");
  return digits;
}

std::string dollars(std::int64_t micros) {
  std::uint64_t size = micros < 0 ? 0 - static_cast<std::uint64_t>(micros) : static_cast<std::uint64_t>(micros);
  std::string fraction = fmt::format("{:06}", size % 1'000'000);
  fraction.erase(std::max<std::size_t>(fraction.find_last_not_of('0') + 1, 2));
  return fmt::format("{}{}.{} USD", micros < 0 ? "-" : "", size / 1'000'000, fraction);
}

}  // namespace penstock::app
