#include "price/listing.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/glob.h"
#include "price/quantity.h"

namespace penstock::price {
namespace {

std::string shown(const Figure& rate) { return rate ? format_rate(*rate) : std::string(); }

struct NamedFigure {
  std::string_view name;
  Figure Price::* member;
  std::string (*format)(std::int64_t);
};

std::string percent(std::int64_t share) { return fmt::format("{}%", share); }
std::string plain(std::int64_t count) { return fmt::format("{}", count); }

constexpr std::array<NamedFigure, 8> kFigures{{{"request", &Price::request, format_amount},
                                               {"image", &Price::image, format_amount},
                                               {"batch", &Price::batch, percent},
                                               {"flex", &Price::flex, percent},
                                               {"priority", &Price::priority, percent},
                                               {"fast", &Price::fast, percent},
                                               {"context", &Price::context, plain},
                                               {"output_max", &Price::output_max, plain}}};

// The rates that have no column of their own.
bool in_column(std::string_view name) { return name == "input" || name == "cached" || name == "output"; }

std::string more_of(const Price& price) {
  std::vector<std::string> parts;
  for (const RateField& field : kRateFields) {
    const Figure& rate = price.rates.*field.member;
    if (rate && !in_column(field.name)) parts.push_back(fmt::format("{} {}", field.name, format_rate(*rate)));
  }
  for (const LongContext& tier : price.long_context) {
    std::vector<std::string> rates;
    for (const RateField& field : kRateFields) {
      const Figure& rate = tier.rates.*field.member;
      if (rate) rates.push_back(fmt::format("{} {}", field.name, format_rate(*rate)));
    }
    parts.push_back(fmt::format("above {} tokens {}", tier.above, fmt::join(rates, ", ")));
  }
  for (const NamedFigure& figure : kFigures) {
    const Figure& value = price.*figure.member;
    if (value) parts.push_back(fmt::format("{} {}", figure.name, figure.format(*value)));
  }
  return fmt::format("{}", fmt::join(parts, "; "));
}

void write_rates(json::Writer& out, const Rates& rates) {
  for (const RateField& field : kRateFields) {
    const Figure& rate = rates.*field.member;
    if (rate) out.member(field.name, *rate);
  }
}

// 2026-01-31
std::string day(base::WallMicros time) { return base::to_rfc3339(time).substr(0, 10); }

}  // namespace

Row row_of(const Entry& entry, base::WallMicros now) {
  Row row{.vendor = entry.vendor, .model = entry.model, .source = std::string(to_string(entry.source))};
  const Price* price = entry.at(now);
  if (price == nullptr) return row;
  row.input = shown(price->rates.input);
  row.cached = shown(price->rates.cached);
  row.output = shown(price->rates.output);
  row.more = more_of(*price);
  row.as_of = price->as_of;
  return row;
}

std::vector<const Entry*> matching(const Catalog& catalog, std::string_view part) {
  std::vector<const Entry*> found;
  for (const Entry* entry : catalog.entries()) {
    std::string name = entry->vendor + "/" + entry->model;
    if (name.find(part) != std::string::npos || base::glob_matches(part, name)) found.push_back(entry);
  }
  std::sort(found.begin(), found.end(), [](const Entry* a, const Entry* b) {
    return std::tie(a->vendor, a->model, a->source) < std::tie(b->vendor, b->model, b->source);
  });
  return found;
}

void write_json(json::Writer& out, const Price& price) {
  out.open_object();
  write_rates(out, price.rates);
  if (!price.long_context.empty()) {
    out.key("long_context").open_array();
    for (const LongContext& tier : price.long_context) {
      out.open_object();
      out.member("above", tier.above);
      write_rates(out, tier.rates);
      out.close_object();
    }
    out.close_array();
  }
  for (const NamedFigure& figure : kFigures) {
    const Figure& value = price.*figure.member;
    if (value) out.member(figure.name, *value);
  }
  if (!price.as_of.empty()) out.member("as_of", price.as_of);
  if (price.from != 0) out.member("from", day(price.from));
  out.close_object();
}

void write_json(json::Writer& out, const Entry& entry, base::WallMicros now) {
  out.open_object().member("vendor", entry.vendor).member("model", entry.model);
  if (!entry.also.empty()) {
    out.key("also").open_array();
    for (const std::string& name : entry.also) out.string(name);
    out.close_array();
  }
  out.member("source", to_string(entry.source)).key("price");
  if (const Price* price = entry.at(now)) {
    write_json(out, *price);
  } else {
    out.null();
  }
  if (entry.prices.size() > 1) {
    out.key("prices").open_array();
    for (const Price& price : entry.prices) write_json(out, price);
    out.close_array();
  }
  out.close_object();
}

}  // namespace penstock::price
