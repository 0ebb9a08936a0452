// OpenAI's paths beside conversations: moderations, images, reranking and batches.
#pragma once

#include "mock/dialect.h"

namespace penstock::mock {

// A text with the word "violence" is flagged.
Answered moderate(const Call& call, Shared& shared);
// As many images as asked for: one pixel each.
Answered draw(const Call& call, Shared& shared);
// By the likeness of embeddings, best first.
Answered rerank(const Call& call, Shared& shared);
// Under /v1/batches; in memory, and never done.
Answered batches(const Call& call, Shared& shared);

}  // namespace penstock::mock
