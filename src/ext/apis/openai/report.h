// What a caller is told when no target answered.
#pragma once

#include "llm/failure.h"

namespace penstock::ext {

rt::Task<void> report(flow::Call& call, llm::Failure failure);

}  // namespace penstock::ext
