// Local models: what there are, loading and unloading, which version answers, and what happened. Changes go through the
// audit log when they are asked for; what became of them is in the history.
#include "app/admin_desk.h"
#include "app/admin_text.h"
#include "app/admin_upstreams.h"
#include "app/hardware.h"
#include "app/model_view.h"

namespace penstock::app {
namespace {

using json::Array;
using json::Object;
using json::Value;

// For the history; more is no reason.
constexpr std::size_t kWhyBytesMax = 1000;

Array language_models(const llm::Plan& plan) {
  Array language;
  for (const auto& [name, route] : plan.routes()) {
    Object o;
    o["name"] = text(name);
    Array targets;
    for (const llm::Target& target : route->targets)
      targets.push_back(Object{{"target", text(target.label)}, {"weight", target.weight}});
    o["targets"] = std::move(targets);
    Array fallback;
    for (const llm::Target& target : route->fallback) fallback.push_back(text(target.label));
    o["fallback"] = std::move(fallback);
    language.push_back(std::move(o));
  }
  return language;
}

Result<Object> list(AdminDesk& desk, const AdminCall&) {
  std::shared_ptr<const llm::Plan> plan = desk.plan();
  Array local;
  for (const infer::ModelStatus& model : desk.repository->status())
    local.push_back(describe(model, desk.repository->traffic(model.name).get()));
  return Object{{"language_models", language_models(*plan)},
                {"local_models", std::move(local)},
                {"providers", describe_providers(*plan)}};
}

std::unexpected<Error> no_model(std::string_view name) {
  return fail(Errc::not_found,
              fmt::format("there is no local model '{}'; GET /admin/v1/models shows them, and new ones are declared "
                          "under `models:` with their `path`",
                          name));
}

Result<infer::ModelStatus> find(const infer::Repository& repository, std::string_view name) {
  for (infer::ModelStatus& model : repository.status()) {
    if (model.name == name) return std::move(model);
  }
  return no_model(name);
}

Result<Object> shown(const infer::Repository& repository, const std::string& name) {
  auto model = find(repository, name);
  if (!model) return std::unexpected(model.error());
  return describe(*model, repository.traffic(name).get());
}

Result<Object> show(AdminDesk& desk, const AdminCall& call) { return shown(*desk.repository, call.param("model")); }

Result<Object> compare(AdminDesk& desk, const AdminCall& call) {
  auto model = find(*desk.repository, call.param("model"));
  if (!model) return std::unexpected(model.error());
  return compare_versions(*model, desk.repository->traffic(model->name).get());
}

Result<Object> history(AdminDesk& desk, const AdminCall& call) {
  Array events;
  if (desk.journal == nullptr) return Object{{"events", std::move(events)}};
  auto found = desk.journal->last(call.text("model"), static_cast<std::size_t>(call.integer("limit", 100)));
  if (!found) return std::unexpected(found.error());
  for (const infer::ModelEvent& event : *found) events.push_back(describe(event));
  return Object{{"events", std::move(events)}};
}

Result<infer::Wish> wish_of(const AdminCall& call) {
  infer::Wish wish{.actor = "operator " + call.actor};
  const Value* why = call.body.if_contains("why");
  if (why != nullptr && why->is_string()) wish.why = std::string(why->get_string());
  if (wish.why.size() > kWhyBytesMax)
    return fail(Errc::invalid_argument, fmt::format("'why' is longer than {} bytes", kWhyBytesMax));
  return wish;
}

Result<void> audit(AdminDesk& desk, const AdminCall& call, std::string_view action, const std::string& before,
                   const std::string& after) {
  return desk.state->add_audit({call.actor, call.now}, action, "model:" + call.param("model"), before, after);
}

// A change that may take as long as loading a model: by a thread that may wait, and answered with the model.
using Change = std::function<Result<void>(infer::Repository&, const std::string& model, const infer::Wish&)>;
AdminReport answered_with_model(AdminDesk& desk, std::string name, std::function<Result<void>()> change) {
  AdminReport report;
  report.write = [repository = desk.repository, name = std::move(name),
                  change = std::move(change)](const AdminReport::Sink& sink) -> Result<void> {
    if (Result<void> done = change(); !done) return done;
    auto model = shown(*repository, name);
    if (!model) return std::unexpected(model.error());
    sink(json::dump(*model));
    return {};
  };
  return report;
}

Result<AdminReport> change(AdminDesk& desk, const AdminCall& call, std::string_view action, const Change& change) {
  std::string name = call.param("model");
  if (auto model = find(*desk.repository, name); !model) return std::unexpected(model.error());
  auto wish = wish_of(call);
  if (!wish) return std::unexpected(wish.error());
  if (auto noted = audit(desk, call, action, "", json::dump(call.body)); !noted) return std::unexpected(noted.error());
  return answered_with_model(desk, name, [repository = desk.repository, name, wish = *wish, change] {
    return change(*repository, name, wish);
  });
}

// What a change of traffic works with.
struct Steered {
  std::shared_ptr<infer::Traffic> traffic;
  infer::Wish by;
  std::vector<std::string> ready;
};

Result<Steered> steered(AdminDesk& desk, const AdminCall& call) {
  Steered found;
  found.traffic = desk.repository->traffic(call.param("model"));
  if (!found.traffic) return no_model(call.param("model"));
  auto wish = wish_of(call);
  if (!wish) return std::unexpected(wish.error());
  found.by = std::move(*wish);
  found.ready = desk.repository->ready_versions(call.param("model"));
  return found;
}

std::string snapshot(infer::Traffic& traffic) { return json::dump(describe(traffic.view())); }

bool is_ready(const Steered& steered, std::int64_t version) {
  return std::find(steered.ready.begin(), steered.ready.end(), std::to_string(version)) != steered.ready.end();
}

Result<Object> promote(AdminDesk& desk, const AdminCall& call) {
  auto steered = app::steered(desk, call);
  if (!steered) return std::unexpected(steered.error());
  std::int64_t version = json::int_or(call.body, "version", 0);
  infer::TrafficView view = steered->traffic->view();
  std::int64_t wanted = version == 0 && view.canary ? view.canary->version : version;
  if (wanted != 0 && !is_ready(*steered, wanted)) {
    return fail(Errc::failed_precondition,
                fmt::format("version {} of model '{}' is not in service, and nothing could be answered by it; in "
                            "service: {}. `serve: all` or a label brings it in",
                            wanted, call.param("model"), fmt::join(steered->ready, ", ")));
  }
  std::string before = snapshot(*steered->traffic);
  if (auto done = steered->traffic->promote(version, steered->by); !done) return std::unexpected(done.error());
  auto noted = audit(desk, call, "model.promote", before, snapshot(*steered->traffic));
  if (!noted) return std::unexpected(noted.error());
  return show(desk, call);
}

Result<Object> roll_back(AdminDesk& desk, const AdminCall& call) {
  auto steered = app::steered(desk, call);
  if (!steered) return std::unexpected(steered.error());
  std::string before = snapshot(*steered->traffic);
  if (auto done = steered->traffic->roll_back(steered->by); !done) return std::unexpected(done.error());
  auto noted = audit(desk, call, "model.rollback", before, snapshot(*steered->traffic));
  if (!noted) return std::unexpected(noted.error());
  return show(desk, call);
}

std::map<std::string, std::string> map_of(const Value& object) {
  std::map<std::string, std::string> map;
  if (!object.is_object()) return map;
  for (const auto& [name, value] : object.get_object()) {
    if (value.is_string()) map[std::string(name)] = std::string(value.get_string());
  }
  return map;
}

// Reads the whole change before any of it is made.
Result<AdminReport> steer(AdminDesk& desk, const AdminCall& call) {
  auto steered = app::steered(desk, call);
  if (!steered) return std::unexpected(steered.error());
  const Value* labels = call.body.if_contains("labels");
  const Value* split = call.body.if_contains("split");
  if (labels == nullptr && split == nullptr)
    return fail(Errc::invalid_argument, "nothing to change was said: send `labels`, `split` or both");
  auto new_labels = infer::read_labels(labels == nullptr ? std::map<std::string, std::string>() : map_of(*labels));
  if (!new_labels) return fail(Errc::invalid_argument, "'labels': " + new_labels.error().detail);
  auto new_split = infer::read_split(split == nullptr ? std::map<std::string, std::string>() : map_of(*split));
  if (!new_split) return fail(Errc::invalid_argument, "'split': " + new_split.error().detail);
  std::string before = snapshot(*steered->traffic);
  Result<void> done;
  using Labels = std::optional<std::map<std::string, std::int64_t>>;
  using Split = std::optional<std::map<std::int64_t, double>>;
  if (labels != nullptr)
    done = steered->traffic->set_labels(labels->is_null() ? Labels() : Labels(*new_labels), steered->by);
  if (done && split != nullptr)
    done = steered->traffic->set_split(split->is_null() ? Split() : Split(*new_split), steered->by);
  if (!done) return std::unexpected(done.error());
  auto noted = audit(desk, call, "model.traffic", before, snapshot(*steered->traffic));
  if (!noted) return std::unexpected(noted.error());
  std::vector<std::int64_t> wanted = steered->traffic->wanted();
  bool complete = std::all_of(wanted.begin(), wanted.end(), [&](std::int64_t one) { return is_ready(*steered, one); });
  std::string name = call.param("model");
  return answered_with_model(desk, name, [repository = desk.repository, name, by = steered->by, complete] {
    // Versions that are named now and were not before.
    return complete ? Result<void>() : repository->refresh(name, by);
  });
}

Result<AdminReport> hardware(const AdminDesk& desk) {
  AdminReport report;
  report.write = [registry = desk.registry](const AdminReport::Sink& sink) -> Result<void> {
    sink(json::dump(describe_hardware(*registry)));
    return {};
  };
  return report;
}

std::vector<AdminRoute> routes_to_read(AdminDesk& desk) {
  auto with = [&desk](auto handler) { return [&desk, handler](const AdminCall& call) { return handler(desk, call); }; };
  return {{.method = "GET",
           .path = "/admin/v1/models",
           .name = "listModels",
           .about = "Routes to language models, local models, and providers.",
           .gives = "Models",
           .answer = with(list)},
          {.method = "GET",
           .path = "/admin/v1/models/{model}",
           .name = "getLocalModel",
           .about = "A local model with its versions and how its traffic is spread.",
           .gives = "LocalModel",
           .answer = with(show)},
          {.method = "GET",
           .path = "/admin/v1/models/{model}/comparison",
           .name = "compareVersions",
           .about = "The versions of a local model beside each other: calls, failures, latency, disagreement.",
           .gives = "ModelComparison",
           .answer = with(compare)},
          {.method = "GET",
           .path = "/admin/v1/model-history",
           .name = "listModelHistory",
           .about = "What happened to local models, who wanted it and why.",
           .query = {{"model", Kind::text, "Only this one."},
                     {"limit", Kind::integer, "How many, 100 unless told.", {}, false, false, 1, 1000}},
           .gives = "ModelEvents",
           .answer = with(history)},
          {.method = "GET",
           .path = "/admin/v1/hardware",
           .name = "getHardware",
           .about = "What this machine offers local models.",
           .gives = "Hardware",
           .report = [&desk](const AdminCall&) { return hardware(desk); }}};
}

AdminRoute lifecycle_route(AdminDesk& desk, std::string_view path, std::string_view name, std::string_view about,
                           std::string_view action, Change what) {
  return {.method = "POST",
          .path = path,
          .name = name,
          .about = about,
          .takes = "ModelWish",
          .gives = "LocalModel",
          .refusals = {409, 503},
          .report = [&desk, action, what = std::move(what)](const AdminCall& call) {
            return change(desk, call, action, what);
          }};
}

std::vector<AdminRoute> lifecycle_routes(AdminDesk& desk) {
  using infer::Repository;
  using infer::Wish;
  return {lifecycle_route(desk, "/admin/v1/models/{model}/load", "loadModel",
                          "Loads what is new of a model on disk, or takes it back into service.", "model.load",
                          [](Repository& repository, const std::string& name, const Wish& by) {
                            return repository.load({.name = name, .by = by});
                          }),
          lifecycle_route(desk, "/admin/v1/models/{model}/unload", "unloadModel",
                          "Takes a model out of service and gives its memory back.", "model.unload",
                          [](Repository& repository, const std::string& name, const Wish& by) {
                            return repository.unload(name, by);
                          }),
          lifecycle_route(desk, "/admin/v1/models/{model}/pin", "pinModel", "Keeps a model from being evicted.",
                          "model.pin",
                          [](Repository& repository, const std::string& name, const Wish& by) {
                            return repository.pin(name, true, by);
                          }),
          lifecycle_route(desk, "/admin/v1/models/{model}/unpin", "unpinModel", "Lets a model be evicted.",
                          "model.unpin", [](Repository& repository, const std::string& name, const Wish& by) {
                            return repository.pin(name, false, by);
                          })};
}

std::vector<AdminRoute> traffic_routes(AdminDesk& desk) {
  auto with = [&desk](auto handler) { return [&desk, handler](const AdminCall& call) { return handler(desk, call); }; };
  return {{.method = "POST",
           .path = "/admin/v1/models/{model}/promote",
           .name = "promoteVersion",
           .about = "The canary, or the version named, answers what names none; in force with the answer.",
           .takes = "Promotion",
           .gives = "LocalModel",
           .refusals = {409},
           .answer = with(promote)},
          {.method = "POST",
           .path = "/admin/v1/models/{model}/rollback",
           .name = "rollBackVersion",
           .about = "Takes the canary, or what was promoted last, back; in force with the answer.",
           .takes = "ModelWish",
           .gives = "LocalModel",
           .refusals = {409},
           .answer = with(roll_back)},
          {.method = "PATCH",
           .path = "/admin/v1/models/{model}/traffic",
           .name = "changeTraffic",
           .about = "Changes labels or split; in force with the answer.",
           .takes = "TrafficChange",
           .gives = "LocalModel",
           .refusals = {409, 503},
           .report = with(steer)}};
}

}  // namespace

std::vector<AdminRoute> model_routes(AdminDesk& desk) {
  std::vector<AdminRoute> routes;
  for (auto part : {routes_to_read, lifecycle_routes, traffic_routes}) {
    for (AdminRoute& route : part(desk)) routes.push_back(std::move(route));
  }
  return routes;
}

}  // namespace penstock::app
