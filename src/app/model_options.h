// How the gateway's local models meet the rest of it: the log, and what keeps it from being ready.
#pragma once

#include <string>
#include <vector>

#include "app/gateway_config.h"
#include "infer/repository.h"

namespace penstock::app {

infer::Repository::Options model_options(const GatewayConfig& config, infer::Journal* journal = nullptr);

// Models that cannot be served, in words. One that was unloaded on purpose, or waits for its first request, is as it
// should be.
std::vector<std::string> model_obstacles(const infer::Repository& repository);

// The same models, all loaded at once: for commands that look at each of them.
std::vector<infer::ModelConfig> loaded_at_once(std::vector<infer::ModelConfig> models);

}  // namespace penstock::app
