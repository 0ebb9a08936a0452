// What happened to models: who did what and why. Kept over restarts.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace penstock::infer {

// Who wants a change.
struct Wish {
  std::string actor = {};  // "operator NAME", "canary", "configuration", "memory budget", "a request"
  std::string why = {};    // in words; may be empty
};

struct ModelEvent {
  base::WallMicros at = 0;
  std::string model = {};
  std::string action = {};  // load, unload, evict, pin, unpin, promote, rollback, canary, fail
  std::int64_t from = 0;    // versions; 0: does not apply
  std::int64_t to = 0;
  Wish by = {};
};

class Journal {
 public:
  virtual ~Journal() = default;
  // Any thread; may write to disk.
  virtual Result<void> append(const ModelEvent& event) = 0;
  // The newest first, of one model or, with an empty name, of all.
  virtual Result<std::vector<ModelEvent>> last(const std::string& model, std::size_t limit) const = 0;
};

}  // namespace penstock::infer
