// What models cost.
#include "app/admin_desk.h"
#include "app/admin_text.h"
#include "price/listing.h"

namespace penstock::app {
namespace {

using json::Object;
using json::Value;

Value described(const price::Entry& entry, base::WallMicros now) {
  std::string out;
  json::Writer writer(out);
  price::write_json(writer, entry, now);
  return json::parse(out).value_or(nullptr);
}

Result<Object> list(const AdminDesk& desk, const AdminCall& call) {
  std::shared_ptr<const price::Catalog> catalog = desk.catalog();
  std::vector<const price::Entry*> found = price::matching(*catalog, call.text("search"));
  std::size_t from = std::min(found.size(), static_cast<std::size_t>(call.integer("offset", 0)));
  std::size_t end = std::min(found.size(), from + static_cast<std::size_t>(call.integer("limit", 100)));
  json::Array prices;
  for (std::size_t i = from; i < end; ++i) prices.push_back(described(*found[i], call.now));
  return Object{{"prices", std::move(prices)},
                {"total", found.size()},
                {"next", end < found.size() ? Value(end) : Value(nullptr)}};
}

}  // namespace

std::vector<AdminRoute> price_routes(AdminDesk& desk) {
  std::vector<Field> fields = page_fields();
  fields.insert(fields.begin(), {"search", Kind::text, "A part of vendor/model, or a glob of it."});
  return {{.method = "GET",
           .path = "/admin/v1/prices",
           .name = "listPrices",
           .about = "What models cost, and where that is known from.",
           .query = std::move(fields),
           .gives = "Prices",
           .answer = [&desk](const AdminCall& call) { return list(desk, call); }}};
}

}  // namespace penstock::app
