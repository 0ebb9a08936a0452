// A model in a process of its own: what a hostile or broken file does there is no harm to the gateway. The process runs
// under a filter of system calls, without network, files and secrets; tensors go through memory that both have. When it
// ends, whatever the reason, runs under way fail with `unavailable` and it is started again, at growing distances while
// that does not help.
#pragma once

#include <string>

#include "base/clock.h"
#include "infer/runtime.h"

namespace penstock::infer {

// A run that nobody stops ends after this time, so that a process that hangs does not hold its callers' threads.
constexpr base::Duration kIsolatedRunMax = std::chrono::minutes(5);

// Loads `file` by the runtime of that name in a process of its own. Blocks; any thread. Errors as Runtime::load, and
// unavailable where the system does not let a process start or it does not answer in two minutes. Runs of the model
// also fail with deadline_exceeded, after `run_max`.
Result<std::shared_ptr<const Model>> load_isolated(const std::string& runtime, const ModelFile& file,
                                                   const RuntimeOptions& options,
                                                   base::Duration run_max = kIsolatedRunMax);

}  // namespace penstock::infer
