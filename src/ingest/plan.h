// `sources:` and `pipelines:` of a configuration file, read into objects that are not running yet.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ingest/pipeline.h"

namespace penstock::ingest {

struct PlannedSource {
  std::string name;
  std::string kind;
  std::string written;  // canonical text, for telling changes at reload
  std::unique_ptr<Source> source;
  BufferOptions journal;  // for a durable one
};

// One entry of a pipeline's `tests:`.
struct PlannedTest {
  std::string where;                     // file:line:column
  std::string feed;                      // relative to the configuration file
  std::vector<std::string> alarms;       // each must be raised
  bool no_alarms = false;                // none may be raised
  std::optional<std::uint64_t> outputs;  // samples that leave the last step
  // In this order and no others: "plc.stop" and the value, and the URLs of posts.
  std::optional<std::vector<std::pair<std::string, std::string>>> writes;
  std::optional<std::vector<std::string>> notifies;
  std::optional<std::uint64_t> dead_letters;
  std::optional<std::string> llm;        // what every language model answers
  std::optional<base::Duration> within;  // the alarms' event time counted from the first sample of the feed
};

struct PlannedSink {
  std::string kind;
  std::string written_at;  // file:line:column: path
  BufferOptions buffer;    // what is kept for it
  bool always_takes = false;
};

struct PlannedPipeline {
  std::string name;
  std::vector<std::string> from;  // sources and pipelines
  std::string written;
  std::shared_ptr<Pipeline> pipeline;
  Shape in;
  StepPlan whole;  // of all its steps
  std::vector<PlannedSink> sinks;
  std::vector<std::string> buffers = {};   // names of those on disk
  std::vector<std::string> journals = {};  // durable sources in `from`
  bool answered_for = false;               // a durable source is behind it, at first hand or through other pipelines
  std::vector<PlannedTest> tests;
};

struct Plan {
  std::vector<PlannedSource> sources;
  std::vector<std::string> disabled_sources;  // written with `enabled: false`; pipelines may still name them
  std::vector<PlannedPipeline> pipelines;
  // What is allowed and hardly meant, each as file:line:column: path: what happens, and what to write instead.
  std::vector<std::string> warnings;
  // For `penstock check`: a line per source and pipeline, and below it what is known of the samples behind every step
  // and how much memory it may take. Holds no secrets: names, kinds and units only.
  std::string describe() const;
};

// What the pipeline called `name` is built with. In `penstock check` and `penstock test` there are no loops.
using PartsFor = std::function<PipelineParts(const std::string& name)>;

// Reads both keys of the document's root. Mistakes are reported on the document; what could be built is returned all
// the same. No side effects.
Plan read_plan(config::Map& root, const Context& context, const PartsFor& parts_for);
// The same for one pipeline's entry, without its sinks: a fresh one for each inline test.
std::shared_ptr<Pipeline> build_steps(const std::string& name, const config::Node& entry, PipelineParts parts);

}  // namespace penstock::ingest
