// The pipeline step `window`: see README.md.
#pragma once

#include "ext/steps/window/gather.h"
#include "ingest/contracts.h"

namespace penstock::ext::steps {

std::unique_ptr<ingest::Step> make_window(const config::Node& node, const ingest::StepContext& context);

// The kinds, for the same settings.
std::unique_ptr<ingest::Step> make_time_window(Settings settings, const ingest::StepContext& context);
std::unique_ptr<ingest::Step> make_sliding_window(Settings settings, const ingest::StepContext& context);  // and count
std::unique_ptr<ingest::Step> make_session_window(Settings settings, const ingest::StepContext& context);  // and state

}  // namespace penstock::ext::steps
