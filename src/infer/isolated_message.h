// What the gateway and the process of an isolated model say to each other. Each message is one packet of a local
// socket; the elements of tensors are not in it but in memory that both have (shared_region.h). All that comes from
// that process is a stranger's: decode() and take() check every length and place against what there is.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "infer/runtime.h"
#include "infer/shared_region.h"

namespace penstock::infer::isolated {

// A packet; what does not fit is refused by the sender.
constexpr std::size_t kMessageMax = 128 << 10;

// Where a tensor is in the shared memory. BYTES elements each have their length, 32 bits, in front.
struct Place {
  Datatype datatype = Datatype::fp32;
  std::vector<std::int64_t> shape = {};
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
  bool operator==(const Place&) const = default;
};

struct LoadOrder {
  struct Part {
    std::string name = {};
    std::uint64_t size = 0;
    bool operator==(const Part&) const = default;
  };
  std::string runtime = {};
  std::string path = {};
  // Empty: what is at `path` is loaded. Otherwise a descriptor comes with it that has these bytes one after the other:
  // of the model itself, then of its weights in files of their own, by the names the model has for them.
  std::vector<Part> parts = {};
  RuntimeOptions options = {};
  bool operator==(const LoadOrder&) const = default;
};
struct Loaded {
  ModelInfo info = {};
  std::uint64_t memory = 0;
};
// Three descriptors come with it: a socket for runs, the shared memory, and one that says "stop the run".
struct OpenChannel {};
struct RunOrder {
  std::vector<Place> inputs = {};
  std::vector<std::uint32_t> outputs = {};
  bool shrink = false;
};
struct RunDone {
  std::vector<Place> outputs = {};
  std::uint64_t memory = 0;
};
struct Refusal {
  Error error = {};
};
using Message = std::variant<LoadOrder, Loaded, OpenChannel, RunOrder, RunDone, Refusal>;

std::string encode(const Message& message);
// Fails with protocol_error.
Result<Message> decode(std::string_view packet);

// Writes the elements one after the other into `region`, which grows as needed.
Result<std::vector<Place>> put(SharedRegion& region, std::span<const Tensor> tensors);
enum class Take { copy, borrow };
// The tensor at `place`, its own copy or in the shared memory (BYTES are always copied). protocol_error for a place
// that is not wholly inside `memory` or does not have the bytes its shape needs.
Result<Tensor> take(std::span<std::byte> memory, const Place& place, std::string name, Take how);

// Fails with protocol_error when copies of what is at `places` would take more than there is: places may lie over each
// other, and a text of no length takes memory too.
Result<void> check_places(std::span<const std::byte> memory, std::span<const Place> places);

}  // namespace penstock::infer::isolated
