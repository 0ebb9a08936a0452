// What the admin API shows, as JSON. Never a secret, and every name a stranger chose is escaped.
#include "app/admin.h"
#include "app/admin_buffers.h"
#include "app/admin_pipelines.h"
#include "app/admin_text.h"
#include "app/admin_upstreams.h"
#include "base/process.h"
#include "base/version.h"
#include "json/value.h"

namespace penstock::app {
namespace {

using json::Array;
using json::Object;
using json::Value;

double millis(std::int64_t nanos) { return static_cast<double>(nanos / 1000) / 1000.0; }

Object describe(const obs::RequestEvent& event) {
  Object o;
  o["id"] = text(event.id.view());
  o["at"] = text(base::to_rfc3339(event.at));
  o["client"] = text(event.client.text());
  o["api"] = text(event.api);
  o["route"] = text(event.route);
  o["key"] = text(event.key);
  o["model"] = text(event.model);
  o["asked"] = text(event.asked.view());
  o["target"] = text(event.target);
  o["status"] = event.status;
  o["error_type"] = text(to_string(event.error_type));
  o["error"] = text(event.error.view());
  o["streamed"] = event.streamed;
  o["attempts"] = event.attempts;
  o["total_ms"] = millis(event.total_nanos);
  o["overhead_us"] = event.overhead_nanos / 1000;
  o["first_token_ms"] = millis(event.first_token_nanos);
  o["events"] = event.events;
  o["input_tokens"] = event.input_tokens;
  o["output_tokens"] = event.output_tokens;
  o["cached_tokens"] = event.cached_tokens;
  o["bytes_in"] = event.bytes_in;
  o["bytes_out"] = event.bytes_out;
  return o;
}

}  // namespace

Object Admin::status() const {
  Object o;
  o["version"] = text(base::kVersion);
  o["uptime_seconds"] =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - started_).count();
  o["requests_total"] = parts_.observer->requests_total();
  o["events_dropped"] = parts_.observer->dropped();
  o["resident_bytes"] = base::resident_bytes();
  o["threads"] = parts_.threads;
  {
    std::lock_guard lock(mutex_);
    o["listen"] = texts(listen_);
  }
  o["simulated"] = parts_.simulated;
  std::vector<std::string> obstacles = parts_.readiness->obstacles();
  o["ready"] = obstacles.empty();
  o["obstacles"] = texts(obstacles);
  return o;
}

Object Admin::requests(std::size_t limit) const {
  Array requests;
  for (const obs::RequestEvent& event : parts_.observer->recent(limit)) requests.push_back(describe(event));
  return Object{{"requests", std::move(requests)}};
}

Object Admin::pipelines() const {
  Array sources;
  for (const ingest::SourceStatus& source : parts_.ingest->sources()) {
    Object o;
    o["name"] = text(source.name);
    o["kind"] = text(source.kind);
    o["samples"] = source.samples;
    add_status(o, source.status);
    sources.push_back(std::move(o));
  }
  Array pipelines;
  for (const auto& pipeline : parts_.ingest->pipelines()) pipelines.push_back(describe(*pipeline, *parts_.ingest));
  return Object{{"sources", std::move(sources)}, {"pipelines", std::move(pipelines)}};
}

std::vector<AdminRoute> Admin::view_routes() {
  auto view = [](std::string_view path, std::string_view name, std::string_view about, std::string_view gives,
                 auto make) {
    return AdminRoute{.method = "GET",
                      .path = path,
                      .name = name,
                      .about = about,
                      .gives = gives,
                      .answer = [make](const AdminCall& call) -> Result<Object> { return make(call); }};
  };
  std::vector<AdminRoute> routes{
      view("/admin/v1/status", "getStatus", "Version, uptime and readiness.", "Status",
           [this](const AdminCall&) { return status(); }),
      view("/admin/v1/requests", "listRequests", "The latest requests, newest first.", "Requests",
           [this](const AdminCall& call) { return requests(static_cast<std::size_t>(call.integer("limit", 50))); }),
      view("/admin/v1/pipelines", "listPipelines", "Sources and pipelines.", "Pipelines",
           [this](const AdminCall&) { return pipelines(); })};
  routes[1].query = {{"limit", Kind::integer, "How many, 50 unless told.", {}, false, false, 1, 1000}};
  return routes;
}

void Admin::collect(obs::MetricWriter& writer) const {
  auto gauge = [&](std::string_view name, std::string_view help, double value) {
    writer.family(name, "gauge", help);
    writer.sample(name, {}, value);
  };
  gauge("penstock_process_resident_bytes", "Physical memory in use.", static_cast<double>(base::resident_bytes()));
  std::shared_ptr<const llm::Plan> plan;
  {
    std::lock_guard lock(mutex_);
    plan = plan_;
  }
  collect_upstreams(*plan, writer);
  collect_buffers(*parts_.ingest, writer);
  writer.family("penstock_samples_total", "counter", "Samples taken in.");
  for (const ingest::SourceStatus& source : parts_.ingest->sources()) {
    writer.sample("penstock_samples_total", {{"source", source.name}}, static_cast<double>(source.samples));
  }
  collect_pipelines(*parts_.ingest, writer);
}

}  // namespace penstock::app
