// Who looks at how the versions of a model do: the judge of a canary.
#pragma once

#include "infer/request.h"

namespace penstock::infer {

// One request that was answered by one version, before anything was tried again elsewhere.
struct Outcome {
  std::int64_t version = 0;
  bool failed = false;     // the version is to blame: internal, data_loss, unavailable, deadline_exceeded while running
  base::Duration total{};  // from arrival to result
};

class Watcher {
 public:
  virtual ~Watcher() = default;
  // Any thread; on the path of every request of the model: nanoseconds.
  virtual void finished(const Outcome& outcome) = 0;
  // The same inputs were run by two versions. Any thread.
  virtual void compared(std::int64_t version, const Response& answered, std::int64_t other,
                        const Result<Response>& shadow) = 0;
};

}  // namespace penstock::infer
