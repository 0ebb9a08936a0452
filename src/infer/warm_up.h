// The first runs of a model cost much more than the rest (memory arenas, lazily packed weights): they happen at load.
// They also show whether it does what is expected of it. A model that does not come to an end is stopped after its
// `load_timeout`, over all its runs.
#pragma once

#include "infer/served.h"

namespace penstock::infer {

// The runs on zeros that the configuration asks for, then measure(). failed_precondition when one of those fails or the
// time is up: such a version is not fit to serve.
Result<void> warm_up(Served& served, base::Duration short_run);

// Runs the model on zeros, with 1 for every open dimension, and seeds its measured cost; checks on random rows that
// requests can share runs, where they are to. A model that refuses zeros is left unmeasured: that is no sign of a
// broken model. failed_precondition when the time is up.
Result<void> measure(Served& served, base::Duration short_run);

}  // namespace penstock::infer
