#include "ingest/standstill.h"

#include <set>

namespace penstock::ingest {
namespace {

bool stops_its_pipeline(const PlannedPipeline& planned, const PlannedSink& sink) {
  return planned.answered_for && !sink.always_takes && !sink.buffer.durable() &&
         sink.buffer.full == spool::Full::refuse;
}

// The pipelines that stand still when `first` does: those it reads wait for it, and those that read one of them get
// nothing more.
std::set<std::string> standing_with(const Plan& plan, const std::string& first) {
  std::set<std::string> pipelines;
  for (const PlannedPipeline& planned : plan.pipelines) pipelines.insert(planned.name);
  std::set<std::string> still{first};
  for (bool more = true; more;) {
    more = false;
    for (const PlannedPipeline& planned : plan.pipelines) {
      if (!still.contains(planned.name)) continue;
      for (const std::string& from : planned.from) {
        more = (pipelines.contains(from) && still.insert(from).second) || more;
      }
    }
  }
  for (bool more = true; more;) {
    more = false;
    for (const PlannedPipeline& planned : plan.pipelines) {
      const bool starved = std::any_of(planned.from.begin(), planned.from.end(),
                                       [&](const std::string& from) { return still.contains(from); });
      more = (starved && still.insert(planned.name).second) || more;
    }
  }
  return still;
}

}  // namespace

void warn_of_standstill(Plan& plan) {
  for (const PlannedPipeline& planned : plan.pipelines) {
    const auto stops = [&](const PlannedSink& sink) { return stops_its_pipeline(planned, sink); };
    if (std::none_of(planned.sinks.begin(), planned.sinks.end(), stops)) continue;
    const std::set<std::string> still = standing_with(plan, planned.name);
    std::vector<std::string> deciding;
    for (const PlannedPipeline& one : plan.pipelines) {
      // An action is in that table too: with the alarm of its failure.
      if (still.contains(one.name) && !one.pipeline->alarms().empty()) deciding.push_back(one.name);
    }
    if (deciding.empty()) continue;
    for (const PlannedSink& sink : planned.sinks) {
      if (!stops(sink)) continue;
      plan.warnings.push_back(fmt::format(
          "{}: while this sink cannot deliver, up to {} samples wait in memory; then pipeline {} stops rather than "
          "lose what a durable source has answered for, and with it the alarms and actions of {}: write buffer: {{ "
          "disk: 2GB }} here, or buffer: {{ full: drop_oldest }} if these samples may be lost",
          sink.written_at, sink.buffer.memory, planned.name, fmt::join(deciding, ", ")));
    }
  }
}

}  // namespace penstock::ingest
