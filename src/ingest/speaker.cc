#include "ingest/speaker.h"

#include <fmt/format.h>

namespace penstock::ingest {

Result<void> check_speaker(const std::vector<Sample>& samples) {
  std::string_view device = Speaking::device();
  if (device.empty()) return {};
  for (const Sample& sample : samples) {
    if (sample.device == device) continue;
    return fail(Errc::permission_denied, fmt::format("the device '{}' speaks for itself alone, and this is a reading "
                                                     "of '{}': leave `device` out",
                                                     device, sample.device.substr(0, 100)));
  }
  return {};
}

}  // namespace penstock::ingest
