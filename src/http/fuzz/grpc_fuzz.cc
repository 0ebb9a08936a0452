// Strangers' bytes as the body of a gRPC call: in pieces they give the same messages as at once.
#include <cstdlib>

#include "http/grpc_frame.h"
#include "http/grpc_head.h"
#include "http/grpc_status.h"

namespace {

using namespace penstock;

constexpr std::uint64_t kBytesMax = 1000;

// The messages, and how it ended: by an error, or complete or not.
std::string read(std::string_view body, std::size_t piece) {
  http::GrpcFrames frames(kBytesMax);
  std::string seen;
  for (std::size_t at = 0; at < body.size(); at += piece) {
    frames.feed(body.substr(at, piece));
    while (true) {
      auto next = frames.next();
      if (!next) return seen + to_string(next.error().code).data();
      if (!*next) break;
      if ((*next)->bytes.size() > kBytesMax) std::abort();
      seen += (*next)->compressed ? "c" : "p";
      seen += (*next)->bytes;
    }
  }
  return seen + (frames.complete() ? "complete" : "cut");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view body(reinterpret_cast<const char*>(data), size);
  std::string at_once = read(body, std::max<std::size_t>(size, 1));
  if (read(body, 1) != at_once || read(body, 7) != at_once) std::abort();
  if (auto only = http::only_grpc_frame(body, kBytesMax); only) {
    if (at_once != (only->compressed ? "c" : "p") + std::string(only->bytes) + "complete") std::abort();
  }
  http::parse_grpc_timeout(body);
  http::is_grpc(body);
  for (char c : http::grpc_message(body)) {
    if (c < 0x20 || c > 0x7E) std::abort();
  }
  return 0;
}
