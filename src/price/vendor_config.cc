#include "price/vendor_config.h"

#include "price/vendor.h"

namespace penstock::price {

std::string read_vendor(config::Map& provider, std::string_view host, const Catalog& catalog) {
  config::Node node = provider.get("catalog");
  if (!node.present()) return std::string(vendor_of_host(host));
  std::string vendor = node.text();
  if (vendor == "none") return {};
  std::vector<std::string> known = catalog.vendors();
  if (std::find(known.begin(), known.end(), vendor) != known.end()) return vendor;
  auto likely = base::closest(vendor, known);
  node.problem(fmt::format("the price catalog has no vendor '{}'{}; it has {}, or write none", vendor,
                           likely ? fmt::format("; did you mean '{}'?", *likely) : "", fmt::join(known, ", ")));
  return {};
}

}  // namespace penstock::price
