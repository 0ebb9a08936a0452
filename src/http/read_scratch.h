// Where a thread reads into before bytes are given their place. Nothing stays in it beyond the call that read.
#pragma once

#include <memory>
#include <span>

namespace penstock::http {

// The calling thread's: made when it first reads, so that threads that never do have none on their stacks.
inline std::span<char> read_scratch() {
  constexpr std::size_t kBytes = 64 * 1024;
  thread_local const auto bytes = std::make_unique_for_overwrite<char[]>(kBytes);
  return {bytes.get(), kBytes};
}

}  // namespace penstock::http
