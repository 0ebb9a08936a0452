#include "infer/shared_region.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bit>
#include <cstring>
#include <utility>

namespace penstock::infer::isolated {
namespace {

std::unexpected<Error> refused(std::string_view what) {
  return fail(Errc::resource_exhausted, fmt::format("memory for tensors: {}: {}", what, std::strerror(errno)));
}

}  // namespace

Result<SharedRegion> SharedRegion::make() {
  int fd = ::memfd_create("penstock-tensors", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) return refused("cannot be made");
  SharedRegion region(fd, kMax);
  if (auto grown = region.reserve(kLeast); !grown) return std::unexpected(std::move(grown.error()));
  if (::fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_SEAL) != 0) return refused("cannot be sealed");
  return region;
}

Result<SharedRegion> SharedRegion::open(int fd, std::uint64_t most) {
  SharedRegion region(fd, most);
  int seals = ::fcntl(fd, F_GET_SEALS);
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0)
    return fail(Errc::protocol_error, "the memory for tensors is not what it should be");
  if (auto mapped = region.follow(); !mapped) return std::unexpected(std::move(mapped.error()));
  return region;
}

SharedRegion::SharedRegion(SharedRegion&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      most_(other.most_),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

SharedRegion::~SharedRegion() {
  if (data_ != nullptr) ::munmap(data_, size_);
  if (fd_ >= 0) ::close(fd_);
}

Result<void> SharedRegion::map(std::uint64_t size) {
  if (size <= size_) return {};
  void* mapped = data_ == nullptr ? ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0)
                                  : ::mremap(data_, size_, size, MREMAP_MAYMOVE);
  if (mapped == MAP_FAILED) return refused("cannot be mapped");
  data_ = static_cast<std::byte*>(mapped);
  size_ = size;
  return {};
}

Result<void> SharedRegion::reserve(std::uint64_t size) {
  if (size <= size_) return {};
  if (size > most_) {
    return fail(Errc::resource_exhausted,
                fmt::format("the tensors have {} bytes, and {} is the most that an isolated model takes or gives; its "
                            "memory.max bounds what it gives",
                            size, most_));
  }
  std::uint64_t rounded = std::min(std::bit_ceil(size), most_);
  if (::ftruncate(fd_, static_cast<off_t>(rounded)) != 0) return refused("cannot grow");
  return map(rounded);
}

Result<void> SharedRegion::follow() {
  struct stat state{};
  if (::fstat(fd_, &state) != 0) return refused("cannot be looked at");
  return map(std::min(static_cast<std::uint64_t>(state.st_size), kMax));
}

}  // namespace penstock::infer::isolated
