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
  std::string action = {};  // load, unload, evict, pin, unpin, promote, rollback, canary, labels, split, fail
  std::int64_t from = 0;    // versions; 0: does not apply
  std::int64_t to = 0;
  Wish by = {};
};

// What is known again after a restart of one model's traffic.
struct KeptState {
  std::string text = {};    // empty: nothing
  std::int64_t serial = 0;  // of the decision it follows from
  bool decision = false;    // is that decision: to be told when a later one stands in its way
};

class Journal {
 public:
  virtual ~Journal() = default;
  // Any thread; never waits for the disk. Errors: backpressure.
  virtual Result<void> append(const ModelEvent& event) = 0;
  // The newest first, of one model or, with an empty name, of all. Those appended before are among them. May wait for
  // the disk.
  virtual Result<std::vector<ModelEvent>> last(const std::string& model, std::size_t limit) const = 0;
  // In the place of what is kept of the model, unless that has a higher serial: it comes from another process that
  // decided later. A decision that is not kept for that reason makes flush() fail. Any thread; never waits for the
  // disk. Errors: backpressure.
  virtual Result<void> keep(const std::string&, const KeptState&) { return {}; }
  virtual Result<KeptState> kept(const std::string&) const { return KeptState(); }
  // Waits until all before is on the disk; fails when some of it could not be written.
  virtual Result<void> flush() { return {}; }
};

}  // namespace penstock::infer
