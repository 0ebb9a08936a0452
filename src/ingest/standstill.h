// Sinks that bring alarms and actions to a standstill while they are away. Private to the module.
#pragma once

#include "ingest/plan.h"

namespace penstock::ingest {

// Adds a warning for every sink whose queue in memory, once full, makes a pipeline wait for which people or machines
// wait in turn: behind a durable source it refuses unless the configuration says otherwise. After the steps were read.
void warn_of_standstill(Plan& plan);

}  // namespace penstock::ingest
