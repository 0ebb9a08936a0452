#include <algorithm>
#include <set>

#include "ext/sinks/uplink/uplink_sink.h"
#include "net/connector.h"

namespace penstock::ext {
namespace {

using namespace std::chrono_literals;

constexpr base::Duration kEvery = 10s;
constexpr base::Duration kBackAfter = 60s;
constexpr base::Duration kTimeout = 10s;
constexpr base::Duration kProbeTimeout = 3s;
constexpr std::int64_t kCostMost = 1'000'000;
constexpr std::size_t kLinksMost = 16;

rt::Task<void> connect_once(rt::Loop& loop, net::HostPort address, std::function<void(Result<void>)> done) {
  auto stream = co_await net::connect(loop, std::move(address), loop.now() + kProbeTimeout);
  if (stream) {
    done({});
  } else {
    done(std::unexpected(stream.error()));
  }
}

void probe(rt::Loop& loop, net::HostPort address, std::function<void(Result<void>)> done) {
  rt::spawn(connect_once(loop, std::move(address), std::move(done)));
}

std::optional<net::HostPort> read_probe(config::Map& map) {
  const config::Node node = map.get("probe");
  if (!node.present()) return std::nullopt;
  const std::string text = node.text();
  constexpr std::string_view kScheme = "tcp://";
  auto address = text.starts_with(kScheme) ? net::parse_host_port(std::string_view(text).substr(kScheme.size()))
                                           : fail(Errc::invalid_argument, "");
  if (!address) {
    node.problem(fmt::format("'{}' is nothing to connect to; write tcp://hub:8883", text));
    return std::nullopt;
  }
  return *address;
}

// The one key of a link that is a kind of sink.
std::string link_kind(const config::Map& map, const ingest::Context& context) {
  const std::vector<std::string> kinds = context.registry->names<ingest::SinkFactory>();
  std::vector<std::string> found;
  for (const std::string& key : map.keys()) {
    if (key != "uplink" && std::find(kinds.begin(), kinds.end(), key) != kinds.end()) found.push_back(key);
  }
  if (found.size() == 1) return found.front();
  map.node().problem("a link is one kind of sink with its settings: { name: fibre, mqtt: { url: mqtts://hub } }");
  return {};
}

std::optional<UplinkLink> read_link(const std::string& pipeline, const config::Node& node,
                                    const ingest::Context& context) {
  config::Map map = node.map();
  UplinkLink link;
  link.name = map.required_text("name");
  const std::string kind = link_kind(map, context);
  if (!kind.empty()) {
    const config::Node inner = map.get(kind);
    config::Map settings = inner.map();
    link.sink = context.registry->find<ingest::SinkFactory>(kind)->make(pipeline, inner, settings, context);
    settings.done();
  }
  link.probe = read_probe(map);
  link.every = map.duration("every", kEvery);
  if (link.every < 1s && map.has("every")) map.get("every").problem("a link is looked at once a second at most");
  link.cost = map.integer("cost", 0, 0, kCostMost);
  link.metered = map.boolean("metered", false);
  map.done();
  if (!link.sink) return std::nullopt;
  return link;
}

}  // namespace

std::unique_ptr<ingest::Sink> make_uplink_sink(const std::string& pipeline, const config::Node&, config::Map& map,
                                               const ingest::Context& context) {
  UplinkOptions options;
  options.back_after = map.duration("back_after", kBackAfter);
  options.timeout = map.duration("timeout", kTimeout);
  options.probe = probe;
  const config::Node links = map.required("links");
  if (!links.present()) return nullptr;
  const std::vector<config::Node> items = links.items();
  if (items.empty() || items.size() > kLinksMost) {
    links.problem(fmt::format("an uplink has 1 to {} links", kLinksMost));
    return nullptr;
  }
  std::set<std::string> names;
  for (const config::Node& item : items) {
    auto link = read_link(pipeline, item, context);
    if (!link) continue;
    if (!names.insert(link->name).second) item.problem(fmt::format("another link is called '{}'", link->name));
    options.links.push_back(std::move(*link));
  }
  if (options.links.size() != items.size()) return nullptr;
  return std::make_unique<UplinkSink>(std::move(options), *context.clock);
}

}  // namespace penstock::ext
