#include "rt/task.h"

#include <array>
#include <cstdlib>
#include <new>

#if defined(__SANITIZE_ADDRESS__) || (defined(__has_feature) && __has_feature(address_sanitizer))
#define PENSTOCK_PLAIN_FRAMES 1
#else
#define PENSTOCK_PLAIN_FRAMES 0
#endif

namespace penstock::rt::detail {
namespace {

// Sizes in steps of 64 bytes up to 2 KiB; larger frames are rare and go to the heap.
constexpr std::size_t kStep = 64;
constexpr std::size_t kClasses = 32;
// 64 kept per size: a burst of tasks on one core reuses them, and a peak gives its memory back.
constexpr std::size_t kKeptMax = 64;

struct Free {
  Free* next;
};

struct Cache {
  std::array<Free*, kClasses> lists{};
  std::array<std::size_t, kClasses> counts{};
  ~Cache() {
    for (Free* list : lists) {
      while (list != nullptr) {
        Free* next = list->next;
        std::free(list);
        list = next;
      }
    }
  }
};

Cache& cache() {
  thread_local Cache instance;
  return instance;
}

std::size_t size_class(std::size_t bytes) { return (bytes - 1) / kStep; }

}  // namespace

void* allocate_frame(std::size_t bytes) {
  std::size_t index = size_class(bytes);
  // Under the address sanitizer every frame comes from the heap, so that a use after the end is seen.
  if (PENSTOCK_PLAIN_FRAMES == 0 && index < kClasses) {
    Cache& kept = cache();
    if (Free* frame = kept.lists[index]) {
      kept.lists[index] = frame->next;
      --kept.counts[index];
      return frame;
    }
    bytes = (index + 1) * kStep;
  }
  void* frame = std::malloc(bytes);
  if (frame == nullptr) throw std::bad_alloc();
  return frame;
}

void free_frame(void* frame, std::size_t bytes) noexcept {
  std::size_t index = size_class(bytes);
  if (PENSTOCK_PLAIN_FRAMES == 0 && index < kClasses) {
    Cache& kept = cache();
    if (kept.counts[index] < kKeptMax) {
      auto* free = static_cast<Free*>(frame);
      free->next = kept.lists[index];
      kept.lists[index] = free;
      ++kept.counts[index];
      return;
    }
  }
  std::free(frame);
}

}  // namespace penstock::rt::detail
