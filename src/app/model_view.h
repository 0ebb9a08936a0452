// Local models as the admin API shows them.
#pragma once

#include "infer/repository.h"
#include "json/value.h"

namespace penstock::app {

json::Object describe(const infer::VersionStatus& version);
json::Object describe(const infer::TrafficView& traffic);
json::Object describe(const infer::ModelEvent& event);
// With its versions; with its traffic unless that is null.
json::Object describe(const infer::ModelStatus& model, infer::Traffic* traffic);
// What the versions did since each was loaded, beside each other.
json::Object compare_versions(const infer::ModelStatus& model, infer::Traffic* traffic);

// Of a histogram over infer::kPhaseBounds: the bound below which that part of the requests stayed, in milliseconds;
// null where there are none, or it is beyond the last bound.
json::Value percentile_ms(const std::array<std::uint64_t, 17>& within, double part);

}  // namespace penstock::app
