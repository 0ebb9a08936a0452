// Shapes of local models.
#include "app/admin_shape.h"

namespace penstock::app {
namespace {

Field words(std::string_view name, Kind kind, std::string_view about, std::string_view of = {}) {
  return {name, kind, about, of};
}

Field nullable(std::string_view name, Kind kind, std::string_view about, std::string_view of = {}) {
  return {name, kind, about, of, false, true};
}

Field why() { return {"why", Kind::text, "For the history."}; }

std::vector<Shape> shapes_of_traffic() {
  return {
      {"ModelCount",
       "How many of how many.",
       {words("calls", Kind::integer, ""), words("bad", Kind::integer, "Of them.")}},
      {"CanaryLimit",
       "A limit of a canary, and what speaks for and against it. Evidence is in odds: so many to 1.",
       {words("limit", Kind::text, "As written."), words("calls", Kind::integer, "That count for it."),
        words("bad", Kind::integer, "Of them."),
        words("others", Kind::object, "The other versions meanwhile.", "ModelCount"),
        words("for_rollback", Kind::number, "That the limit is passed."),
        words("rollback_needs", Kind::number, "So much rolls back."),
        words("for_promotion", Kind::number, "That the limit is kept."),
        words("promotion_needs", Kind::number, "So much, for every limit, promotes.")}},
      {"Canary",
       "A version on trial.",
       {words("version", Kind::integer, ""), words("share", Kind::number, "Of requests without a version, 0 to 1."),
        words("stage", Kind::text, "", "watching promoted rolled_back"),
        nullable("decided", Kind::time, "Null: not yet."), words("watched_seconds", Kind::number, ""),
        words("words", Kind::text, "Why it was decided, or how it stands."),
        words("limits", Kind::list, "", "CanaryLimit")}},
      {"Shadow",
       "A version that runs along, and whose answers nobody gets.",
       {words("version", Kind::integer, ""), words("share", Kind::number, "Of requests without a version, 0 to 1."),
        words("failed", Kind::object, "Of its runs.", "ModelCount"),
        words("differed", Kind::object, "Of the others.", "ModelCount")}},
      {"ModelTraffic",
       "Which version answers what names none.",
       {words("labels", Kind::any, "Versions by label."), words("split", Kind::any, "Shares, 0 to 1, by version."),
        words("labels_by_command", Kind::boolean, "Instead of those of the configuration."),
        words("split_by_command", Kind::boolean, "Instead of that of the configuration."),
        nullable("promoted", Kind::integer, "Gets all that a canary does not; null: none."),
        nullable("canary", Kind::object, "Null: none.", "Canary"),
        nullable("shadow", Kind::object, "Null: none.", "Shadow")}},
  };
}

std::vector<Shape> shapes_of_local_models() {
  return {
      {"ModelVersion",
       "A version of a local model.",
       {words("version", Kind::text, "Its number."), words("ready", Kind::boolean, "In service."),
        words("default", Kind::boolean, "Answers most requests that name none."),
        words("reason", Kind::text, "Why it is not ready, or what is wrong with its replacement."),
        words("labels", Kind::texts, ""), words("memory_bytes", Kind::integer, "About."),
        words("platform", Kind::text, ""), words("accelerator", Kind::text, "What it runs on."),
        words("inputs", Kind::any, "Tensors."), words("outputs", Kind::any, "Tensors."),
        words("inferences", Kind::integer, "Rows."), words("failures", Kind::integer, "Requests."),
        words("mean_ms", Kind::number, "Of a run; 0: not measured.")}},
      {"LocalModel",
       "A local model.",
       {words("name", Kind::text, ""), words("path", Kind::text, ""), words("ready", Kind::boolean, ""),
        words("pinned", Kind::boolean, "It is never evicted."),
        words("versions", Kind::list, "Ascending.", "ModelVersion"),
        nullable("traffic", Kind::object, "Null: not known.", "ModelTraffic"), words("owner", Kind::text, ""),
        words("licence", Kind::text, ""), words("description", Kind::text, ""), words("tags", Kind::labels, "")}},
      {"VersionFigures",
       "What a version did since it was loaded; nothing but its name while it is not.",
       {words("version", Kind::text, ""), words("ready", Kind::boolean, ""), words("default", Kind::boolean, ""),
        words("calls", Kind::integer, ""), words("failures", Kind::integer, ""),
        words("rejected", Kind::integer, "Of the failures: for want of room or time in the queue."),
        words("cancelled", Kind::integer, "Of the failures: nobody waited any more."),
        words("mean_ms", Kind::number, "From arrival to result."), words("compute_ms", Kind::number, "Mean."),
        words("queue_ms", Kind::number, "Mean."),
        nullable("p50_ms", Kind::number, "A bound that half of the requests kept; null: none, or beyond all bounds."),
        nullable("p95_ms", Kind::number, ""), nullable("p99_ms", Kind::number, "")}},
      {"ModelComparison",
       "The versions of a model beside each other.",
       {words("name", Kind::text, ""), words("versions", Kind::list, "", "VersionFigures"),
        nullable("canary", Kind::object, "Null: none.", "Canary"),
        nullable("shadow", Kind::object, "Null: none.", "Shadow")}},
      {"ModelEvent",
       "What happened to a model.",
       {words("at", Kind::time, ""), words("model", Kind::text, ""),
        words("action", Kind::text, "load, unload, evict, pin, unpin, promote, rollback, labels, split, fail."),
        nullable("from", Kind::integer, "A version; null: does not apply."), nullable("to", Kind::integer, ""),
        words("actor", Kind::text, "Who: operator ADDRESS, canary, configuration, memory budget, ..."),
        words("why", Kind::text, "In words.")}},
      {"ModelEvents", "What happened to models.", {words("events", Kind::list, "Newest first.", "ModelEvent")}},
      {"Accelerator",
       "What models may run on.",
       {words("runtime", Kind::text, ""), words("name", Kind::text, ""),
        words("usable", Kind::boolean, "It was tried here and works."), words("reason", Kind::text, "Why not.")}},
      {"Hardware",
       "What this machine offers models.",
       {words("architecture", Kind::text, ""), words("system", Kind::text, ""), words("processor", Kind::text, ""),
        words("instructions", Kind::texts, "Those that make inference faster."),
        words("cores", Kind::integer, "Of the machine."), words("usable_cores", Kind::integer, "By this process."),
        words("memory_bytes", Kind::integer, "Of the machine."),
        words("available_bytes", Kind::integer, "Without swapping."),
        words("runtimes", Kind::any, "Names and versions."), words("accelerators", Kind::list, "", "Accelerator")}},
  };
}

std::vector<Shape> shapes_of_model_changes() {
  return {
      {"ModelWish", "A change of a model.", {why()}},
      {"Promotion",
       "Which version is to answer what names none.",
       {{"version", Kind::integer, "Absent: the canary.", {}, false, false, 1}, why()}},
      {"TrafficChange",
       "Labels and split in the place of the configuration's, until that changes. Absent fields stay; null: as "
       "configured.",
       {nullable("labels", Kind::labels, "All of them: versions by label."),
        nullable("split", Kind::labels, "All of it: shares such as 90% by version."), why()}},
  };
}

}  // namespace

std::vector<Shape> shapes_of_models() {
  std::vector<Shape> all = shapes_of_model_changes();
  for (auto part : {shapes_of_traffic, shapes_of_local_models}) {
    for (Shape& one : part()) all.push_back(std::move(one));
  }
  return all;
}

}  // namespace penstock::app
