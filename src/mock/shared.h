// What the loops of one mock share, and what its dialects have in common. Thread-safe.
#pragma once

#include <array>
#include <atomic>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "http/exchange.h"
#include "json/value.h"
#include "mock/media.h"
#include "mock/options.h"
#include "mock/traits.h"

namespace penstock::mock {

// Prompts seen before, by the hashes of their beginnings. At most 10,000: then it forgets everything.
class PrefixMemory {
 public:
  // The index after the last of `hashes` that was seen before, 0 for none. Remembers all of them.
  std::size_t seen(const std::vector<std::uint64_t>& hashes);

 private:
  static constexpr std::size_t kMost = 10'000;
  std::mutex mutex_;  // guards known_
  std::unordered_map<std::uint64_t, bool> known_;
};

// Documents by id, in the order of their making: stored responses and batches. At most 1,000: the oldest goes.
class DocumentShelf {
 public:
  void put(const std::string& id, json::Value document);
  // Null when there is none.
  json::Value get(const std::string& id) const;
  std::vector<json::Value> all(std::string_view prefix) const;
  bool remove(const std::string& id);
  std::uint64_t next_number() { return ++made_; }

 private:
  static constexpr std::size_t kMost = 1000;
  mutable std::mutex mutex_;  // guards documents_
  std::deque<std::pair<std::string, json::Value>> documents_;
  std::atomic<std::uint64_t> made_{0};
};

// A request as it arrived, for tests to look at.
struct Received {
  static constexpr std::array<std::string_view, 12> kFields = {
      "x-api-key",        "x-goog-api-key", "api-key",         "anthropic-version",   "anthropic-beta", "content-type",
      "content-encoding", "accept",         "accept-encoding", "openai-organization", "user-agent",     "x-request-id"};
  std::string method;
  std::string path;
  std::string query;
  std::string authorization;
  std::array<std::string, kFields.size()> fields;
  std::string body;
  json::Object describe() const;
};

struct Shared {
  explicit Shared(Options given) : options(std::move(given)) {}
  const Options options;
  std::atomic<std::uint64_t> arrivals{0};
  std::atomic<std::uint64_t> active{0};
  std::atomic<std::uint64_t> cancelled{0};
  FileShelf files;
  PrefixMemory prefixes;
  DocumentShelf documents;

  // `path` is the request's, or that and its query where it has no body.
  void remember(const http::Request& request, std::string_view path, std::string_view body);
  json::Object last() const;
  json::Array received(std::size_t count) const;

 private:
  static constexpr std::size_t kReceivedMax = 64;
  static constexpr std::size_t kOldBodyBytesMax = 64U << 10;
  mutable std::mutex mutex_;       // guards received_
  std::deque<Received> received_;  // the latest at the back
};

}  // namespace penstock::mock
