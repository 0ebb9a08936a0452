#include "ingest/layout.h"

#include "base/quantity.h"
#include "ingest/journal.h"
#include "ingest/shape.h"

namespace penstock::ingest {
namespace {

PlannedPipeline* find(Plan& plan, const std::string& name) {
  auto found = std::find_if(plan.pipelines.begin(), plan.pipelines.end(),
                            [&](const PlannedPipeline& planned) { return planned.name == name; });
  return found == plan.pipelines.end() ? nullptr : &*found;
}

// Visits what a pipeline reads before the pipeline.
class Layout {
 public:
  Layout(Plan& plan, const config::Node& pipelines) : plan_(plan), pipelines_(pipelines) {}

  void visit(PlannedPipeline& planned) {
    if (std::find(done_.begin(), done_.end(), planned.name) != done_.end()) return;
    way_.push_back(planned.name);
    std::optional<Shape> in;
    for (const std::string& from : planned.from) {
      Shape shape = shape_from(planned, from);
      in = in ? merged(*in, shape) : std::move(shape);
    }
    way_.pop_back();
    done_.push_back(planned.name);
    planned.in = in.value_or(Shape{});
    planned.whole = planned.pipeline->plan(planned.in);
  }

 private:
  Shape shape_from(const PlannedPipeline& planned, const std::string& from) {
    for (const PlannedSource& source : plan_.sources) {
      if (source.name == from) return source.source->shape();
    }
    PlannedPipeline* upstream = find(plan_, from);
    if (upstream == nullptr) return {};
    const auto before = std::find(way_.begin(), way_.end(), from);
    if (before == way_.end()) {
      visit(*upstream);
      return upstream->whole.out;
    }
    pipelines_.map()
        .get(planned.name)
        .map()
        .get("from")
        .problem(fmt::format("pipelines read each other in a circle: {} -> {}", fmt::join(before, way_.end(), " -> "),
                             from));
    return {};
  }

  Plan& plan_;
  const config::Node& pipelines_;
  std::vector<std::string> way_;  // being visited, each reads the next
  std::vector<std::string> done_;
};

std::string bytes_text(std::uint64_t bytes) {
  if (bytes < 1024) return fmt::format("{} B", bytes);
  if (bytes < 1024 * 1024) return fmt::format("{} KiB", (bytes + 1023) / 1024);
  return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1024.0 * 1024));
}

// What is kept for a sink, and what happens beyond.
std::string waiting_text(const BufferOptions& buffer) {
  std::string text = buffer.durable() ? fmt::format("up to {} on disk", bytes_text(buffer.disk))
                                      : fmt::format("up to {} samples in memory", buffer.memory);
  if (buffer.full == spool::Full::refuse) return text + ", then the pipeline and its sources wait";
  text += buffer.full == spool::Full::drop_newest ? ", then new ones are dropped" : ", then the oldest are dropped";
  return text + (buffer.answered_for ? " that a source has answered for" : "");
}

std::string describe(const PlannedPipeline& planned) {
  std::string out = fmt::format("pipeline {}: {}", planned.name, fmt::join(planned.from, " + "));
  for (const std::string& step : planned.pipeline->step_kinds()) out += fmt::format(" -> {}", step);
  for (std::size_t i = 0; i < planned.sinks.size(); ++i) out += (i == 0 ? " => " : ", ") + planned.sinks[i].kind;
  if (!planned.tests.empty()) out += fmt::format(" ({} tests)", planned.tests.size());
  out += fmt::format("\n  {:<14} {}\n", "in", to_text(planned.in));
  for (const StepLine& line : planned.pipeline->lines()) {
    out += fmt::format("  {:<14} {}", line.place + " " + line.kind, to_text(line.plan.out));
    if (line.plan.memory_bytes_max > 0) out += fmt::format("; up to {}", bytes_text(line.plan.memory_bytes_max));
    out += '\n';
  }
  if (planned.whole.memory_bytes_max > 0) {
    out += fmt::format("  {:<14} up to {} in steps\n", "memory", bytes_text(planned.whole.memory_bytes_max));
  }
  if (!planned.journals.empty()) {
    out += fmt::format("  {:<14} up to {} of receipts for what is under way\n", "memory",
                       bytes_text(planned.journals.size() * Journal::kReceiptBytesMax));
  }
  for (std::size_t i = 0; planned.answered_for && i < planned.sinks.size(); ++i) {
    const PlannedSink& sink = planned.sinks[i];
    out += fmt::format("  {:<14} {}\n", fmt::format("sink {} {}", i + 1, sink.kind),
                       sink.always_takes ? "never waits" : waiting_text(sink.buffer));
  }
  return out;
}

}  // namespace

void lay_out(Plan& plan, const config::Node& pipelines) {
  Layout layout(plan, pipelines);
  for (PlannedPipeline& planned : plan.pipelines) layout.visit(planned);
}

std::string Plan::describe() const {
  std::string out;
  for (const PlannedSource& source : sources) {
    out += fmt::format("source {}: {}\n", source.name, source.kind);
    const Shape shape = source.source->shape();
    if (shape != Shape{}) out += fmt::format("  {:<14} {}\n", "out", to_text(shape));
  }
  for (const PlannedPipeline& pipeline : pipelines) out += ingest::describe(pipeline);
  return out;
}

}  // namespace penstock::ingest
