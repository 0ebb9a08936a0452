// The lane's state as the admin API shows it: /admin/v1/pipelines, /admin/v1/devices, /admin/v1/alarms. Any thread.
#pragma once

#include "ingest/lane.h"
#include "json/value.h"

namespace penstock::ingest {

// {"sources":[{name, kind, connected, detail, messages, dropped, samples}],
//  "pipelines":[{name, from, steps, in, out, refused, dropped, errors, alarms, queued, busy_seconds, last_error, last,
//  sinks}]}
json::Value pipelines_json(const Lane& lane);
// {"devices":[{device, last_seen, last_event, quality, samples, pipelines}]}
json::Value devices_json(const Lane& lane);
// {"active":[...], "history":[...]}: name, raised, severity, pipeline, device, at, why; history newest first.
json::Value alarms_json(const AlarmBoard& board);

}  // namespace penstock::ingest
