#include "ingest/series_key.h"

namespace penstock::ingest {

SeriesKey SeriesKey::read(config::Map& map) {
  SeriesKey key;
  std::string by = map.text("by", "device");
  if (by == "device") return key;
  if (by == "all") {
    key.by_ = By::all;
  } else if (by.starts_with("tags.") && by.size() > 5) {
    key.by_ = By::tag;
    key.tag_ = by.substr(5);
  } else {
    map.get("by").problem(fmt::format("'{}' is not one of device, tags.NAME, all", by));
  }
  return key;
}

const std::string* SeriesKey::of(const Sample& sample) const {
  static const std::string kNone;
  if (by_ == By::device) return &sample.device;
  if (by_ == By::all) return &kNone;
  for (const auto& [name, value] : sample.tags) {
    if (name == tag_) return value.empty() ? nullptr : &value;
  }
  return nullptr;
}

}  // namespace penstock::ingest
