// When a model is in memory, and what is known about it:
//   load: on_demand                 # start | on_demand
//   load_timeout: 10s               # how long a request waits for it
//   pin: true                       # never evicted
//   warmup: { rows: [1, 8], count: 2 }   # runs on zeros before traffic; a version that fails them is not served
//   owner: vision team
//   licence: Apache-2.0
//   description: bearing wear from vibration
//   tags: { line: press-3 }
#pragma once

#include <map>
#include <string>
#include <vector>

#include "config/document.h"

namespace penstock::infer {

struct WarmUpConfig {
  std::vector<std::int64_t> rows;  // sizes of the first dimension that is open; empty: no runs are asked for
  std::size_t count = 1;           // of each
  bool operator==(const WarmUpConfig&) const = default;
};

struct ResidenceConfig {
  bool on_demand = false;
  base::Duration load_timeout = std::chrono::seconds(30);
  bool pin = false;
  WarmUpConfig warm_up;
  std::string owner;
  std::string licence;
  std::string description;
  std::map<std::string, std::string> tags;
  bool operator==(const ResidenceConfig&) const = default;
};

ResidenceConfig parse_residence(config::Map& model);

}  // namespace penstock::infer
