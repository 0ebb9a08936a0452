// Which samples make one series: those of one device, those with one value of a tag, or all.
#pragma once

#include <string>

#include "config/document.h"
#include "ingest/sample.h"

namespace penstock::ingest {

class SeriesKey {
 public:
  // Reads `by: device | tags.NAME | all`; reports what it cannot read.
  static SeriesKey read(config::Map& map);

  // Null where the sample lacks the tag. Valid as long as the sample; for `all` the empty text.
  const std::string* of(const Sample& sample) const;
  bool all() const { return by_ == By::all; }
  bool operator==(const SeriesKey&) const = default;

 private:
  enum class By : std::uint8_t { device, tag, all };
  By by_ = By::device;
  std::string tag_;
};

}  // namespace penstock::ingest
