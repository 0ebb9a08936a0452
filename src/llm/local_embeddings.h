// What this lane asks of the models in the gateway's own process. The composition root answers it.
#pragma once

#include <stop_token>

#include "chat/embeddings.h"
#include "rt/loop.h"
#include "rt/task.h"

namespace penstock::llm {

// Any loop's thread.
class LocalEmbeddings {
 public:
  virtual ~LocalEmbeddings() = default;
  // Vectors for all inputs, in their order, and how many tokens the model saw. `request` outlives the task; `stop` is
  // asked to stop when nobody waits any more. Errors: invalid_argument and out_of_range for what the caller can mend,
  // backpressure, unavailable and deadline_exceeded, cancelled, and others for a model that cannot do it.
  virtual rt::Task<Result<chat::EmbeddingsAnswer>> embed(rt::Loop& loop, const std::string& model,
                                                         const chat::EmbeddingsRequest& request,
                                                         base::SteadyTime deadline, std::stop_token stop) = 0;
};

}  // namespace penstock::llm
