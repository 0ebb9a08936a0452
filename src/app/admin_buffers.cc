#include "app/admin_buffers.h"

#include "app/admin_text.h"
#include "obs/log.h"

namespace penstock::app {
namespace {

using ingest::BufferStatus;
using json::Array;
using json::Object;

double seconds(base::Duration duration) { return std::chrono::duration<double>(duration).count(); }

// What a sink has had of its buffer, by the buffer's name.
std::map<std::string, ingest::OutletStatus> outlets_of(const ingest::Lane& lane) {
  std::map<std::string, ingest::OutletStatus> found;
  for (const auto& pipeline : lane.pipelines()) {
    for (ingest::OutletStatus& sink : pipeline->sinks()) {
      if (!sink.buffer.empty()) found[sink.buffer] = std::move(sink);
    }
  }
  return found;
}

Object describe(const BufferStatus& buffer) {
  const spool::Stats& stats = buffer.stats;
  return Object{{"name", text(buffer.name)},
                {"in_use", buffer.in_use},
                {"trouble", buffer.trouble.empty() ? json::Value(nullptr) : text(buffer.trouble)},
                {"bytes", stats.bytes},
                {"records", stats.records},
                {"waiting", stats.backlog},
                {"oldest_seconds", seconds(stats.oldest_age)},
                {"appended", stats.appended},
                {"dropped", stats.dropped},
                {"refused", stats.refused},
                {"damaged", stats.damaged},
                {"set_aside", stats.set_aside},
                {"disk_full", stats.disk_full}};
}

Object list(const ingest::Lane& lane) {
  const auto outlets = outlets_of(lane);
  Array buffers;
  for (const BufferStatus& buffer : lane.buffers().status()) {
    Object one = describe(buffer);
    if (auto outlet = outlets.find(buffer.name); outlet != outlets.end()) {
      one["connected"] = outlet->second.status.connected;
      one["detail"] = text(outlet->second.status.detail);
      one["replayed"] = outlet->second.replayed;
    }
    buffers.push_back(std::move(one));
  }
  return Object{{"buffers", std::move(buffers)}};
}

Result<Object> remove(ingest::Lane& lane, AdminDesk& desk, const AdminCall& call) {
  const std::string name = call.param("kind") + "/" + call.param("name");
  std::string before;
  for (const BufferStatus& buffer : lane.buffers().status()) {
    if (buffer.name == name) before = json::dump(describe(buffer));
  }
  if (auto removed = lane.buffers().remove(name); !removed) return std::unexpected(removed.error());
  auto noted = desk.state->add_audit({call.actor, call.now}, "buffer.remove", "buffer:" + name, before, "");
  if (!noted) return std::unexpected(noted.error());
  return Object{{"removed", text(name)}};
}

// Of sinks with several ways to their peer.
void collect_links(const ingest::Lane& lane, obs::MetricWriter& writer) {
  bool any = false;
  for (const auto& pipeline : lane.pipelines()) {
    for (const ingest::OutletStatus& sink : pipeline->sinks()) {
      if (sink.status.link.empty()) continue;
      if (!std::exchange(any, true)) {
        writer.family("penstock_uplink_link", "gauge", "1 for the link that is in use.");
      }
      writer.sample("penstock_uplink_link", {{"pipeline", pipeline->name()}, {"link", sink.status.link}}, 1);
    }
  }
}

}  // namespace

std::vector<AdminRoute> buffer_routes(ingest::Lane& lane, AdminDesk& desk) {
  return {{.method = "GET",
           .path = "/admin/v1/buffers",
           .name = "listBuffers",
           .about = "What waits on the disk for sinks and pipelines, and what is left of those that are gone.",
           .gives = "Buffers",
           .answer = [&lane](const AdminCall&) -> Result<Object> { return list(lane); }},
          {.method = "DELETE",
           .path = "/admin/v1/buffers/{kind}/{name}",
           .name = "removeBuffer",
           .about = "Deletes a buffer that no sink or source has, with all that was not delivered.",
           .refusals = {404, 409, 503},
           .answer = [&lane, &desk](const AdminCall& call) { return remove(lane, desk, call); }}};
}

std::vector<Shape> shapes_of_buffers() {
  const auto words = [](std::string_view name, Kind kind, std::string_view about) {
    return Field{.name = name, .kind = kind, .about = about};
  };
  return {{"Buffers", "Buffers and journals on the disk.", {words("buffers", Kind::any, "By name.")}}};
}

void collect_buffers(const ingest::Lane& lane, obs::MetricWriter& writer) {
  struct Figure {
    std::string_view name;
    std::string_view type;
    std::string_view help;
    double (*of)(const spool::Stats&);
  };
  static constexpr Figure kFigures[] = {
      {"penstock_buffer_bytes", "gauge", "On the disk, of a buffer or journal.",
       [](const spool::Stats& stats) { return static_cast<double>(stats.bytes); }},
      {"penstock_buffer_records", "gauge", "Samples that wait for their sink or pipelines.",
       [](const spool::Stats& stats) { return static_cast<double>(stats.backlog); }},
      {"penstock_buffer_oldest_seconds", "gauge", "Age of the oldest sample that waits.",
       [](const spool::Stats& stats) { return seconds(stats.oldest_age); }},
      {"penstock_buffer_appended_total", "counter", "Samples put on the disk.",
       [](const spool::Stats& stats) { return static_cast<double>(stats.appended); }},
      {"penstock_buffer_dropped_total", "counter", "Samples that a bound dropped undelivered.",
       [](const spool::Stats& stats) { return static_cast<double>(stats.dropped); }},
      {"penstock_buffer_damaged_total", "counter", "Places on the disk that could not be read.",
       [](const spool::Stats& stats) { return static_cast<double>(stats.damaged); }},
      {"penstock_buffer_sync_seconds_total", "counter", "Time that putting on the disk took.",
       [](const spool::Stats& stats) { return seconds(stats.sync_total); }},
      {"penstock_buffer_syncs_total", "counter", "Times it was waited for the disk.",
       [](const spool::Stats& stats) { return static_cast<double>(stats.syncs); }},
  };
  collect_links(lane, writer);
  const std::vector<BufferStatus> buffers = lane.buffers().status();
  if (buffers.empty()) return;
  for (const Figure& figure : kFigures) {
    writer.family(figure.name, figure.type, figure.help);
    for (const BufferStatus& buffer : buffers) {
      writer.sample(figure.name, {{"sink", buffer.name}}, figure.of(buffer.stats));
    }
  }
  writer.family("penstock_buffer_replayed_total", "counter", "Samples delivered out of the backlog.");
  for (const auto& [name, outlet] : outlets_of(lane)) {
    writer.sample("penstock_buffer_replayed_total", {{"sink", name}}, static_cast<double>(outlet.replayed));
  }
}

void log_buffer(const std::string& buffer, const std::string& what) {
  obs::log(obs::Level::warn, "buffer", {{"name", buffer}, {"what", what}});
}

}  // namespace penstock::app
