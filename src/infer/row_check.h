// Whether a model's rows have nothing to do with one another: only then may the rows of several requests share a run.
#pragma once

#include <stop_token>

#include "infer/runtime.h"

namespace penstock::infer {

// Runs the model on a few random rows, each alone and all together, and compares. An open first dimension alone proves
// nothing: that of an output may count what was found in all rows. False also when the model refuses what it is given,
// is stopped, or would need large inputs. `model` is batchable(). Blocks.
bool rows_stand_alone(const Model& model, const std::stop_token& stop);

}  // namespace penstock::infer
