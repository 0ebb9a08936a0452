#include "app/model_view.h"

#include <cmath>

#include "app/admin_text.h"

namespace penstock::app {
namespace {

using json::Array;
using json::Object;
using json::Value;

Array describe(const std::vector<infer::TensorSpec>& specs) {
  Array array;
  for (const infer::TensorSpec& spec : specs) {
    Object o;
    o["name"] = text(spec.name);
    o["datatype"] = text(infer::to_string(spec.datatype));
    o["shape"] = Array(spec.shape.begin(), spec.shape.end());
    array.push_back(std::move(o));
  }
  return array;
}

Object describe(const infer::Count& count) { return Object{{"calls", count.calls}, {"bad", count.bad}}; }

std::string_view stage_of(infer::CanaryView::Stage stage) {
  constexpr std::array<std::string_view, 3> kNames{"watching", "promoted", "rolled_back"};
  return kNames[static_cast<std::size_t>(stage)];
}

double seconds(base::Duration time) { return std::chrono::duration<double>(time).count(); }

Object describe(const infer::CanaryView& canary) {
  Array limits;
  for (const infer::CanaryView::Rule& rule : canary.rules) {
    limits.push_back(Object{{"limit", text(rule.text)},
                            {"calls", rule.count.calls},
                            {"bad", rule.count.bad},
                            {"others", describe(rule.others)},
                            {"for_rollback", rule.for_rollback},
                            {"rollback_needs", rule.rollback_needs},
                            {"for_promotion", rule.for_promotion},
                            {"promotion_needs", rule.promotion_needs}});
  }
  return Object{{"version", canary.version},
                {"share", canary.share},
                {"stage", text(stage_of(canary.stage))},
                {"decided", time_or_null(canary.decided)},
                {"watched_seconds", seconds(canary.watched)},
                {"words", text(canary.words)},
                {"limits", std::move(limits)}};
}

Object describe(const infer::ShadowView& shadow) {
  return Object{{"version", shadow.version},
                {"share", shadow.share},
                {"failed", describe(shadow.failed)},
                {"differed", describe(shadow.differed)}};
}

double mean_ms(const infer::Tally& tally) {
  return tally.count == 0 ? 0 : static_cast<double>(tally.nanoseconds) / static_cast<double>(tally.count) / 1e6;
}

Object figures(const infer::VersionStatus& version) {
  Object o{{"version", text(version.version)}, {"ready", version.ready}, {"default", version.is_default}};
  if (!version.stats) return o;
  const infer::StatsView& stats = *version.stats;
  o["calls"] = stats.success.count + stats.failure.count;
  o["failures"] = stats.failure.count;
  o["rejected"] = stats.rejected;
  o["cancelled"] = stats.cancelled;
  o["mean_ms"] = mean_ms(stats.success);
  o["compute_ms"] = mean_ms(stats.compute);
  o["queue_ms"] = mean_ms(stats.queue);
  for (auto [name, part] : {std::pair{"p50_ms", 0.5}, {"p95_ms", 0.95}, {"p99_ms", 0.99}})
    o[name] = percentile_ms(stats.total_within, part);
  return o;
}

}  // namespace

Value percentile_ms(const std::array<std::uint64_t, 17>& within, double part) {
  std::uint64_t all = 0;
  for (std::uint64_t count : within) all += count;
  auto wanted = static_cast<std::uint64_t>(std::ceil(part * static_cast<double>(all)));
  std::uint64_t below = 0;
  for (std::size_t i = 0; all > 0 && i < infer::kPhaseBounds.size(); ++i) {
    below += within[i];
    if (below >= wanted) return infer::kPhaseBounds[i] * 1000;
  }
  return nullptr;
}

Object describe(const infer::VersionStatus& version) {
  Object o;
  o["version"] = text(version.version);
  o["ready"] = version.ready;
  o["default"] = version.is_default;
  o["reason"] = text(version.reason);
  o["memory_bytes"] = version.memory_bytes;
  if (version.info) {
    o["platform"] = text(version.info->platform);
    o["accelerator"] = text(version.info->accelerator);
    o["inputs"] = describe(version.info->inputs);
    o["outputs"] = describe(version.info->outputs);
  }
  if (version.stats) {
    o["inferences"] = version.stats->inferences;
    o["failures"] = version.stats->failure.count;
  }
  o["mean_ms"] = static_cast<double>(version.run_average.count()) / 1e6;
  return o;
}

Object describe(const infer::TrafficView& traffic) {
  Object labels;
  for (const auto& [name, version] : traffic.labels) labels[name] = version;
  Object split;
  for (const auto& [version, share] : traffic.split) split[std::to_string(version)] = share;
  return Object{{"labels", std::move(labels)},
                {"split", std::move(split)},
                {"labels_by_command", traffic.labels_by_command},
                {"split_by_command", traffic.split_by_command},
                {"promoted", traffic.promoted == 0 ? Value(nullptr) : Value(traffic.promoted)},
                {"canary", traffic.canary ? Value(describe(*traffic.canary)) : Value(nullptr)},
                {"shadow", traffic.shadow ? Value(describe(*traffic.shadow)) : Value(nullptr)}};
}

Object describe(const infer::ModelEvent& event) {
  auto version = [](std::int64_t number) { return number == 0 ? Value(nullptr) : Value(number); };
  return Object{{"at", text(base::to_rfc3339(event.at))},
                {"model", text(event.model)},
                {"action", text(event.action)},
                {"from", version(event.from)},
                {"to", version(event.to)},
                {"actor", text(event.by.actor)},
                {"why", text(event.by.why)}};
}

Object describe(const infer::ModelStatus& model, infer::Traffic* traffic) {
  Object o;
  o["name"] = text(model.name);
  o["path"] = text(model.path);
  o["ready"] = model.ready;
  o["pinned"] = model.pinned;
  infer::TrafficView view = traffic == nullptr ? infer::TrafficView() : traffic->view();
  Array versions;
  for (const infer::VersionStatus& version : model.versions) {
    versions.push_back(describe(version));
    Array labels;
    for (const auto& [label, number] : view.labels) {
      if (std::to_string(number) == version.version) labels.push_back(text(label));
    }
    versions.back().get_object()["labels"] = std::move(labels);
  }
  o["versions"] = std::move(versions);
  o["traffic"] = traffic == nullptr ? Value(nullptr) : Value(describe(view));
  if (!model.config) return o;
  const infer::ResidenceConfig& about = model.config->residence;
  o["owner"] = text(about.owner);
  o["licence"] = text(about.licence);
  o["description"] = text(about.description);
  Object tags;
  for (const auto& [name, value] : about.tags) tags[name] = text(value);
  o["tags"] = std::move(tags);
  return o;
}

Object compare_versions(const infer::ModelStatus& model, infer::Traffic* traffic) {
  Array versions;
  for (const infer::VersionStatus& version : model.versions) versions.push_back(figures(version));
  infer::TrafficView view = traffic == nullptr ? infer::TrafficView() : traffic->view();
  return Object{{"name", text(model.name)},
                {"versions", std::move(versions)},
                {"canary", view.canary ? Value(describe(*view.canary)) : Value(nullptr)},
                {"shadow", view.shadow ? Value(describe(*view.shadow)) : Value(nullptr)}};
}

}  // namespace penstock::app
