// The reason of an alarm, behind a step that hides values.
#pragma once

#include <string_view>

#include "ingest/sample.h"

namespace penstock::ingest {

// What stands for a reason that would tell hidden values.
constexpr std::string_view kWithheld = "withheld: it tells values that are hidden";

// For a step that hides fields or tags, once it did. The reason of the sample's alarm stays when all that it tells is
// in the sample still, by the same name and with the same value: then it tells nothing that the sample does not. Else
// it is withheld: what a value was called at the alarm, and where it went from there, does not matter.
void withhold_reason(Sample& sample);

}  // namespace penstock::ingest
