// One configured model as it stands: an immutable picture that readers look at while the next one is made.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "infer/model_config.h"
#include "infer/model_folder.h"
#include "infer/served.h"
#include "infer/traffic.h"

namespace penstock::infer {

struct ModelEntry {
  struct Version {
    std::int64_t number = 0;
    Stamp stamp;                     // of what it was loaded from
    std::string reason;              // why it is not ready, or why its replacement was not taken
    std::shared_ptr<Served> served;  // null when not ready
    base::SteadyTime loaded_at{};
  };

  std::shared_ptr<const ModelConfig> declared;  // as the gateway's file has it
  std::shared_ptr<const ModelConfig> config;    // with what the folder or a request says; never null
  std::shared_ptr<Traffic> traffic;             // never null
  std::vector<Version> versions;                // ascending
  std::vector<std::int64_t> ready;              // of them, those in service; ascending
  std::string reason;                           // why there are none, or why what is there was not looked at
  std::vector<std::pair<std::int64_t, std::weak_ptr<Served>>> leaving;  // until their last run ends
  std::uint64_t sight = 0;                                              // of the folder, as it was read
  bool unloaded = false;                                                // on purpose
  bool dormant = false;                                                 // not in memory; comes with the next request
  bool loading = false;
  bool pinned = false;
  bool by_request = false;  // configuration or files came with a request
  unsigned failures = 0;    // loads on demand in a row
  base::SteadyTime retry_at{};

  const Version* find(std::int64_t number) const {
    auto found = std::lower_bound(versions.begin(), versions.end(), number,
                                  [](const Version& version, std::int64_t wanted) { return version.number < wanted; });
    return found == versions.end() || found->number != number ? nullptr : &*found;
  }
  // Why nothing of it can be served.
  std::string why() const;
  // Sorts, and notes what is ready.
  void settle();
};

}  // namespace penstock::infer
