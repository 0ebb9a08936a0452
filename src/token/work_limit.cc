#include "token/work_limit.h"

#include <algorithm>
#include <array>

namespace penstock::token {
namespace {

thread_local WorkLimit* outermost = nullptr;

// Of a token. Random letters make little more than half of one each; a digit takes the blank before it for itself.
constexpr auto kEighths = [] {
  std::array<std::uint8_t, 256> eighths{};
  eighths.fill(8);
  for (char byte = 'a'; byte <= 'z'; ++byte) eighths[static_cast<unsigned char>(byte)] = 5;
  for (char byte = 'A'; byte <= 'Z'; ++byte) eighths[static_cast<unsigned char>(byte)] = 5;
  for (char byte : {' ', '\n', '\r', '\t'}) eighths[static_cast<unsigned char>(byte)] = 5;
  for (char byte = '0'; byte <= '9'; ++byte) eighths[static_cast<unsigned char>(byte)] = 11;
  return eighths;
}();

}  // namespace

WorkLimit::WorkLimit(std::int64_t units) : outer_(outermost), left_(units) {
  if (outer_ == nullptr) outermost = this;
}

WorkLimit::~WorkLimit() {
  if (outer_ == nullptr) outermost = nullptr;
}

WorkLimit* WorkLimit::current() { return outermost; }

bool WorkLimit::take(std::int64_t units) {
  if (units > left_) exceeded_ = true;
  if (exceeded_) return false;
  left_ -= units;
  return true;
}

std::int64_t most_tokens(std::string_view text) {
  std::int64_t eighths = 0;
  for (char byte : text) eighths += kEighths[static_cast<unsigned char>(byte)];
  return std::min((eighths + 7) / 8, static_cast<std::int64_t>(text.size()));
}

}  // namespace penstock::token
