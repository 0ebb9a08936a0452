#include "chat/schema_budget.h"

namespace penstock::chat {
namespace {

constexpr std::size_t kValueBytes = 16;

}  // namespace

std::size_t weight(const json::Value& value) {
  if (value.is_object()) return weight(value.get_object());
  std::size_t bytes = kValueBytes;
  if (value.is_string()) bytes += value.get_string().size();
  if (value.is_array()) {
    for (const json::Value& each : value.get_array()) bytes += weight(each);
  }
  return bytes;
}

std::size_t weight(const json::Object& object) {
  std::size_t bytes = kValueBytes;
  for (const auto& member : object) bytes += kValueBytes + member.key().size() + weight(member.value());
  return bytes;
}

}  // namespace penstock::chat
