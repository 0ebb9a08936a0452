// Counts what an HTTP/2 client may do that costs us work and itself nothing: frames that carry nothing, streams begun
// only to be reset, and so on. Each kind has a store that fills with time and with useful work, and a client that
// empties one is cut off. Pure: told the time.
//
// The attacks: rapid reset (CVE-2023-44487), resets that a client makes the server send (CVE-2025-8671), floods of
// PING, SETTINGS, PRIORITY, WINDOW_UPDATE and of frames without content (CVE-2019-9511 to 9518).
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "base/clock.h"
#include "wire/h2_session.h"

namespace penstock::http {

class H2Guard {
 public:
  explicit H2Guard(base::SteadyTime now) : filled_(now) {
    for (std::size_t i = 0; i < kKinds; ++i) left_[i] = kRules[i].most;
  }
  // Each returns what there was too much of, or nothing.
  std::string_view on_frame(wire::H2FrameType type, bool end_stream, std::size_t length, base::SteadyTime now);
  // A stream was reset because of something the client sent.
  std::string_view on_forced_reset(base::SteadyTime now) { return take(kResets, now); }
  // A frame went out: what asks for answers to it is in order.
  void on_sent(wire::H2FrameType type);

 private:
  enum Kind : std::uint8_t { kResets, kPings, kWindowUpdates, kPriorities, kEmptyFrames, kKinds };
  struct Rule {
    std::string_view what;
    float most;        // at once
    float per_second;  // and then
  };
  static constexpr std::array<Rule, kKinds> kRules{{
      {"streams reset", 200, 50},
      {"PING or SETTINGS frames", 100, 10},
      {"WINDOW_UPDATE frames", 1000, 100},
      {"PRIORITY or unknown frames", 200, 20},
      {"frames without content", 100, 10},
  }};
  std::string_view take(Kind kind, base::SteadyTime now);
  void give(Kind kind, float count);

  std::array<float, kKinds> left_{};
  base::SteadyTime filled_;
};

}  // namespace penstock::http
