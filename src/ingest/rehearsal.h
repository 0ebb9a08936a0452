// `penstock test FILE`: runs the inline tests of pipelines offline, with the feeds' event time as the clock.
//
//   tests:
//     - { feed: samples/wear.csv, expect: { alarms: [wear], outputs: 12 }, within: 3s }
//     - { feed: samples/normal.ndjson, expect: { no_alarms: true, writes: [], dead_letters: 0 } }
//
// A feed is CSV (csv.h) or, with another file ending than .csv, JSON (sample_json.h; a line each); its path is relative
// to the configuration file. Samples pass the steps in the order of the feed, as fast as they can; the clock is their
// event time, and between them it is told to the steps every 100 ms; at the end they flush. A sample is only pushed
// when no step waits for an answer any more, so that the same feed always gives the same. No source and no sink is
// made; writes, posts and language models are answered by doubles (rehearsal_ports.h).
//
// `alarms` must each be raised, `no_alarms` means that none is, `outputs` is the exact number of samples behind the
// last step, `writes` and `notifies` (the URLs posted to) are all there are and in this order, `dead_letters` is the
// number of samples that failed. `within` bounds the time from the feed's first sample to the first raise of each
// expected alarm.
#pragma once

#include <string>
#include <vector>

#include "ingest/plan.h"

namespace penstock::ingest {

struct TestReport {
  std::string pipeline;
  std::string where;  // file:line:column of the test
  std::string feed;
  bool passed = false;
  std::vector<std::string> failures;  // what was expected and what happened, one line each
  std::uint64_t samples = 0;
  std::uint64_t outputs = 0;
  std::vector<AlarmChange> alarms;
  std::vector<std::pair<std::string, std::string>> writes;
  std::vector<std::string> notifies;
  std::uint64_t dead_letters = 0;
  std::string line() const;  // "ok   press-guard samples/wear.csv (...)" or "FAIL ...", with the failures below
};

// `root` must have been read by read_plan() without mistakes. Blocks; makes its own loop for the models' answers.
std::vector<TestReport> run_tests(config::Map& root, const Plan& plan, const Context& context,
                                  const std::string& config_path);

}  // namespace penstock::ingest
