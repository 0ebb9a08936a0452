#include "ext/runtimes/onnx/model_memory.h"

#include <sys/mman.h>

#include <bit>
#include <new>

namespace penstock::ext::runtimes::onnx {
namespace {

constexpr std::size_t kHeader = 64;
// From here on blocks are mapped: the system has them back at once, wherever their neighbours are.
constexpr std::size_t kMapped = 256 << 10;
// So little may be kept whatever was in use.
constexpr std::uint64_t kKeptAlways = 64 << 10;

thread_local ModelMemory* current = nullptr;

// Of threads that work for no model in particular. For the life of the process.
ModelMemory& common() {
  static ModelMemory* memory = ModelMemory::make(0).release();
  return *memory;
}

}  // namespace

// Stands in front of the data.
struct alignas(kHeader) ModelMemory::Block {
  ModelMemory* owner;
  Block* next;
  std::size_t index;
};

ModelMemory::Use::Use(ModelMemory& memory) : before_(current) { current = &memory; }
ModelMemory::Use::~Use() { current = before_; }

std::size_t ModelMemory::class_of(std::size_t size) {
  if (size <= 1024) return (size + 63) / 64;
  // 1024 < size: the leading bit and the three after it, rounded up.
  std::size_t shift = static_cast<std::size_t>(std::bit_width(size - 1)) - 4;
  std::size_t eighths = ((size - 1) >> shift) + 1;  // 9..16
  return 16 + (shift - 7) * 8 + (eighths - 8);
}

std::size_t ModelMemory::size_of(std::size_t index) {
  if (index <= 16) return index * 64;
  std::size_t step = index - 17;
  return (step % 8 + 9) << (step / 8 + 7);
}

ModelMemory::Block* ModelMemory::make_block(std::size_t index) {
  std::size_t bytes = size_of(index) + kHeader;
  void* memory = nullptr;
  if (bytes >= kMapped) {
    memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) memory = nullptr;
  } else {
    memory = ::operator new(bytes, std::align_val_t{kHeader}, std::nothrow);
  }
  return memory == nullptr ? nullptr : new (memory) Block{this, nullptr, index};
}

void ModelMemory::give_back(Block* block) {
  std::size_t bytes = size_of(block->index) + kHeader;
  if (bytes >= kMapped) {
    ::munmap(block, bytes);
  } else {
    ::operator delete(block, std::align_val_t{kHeader});
  }
}

void ModelMemory::trim_locked() {
  if (kept_ == 0) return;
  for (Block*& list : free_) {
    while (list != nullptr) {
      Block* block = list;
      list = block->next;
      give_back(block);
    }
  }
  kept_ = 0;
}

void ModelMemory::trim() {
  std::lock_guard lock(mutex_);
  trim_locked();
}

ModelMemory::Block* ModelMemory::take(std::size_t index) {
  std::lock_guard lock(mutex_);
  std::size_t size = size_of(index);
  Block* block = free_[index];
  if (block != nullptr) {
    free_[index] = block->next;
    kept_ -= size;
  } else {
    if (max_ != 0 && used_ + kept_ + size > max_) trim_locked();
    if (max_ == 0 || used_ + size <= max_) block = make_block(index);
    if (block == nullptr) {
      refused_ = size;
      return nullptr;
    }
  }
  used_ += size;
  ++out_;
  most_used_ = std::max(most_used_, used_);
  return block;
}

void* ModelMemory::allocate(std::size_t size) {
  std::size_t index = size > (std::size_t{1} << 46) ? kClasses : class_of(size);
  Block* block = index >= kClasses ? nullptr : (current != nullptr ? *current : common()).take(index);
  if (block == nullptr) throw std::bad_alloc();
  return reinterpret_cast<std::byte*>(block) + kHeader;
}

void ModelMemory::release(void* data) noexcept {
  if (data == nullptr) return;
  auto* block = reinterpret_cast<Block*>(static_cast<std::byte*>(data) - kHeader);
  ModelMemory* owner = block->owner;
  bool last = false;
  {
    std::lock_guard lock(owner->mutex_);
    std::size_t size = size_of(block->index);
    owner->used_ -= size;
    last = --owner->out_ == 0 && owner->closed_;
    // Runs of changing sizes leave blocks that no later one fits: all that is kept is bounded by what was in use.
    if (owner->closed_ || owner->used_ + owner->kept_ + size > 2 * owner->most_used_ + kKeptAlways) {
      owner->give_back(block);
    } else {
      block->next = owner->free_[block->index];
      owner->free_[block->index] = block;
      owner->kept_ += size;
    }
  }
  if (last) delete owner;
}

std::uint64_t ModelMemory::held() const {
  std::lock_guard lock(mutex_);
  return used_ + kept_;
}

std::uint64_t ModelMemory::take_refused() {
  std::lock_guard lock(mutex_);
  return std::exchange(refused_, 0);
}

void ModelMemory::close() {
  bool last = false;
  {
    std::lock_guard lock(mutex_);
    trim_locked();
    closed_ = true;
    last = out_ == 0;
  }
  if (last) delete this;
}

}  // namespace penstock::ext::runtimes::onnx
