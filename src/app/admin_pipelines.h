// Pipelines as the admin API and the metrics show them.
#pragma once

#include "ingest/lane.h"
#include "json/value.h"
#include "obs/metrics.h"

namespace penstock::app {

json::Object describe(const ingest::Pipeline& pipeline, const ingest::Lane& lane);
void add_status(json::Object& o, const ingest::Status& status);

// penstock_pipeline_seconds, penstock_step_*, penstock_dead_letters*.
void collect_pipelines(const ingest::Lane& lane, obs::MetricWriter& writer);

}  // namespace penstock::app
