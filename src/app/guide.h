// What `guide: true` prints after the start: addresses, a key, and commands to try.
#pragma once

#include <string>
#include <vector>

#include "app/gateway_config.h"

namespace penstock::app {

struct GuideFacts {
  std::string data;  // addresses
  std::string admin;
  std::string llm;  // who answers chats, in words; empty: nobody
  std::vector<std::string> pipelines;
};

std::string guide_text(const GatewayConfig& config, const GuideFacts& facts);

}  // namespace penstock::app
