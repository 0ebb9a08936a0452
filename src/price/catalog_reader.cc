#include "price/catalog_reader.h"

#include "price/price_config.h"
#include "price/quantity.h"

namespace penstock::price {
namespace {

// One model of a catalog file: its price, or several, and the other names it has.
Entry read_entry(const std::string& vendor, const std::string& model, const config::Node& node, Source source) {
  Entry entry{.vendor = vendor, .model = model, .source = source};
  if (node.kind() != config::Node::Kind::map) {
    entry.prices = parse_prices(node);
    return entry;
  }
  config::Map map = node.map();
  entry.also = map.texts("also");
  entry.prices.push_back(parse_price(map));
  map.done();
  return entry;
}

void add(PriceTable& table, Entry entry, const config::Node& node) {
  if (!table.add(std::move(entry))) node.problem("this model, or another name of it, has a price above already");
}

// provider/model: price. Both may have wildcards.
void read_models(const config::Node& node, PriceTable& table) {
  for (const auto& [name, price] : node.map().entries()) {
    std::size_t slash = name.find('/');
    if (slash == std::string::npos || slash == 0 || slash + 1 == name.size()) {
      price.problem("a price is for provider/model, as in openai/gpt-4o or lab/*");
      continue;
    }
    add(table, {name.substr(0, slash), name.substr(slash + 1), {}, parse_prices(price), Source::configuration}, price);
  }
}

void read_named_file(const config::Node& node, PriceTable& table) {
  auto document = config::Document::load(node.text());
  if (!document) {
    node.problem(document.error().detail);
    return;
  }
  read_vendors(document->root(), table, Source::file);
  for (const config::Problem& problem : document->problems()) {
    node.problem(fmt::format("{}:{}:{}: {}", document->name(), problem.at.line, problem.at.column, problem.message));
  }
}

}  // namespace

void read_vendors(const config::Node& root, PriceTable& table, Source source) {
  config::Map map = root.map();
  std::string as_of = map.text("as_of");
  if (config::Node node = map.get("as_of"); node.present() && !parse_day(as_of))
    node.problem(parse_day(as_of).error().detail);
  for (const auto& [vendor, models] : map.entries()) {
    if (vendor == "as_of") continue;
    for (const auto& [model, node] : models.map().entries()) {
      Entry entry = read_entry(vendor, model, node, source);
      for (Price& price : entry.prices) {
        if (price.as_of.empty()) price.as_of = as_of;
      }
      add(table, std::move(entry), node);
    }
  }
}

std::shared_ptr<const Catalog> Catalog::builtin() {
  static const auto catalog = std::make_shared<const Catalog>();
  return catalog;
}

std::shared_ptr<const Catalog> Catalog::read(const config::Node& prices) {
  if (!prices.present()) return builtin();
  auto catalog = std::make_shared<Catalog>();
  config::Map map = prices.map();
  if (config::Node file = map.get("file"); file.present()) {
    catalog->file_ = file.text();
    read_named_file(file, catalog->from_file_);
  }
  if (config::Node models = map.get("models"); models.present()) read_models(models, catalog->configured_);
  map.done();
  return catalog;
}

std::shared_ptr<const Catalog> Catalog::read_file(const config::Document& document) {
  auto catalog = std::make_shared<Catalog>();
  catalog->with_compiled_in_ = false;
  read_vendors(document.root(), catalog->from_file_, Source::file);
  return catalog;
}

}  // namespace penstock::price
