// What a version on trial may do wrong without anybody noticing but its judge: the fallback answers instead, and a
// shadow runs where nobody waits for it.
#pragma once

#include "infer/task.h"

namespace penstock::infer {

// Tells the watcher that the request is in the hands of its first version.
void announce(Job& job);

// Whether the request is to be tried on the fallback, which then is the job's version. The watcher hears of the
// failure; of one that may be the request's fault, or that of all queues, once the fallback has done better.
bool falls_back(Job& job, const Result<Response>& result);

// Tells the watcher how the job's first version did, and for a shadow how it compares.
void report(Job& job, const Result<Response>& result);

// The job that runs the shadow, with the inputs of `job`, which is over. Nothing when there is none.
std::optional<Job> shadow_of(Job& job, const Result<Response>& result);

}  // namespace penstock::infer
