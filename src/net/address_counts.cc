#include "net/address_counts.h"

#include <netinet/in.h>
#include <openssl/rand.h>

#include <algorithm>
#include <cstring>
#include <limits>

namespace penstock::net {
namespace {

// The finaliser of SplitMix64 (Steele, Lea and Flood 2014): every bit of the input reaches every bit of the output.
std::uint64_t mix(std::uint64_t value) {
  value = (value ^ (value >> 30U)) * 0xbf58476d1ce4e5b9ULL;
  value = (value ^ (value >> 27U)) * 0x94d049bb133111ebULL;
  return value ^ (value >> 31U);
}

std::uint64_t client_of_ipv4(std::uint32_t address) { return (1ULL << 32U) | address; }

}  // namespace

std::uint64_t client_of(const Endpoint& endpoint) {
  if (endpoint.length == 0) return 0;
  if (endpoint.storage.ss_family == AF_INET) {
    sockaddr_in address{};
    std::memcpy(&address, &endpoint.storage, sizeof address);
    return client_of_ipv4(address.sin_addr.s_addr);
  }
  if (endpoint.storage.ss_family != AF_INET6) return 0;
  sockaddr_in6 address{};
  std::memcpy(&address, &endpoint.storage, sizeof address);
  if (IN6_IS_ADDR_V4MAPPED(&address.sin6_addr)) {
    std::uint32_t mapped = 0;
    std::memcpy(&mapped, &address.sin6_addr.s6_addr[12], sizeof mapped);
    return client_of_ipv4(mapped);
  }
  std::uint64_t network = 0;
  std::memcpy(&network, &address.sin6_addr, sizeof network);
  // Never 0, and not among the numbers of IPv4.
  return mix(network) | (1ULL << 63U);
}

ClientCells::ClientCells() { RAND_bytes(reinterpret_cast<unsigned char*>(seeds_.data()), sizeof seeds_); }

std::array<std::size_t, ClientCells::kRows> ClientCells::of(std::uint64_t client) const {
  std::array<std::size_t, kRows> cells{};
  for (std::size_t row = 0; row < kRows; ++row) cells[row] = row * kPerRow + mix(client ^ seeds_[row]) % kPerRow;
  return cells;
}

std::uint32_t AddressCounts::add(std::uint64_t client) {
  if (client == 0) return 0;
  std::uint32_t least = std::numeric_limits<std::uint32_t>::max();
  for (std::size_t cell : cells_.of(client))
    least = std::min(least, counts_[cell].fetch_add(1, std::memory_order_relaxed) + 1);
  return least;
}

void AddressCounts::remove(std::uint64_t client) {
  if (client == 0) return;
  for (std::size_t cell : cells_.of(client)) counts_[cell].fetch_sub(1, std::memory_order_relaxed);
}

std::uint32_t AddressCounts::count(std::uint64_t client) const {
  if (client == 0) return 0;
  std::uint32_t least = std::numeric_limits<std::uint32_t>::max();
  for (std::size_t cell : cells_.of(client)) least = std::min(least, counts_[cell].load(std::memory_order_relaxed));
  return least;
}

}  // namespace penstock::net
