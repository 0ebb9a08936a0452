// What flows where: shapes from the sources through the pipelines. Private to the module.
#pragma once

#include "ingest/plan.h"

namespace penstock::ingest {

// Fills in what every pipeline gets and makes of it. Pipelines that read each other in a circle, and what cannot work
// with what comes (Step::plan()), are reported on their entries of `pipelines`.
void lay_out(Plan& plan, const config::Node& pipelines);

}  // namespace penstock::ingest
