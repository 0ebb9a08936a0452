// Which version of one model answers: labels, a split by weight, a canary with its judge, a shadow. Lives as long as
// the model is configured, over reloads; any thread.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "infer/journal.h"
#include "infer/traffic_config.h"
#include "infer/watcher.h"

namespace penstock::infer {

// What a request is answered by.
struct Choice {
  std::int64_t version = 0;
  std::optional<std::int64_t> fallback = {};  // where it is tried again when `version` is to blame for a failure
  std::optional<std::int64_t> shadow = {};    // runs it too; nobody hears of its answer but the watcher
};

class Traffic {
 public:
  virtual ~Traffic() = default;
  // For a request that names no version. `ready`: versions in service, ascending, not empty. A version that is not
  // among them gets no traffic.
  virtual Choice choose(std::string_view sticky, std::span<const std::int64_t> ready) = 0;
  // The one of `ready` (as for choose) that answers most requests that name no version; counts as no request.
  virtual std::int64_t usual(std::span<const std::int64_t> ready) const { return ready.back(); }
  // The version that has the label; nothing when none has.
  virtual std::optional<std::int64_t> labelled(std::string_view label) const = 0;
  // Versions that must be in memory besides those that `serve` asks for.
  virtual std::vector<std::int64_t> wanted() const = 0;
  // Null: nobody looks.
  virtual Watcher* watcher() = 0;
};

}  // namespace penstock::infer
