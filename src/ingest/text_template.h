// A text with places for what a sample says: "{device} is at {temp}, mean {mean(vib[])}". In braces stands an
// expression (docs/expressions.md); {{ and }} are braces.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ingest/expr.h"

namespace penstock::ingest {

// Not thread-safe: it belongs to one pipeline's loop.
class TextTemplate {
 public:
  // Of one value, and of the whole.
  static constexpr std::size_t kValueBytesMax = 4096;
  static constexpr std::size_t kBytesMax = 64 * 1024;

  // Reports the mistake at `node`; nothing then.
  static std::optional<TextTemplate> read(const config::Node& node);

  // Values as people read them, null as "-". Control characters in values become spaces; what is too long is cut.
  std::string render(const Sample& sample) const;

 private:
  struct Part {
    std::string literal;              // before the value
    std::optional<Expression> value;  // none behind the last literal
  };
  std::vector<Part> parts_;
};

}  // namespace penstock::ingest
