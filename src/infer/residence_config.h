// When a model is in memory, and what is known about it:
//   load: on_demand                 # start | on_demand
//   load_timeout: 10s               # how long a request waits for it
//   pin: true                       # never evicted
//   owner: vision team
//   licence: Apache-2.0
//   description: bearing wear from vibration
//   tags: { line: press-3 }
#pragma once

#include <map>
#include <string>

#include "config/document.h"

namespace penstock::infer {

struct ResidenceConfig {
  bool on_demand = false;
  base::Duration load_timeout = std::chrono::seconds(30);
  bool pin = false;
  std::string owner;
  std::string licence;
  std::string description;
  std::map<std::string, std::string> tags;
  bool operator==(const ResidenceConfig&) const = default;
};

ResidenceConfig parse_residence(config::Map& model);

}  // namespace penstock::infer
