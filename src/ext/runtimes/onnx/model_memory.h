// The memory of one model: what the library asks for while this model is loaded or runs is taken from here, counted,
// held to a bound, and given back to the system when the model goes. Freed blocks are kept for the next run.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>

namespace penstock::ext::runtimes::onnx {

// Any thread.
class ModelMemory {
 public:
  struct Close {
    void operator()(ModelMemory* memory) const { memory->close(); }
  };
  // Blocks that are still out when it is let go keep it alive.
  using Handle = std::unique_ptr<ModelMemory, Close>;
  // `max`: bytes, 0 for no bound.
  static Handle make(std::uint64_t max) { return Handle(new ModelMemory(max)); }
  ModelMemory(const ModelMemory&) = delete;
  ModelMemory& operator=(const ModelMemory&) = delete;

  // What the calling thread allocates between construction and destruction belongs to `memory`. What threads of the
  // library's own pools allocate (a model with `threads` above 1, rarely) is not counted.
  class Use {
   public:
    explicit Use(ModelMemory& memory);
    ~Use();
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

   private:
    ModelMemory* before_;
  };

  // At a multiple of 64. Throws std::bad_alloc when it does not fit the bound or the system has none: that is what the
  // library expects of an allocator.
  static void* allocate(std::size_t size);
  static void release(void* data) noexcept;

  // Gives back what is not in use.
  void trim();
  std::uint64_t max() const { return max_; }
  // In use and kept, bytes.
  std::uint64_t held() const;
  // The request that did not fit last, bytes; 0 when there was none since this was asked.
  std::uint64_t take_refused();

 private:
  struct Block;
  // Steps of an eighth above 1 KiB: at most 12.5 % of a block is unused.
  static constexpr std::size_t kClasses = 17 + 8 * 40;

  explicit ModelMemory(std::uint64_t max) : max_(max) {}
  ~ModelMemory() = default;
  static std::size_t class_of(std::size_t size);
  static std::size_t size_of(std::size_t index);
  Block* take(std::size_t index);
  Block* make_block(std::size_t index);
  void give_back(Block* block);
  void trim_locked();
  void close();

  const std::uint64_t max_;
  mutable std::mutex mutex_;  // guards what follows
  std::array<Block*, kClasses> free_{};
  std::uint64_t used_ = 0, kept_ = 0, most_used_ = 0, refused_ = 0;
  std::size_t out_ = 0;  // blocks
  bool closed_ = false;
};

}  // namespace penstock::ext::runtimes::onnx
