// A request parsed whole and byte by byte must agree in verdict, body and length.
#include <cstdlib>

#include "wire/http1.h"

namespace {

struct Outcome {
  bool failed = false;
  bool done = false;
  std::size_t used = 0;
  std::string body;
};

Outcome run(std::string_view bytes, std::size_t step, penstock::wire::Http1Parser::Kind kind) {
  penstock::wire::Http1Parser parser(kind, {.line_bytes_max = 200, .head_bytes_max = 1000, .body_bytes_max = 5000});
  Outcome outcome;
  while (outcome.used < bytes.size() && !parser.message_done()) {
    auto used = parser.feed(bytes.substr(outcome.used, step), outcome.body);
    if (!used) {
      outcome.failed = true;
      return outcome;
    }
    outcome.used += *used;
  }
  outcome.done = parser.message_done();
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using Kind = penstock::wire::Http1Parser::Kind;
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  for (Kind kind : {Kind::request, Kind::response}) {
    Outcome whole = run(bytes, size + 1, kind);
    Outcome split = run(bytes, 1, kind);
    if (whole.failed != split.failed) std::abort();
    if (!whole.failed && (whole.done != split.done || whole.body != split.body || whole.used != split.used))
      std::abort();
  }
  return 0;
}
