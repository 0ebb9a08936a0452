// The normalizer "Precompiled" of vocabularies that SentencePiece made: a table of replacements, found by a double
// array (J. Aoe, "An efficient digital search algorithm by using a double-array structure", 1989), as the Darts library
// lays it out.
#pragma once

#include "token/normalizer.h"

namespace penstock::token {

std::unique_ptr<const Normalizer> read_precompiled(const JsonNode& node);

}  // namespace penstock::token
