// What metrics and the admin API show of buffers and journals on the disk.
#pragma once

#include "app/admin_desk.h"
#include "ingest/lane.h"
#include "obs/metrics.h"

namespace penstock::app {

// They keep the references.
std::vector<AdminRoute> buffer_routes(ingest::Lane& lane, AdminDesk& desk);
std::vector<Shape> shapes_of_buffers();
// Any thread.
void collect_buffers(const ingest::Lane& lane, obs::MetricWriter& writer);
// For the log: what happened to one.
void log_buffer(const std::string& buffer, const std::string& what);

}  // namespace penstock::app
