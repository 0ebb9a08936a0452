// The pipeline step `envelope`: see README.md.
#pragma once

#include "ingest/contracts.h"

namespace penstock::ext::steps {

std::unique_ptr<ingest::Step> make_envelope(const config::Node& node, const ingest::StepContext& context);

}  // namespace penstock::ext::steps
