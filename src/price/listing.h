// Prices for people and scripts: what `penstock price list`, `penstock price show` and the admin API print.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "json/writer.h"
#include "price/catalog.h"

namespace penstock::price {

// One model as a table shows it. What nobody knows is empty.
struct Row {
  std::string vendor = {};  // or the provider's name, for prices of the configuration
  std::string model = {};
  std::string input = {};  // 2.5USD/1M
  std::string cached = {};
  std::string output = {};
  std::string more = {};  // what else is known: "cache_write 3.75USD/1M, above 200000 tokens input 6USD/1M, batch 50%"
  std::string as_of = {};
  std::string source = {};  // catalog, file, configuration
};

Row row_of(const Entry& entry, base::WallMicros now);

// The entries that have `part` in "vendor/model" or match it as a glob; all of them without one. Ordered by vendor and
// model.
std::vector<const Entry*> matching(const Catalog& catalog, std::string_view part = {});

// One object: {"vendor", "model", "also": [..], "source", "price": {..} or null, "prices": [..] when there are
// several}.
void write_json(json::Writer& out, const Entry& entry, base::WallMicros now);
// One object: rates in micro-dollars per million tokens, amounts in micro-dollars, shares in percent. Members that
// nobody knows are left out.
void write_json(json::Writer& out, const Price& price);

}  // namespace penstock::price
