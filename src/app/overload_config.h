// `overload:` of the configuration: how much the gateway takes on before it refuses.
#pragma once

#include "config/document.h"
#include "flow/admission.h"
#include "http/burden.h"

namespace penstock::app {

struct OverloadConfig {
  http::BurdenLimits burden;
  flow::AdmissionLimits admission;
};

// What is not written comes from the machine: descriptors this process may open (the soft limit is raised to the hard
// one for that), and memory. Mistakes are reported on the node.
OverloadConfig read_overload(const config::Node& node, std::size_t threads);

}  // namespace penstock::app
