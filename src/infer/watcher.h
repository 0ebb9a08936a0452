// Who looks at how the versions of a model do: the judge of a canary.
#pragma once

#include "infer/request.h"

namespace penstock::infer {

// How one version did with one request, before anything was tried again elsewhere.
struct Outcome {
  std::int64_t version = 0;
  // The version is to blame: internal, data_loss, unavailable, deadline_exceeded while running; also its queue, which
  // was full or took too long.
  bool failed = false;
  bool given_up = false;   // whoever asked did not wait for the end
  base::Duration total{};  // from arrival to result
};

class Watcher {
 public:
  virtual ~Watcher() = default;
  // Any thread; on the path of every request of the model: nanoseconds.
  virtual void finished(const Outcome& outcome) = 0;
  // A request that came at `arrived` is in the hands of `version`; ended() follows once, whatever becomes of it, and
  // finished() where that says something about the version. Any thread.
  virtual void began(std::int64_t, base::SteadyTime /*arrived*/) {}
  virtual void ended(std::int64_t, base::SteadyTime /*arrived*/) {}
  // The same inputs were run by two versions. Any thread.
  virtual void compared(std::int64_t version, const Response& answered, std::int64_t other,
                        const Result<Response>& shadow) = 0;
};

}  // namespace penstock::infer
