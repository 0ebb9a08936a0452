// The pipeline step `fft`: see README.md.
#pragma once

#include "ingest/contracts.h"

namespace penstock::ext::steps {

std::unique_ptr<ingest::Step> make_fft(const config::Node& node, const ingest::StepContext& context);

}  // namespace penstock::ext::steps
