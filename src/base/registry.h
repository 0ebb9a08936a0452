// What the extensions offer, by contract and name. Each lane defines a factory type (llm::ProviderFactory,
// ingest::StepFactory, ...); an extension adds its factory under the name the configuration uses. Filled once at start
// by the generated table, read-only afterwards, so that reading needs no lock.
#pragma once

#include <any>
#include <map>
#include <string>
#include <string_view>
#include <typeindex>
#include <vector>

namespace penstock::base {

class Registry {
 public:
  // The first extension to take a name keeps it: a duplicate is a build mistake and is reported by false.
  template <class Factory>
  bool add(std::string_view name, Factory factory) {
    return entries_[std::type_index(typeid(Factory))].emplace(std::string(name), std::move(factory)).second;
  }

  // Null when no extension offers that name for that contract.
  template <class Factory>
  const Factory* find(std::string_view name) const {
    auto kind = entries_.find(std::type_index(typeid(Factory)));
    if (kind == entries_.end()) return nullptr;
    auto entry = kind->second.find(name);
    return entry == kind->second.end() ? nullptr : std::any_cast<Factory>(&entry->second);
  }

  // Sorted, for error messages and for building everything of one kind.
  template <class Factory>
  std::vector<std::string> names() const {
    std::vector<std::string> result;
    auto kind = entries_.find(std::type_index(typeid(Factory)));
    if (kind == entries_.end()) return result;
    for (const auto& [name, factory] : kind->second) result.push_back(name);
    return result;
  }

 private:
  std::map<std::type_index, std::map<std::string, std::any, std::less<>>> entries_;
};

}  // namespace penstock::base
