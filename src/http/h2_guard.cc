#include "http/h2_guard.h"

#include <algorithm>

namespace penstock::http {

using wire::H2FrameType;

std::string_view H2Guard::on_frame(H2FrameType type, bool end_stream, std::size_t length, base::SteadyTime now) {
  switch (type) {
    case H2FrameType::data: return length == 0 && !end_stream ? take(kEmptyFrames, now) : std::string_view();
    case H2FrameType::headers:
      // Who begins a stream may say something about its place.
      give(kPriorities, 2);
      return length == 0 ? take(kEmptyFrames, now) : std::string_view();
    case H2FrameType::continuation: return length == 0 ? take(kEmptyFrames, now) : std::string_view();
    case H2FrameType::rst_stream: return take(kResets, now);
    case H2FrameType::settings:
    case H2FrameType::ping: return take(kPings, now);
    case H2FrameType::window_update: return take(kWindowUpdates, now);
    case H2FrameType::push_promise:
    case H2FrameType::goaway: return {};
    case H2FrameType::priority: break;
  }
  return take(kPriorities, now);
}

void H2Guard::on_sent(H2FrameType type) {
  // Two windows, and clients that give them back in small parts.
  if (type == H2FrameType::data) give(kWindowUpdates, 4);
  // gRPC measures the line with a PING while data flows, and acknowledges nothing else that often.
  if (type == H2FrameType::data || type == H2FrameType::headers) give(kPings, 1);
}

std::string_view H2Guard::take(Kind kind, base::SteadyTime now) {
  auto passed = std::chrono::duration<float>(now - filled_).count();
  filled_ = now;
  for (std::size_t i = 0; i < kKinds; ++i) give(static_cast<Kind>(i), passed * kRules[i].per_second);
  left_[kind] -= 1;
  return left_[kind] < 0 ? kRules[kind].what : std::string_view();
}

void H2Guard::give(Kind kind, float count) { left_[kind] = std::min(left_[kind] + count, kRules[kind].most); }

}  // namespace penstock::http
