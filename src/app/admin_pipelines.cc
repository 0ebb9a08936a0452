// One pipeline step by step, and its dead letters: looked at, removed, tried again.
#include "app/admin_pipelines.h"

#include <charconv>
#include <future>

#include "app/admin_desk.h"
#include "app/admin_text.h"
#include "base/rfc3339.h"
#include "ingest/sample_json.h"

namespace penstock::app {
namespace {

using json::Array;
using json::Object;
using json::Value;

// A loop that is that far behind answers nobody.
constexpr auto kReplayWithin = std::chrono::seconds(10);

Value parsed(const std::string& json) {
  auto value = json::parse(json);
  return value ? *value : Value(nullptr);
}

Object describe(const ingest::StepStats& step) {
  return Object{{"step", text(step.place)},
                {"kind", text(step.kind)},
                {"in", step.in},
                {"out", step.out},
                {"errors", step.errors},
                {"dropped", step.dropped},
                {"busy_seconds", step.seconds}};
}

Object describe(const ingest::KeptLetter& letter) {
  return Object{{"id", text(std::to_string(letter.id))},
                {"at", text(base::to_rfc3339(letter.at))},
                {"where", text(letter.where)},
                {"why", text(letter.why)},
                {"sample", parsed(letter.sample)}};
}

Result<std::shared_ptr<const ingest::Pipeline>> find(const AdminDesk& desk, const AdminCall& call) {
  auto pipeline = desk.ingest->pipeline(call.param("pipeline"));
  if (pipeline) return pipeline;
  return fail(Errc::not_found, fmt::format("there is no pipeline '{}'; GET /admin/v1/pipelines shows them",
                                           call.param("pipeline").substr(0, 100)));
}

Result<Object> show(const AdminDesk& desk, const AdminCall& call) {
  auto pipeline = find(desk, call);
  if (!pipeline) return std::unexpected(pipeline.error());
  return app::describe(**pipeline, *desk.ingest);
}

Result<Object> list_letters(const AdminDesk& desk, const AdminCall& call) {
  auto pipeline = find(desk, call);
  if (!pipeline) return std::unexpected(pipeline.error());
  const ingest::DeadLetters& letters = *(*pipeline)->dead_letters();
  Array list;
  for (const ingest::KeptLetter& letter : letters.newest(static_cast<std::size_t>(call.integer("limit", 100)))) {
    list.push_back(describe(letter));
  }
  return Object{{"dead_letters", std::move(list)},
                {"kept", letters.size()},
                {"total", letters.total()},
                {"trouble", text(letters.trouble())}};
}

// Empty: all.
Result<std::set<std::uint64_t>> ids_of(const AdminCall& call) {
  std::set<std::uint64_t> ids;
  const Value* list = call.body.if_contains("ids");
  if (list == nullptr || !list->is_array()) return ids;
  if (list->as_array().empty()) return fail(Errc::invalid_argument, "'ids' is empty; leave it out for all");
  for (const Value& one : list->as_array()) {
    const std::string_view id = one.is_string() ? std::string_view(one.get_string()) : std::string_view();
    std::uint64_t number = 0;
    auto [end, ec] = std::from_chars(id.data(), id.data() + id.size(), number);
    if (ec != std::errc{} || end != id.data() + id.size() || id.empty()) {
      return fail(Errc::invalid_argument,
                  fmt::format("'{}' is no id of a dead letter, such as \"12\"", id.substr(0, 40)));
    }
    ids.insert(number);
  }
  return ids;
}

// The pipeline and the letters a change is about, once it stands in the audit log.
struct Chosen {
  std::shared_ptr<const ingest::Pipeline> pipeline;
  std::set<std::uint64_t> ids;
};

Result<Chosen> choose(const AdminDesk& desk, const AdminCall& call, std::string_view action) {
  auto pipeline = find(desk, call);
  if (!pipeline) return std::unexpected(pipeline.error());
  auto ids = ids_of(call);
  if (!ids) return std::unexpected(ids.error());
  auto noted = desk.state->add_audit({call.actor, call.now}, action, "pipeline:" + call.param("pipeline"), "",
                                     json::dump(call.body));
  if (!noted) return std::unexpected(noted.error());
  return Chosen{std::move(*pipeline), std::move(*ids)};
}

Result<Object> remove(const AdminDesk& desk, const AdminCall& call) {
  auto chosen = choose(desk, call, "dead_letters.remove");
  if (!chosen) return std::unexpected(chosen.error());
  return Object{{"removed", chosen->pipeline->dead_letters()->take(chosen->ids).size()}};
}

// On a thread that may wait: the pipeline's loop does it.
Result<AdminReport> replay(const AdminDesk& desk, const AdminCall& call) {
  auto chosen = choose(desk, call, "dead_letters.replay");
  if (!chosen) return std::unexpected(chosen.error());
  AdminReport report;
  report.write = [lane = desk.ingest, name = call.param("pipeline"),
                  ids = chosen->ids](const AdminReport::Sink& sink) -> Result<void> {
    auto promise = std::make_shared<std::promise<ingest::Replayed>>();
    auto answer = promise->get_future();
    lane->replay_dead_letters(name, ids, [promise](ingest::Replayed replayed) { promise->set_value(replayed); });
    if (answer.wait_for(kReplayWithin) != std::future_status::ready) {
      return fail(Errc::unavailable,
                  "the pipeline is too busy to answer; what it takes up is seen in its dead letters");
    }
    const ingest::Replayed replayed = answer.get();
    sink(json::dump(Object{{"replayed", replayed.replayed}, {"left", replayed.left}}));
    return {};
  };
  return report;
}

void collect_steps(const std::vector<std::shared_ptr<const ingest::Pipeline>>& pipelines, obs::MetricWriter& writer) {
  struct Figure {
    std::string_view name;
    std::string_view help;
    double (*of)(const ingest::StepStats&);
  };
  static constexpr std::array kFigures = std::to_array<Figure>({
      {"penstock_step_samples_in_total", "Samples that came to a step.",
       [](const ingest::StepStats& step) { return static_cast<double>(step.in); }},
      {"penstock_step_samples_out_total", "Samples that a step gave on.",
       [](const ingest::StepStats& step) { return static_cast<double>(step.out); }},
      {"penstock_step_errors_total", "Samples a step could not work on.",
       [](const ingest::StepStats& step) { return static_cast<double>(step.errors); }},
      {"penstock_step_dropped_total", "Samples a step gave up by rule.",
       [](const ingest::StepStats& step) { return static_cast<double>(step.dropped); }},
      {"penstock_step_seconds_total", "Time in a step itself, estimated from one sample in 64.",
       [](const ingest::StepStats& step) { return step.seconds; }},
  });
  std::vector<std::vector<ingest::StepStats>> steps;
  for (const auto& pipeline : pipelines) steps.push_back(pipeline->steps());
  for (const Figure& figure : kFigures) {
    writer.family(figure.name, "counter", figure.help);
    for (std::size_t i = 0; i < pipelines.size(); ++i) {
      for (const ingest::StepStats& step : steps[i]) {
        writer.sample(figure.name, {{"pipeline", pipelines[i]->name()}, {"step", step.place}, {"kind", step.kind}},
                      figure.of(step));
      }
    }
  }
}

}  // namespace

void add_status(Object& o, const ingest::Status& status) {
  o["connected"] = status.connected;
  o["detail"] = text(status.detail);
  o["messages"] = status.messages;
  o["dropped"] = status.dropped;
}

Object describe(const ingest::Pipeline& pipeline, const ingest::Lane& lane) {
  ingest::PipelineStats stats = pipeline.stats();
  Object o;
  o["name"] = text(pipeline.name());
  o["from"] = texts(lane.pipeline_sources(pipeline.name()));
  o["steps"] = texts(pipeline.step_kinds());
  Array each;
  for (const ingest::StepStats& step : pipeline.steps()) each.push_back(describe(step));
  o["each_step"] = std::move(each);
  Array sinks;
  for (const ingest::OutletStatus& sink : pipeline.sinks()) {
    Object s;
    s["kind"] = text(sink.kind);
    s["buffer"] = sink.buffer.empty() ? Value(nullptr) : text(sink.buffer);
    s["waiting"] = sink.waiting;
    s["retries"] = sink.retries;
    add_status(s, sink.status);
    sinks.push_back(std::move(s));
  }
  o["sinks"] = std::move(sinks);
  o["in"] = stats.in;
  o["out"] = stats.out;
  o["refused"] = stats.refused;
  o["dropped"] = stats.dropped;
  o["errors"] = stats.errors;
  o["alarms"] = stats.alarms;
  o["queued"] = stats.queued;
  o["busy_seconds"] = stats.busy_seconds;
  o["dead_letters"] = pipeline.dead_letters()->size();
  o["last_error"] = text(stats.last_error);
  o["last"] = stats.last ? parsed(ingest::to_json(*stats.last)) : Value(nullptr);
  return o;
}

void collect_pipelines(const ingest::Lane& lane, obs::MetricWriter& writer) {
  const auto pipelines = lane.pipelines();
  writer.family("penstock_pipeline_seconds", "histogram", "From a sample's arrival to its leaving the last step.");
  for (const auto& pipeline : pipelines) {
    ingest::PipelineStats stats = pipeline->stats();
    std::uint64_t below = 0;
    for (std::size_t i = 0; i < stats.latency.size(); ++i) {
      below += stats.latency[i];
      std::string bound = i < ingest::kLatencyBounds.size() ? fmt::format("{}", ingest::kLatencyBounds[i]) : "+Inf";
      writer.sample("penstock_pipeline_seconds_bucket", {{"pipeline", pipeline->name()}, {"le", bound}},
                    static_cast<double>(below));
    }
    writer.sample("penstock_pipeline_seconds_sum", {{"pipeline", pipeline->name()}}, stats.latency_seconds);
    writer.sample("penstock_pipeline_seconds_count", {{"pipeline", pipeline->name()}}, static_cast<double>(below));
  }
  collect_steps(pipelines, writer);
  writer.family("penstock_dead_letters_total", "counter", "Samples that a step or sink could not work on.");
  for (const auto& pipeline : pipelines) {
    writer.sample("penstock_dead_letters_total", {{"pipeline", pipeline->name()}},
                  static_cast<double>(pipeline->dead_letters()->total()));
  }
}

std::vector<AdminRoute> pipeline_routes(AdminDesk& desk) {
  return {{.method = "GET",
           .path = "/admin/v1/pipelines/{pipeline}",
           .name = "getPipeline",
           .about = "One pipeline with each of its steps.",
           .gives = "Pipeline",
           .answer = [&desk](const AdminCall& call) { return show(desk, call); }},
          {.method = "GET",
           .path = "/admin/v1/pipelines/{pipeline}/dead_letters",
           .name = "listDeadLetters",
           .about = "Samples that a step or sink could not work on, newest first. The newest 1,000 are kept.",
           .query = {{"limit", Kind::integer, "How many, 100 unless told.", {}, false, false, 1, 1000}},
           .gives = "DeadLetters",
           .answer = [&desk](const AdminCall& call) { return list_letters(desk, call); }},
          {.method = "DELETE",
           .path = "/admin/v1/pipelines/{pipeline}/dead_letters",
           .name = "removeDeadLetters",
           .about = "Removes dead letters: those with the ids, or all.",
           .takes = "DeadLetterChoice",
           .gives = "DeadLettersRemoved",
           .answer = [&desk](const AdminCall& call) { return remove(desk, call); }},
          {.method = "POST",
           .path = "/admin/v1/pipelines/{pipeline}/dead_letters/replay",
           .name = "replayDeadLetters",
           .about = "Gives dead letters to the step or sink where they failed once more: those with the ids, or all. "
                    "What has no place any more is left.",
           .takes = "DeadLetterChoice",
           .gives = "DeadLettersReplayed",
           .report = [&desk](const AdminCall& call) { return replay(desk, call); }}};
}

std::vector<Shape> shapes_of_pipelines() {
  return {{"Pipeline",
           "A pipeline.",
           {{"name", Kind::text, ""},
            {"from", Kind::texts, "Sources and pipelines it reads."},
            {"steps", Kind::texts, "Their kinds, in order."},
            {"each_step", Kind::any, "What every step saw, those inside others too."},
            {"sinks", Kind::any, "Where it goes."},
            {"in", Kind::integer, "Samples taken in."},
            {"out", Kind::integer, "Samples behind the last step."},
            {"refused", Kind::integer, "Samples refused because the queue was full."},
            {"dropped", Kind::integer, "Samples given up by rule."},
            {"errors", Kind::integer, "Samples a step could not work on."},
            {"alarms", Kind::integer, "Raises."},
            {"queued", Kind::integer, "Samples waiting."},
            {"busy_seconds", Kind::number, "Time in steps."},
            {"dead_letters", Kind::integer, "Kept."},
            {"last_error", Kind::text, ""},
            {"last", Kind::any, "The newest sample out."}}},
          {"DeadLetters",
           "Samples that failed.",
           {{"dead_letters", Kind::any, "Newest first: id, at, where, why, sample."},
            {"kept", Kind::integer, "How many there are."},
            {"total", Kind::integer, "Since the start, with those that were only counted."},
            {"trouble", Kind::text, "Why they cannot be written to disk; empty when they can."}}},
          {"DeadLetterChoice", "Which dead letters.", {{"ids", Kind::texts, "As they are listed; none: all."}}},
          {"DeadLettersRemoved", "What was removed.", {{"removed", Kind::integer, "How many."}}},
          {"DeadLettersReplayed",
           "What was tried again.",
           {{"replayed", Kind::integer, "How many."}, {"left", Kind::integer, "Those whose step or sink is gone."}}}};
}

}  // namespace penstock::app
