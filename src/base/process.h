// What this process uses of the machine, and how much it may use. Any thread.
#pragma once

#include <cstdint>

namespace penstock::base {

// Physical memory in use, from /proc/self/statm; 0 when the system does not say.
std::uint64_t resident_bytes();

// The least of what the machine has (MemTotal) and what the control groups of this process allow (memory.max,
// memory.limit_in_bytes, of every group above it too).
std::uint64_t memory_available_bytes();

// Lets this process open as many descriptors as it may (the soft RLIMIT_NOFILE becomes the hard one). Returns how many.
std::uint64_t raise_descriptor_limit();

}  // namespace penstock::base
