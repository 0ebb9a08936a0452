#include "ingest/plan.h"

#include "base/quantity.h"

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

std::string unknown(std::string_view what, std::string_view name, const std::vector<std::string>& known) {
  auto hint = base::closest(name, known);
  if (hint) return fmt::format("unknown {} '{}'; did you mean '{}'?", what, name, *hint);
  return fmt::format("unknown {} '{}'; there {} {}", what, name, known.empty() ? "is" : "are",
                     known.empty() ? "none" : fmt::format("{}", fmt::join(known, ", ")));
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
                                    : unknown("kind of source", keys.front(), kinds));
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

// A list item with one key: the name of a step or sink. Empty after a reported mistake.
template <class Factory>
std::pair<std::string, config::Node> named_item(const config::Node& item, std::string_view what,
                                                const Context& context) {
  config::Map map = item.map();
  std::vector<std::string> keys = map.keys();
  if (keys.size() != 1) {
    if (item.kind() == config::Node::Kind::map) {
      item.problem(fmt::format("expected one {} per list item; start each with its own '-'", what));
    }
    return {};
  }
  if (context.registry->find<Factory>(keys.front()) == nullptr) {
    item.problem(unknown(what, keys.front(), context.registry->names<Factory>()));
    return {};
  }
  return {keys.front(), map.get(keys.front())};
}

void add_steps(Pipeline& pipeline, const config::Node& steps, const Context& context) {
  if (!steps.present()) return;
  for (const config::Node& item : steps.items()) {
    auto [kind, node] = named_item<StepFactory>(item, "step", context);
    if (kind.empty()) continue;
    auto step = context.registry->find<StepFactory>(kind)->make(node, pipeline.step_context());
    if (step) pipeline.add_step(kind, std::move(step));
  }
}

// A buffer on disk is found again by its name: that of the pipeline and the kind of the sink, numbered when there are
// more of them, or the one it was given.
OutletOptions planned_buffer(PlannedPipeline& planned, const std::string& kind, const config::Node& node) {
  OutletOptions options{.buffer = read_buffer(node)};
  if (!options.buffer.durable()) return options;
  const auto before = std::count(planned.sinks.begin(), planned.sinks.end(), kind);
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

void add_sinks(PlannedPipeline& planned, const config::Node& to, const Context& context) {
  if (!to.present()) return;
  for (const config::Node& item : to.items()) {
    auto [kind, node] = named_item<SinkFactory>(item, "sink", context);
    if (kind.empty()) continue;
    config::Map map = node.map();
    OutletOptions options = planned_buffer(planned, kind, map.get("buffer"));
    auto sink = context.registry->find<SinkFactory>(kind)->make(planned.name, node, map, context);
    map.done();
    planned.sinks.push_back(kind);
    if (sink) planned.pipeline->add_sink(kind, std::move(sink), std::move(options));
  }
}

PlannedTest read_test(const config::Node& node) {
  PlannedTest test;
  test.where = node.where();
  config::Map map = node.map();
  test.feed = map.required_text("feed");
  config::Node expect = map.required("expect");
  if (expect.present()) {
    config::Map wanted = expect.map();
    test.alarms = wanted.texts("alarms");
    test.no_alarms = wanted.boolean("no_alarms", false);
    if (wanted.has("outputs")) {
      test.outputs = static_cast<std::uint64_t>(wanted.integer("outputs", 0, 0, 1'000'000'000));
    }
    wanted.done();
    if (test.alarms.empty() && !test.no_alarms && !test.outputs) {
      expect.problem("expects nothing; write alarms: [name], no_alarms: true or outputs: 10");
    }
    if (!test.alarms.empty() && test.no_alarms) expect.problem("alarms and no_alarms exclude each other");
  }
  if (map.has("within")) test.within = map.duration("within", {});
  map.done();
  return test;
}

void read_pipelines(const config::Node& node, const Context& context, const PartsFor& parts_for, Plan& plan) {
  config::Map all = node.map();
  std::vector<std::string> sources;
  for (const PlannedSource& source : plan.sources) sources.push_back(source.name);
  sources.insert(sources.end(), plan.disabled_sources.begin(), plan.disabled_sources.end());
  for (const auto& [name, entry] : all.entries()) {
    if (!check_name(name, entry)) continue;
    config::Map map = entry.map();
    PlannedPipeline planned;
    planned.name = name;
    planned.written = entry.dump();
    map.required("from");
    planned.from = map.texts("from");
    for (const std::string& source : planned.from) {
      if (std::find(sources.begin(), sources.end(), source) == sources.end()) {
        map.get("from").problem(unknown("source", source, sources));
      }
    }
    planned.pipeline = std::make_shared<Pipeline>(name, parts_for(name));
    add_steps(*planned.pipeline, map.get("steps"), context);
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

std::string Plan::describe() const {
  std::string out;
  for (const PlannedSource& source : sources) out += fmt::format("source {}: {}\n", source.name, source.kind);
  for (const PlannedPipeline& pipeline : pipelines) {
    out += fmt::format("pipeline {}: {}", pipeline.name, fmt::join(pipeline.from, " + "));
    for (const std::string& step : pipeline.pipeline->step_kinds()) out += fmt::format(" -> {}", step);
    if (!pipeline.sinks.empty()) out += fmt::format(" => {}", fmt::join(pipeline.sinks, ", "));
    if (!pipeline.tests.empty()) out += fmt::format(" ({} tests)", pipeline.tests.size());
    out += '\n';
  }
  return out;
}

Plan read_plan(config::Map& root, const Context& context, const PartsFor& parts_for) {
  Plan plan;
  read_sources(root.get("sources"), context, plan);
  read_pipelines(root.get("pipelines"), context, parts_for, plan);
  return plan;
}

std::shared_ptr<Pipeline> build_steps(const std::string& name, const config::Node& entry, PipelineParts parts) {
  Context context = parts.context;
  auto pipeline = std::make_shared<Pipeline>(name, std::move(parts));
  add_steps(*pipeline, entry.map().get("steps"), context);
  return pipeline;
}

}  // namespace penstock::ingest
