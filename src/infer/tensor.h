// Tensors as the Open Inference Protocol V2 names them: https://github.com/kserve/open-inference-protocol
#pragma once

#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace penstock::infer {

enum class Datatype : std::uint8_t {
  boolean,
  uint8,
  uint16,
  uint32,
  uint64,
  int8,
  int16,
  int32,
  int64,
  fp16,
  fp32,
  fp64,
  bf16,
  bytes
};

// "BOOL" "UINT8" ... "BYTES"
std::string_view to_string(Datatype datatype);
std::optional<Datatype> parse_datatype(std::string_view name);
// Bytes of one element in memory and on the wire; 0 for BYTES, whose elements have their own lengths.
std::size_t element_bytes(Datatype datatype);

// Bytes whose content is left as it comes: tensors are written once, in full, by whoever makes them.
class Buffer {
 public:
  // One cache line, so that vector loads never straddle.
  static constexpr std::size_t kAlignment = 64;

  Buffer() = default;
  explicit Buffer(std::size_t size)
      : data_(size == 0 ? nullptr : static_cast<std::byte*>(::operator new(size, std::align_val_t{kAlignment}))),
        size_(size) {}
  // Bytes of somebody else's, who keeps them at least as long; a copy of the buffer has its own.
  static Buffer borrow(std::byte* data, std::size_t size) {
    Buffer buffer;
    buffer.data_ = std::unique_ptr<std::byte[], Free>(data, Free(false));
    buffer.size_ = size;
    return buffer;
  }
  Buffer(const Buffer& other) : Buffer(other.size_) { copy(other.data_.get()); }
  Buffer& operator=(const Buffer& other) { return *this = Buffer(other); }
  Buffer(Buffer&& other) noexcept : data_(std::move(other.data_)), size_(std::exchange(other.size_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    data_ = std::move(other.data_);
    size_ = std::exchange(other.size_, 0);
    return *this;
  }
  ~Buffer() = default;

  std::byte* data() { return data_.get(); }
  const std::byte* data() const { return data_.get(); }
  std::size_t size() const { return size_; }
  // Copies size() bytes from `from`.
  void copy(const void* from) {
    if (size_ > 0) std::memcpy(data_.get(), from, size_);
  }

 private:
  struct Free {
    Free() noexcept : Free(true) {}
    explicit Free(bool is_owned) noexcept : owned(is_owned) {}
    bool owned;
    void operator()(std::byte* data) const {
      if (owned) ::operator delete(data, std::align_val_t{kAlignment});
    }
  };
  std::unique_ptr<std::byte[], Free> data_;
  std::size_t size_ = 0;
};

// Row-major, in the machine's byte order. BYTES elements are in `strings`, all others in `bytes`.
struct Tensor {
  std::string name;
  Datatype datatype = Datatype::fp32;
  std::vector<std::int64_t> shape;
  Buffer bytes;
  std::vector<std::string> strings;

  // The elements as T, which must be the type `datatype` stands for (bool, float, std::int64_t, ...; std::uint16_t for
  // FP16 and BF16).
  template <class T>
  std::span<T> values() {
    return {reinterpret_cast<T*>(bytes.data()), bytes.size() / sizeof(T)};
  }
  template <class T>
  std::span<const T> values() const {
    return {reinterpret_cast<const T*>(bytes.data()), bytes.size() / sizeof(T)};
  }
  // Elements held, whatever the shape says.
  std::size_t elements() const;
};

// More dimensions than any operator takes.
constexpr std::size_t kRankMax = 32;
// The product of the dimensions. Refuses negative dimensions, more than kRankMax of them, and products that overflow.
Result<std::size_t> element_count(std::span<const std::int64_t> shape);
// "[1,3,-1]"
std::string format_shape(std::span<const std::int64_t> shape);

// IEEE 754 binary16 and bfloat16, held as their bits. To the nearest, ties to even; too large becomes infinity.
std::uint16_t to_half(float value);
float from_half(std::uint16_t bits);
std::uint16_t to_bfloat(float value);
float from_bfloat(std::uint16_t bits);

}  // namespace penstock::infer
