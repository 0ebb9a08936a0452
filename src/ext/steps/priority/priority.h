#pragma once

#include <memory>

#include "ingest/contracts.h"

namespace penstock::ext::steps {

// See README.md. Null after a mistake reported on `node`.
std::unique_ptr<ingest::Step> make_priority(const config::Node& node, const ingest::StepContext& context);

}  // namespace penstock::ext::steps
