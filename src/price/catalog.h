// Which price holds for a model of a provider: from the configuration, else from a catalog file, else from the catalog
// that is compiled in. Immutable once made; shared between threads and reloads.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "config/document.h"
#include "price/price.h"

namespace penstock::price {

enum class Source { catalog, file, configuration };
std::string_view to_string(Source source);

// One model of one vendor.
struct Entry {
  std::string vendor = {};             // in the configuration: the provider's name, or a glob of names
  std::string model = {};              // or a glob
  std::vector<std::string> also = {};  // other names of the same
  std::vector<Price> prices = {};      // ascending in `from`; empty: known to be unknown
  Source source = Source::catalog;
  // The price in force at that time; null: unknown.
  const Price* at(base::WallMicros now) const;
};

// The entries of one source.
class PriceTable {
 public:
  // Adds an entry under "vendor/model" and its other names. False: a name is taken already; nothing was added.
  bool add(Entry entry);
  // Under exactly this name, else by the first glob that fits. Null: not here.
  const Entry* find(std::string_view vendor, std::string_view model) const;
  const std::vector<Entry>& entries() const { return entries_; }

 private:
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  std::vector<Entry> entries_;
  std::unordered_map<std::string, std::size_t, Hash, std::equal_to<>> names_;
  std::vector<std::size_t> globs_;
};

class Catalog {
 public:
  // What is compiled in, and nothing else.
  static std::shared_ptr<const Catalog> builtin();
  // With the node `prices` of the configuration: { file: prices.yaml, models: { provider/model: { input: .. } } }.
  // Mistakes are reported on it, those of the file with their place in the file. An absent node gives builtin().
  static std::shared_ptr<const Catalog> read(const config::Node& prices);
  // Of the text of a catalog file alone; mistakes go to `document`.
  static std::shared_ptr<const Catalog> read_file(const config::Document& document);

  // `provider` is its name in the configuration, `vendor` that of the catalog (read_vendor(); empty: none, and
  // only the configuration can know the price). Exact names and globs come first,
  // over all sources; then the name without its date (undated()). Null: nobody knows. Valid as long as the catalog.
  // The first call of the process for a vendor reads its part of what is compiled in, which takes some milliseconds:
  // make one for each provider while the configuration is read.
  const Entry* find(std::string_view provider, std::string_view vendor, std::string_view model) const;

  // Every entry that find() can give, those of the configuration first.
  std::vector<const Entry*> entries() const;
  // Whose prices there are, in the file and compiled in; ordered.
  std::vector<std::string> vendors() const;
  // The file of the configuration, to be watched; empty: none.
  const std::string& file() const { return file_; }

 private:
  const Entry* find_exact(std::string_view provider, std::string_view vendor, std::string_view model) const;

  PriceTable configured_;
  PriceTable from_file_;
  bool with_compiled_in_ = true;
  std::string file_;
};

}  // namespace penstock::price
