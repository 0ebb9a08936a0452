// Whatever the process of an isolated model may say: a packet, and what its places point to.
#include <cstdint>

#include "infer/isolated_message.h"

using namespace penstock::infer;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view packet(reinterpret_cast<const char*>(data), size);
  auto message = isolated::decode(packet);
  if (!message) return 0;
  std::string memory(packet);
  memory.resize(4096);
  std::span<std::byte> bytes(reinterpret_cast<std::byte*>(memory.data()), memory.size());
  std::vector<isolated::Place> places;
  if (auto* order = std::get_if<isolated::RunOrder>(&*message)) places = order->inputs;
  if (auto* done = std::get_if<isolated::RunDone>(&*message)) places = done->outputs;
  for (const isolated::Place& place : places) {
    auto tensor = isolated::take(bytes, place, "t", isolated::Take::copy);
    if (tensor && tensor->elements() != element_count(tensor->shape).value()) __builtin_trap();
  }
  // What was understood says the same again.
  if (isolated::decode(isolated::encode(*message)).has_value() == false) __builtin_trap();
  return 0;
}
