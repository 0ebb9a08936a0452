// What metrics and the admin API show of providers' connections and health.
#pragma once

#include "json/value.h"
#include "llm/plan.h"
#include "obs/metrics.h"

namespace penstock::app {

// Any thread, both.
json::Array describe_providers(const llm::Plan& plan);
void collect_upstreams(const llm::Plan& plan, obs::MetricWriter& writer);

}  // namespace penstock::app
