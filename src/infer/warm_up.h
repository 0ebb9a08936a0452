// The first runs of a model cost much more than the rest (memory arenas, lazily packed weights): they happen at load.
#pragma once

#include "infer/served.h"

namespace penstock::infer {

// Runs the model on zeros, with 1 for every open dimension, and seeds its measured cost. A model that refuses zeros is
// left unmeasured: that is no sign of a broken model.
void warm_up(Served& served, base::Duration short_run);

}  // namespace penstock::infer
