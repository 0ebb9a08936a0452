// What this machine offers models: processors, memory, and what runtimes can run on.
#pragma once

#include "base/registry.h"
#include "json/value.h"

namespace penstock::app {

// May load the libraries of runtimes, and takes as long as that: not on a loop.
json::Object describe_hardware(const base::Registry& registry);

}  // namespace penstock::app
