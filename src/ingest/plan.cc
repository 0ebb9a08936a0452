#include "ingest/plan.h"

#include <set>

#include "ingest/layout.h"
#include "ingest/named_item.h"
#include "ingest/standstill.h"

namespace penstock::ingest {
namespace {

// Names appear in paths, labels and messages.
bool check_name(const std::string& name, const config::Node& node) {
  bool good = !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '_';
  });
  if (!good) node.problem(fmt::format("'{}' is no name: use up to 64 letters, digits, - and _", name));
  return good;
}

// The one key of a source's entry that is a kind of source; empty after a reported mistake.
std::string source_kind(const config::Map& map, const Context& context) {
  std::vector<std::string> kinds = context.registry->names<SourceFactory>();
  std::vector<std::string> found;
  for (const std::string& key : map.keys()) {
    if (std::find(kinds.begin(), kinds.end(), key) != kinds.end()) found.push_back(key);
  }
  if (found.size() == 1) return found.front();
  if (found.size() > 1) {
    map.node().problem(
        fmt::format("names more than one kind of source ({}); write one source for each", fmt::join(found, ", ")));
  } else {
    std::vector<std::string> keys = map.keys();
    map.node().problem(keys.empty() ? fmt::format("names no kind of source; there are {}", fmt::join(kinds, ", "))
                                    : detail::unknown_name("kind of source", keys.front(), kinds));
  }
  return {};
}

void read_sources(const config::Node& node, const Context& context, Plan& plan) {
  config::Map all = node.map();
  for (const auto& [name, entry] : all.entries()) {
    if (!check_name(name, entry)) continue;
    config::Map map = entry.map();
    std::string kind = source_kind(map, context);
    if (kind.empty()) continue;
    const auto* factory = context.registry->find<SourceFactory>(kind);
    auto source = factory->make(name, map.get(kind), map, context);
    bool enabled = map.boolean("enabled", true);
    BufferOptions journal = read_journal(map.get("journal"));
    map.done();
    // What is switched off is checked like the rest, and then left out.
    if (!enabled) {
      plan.disabled_sources.push_back(name);
      continue;
    }
    if (source) plan.sources.push_back({name, kind, entry.dump(), std::move(source), std::move(journal)});
  }
}

// A buffer on disk is found again by its name: that of the pipeline and the kind of the sink, numbered when there are
// more of them, or the one it was given.
OutletOptions planned_buffer(PlannedPipeline& planned, const std::string& kind, const config::Node& node) {
  OutletOptions options{.buffer = read_buffer(node, planned.answered_for)};
  if (!options.buffer.durable()) return options;
  const auto before = std::count_if(planned.sinks.begin(), planned.sinks.end(),
                                    [&](const PlannedSink& sink) { return sink.kind == kind; });
  const std::string given = options.buffer.name;
  options.name = fmt::format("buffers/{}.{}", planned.name,
                             !given.empty() ? given
                             : before == 0  ? kind
                                            : fmt::format("{}.{}", kind, before + 1));
  if (std::find(planned.buffers.begin(), planned.buffers.end(), options.name) != planned.buffers.end()) {
    node.problem("another sink of this pipeline has the buffer of this name; give each its own `name`");
  }
  planned.buffers.push_back(options.name);
  return options;
}

// Behind a durable source memory waits where it would drop, which a reload of the source alone can change.
std::string written_as(const config::Node& node, bool answered_for) {
  return answered_for ? "answered for: " + node.dump() : node.dump();
}

void add_sinks(PlannedPipeline& planned, const config::Node& to, const Context& context) {
  if (!to.present()) return;
  for (const config::Node& item : to.items()) {
    auto [kind, node] = detail::named_item<SinkFactory>(item, "sink", *context.registry);
    if (kind.empty()) continue;
    config::Map map = node.map();
    OutletOptions options = planned_buffer(planned, kind, map.get("buffer"));
    auto sink = context.registry->find<SinkFactory>(kind)->make(planned.name, node, map, context);
    map.done();
    planned.sinks.push_back(
        {kind, fmt::format("{}: {}", node.where(), node.path()), options.buffer, sink && sink->always_takes()});
    if (!sink) continue;
    planned.pipeline->add_sink(kind, std::move(sink), written_as(item, planned.answered_for), std::move(options));
  }
}

std::vector<std::pair<std::string, std::string>> read_writes(const config::Node& node) {
  std::vector<std::pair<std::string, std::string>> writes;
  for (const config::Node& item : node.items()) {
    const auto entries = item.map().entries();
    if (entries.size() != 1) item.problem("expected one write per list item, such as { plc.stop: true }");
    for (const auto& [point, value] : entries) writes.emplace_back(point, value.text());
  }
  return writes;
}

void read_expectations(const config::Node& expect, PlannedTest& test) {
  constexpr std::int64_t kMost = 1'000'000'000;
  config::Map wanted = expect.map();
  test.alarms = wanted.texts("alarms");
  test.no_alarms = wanted.boolean("no_alarms", false);
  if (wanted.has("outputs")) test.outputs = static_cast<std::uint64_t>(wanted.integer("outputs", 0, 0, kMost));
  if (wanted.has("writes")) test.writes = read_writes(wanted.get("writes"));
  if (wanted.has("notifies")) test.notifies = wanted.texts("notifies");
  if (wanted.has("dead_letters")) {
    test.dead_letters = static_cast<std::uint64_t>(wanted.integer("dead_letters", 0, 0, kMost));
  }
  wanted.done();
  const bool nothing =
      test.alarms.empty() && !test.no_alarms && !test.outputs && !test.writes && !test.notifies && !test.dead_letters;
  if (nothing) {
    expect.problem(
        "expects nothing; write alarms: [name], no_alarms: true, outputs: 10, writes: [ { plc.stop: true } ], "
        "notifies: [url] or dead_letters: 0");
  }
  if (!test.alarms.empty() && test.no_alarms) expect.problem("alarms and no_alarms exclude each other");
}

PlannedTest read_test(const config::Node& node) {
  PlannedTest test;
  test.where = node.where();
  config::Map map = node.map();
  test.feed = map.required_text("feed");
  config::Node expect = map.required("expect");
  if (expect.present()) read_expectations(expect, test);
  if (map.has("within")) test.within = map.duration("within", {});
  if (map.has("llm")) test.llm = map.text("llm");
  map.done();
  return test;
}

// A pipeline's entry while it is read.
struct Entry {
  config::Node node;
  config::Map map;
  PlannedPipeline planned;
};

void trace_answers(const Plan& plan, std::vector<Entry>& entries) {
  std::set<std::string> answered;
  for (const PlannedSource& source : plan.sources) {
    if (source.source->durable()) answered.insert(source.name);
  }
  for (Entry& entry : entries) {
    const auto& from = entry.planned.from;
    std::copy_if(from.begin(), from.end(), std::back_inserter(entry.planned.journals),
                 [&](const std::string& name) { return answered.contains(name); });
  }
  for (bool more = true; more;) {
    more = false;
    for (Entry& entry : entries) {
      const auto& from = entry.planned.from;
      if (entry.planned.answered_for ||
          std::none_of(from.begin(), from.end(), [&](const std::string& name) { return answered.contains(name); })) {
        continue;
      }
      entry.planned.answered_for = more = true;
      answered.insert(entry.planned.name);
    }
  }
}

void read_pipelines(const config::Node& node, const Context& context, const PartsFor& parts_for, Plan& plan) {
  config::Map all = node.map();
  std::vector<std::string> known;
  for (const PlannedSource& source : plan.sources) known.push_back(source.name);
  known.insert(known.end(), plan.disabled_sources.begin(), plan.disabled_sources.end());
  const std::vector<std::string> sources = known;
  for (const std::string& name : all.keys()) known.push_back(name);
  std::vector<Entry> entries;
  for (const auto& [name, entry] : all.entries()) {
    if (!check_name(name, entry)) continue;
    if (std::find(sources.begin(), sources.end(), name) != sources.end()) {
      entry.problem(fmt::format("there is a source '{}' too; give the pipeline another name", name));
    }
    config::Map map = entry.map();
    PlannedPipeline planned;
    planned.name = name;
    map.required("from");
    planned.from = map.texts("from");
    for (const std::string& from : planned.from) {
      if (std::find(known.begin(), known.end(), from) == known.end()) {
        map.get("from").problem(detail::unknown_name("source", from, known));
      }
    }
    entries.push_back({entry, std::move(map), std::move(planned)});
  }
  trace_answers(plan, entries);
  for (auto& [entry, map, planned] : entries) {
    planned.written = written_as(entry, planned.answered_for);
    planned.pipeline = std::make_shared<Pipeline>(planned.name, parts_for(planned.name));
    planned.pipeline->read_steps(map.get("steps"));
    add_sinks(planned, map.get("to"), context);
    config::Node tests = map.get("tests");
    if (tests.present()) {
      for (const config::Node& test : tests.items()) planned.tests.push_back(read_test(test));
    }
    bool enabled = map.boolean("enabled", true);
    map.done();
    if (enabled) plan.pipelines.push_back(std::move(planned));
  }
}

}  // namespace

Plan read_plan(config::Map& root, const Context& context, const PartsFor& parts_for) {
  Plan plan;
  read_sources(root.get("sources"), context, plan);
  config::Node pipelines = root.get("pipelines");
  read_pipelines(pipelines, context, parts_for, plan);
  lay_out(plan, pipelines);
  warn_of_standstill(plan);
  return plan;
}

std::shared_ptr<Pipeline> build_steps(const std::string& name, const config::Node& entry, PipelineParts parts) {
  auto pipeline = std::make_shared<Pipeline>(name, std::move(parts));
  pipeline->read_steps(entry.map().get("steps"));
  return pipeline;
}

}  // namespace penstock::ingest
