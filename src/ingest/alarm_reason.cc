#include "ingest/alarm_reason.h"

#include <algorithm>

namespace penstock::ingest {
namespace {

bool tells_all(const Sample& sample, const Sample& grounds) {
  return std::all_of(grounds.fields.begin(), grounds.fields.end(),
                     [&](const Field& told) {
                       const Field* now = sample.find(told.name);
                       return now != nullptr && now->value == told.value;
                     }) &&
         std::all_of(grounds.tags.begin(), grounds.tags.end(), [&](const auto& told) {
           return std::find(sample.tags.begin(), sample.tags.end(), told) != sample.tags.end();
         });
}

}  // namespace

void withhold_reason(Sample& sample) {
  if (!sample.alarm || (sample.alarm->grounds && tells_all(sample, *sample.alarm->grounds))) return;
  auto alarm = std::make_shared<AlarmChange>(*sample.alarm);
  alarm->why = kWithheld;
  alarm->grounds = nullptr;
  sample.alarm = std::move(alarm);
}

}  // namespace penstock::ingest
