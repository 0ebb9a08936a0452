#include "mock/shared.h"

#include <algorithm>

namespace penstock::mock {

std::size_t PrefixMemory::seen(const std::vector<std::uint64_t>& hashes) {
  std::lock_guard lock(mutex_);
  std::size_t count = 0;
  for (std::size_t i = 0; i < hashes.size(); ++i) {
    if (known_.contains(hashes[i])) count = i + 1;
  }
  if (known_.size() + hashes.size() > kMost) known_.clear();
  for (std::uint64_t hash : hashes) known_[hash] = true;
  return count;
}

void DocumentShelf::put(const std::string& id, json::Value document) {
  std::lock_guard lock(mutex_);
  auto known = std::ranges::find(documents_, id, &std::pair<std::string, json::Value>::first);
  if (known != documents_.end()) {
    known->second = std::move(document);
    return;
  }
  if (documents_.size() >= kMost) documents_.pop_front();
  documents_.emplace_back(id, std::move(document));
}

json::Value DocumentShelf::get(const std::string& id) const {
  std::lock_guard lock(mutex_);
  auto known = std::ranges::find(documents_, id, &std::pair<std::string, json::Value>::first);
  return known != documents_.end() ? known->second : json::Value();
}

std::vector<json::Value> DocumentShelf::all(std::string_view prefix) const {
  std::lock_guard lock(mutex_);
  std::vector<json::Value> found;
  for (const auto& [id, document] : documents_) {
    if (id.starts_with(prefix)) found.push_back(document);
  }
  return found;
}

bool DocumentShelf::remove(const std::string& id) {
  std::lock_guard lock(mutex_);
  return std::erase_if(documents_, [&](const auto& entry) { return entry.first == id; }) > 0;
}

json::Object Received::describe() const {
  json::Object object;
  object["method"] = method;
  object["path"] = path;
  object["query"] = query;
  object["authorization"] = authorization;
  json::Object named;
  for (std::size_t i = 0; i < kFields.size(); ++i) {
    if (!fields[i].empty()) named[kFields[i]] = fields[i];
  }
  object["headers"] = std::move(named);
  object["body"] = body;
  return object;
}

void Shared::remember(const http::Request& request, std::string_view path, std::string_view body) {
  std::lock_guard lock(mutex_);
  if (!received_.empty() && received_.back().body.size() > kOldBodyBytesMax) {
    received_.back().body.resize(kOldBodyBytesMax);
    received_.back().body.shrink_to_fit();
  }
  Received entry;
  if (received_.size() >= kReceivedMax) {
    entry = std::move(received_.front());  // its memory serves again
    received_.pop_front();
  }
  entry.method = request.method;
  entry.path = path;
  entry.query = request.query;
  entry.authorization = request.field(wire::FieldId::authorization);
  for (std::size_t i = 0; i < Received::kFields.size(); ++i) entry.fields[i] = request.field(Received::kFields[i]);
  entry.body = body;
  received_.push_back(std::move(entry));
}

json::Object Shared::last() const {
  std::lock_guard lock(mutex_);
  return received_.empty() ? Received().describe() : received_.back().describe();
}

json::Array Shared::received(std::size_t count) const {
  std::lock_guard lock(mutex_);
  json::Array list;
  std::size_t first = received_.size() - std::min(count, received_.size());
  for (std::size_t i = first; i < received_.size(); ++i) list.push_back(received_[i].describe());
  return list;
}

}  // namespace penstock::mock
