#include "http/burden.h"

#include <algorithm>

namespace penstock::http {
namespace {

// Only its own core writes a counter: no locked instruction is needed.
template <class T>
void add(std::atomic<T>& counter, T by) {
  counter.store(counter.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
}

}  // namespace

Burden::Burden(std::size_t cores, const BurdenLimits& limits)
    : connections_max_(limits.connections),
      per_client_max_(limits.connections_per_client),
      buffered_max_(limits.buffered_bytes) {
  for (std::size_t i = 0; i < std::max<std::size_t>(cores, 1); ++i) cores_.push_back(std::make_unique<Core>());
}

void Burden::set_limits(const BurdenLimits& limits) {
  connections_max_.store(limits.connections, std::memory_order_relaxed);
  per_client_max_.store(limits.connections_per_client, std::memory_order_relaxed);
  buffered_max_.store(limits.buffered_bytes, std::memory_order_relaxed);
}

std::size_t Burden::connections() const {
  std::int64_t sum = 0;
  for (const auto& core : cores_) sum += core->connections.load(std::memory_order_relaxed);
  return static_cast<std::size_t>(std::max<std::int64_t>(sum, 0));
}

std::uint64_t Burden::buffered_bytes() const {
  std::int64_t sum = 0;
  for (const auto& core : cores_) sum += core->buffered.load(std::memory_order_relaxed);
  return static_cast<std::uint64_t>(std::max<std::int64_t>(sum, 0));
}

std::uint64_t Burden::refused(Refused what) const {
  std::uint64_t sum = 0;
  for (const auto& core : cores_) sum += core->refused[static_cast<std::size_t>(what)].load(std::memory_order_relaxed);
  return sum;
}

Burden::Place Burden::enter(int index, std::uint64_t client) {
  std::size_t most = connections_max_.load(std::memory_order_relaxed);
  std::size_t open = connections();
  if (open >= most + kSpareConnections) {
    count_refused(index, Refused::connections);
    return Place::none;
  }
  if (!name_client(index, client)) return Place::none;
  add<std::int64_t>(core(index).connections, 1);
  return open >= most ? Place::spare : Place::regular;
}

bool Burden::name_client(int index, std::uint64_t client) {
  if (clients_.add(client) <= per_client_max_.load(std::memory_order_relaxed)) return true;
  clients_.remove(client);
  count_refused(index, Refused::client);
  return false;
}

void Burden::leave(int index, std::uint64_t client) {
  clients_.remove(client);
  add<std::int64_t>(core(index).connections, -1);
}

void Burden::buffer(int index, std::int64_t bytes) { add(core(index).buffered, bytes); }

void Burden::count_refused(int index, Refused what) {
  add<std::uint64_t>(core(index).refused[static_cast<std::size_t>(what)], 1);
}

}  // namespace penstock::http
