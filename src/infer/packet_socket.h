// One end of a local socket that carries packets and descriptors between the gateway and processes of its own.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace penstock::infer::isolated {

// A descriptor that is closed with it.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() { reset(); }
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }
  void reset();

 private:
  int fd_ = -1;
};

// Two ends of a new one, both closed by exec. Fails with resource_exhausted.
Result<std::array<Descriptor, 2>> make_pair();

struct Packet {
  std::string_view text = {};  // valid until the thread receives again
  std::vector<Descriptor> descriptors = {};
};

// Waits a second at most for the other side to read. Fails with unavailable when there is no other side,
// deadline_exceeded when it does not read, resource_exhausted for what is too large.
Result<void> send(int socket, std::string_view text, std::initializer_list<int> descriptors = {});
// Waits for a packet. Fails with unavailable when the other side is gone, protocol_error for what is too large.
Result<Packet> receive(int socket);

enum class Ready { packet, wake, nothing };
// Waits until `socket` has something (the end of the other side too), `wake` is readable (-1: none), or time is over.
// A negative `at_most` waits for ever.
Ready wait(int socket, int wake, base::Duration at_most);

}  // namespace penstock::infer::isolated
