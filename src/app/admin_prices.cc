// What models cost.
#include "app/admin_desk.h"
#include "app/admin_prices.h"
#include "app/admin_text.h"
#include "price/quantity.h"

namespace penstock::app {
namespace {

using json::Array;
using json::Object;
using json::Value;

Value figure(const price::Figure& figure) { return figure ? Value(*figure) : Value(nullptr); }

Object describe(const price::Rates& rates) {
  Object o;
  for (const price::RateField& field : price::kRateFields) {
    if (const price::Figure& rate = rates.*field.member) o[field.name] = *rate;
  }
  return o;
}

bool fits(const price::Entry& entry, const std::string& search) {
  if (search.empty() || fmt::format("{}/{}", entry.vendor, entry.model).find(search) != std::string::npos) return true;
  return std::any_of(entry.also.begin(), entry.also.end(),
                     [&](const std::string& name) { return name.find(search) != std::string::npos; });
}

Result<Object> list(const AdminDesk& desk, const AdminCall& call) {
  std::int64_t offset = call.integer("offset", 0);
  std::int64_t end = offset + call.integer("limit", 100);
  std::int64_t at = 0;
  Array prices;
  for (const price::Entry* entry : desk.catalog()->entries()) {
    if (!fits(*entry, call.text("search"))) continue;
    if (at >= offset && at < end) prices.push_back(describe(*entry, call.now));
    ++at;
  }
  return Object{{"prices", std::move(prices)}, {"total", at}, {"next", at > end ? Value(end) : Value(nullptr)}};
}

}  // namespace

Object describe(const price::Entry& entry, base::WallMicros now) {
  Object o{{"vendor", text(entry.vendor)},
           {"model", text(entry.model)},
           {"also", texts(entry.also)},
           {"source", text(price::to_string(entry.source))}};
  const price::Price* price = entry.at(now);
  o["known"] = price != nullptr;
  if (price == nullptr) return o;
  o["as_of"] = price->as_of.empty() ? Value(nullptr) : text(price->as_of);
  o["rates"] = describe(price->rates);
  Array tiers;
  for (const price::LongContext& tier : price->long_context)
    tiers.push_back(Object{{"above", tier.above}, {"rates", describe(tier.rates)}});
  o["long_context"] = std::move(tiers);
  o["request"] = figure(price->request);
  o["image"] = figure(price->image);
  o["context"] = figure(price->context);
  o["output_max"] = figure(price->output_max);
  return o;
}

std::vector<AdminRoute> price_routes(AdminDesk& desk) {
  std::vector<Field> fields = page_fields();
  fields.insert(fields.begin(), {"search", Kind::text, "A part of vendor/model."});
  return {{.method = "GET",
           .path = "/admin/v1/prices",
           .name = "listPrices",
           .about = "What models cost, and where that is known from.",
           .query = std::move(fields),
           .gives = "Prices",
           .answer = [&desk](const AdminCall& call) { return list(desk, call); }}};
}

}  // namespace penstock::app
