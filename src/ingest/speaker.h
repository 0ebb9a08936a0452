// Who pushes the bytes that a source is taking in: a device with a credential of its own speaks as itself alone.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ingest/sample.h"

namespace penstock::ingest {

// While it lives, what sources take in on this thread comes from that device; an empty name: from anybody.
class Speaking {
 public:
  explicit Speaking(std::string_view device) : before_(current()) { current() = device; }
  ~Speaking() { current() = before_; }
  Speaking(const Speaking&) = delete;
  Speaking& operator=(const Speaking&) = delete;

  // The device that speaks; empty: anybody.
  static std::string_view device() { return current(); }

 private:
  static std::string_view& current() {
    thread_local std::string_view device;
    return device;
  }
  std::string_view before_;
};

// The device of a sample that names none.
inline std::string speaker_or(const std::string& otherwise) {
  std::string_view device = Speaking::device();
  return device.empty() ? otherwise : std::string(device);
}

// permission_denied when one of them is said to be of another device than the one that speaks.
Result<void> check_speaker(const std::vector<Sample>& samples);

}  // namespace penstock::ingest
