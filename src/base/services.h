// The process's long-lived objects by type: filled by the composition root before anything runs, read-only afterwards.
// How an extension reaches the lane it belongs to.
#pragma once

#include <map>
#include <typeindex>

namespace penstock::base {

class Services {
 public:
  template <class T>
  void put(T* service) {
    entries_[std::type_index(typeid(T))] = service;
  }
  // Null when this process does not have it.
  template <class T>
  T* find() const {
    auto entry = entries_.find(std::type_index(typeid(T)));
    return entry == entries_.end() ? nullptr : static_cast<T*>(entry->second);
  }

 private:
  std::map<std::type_index, void*> entries_;
};

}  // namespace penstock::base
