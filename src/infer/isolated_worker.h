// The process of one isolated model: loads it when told to, runs it, and knows nothing else.
#pragma once

#include "infer/nursery.h"

namespace penstock::infer::isolated {

// Takes orders from `control` until the gateway is gone; returns the exit status. `confine` is called before a byte of
// the model is looked at and after the runtime's library is open.
int serve_worker(int control, const base::Registry& registry, const Confine& confine);

}  // namespace penstock::infer::isolated
