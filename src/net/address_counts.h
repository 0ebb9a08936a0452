// How often each client address was counted, in memory that does not grow with the number of addresses.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "net/address.h"

namespace penstock::net {

// Who counts as one client: an IPv4 address (mapped ones included), or the /64 network of an IPv6 address, which one
// host may fill as it likes. 0: a local socket, or not known.
std::uint64_t client_of(const Endpoint& endpoint);

// The rows of a count-min sketch (Cormode and Muthukrishnan 2005): each row sends a client to one of its cells, by a
// seed nobody outside knows. What is said of a client is the best that any of its cells says.
class ClientCells {
 public:
  static constexpr std::size_t kRows = 3;
  static constexpr std::size_t kPerRow = 8192;
  static constexpr std::size_t kCells = kRows * kPerRow;
  ClientCells();
  // Its cells, as indices below kCells.
  std::array<std::size_t, kRows> of(std::uint64_t client) const;

 private:
  std::array<std::uint64_t, kRows> seeds_{};
};

// Any thread, no lock. A count is never too low, and too high only where all cells of a client are shared.
class AddressCounts {
 public:
  // The count with this one. Client 0 is never counted.
  std::uint32_t add(std::uint64_t client);
  void remove(std::uint64_t client);
  std::uint32_t count(std::uint64_t client) const;

 private:
  ClientCells cells_;
  std::array<std::atomic<std::uint32_t>, ClientCells::kCells> counts_{};
};

}  // namespace penstock::net
