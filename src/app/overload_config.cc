#include "app/overload_config.h"

#include <cmath>

#include "base/process.h"
#include "base/quantity.h"

namespace penstock::app {
namespace {

// Descriptors for everything that is no connection: databases, the log, event loops, brokers, model files.
constexpr std::uint64_t kOwnDescriptors = 200;
constexpr std::uint64_t kConnectionsPerCore = 20'000;
constexpr std::size_t kPerAddressLeast = 16;

// A call needs a connection on each side: half of the descriptors are for clients.
std::size_t connections_possible(std::uint64_t descriptors, std::size_t threads) {
  std::uint64_t half = (std::max(descriptors, kOwnDescriptors + 32) - kOwnDescriptors) / 2;
  return static_cast<std::size_t>(std::min(half, kConnectionsPerCore * threads));
}

// The class `normal` stops at nine tenths of the limit, which is when every connection has a request.
std::int64_t requests_for(std::size_t connections) { return static_cast<std::int64_t>(connections) * 10 / 9 + 8; }

std::int64_t whole(std::size_t value) { return static_cast<std::int64_t>(value); }

std::uint64_t read_bytes(config::Map& map, std::string_view key, std::uint64_t fallback) {
  constexpr std::uint64_t kLeast = 1ULL << 20;
  std::uint64_t value = map.size(key, fallback);
  if (value >= kLeast) return value;
  if (map.has(key)) map.get(key).problem(fmt::format("at least {} is needed", base::format_size(kLeast)));
  return fallback;
}

}  // namespace

OverloadConfig read_overload(const config::Node& node, std::size_t threads) {
  OverloadConfig overload;
  std::uint64_t descriptors = base::raise_descriptor_limit();
  std::uint64_t memory = base::memory_available_bytes();
  http::BurdenLimits& burden = overload.burden;
  flow::AdmissionLimits& admission = overload.admission;
  burden.connections = connections_possible(descriptors, threads);
  burden.buffered_bytes = memory / 4;
  admission.memory_bytes = memory / 10 * 8;
  std::optional<config::Map> map;
  if (node.present()) map = node.map();
  if (map)
    burden.connections = static_cast<std::size_t>(map->integer("connections", whole(burden.connections), 1, 1'000'000));
  burden.connections_per_client = std::max(kPerAddressLeast, burden.connections / 4);
  admission.requests = requests_for(burden.connections);
  if (!map) return overload;
  burden.connections_per_client = static_cast<std::size_t>(
      map->integer("connections_per_address", whole(burden.connections_per_client), 1, 1'000'000));
  admission.requests = map->integer("requests", admission.requests, 1, 10'000'000);
  burden.buffered_bytes = read_bytes(*map, "buffered", burden.buffered_bytes);
  admission.memory_bytes = read_bytes(*map, "memory", admission.memory_bytes);
  admission.lag = map->duration("lag", admission.lag);
  if (admission.lag != base::Duration::zero() &&
      (admission.lag < std::chrono::milliseconds(1) || admission.lag > std::chrono::minutes(1)))
    map->get("lag").problem("between 1ms and 1m is possible, or 0s to take every call however busy the cores are");
  double wrong_keys = map->rate("wrong_keys", static_cast<double>(admission.wrong_keys_per_minute) / 60.0) * 60.0;
  admission.wrong_keys_per_minute = static_cast<std::int64_t>(std::ceil(wrong_keys - 1e-6));
  map->done();
  return overload;
}

}  // namespace penstock::app
