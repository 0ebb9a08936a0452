#include "price/catalog.h"

#include <algorithm>
#include <set>

#include "base/glob.h"
#include "base/text.h"
#include "price/compiled_in.h"
#include "price/vendor.h"

namespace penstock::price {
namespace {

std::string joined(std::string_view vendor, std::string_view model) {
  std::string name;
  base::append(name, vendor, "/", model);
  return name;
}

}  // namespace

std::string_view to_string(Source source) {
  switch (source) {
    case Source::configuration: return "configuration";
    case Source::file: return "file";
    case Source::catalog: break;
  }
  return "catalog";
}

const Price* Entry::at(base::WallMicros now) const {
  auto later = std::upper_bound(prices.begin(), prices.end(), now,
                                [](base::WallMicros time, const Price& price) { return time < price.from; });
  return later == prices.begin() ? nullptr : &*std::prev(later);
}

bool PriceTable::add(Entry entry) {
  std::vector<std::string> names{joined(entry.vendor, entry.model)};
  for (const std::string& other : entry.also) names.push_back(joined(entry.vendor, other));
  if (std::any_of(names.begin(), names.end(), [&](const std::string& name) { return names_.contains(name); })) {
    return false;
  }
  bool glob = names.front().find('*') != std::string::npos;
  for (std::string& name : names) names_.emplace(std::move(name), entries_.size());
  if (glob) globs_.push_back(entries_.size());
  entries_.push_back(std::move(entry));
  return true;
}

const Entry* PriceTable::find(std::string_view vendor, std::string_view model) const {
  if (entries_.empty()) return nullptr;
  std::string name = joined(vendor, model);
  if (auto found = names_.find(name); found != names_.end()) return &entries_[found->second];
  for (std::size_t index : globs_) {
    const Entry& entry = entries_[index];
    if (base::glob_matches(joined(entry.vendor, entry.model), name)) return &entry;
  }
  return nullptr;
}

const Entry* Catalog::find_exact(std::string_view provider, std::string_view vendor, std::string_view model) const {
  if (const Entry* entry = configured_.find(provider, model)) return entry;
  if (vendor.empty()) return nullptr;
  if (const Entry* entry = from_file_.find(vendor, model)) return entry;
  const PriceTable* table = with_compiled_in_ ? compiled_in(vendor) : nullptr;
  return table == nullptr ? nullptr : table->find(vendor, model);
}

const Entry* Catalog::find(std::string_view provider, std::string_view vendor, std::string_view model) const {
  if (const Entry* entry = find_exact(provider, vendor, model)) return entry;
  std::string_view plain = undated(vendor, model);
  return plain.empty() ? nullptr : find_exact(provider, vendor, plain);
}

std::vector<const Entry*> Catalog::entries() const {
  std::vector<const Entry*> all;
  for (const Entry& entry : configured_.entries()) all.push_back(&entry);
  for (const Entry& entry : from_file_.entries()) all.push_back(&entry);
  if (!with_compiled_in_) return all;
  for (std::string_view vendor : compiled_in_vendors()) {
    for (const Entry& entry : compiled_in(vendor)->entries()) {
      if (from_file_.find(entry.vendor, entry.model) == nullptr) all.push_back(&entry);
    }
  }
  return all;
}

std::vector<std::string> Catalog::vendors() const {
  std::set<std::string> names;
  for (const Entry& entry : from_file_.entries()) names.insert(entry.vendor);
  if (with_compiled_in_) names.insert(compiled_in_vendors().begin(), compiled_in_vendors().end());
  return {names.begin(), names.end()};
}

}  // namespace penstock::price
