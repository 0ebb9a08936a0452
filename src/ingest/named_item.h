// A list item with one key: the name of a step or sink. Private to the module.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/quantity.h"
#include "base/registry.h"
#include "config/document.h"

namespace penstock::ingest::detail {

inline std::string unknown_name(std::string_view what, std::string_view name, const std::vector<std::string>& known) {
  auto hint = base::closest(name, known);
  if (hint) return fmt::format("unknown {} '{}'; did you mean '{}'?", what, name, *hint);
  return fmt::format("unknown {} '{}'; there {} {}", what, name, known.empty() ? "is" : "are",
                     known.empty() ? "none" : fmt::format("{}", fmt::join(known, ", ")));
}

// Empty after a reported mistake.
template <class Factory>
std::pair<std::string, config::Node> named_item(const config::Node& item, std::string_view what,
                                                const base::Registry& registry) {
  config::Map map = item.map();
  std::vector<std::string> keys = map.keys();
  if (keys.size() != 1) {
    if (item.kind() == config::Node::Kind::map) {
      item.problem(fmt::format("expected one {} per list item; start each with its own '-'", what));
    }
    return {};
  }
  if (registry.find<Factory>(keys.front()) == nullptr) {
    item.problem(unknown_name(what, keys.front(), registry.names<Factory>()));
    return {};
  }
  return {keys.front(), map.get(keys.front())};
}

}  // namespace penstock::ingest::detail
