#include "price/compiled_in.h"

#include <deque>
#include <mutex>

#include "base/text.h"
#include "price/catalog_reader.h"

namespace penstock::price {
namespace {

// The lines of one vendor, and its prices once somebody asked.
struct Section {
  std::string_view vendor;
  std::string_view text;
  std::once_flag once;
  PriceTable table;
};

bool starts_section(char c) { return c >= 'a' && c <= 'z'; }

// Names at the start of a line are vendors; the first is as_of, which every section gets.
std::deque<Section> split(std::string_view text) {
  std::deque<Section> sections;
  while (!text.empty()) {
    std::size_t end = 0;
    do {
      end = std::min(text.find('\n', end), text.size() - 1) + 1;
    } while (end < text.size() && !starts_section(text[end]));
    if (starts_section(text.front())) {
      Section& section = sections.emplace_back();
      section.vendor = text.substr(0, text.find(':'));
      section.text = text.substr(0, end);
    }
    text.remove_prefix(end);
  }
  return sections;
}

std::deque<Section>& sections() {
  static std::deque<Section> all = split(kCatalogText);
  return all;
}

void read(Section& section) {
  std::string text;
  base::append(text, sections().front().text, section.text);
  if (auto document = config::Document::parse(text, "catalog.yaml")) {
    read_vendors(document->root(), section.table, Source::catalog);
  }
}

}  // namespace

const PriceTable* compiled_in(std::string_view vendor) {
  for (Section& section : sections()) {
    if (section.vendor != vendor || &section == &sections().front()) continue;
    std::call_once(section.once, [&] { read(section); });
    return &section.table;
  }
  return nullptr;
}

const std::vector<std::string_view>& compiled_in_vendors() {
  static const std::vector<std::string_view> names = [] {
    std::vector<std::string_view> all;
    for (const Section& section : sections()) all.push_back(section.vendor);
    all.erase(all.begin());
    return all;
  }();
  return names;
}

}  // namespace penstock::price
