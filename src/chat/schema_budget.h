// How large a schema may get while it is written out: what names or repeats large parts of itself must not grow beyond
// a small multiple of what came in.
#pragma once

#include <algorithm>
#include <cstddef>

#include "json/value.h"

namespace penstock::chat {

// About the bytes a value holds.
std::size_t weight(const json::Value& value);
std::size_t weight(const json::Object& object);

class SchemaBudget {
 public:
  static constexpr std::size_t kNodesMax = 20'000;
  // 1 MiB and four times what came in.
  explicit SchemaBudget(const json::Value& schema) : bytes_((1U << 20) + 4 * weight(schema)) {}

  // False once the budget is spent, and from then on.
  bool take(std::size_t bytes) {
    spent_ = spent_ || bytes > bytes_;
    bytes_ -= std::min(bytes, bytes_);
    return !spent_;
  }
  bool take_node() {
    spent_ = spent_ || ++nodes_ > kNodesMax;
    return !spent_;
  }
  bool spent() const { return spent_; }

 private:
  std::size_t bytes_;
  std::size_t nodes_ = 0;
  bool spent_ = false;
};

}  // namespace penstock::chat
