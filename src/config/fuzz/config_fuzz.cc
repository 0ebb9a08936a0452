// Any text is either rendered as problems or read; reading every kind of value never crashes.
#include "config/document.h"

namespace {

void read_all(const penstock::config::Node& node, int depth) {
  if (depth > 20) return;
  (void)node.text();
  (void)node.boolean();
  (void)node.integer(0, 0, 10);
  (void)node.number();
  (void)node.duration();
  (void)node.size();
  (void)node.percent();
  (void)node.rate();
  for (const auto& item : node.items()) read_all(item, depth + 1);
  auto map = node.map();
  for (const auto& [name, child] : map.entries()) read_all(child, depth + 1);
  map.done();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto document =
      penstock::config::Document::parse(text, "fuzz", [](const std::string&) -> const char* { return "x"; });
  if (document) {
    read_all(document->root(), 0);
    (void)document->report();
  }
  return 0;
}
