// Sends samples different ways; the ways join again behind the step.
//
//   branch:
//     - { when: "device == \"press-1\"", steps: [ deadband: { temp: 0.5 } ] }
//     - { when: "has(audio)", copy: true, steps: [ ... ] }
//     - { else: true, steps: [ filter: "false" ] }
//
// A sample takes the first way whose condition is true. With `copy: true` a copy goes that way and the sample goes on
// looking. One for which no condition is true takes the way of `else`; without that it passes as it is.
#pragma once

#include "ingest/contracts.h"

namespace penstock::ext::steps {

std::unique_ptr<ingest::Step> make_branch(const config::Node& node, const ingest::StepContext& context);

}  // namespace penstock::ext::steps
