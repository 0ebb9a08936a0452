// A topic with places: site/{device}/score, {pipeline}, {alarm}, {field:name}.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ingest/sample.h"

namespace penstock::ext {

class TopicTemplate {
 public:
  // The error names the place that is wrong. `with_alarm`: every message has an alarm, so {alarm} may stand.
  static Result<TopicTemplate> parse(std::string_view text, bool with_alarm);

  // Each value becomes one level or a part of one: '/', wildcards and control characters in it become '_', as does a
  // value that is absent, empty or an array.
  std::string render(const ingest::Sample& sample, std::string_view pipeline) const;

 private:
  enum class Kind { literal, device, pipeline, alarm, field };
  struct Part {
    Kind kind;
    std::string text;  // the literal, or the field's name
  };
  static Result<Part> parse_place(std::string_view name, bool with_alarm);

  std::vector<Part> parts_;
};

}  // namespace penstock::ext
