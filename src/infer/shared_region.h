// Memory that two processes have at once. It grows and never shrinks (the kernel holds both to that), so that neither
// can take pages away under the other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.h"

namespace penstock::infer::isolated {

// One thread at a time.
class SharedRegion {
 public:
  // No larger, whoever asks.
  static constexpr std::uint64_t kMax = std::uint64_t{2} << 30;
  // As large from the beginning.
  static constexpr std::uint64_t kLeast = 64 << 10;

  // Fails with resource_exhausted.
  static Result<SharedRegion> make();
  // The other side's: takes the descriptor. This side does not make it larger than `most`. Fails with protocol_error.
  static Result<SharedRegion> open(int fd, std::uint64_t most = kMax);
  SharedRegion(SharedRegion&& other) noexcept;
  SharedRegion& operator=(SharedRegion&&) = delete;
  ~SharedRegion();

  int fd() const { return fd_; }
  std::span<std::byte> bytes() const { return {data_, size_}; }
  // Makes it at least `size` bytes. Fails with resource_exhausted.
  Result<void> reserve(std::uint64_t size);
  // Sees what the other side added.
  Result<void> follow();

 private:
  SharedRegion(int fd, std::uint64_t most) : fd_(fd), most_(most) {}
  Result<void> map(std::uint64_t size);

  int fd_ = -1;
  std::uint64_t most_ = kMax;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace penstock::infer::isolated
