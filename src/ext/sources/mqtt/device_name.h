// Which device a message is from: a level of its topic, a field of its payload, or both in one name.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ingest/sample.h"

namespace penstock::ext {

class DeviceName {
 public:
  // "{1}" is level 1 of the topic, counted from 0; "{serial}" the payload's field of that name, "{device}" the device
  // that the payload names; anything else stands as it is, as in "line-{1}-{serial}".
  static Result<DeviceName> parse(std::string_view text);

  // Nothing when a level or field is missing or empty.
  std::optional<std::string> render(std::string_view topic, const ingest::Sample& sample) const;

 private:
  enum class Kind { literal, level, field };
  struct Part {
    Kind kind;
    std::string text;  // the literal, or the field's name
    std::size_t level = 0;
  };
  std::vector<Part> parts_;
};

}  // namespace penstock::ext
