// Running: one job as it is, or several put together.
#pragma once

#include <span>

#include "infer/task.h"

namespace penstock::infer {

// Runs the job's inputs and writes the version's figures. `entered`: since when it waited.
Result<Response> execute(Job& job, base::SteadyTime entered, base::Duration inline_max, bool inline_run);

// Fills the results of tasks of one signature. When their common run fails, each is run by itself, so that no bad
// input harms the others.
void execute(std::span<const TaskPtr> tasks, const std::stop_token& stop, base::Duration inline_max);

// Writes the failure into the version's figures.
Error note_failure(Job& job, Error error, Failure kind);
Error cancelled(Job& job);
Error too_late(Job& job);

}  // namespace penstock::infer
