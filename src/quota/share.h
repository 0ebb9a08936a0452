// What gateways share their meters, and the keys stored at any of them, through. Implementations live in
// src/ext/shares/<name> and add a ShareFactory to the registry under the key of `shared:` that names the store.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/registry.h"
#include "config/document.h"
#include "quota/book.h"

namespace penstock::quota {

// What one gateway tells at once. The batch of a number is told again, unchanged, until it is answered: the store
// counts it once. Numbers rise by one.
struct ShareBatch {
  std::uint64_t number = 0;
  std::vector<SharedUse> uses;
};

struct ShareAnswer {
  std::vector<SharedSum> sums;  // of the batch's uses, in their order
  int gateways = 1;             // that were heard of in the last five seconds, ours included
  std::int64_t revision = 0;    // of the records: rises with every change
  bool fresh = false;           // the store does not know what we told before: it is a new one, or lost its data
};

// Something that all gateways keep alike: a stored key, a team. Of two the later one stays, but one that is final (a
// revoked key) stays for good.
struct SharedRecord {
  std::string id;
  base::WallMicros changed = 0;
  bool final = false;
  std::string text;
  bool operator==(const SharedRecord&) const = default;
};

struct SharedRecords {
  std::vector<SharedRecord> records;
  std::int64_t revision = 0;  // of the last of them; what was asked since when there are none
};

// Used by one thread. Every call ends within the store's timeouts; after an error the next call connects again.
// Errors: unavailable, deadline_exceeded; permission_denied and failed_precondition need somebody to change something.
class Share {
 public:
  virtual ~Share() = default;
  virtual Result<ShareAnswer> exchange(const ShareBatch& batch) = 0;
  // Adds those to the store that are newer than what it has.
  virtual Result<void> put(std::span<const SharedRecord> records) = 0;
  // Those with a revision above `since`, in the order of their revisions, at most `most`.
  virtual Result<SharedRecords> changes(std::int64_t since, std::size_t most) = 0;
  // The text that the first gateway left under this name: `mine`, when nobody did before.
  virtual Result<std::string> first(std::string_view name, std::string_view mine) = 0;
  // No longer one of the gateways that are alive. Best effort.
  virtual void leave() = 0;
};

// Reads the store's own keys of `shared:`.
struct ShareParts {
  std::function<std::unique_ptr<Share>()> open;  // connects with the first call
  std::string place;                             // for people: no secret in it
};
struct ShareFactory {
  std::function<ShareParts(config::Map& map)> parse;
};

// `shared:` of the configuration.
struct ShareConfig {
  ShareParts store;
  std::string spec;  // equal when the store and how it is reached are
  double slice = 0.02;
  base::Duration every = std::chrono::milliseconds(100);
  int gateways = 1;  // the fewest to divide what is left by when the store is lost
  bool keys = true;  // stored keys and teams are shared, too
};

// Mistakes are reported on the node; nothing when it is absent.
std::optional<ShareConfig> parse_shared(const config::Node& node, const base::Registry& registry);

}  // namespace penstock::quota
