#include "app/admin_upstreams.h"

#include "app/admin_text.h"
#include "net/resolver.h"

namespace penstock::app {
namespace {

std::string_view state_of(const http::OriginHealth& health, base::SteadyTime now) {
  if (health.down()) return "down";
  if (health.on_trial(now)) return "trial";
  return health.usable(now) ? "up" : "ejected";
}

// Spoken on the connections that are open now.
std::string_view protocol_of(const http::PoolFigures& figures) {
  if (figures.open == 0) return "";
  if (figures.shared == 0) return "http/1.1";
  return figures.shared == figures.open ? "h2" : "h2, http/1.1";
}

double seconds_left(const http::OriginHealth& health, base::SteadyTime now) {
  return std::max(0.0, std::chrono::duration<double>(health.ejected_until() - now).count());
}

struct Family {
  std::string_view name;
  std::string_view help;
  std::uint64_t http::PoolFigures::* figure;
};
constexpr std::array kCounters{
    Family{"penstock_upstream_connects_total", "Connections begun.", &http::PoolFigures::connects},
    Family{"penstock_upstream_connect_failures_total", "Of these, not made (name, TCP or TLS).",
           &http::PoolFigures::connect_failures},
    Family{"penstock_upstream_reused_total", "Calls on a kept connection.", &http::PoolFigures::reused},
    Family{"penstock_upstream_waits_total", "Calls that found all connections in use.", &http::PoolFigures::waits},
    Family{"penstock_upstream_refusals_total", "Of these, refused or not served in time.",
           &http::PoolFigures::refusals},
    Family{"penstock_upstream_stream_resets_total", "HTTP/2 streams reset before the end of their answer.",
           &http::PoolFigures::resets},
    Family{"penstock_upstream_goaways_total", "HTTP/2 connections the provider said goodbye on.",
           &http::PoolFigures::goaways},
};

void collect_dns(obs::MetricWriter& writer) {
  net::Resolver::Stats stats = net::Resolver::instance().stats();
  auto counter = [&](std::string_view name, std::string_view help, std::uint64_t value) {
    writer.family(name, "counter", help);
    writer.sample(name, {}, static_cast<double>(value));
  };
  counter("penstock_upstream_dns_lookups_total", "Names asked of the hosts file and the servers.", stats.lookups);
  counter("penstock_upstream_dns_failures_total", "Of these, without an address.", stats.failures);
  counter("penstock_upstream_dns_stale_total", "Old answers used because the servers failed.", stats.stale);
}

}  // namespace

json::Array describe_providers(const llm::Plan& plan) {
  base::SteadyTime now = std::chrono::steady_clock::now();
  json::Array providers;
  for (const auto& [name, provider] : plan.providers()) {
    const http::Origin& origin = *provider->origin();
    http::PoolFigures figures = figures_of(origin);
    json::Object o;
    o["name"] = text(name);
    o["address"] = text(origin.url.place());
    o["state"] = text(state_of(origin.state->health, now));
    o["ejected_seconds_left"] = seconds_left(origin.state->health, now);
    o["ejections"] = origin.state->health.ejections();
    o["checked"] = origin.check.has_value();
    o["connections_open"] = figures.open;
    o["connections_idle"] = figures.idle;
    o["protocol"] = text(protocol_of(figures));
    o["streams"] = figures.streams;
    o["connects"] = figures.connects;
    o["connect_failures"] = figures.connect_failures;
    o["reused"] = figures.reused;
    o["waits"] = figures.waits;
    o["refusals"] = figures.refusals;
    providers.push_back(std::move(o));
  }
  return providers;
}

void collect_upstreams(const llm::Plan& plan, obs::MetricWriter& writer) {
  base::SteadyTime now = std::chrono::steady_clock::now();
  std::vector<std::pair<std::string_view, http::PoolFigures>> figures;
  writer.family("penstock_upstream_healthy", "gauge", "1 unless ejected after failures or found down by checks.");
  for (const auto& [name, provider] : plan.providers()) {
    const http::OriginState& state = *provider->origin()->state;
    writer.sample("penstock_upstream_healthy", {{"provider", name}}, state.health.usable(now) ? 1 : 0);
    figures.emplace_back(name, figures_of(*provider->origin()));
  }
  writer.family("penstock_upstream_ejections_total", "counter", "Times taken out, by failures or by checks.");
  for (const auto& [name, provider] : plan.providers()) {
    writer.sample("penstock_upstream_ejections_total", {{"provider", name}},
                  static_cast<double>(provider->origin()->state->health.ejections()));
  }
  writer.family("penstock_upstream_connections", "gauge", "Connections: all that are open, and those kept for later.");
  for (const auto& [name, figure] : figures) {
    writer.sample("penstock_upstream_connections", {{"provider", name}, {"state", "open"}},
                  static_cast<double>(figure.open));
    writer.sample("penstock_upstream_connections", {{"provider", name}, {"state", "idle"}},
                  static_cast<double>(figure.idle));
  }
  writer.family("penstock_upstream_protocol_connections", "gauge", "Open connections by what is spoken on them.");
  for (const auto& [name, figure] : figures) {
    writer.sample("penstock_upstream_protocol_connections", {{"provider", name}, {"protocol", "h2"}},
                  static_cast<double>(figure.shared));
    writer.sample("penstock_upstream_protocol_connections", {{"provider", name}, {"protocol", "http/1.1"}},
                  static_cast<double>(figure.open - std::min(figure.open, figure.shared)));
  }
  writer.family("penstock_upstream_streams", "gauge", "Calls on HTTP/2 connections.");
  for (const auto& [name, figure] : figures)
    writer.sample("penstock_upstream_streams", {{"provider", name}}, static_cast<double>(figure.streams));
  for (const Family& family : kCounters) {
    writer.family(family.name, "counter", family.help);
    for (const auto& [name, figure] : figures)
      writer.sample(family.name, {{"provider", name}}, static_cast<double>(figure.*family.figure));
  }
  collect_dns(writer);
}

}  // namespace penstock::app
