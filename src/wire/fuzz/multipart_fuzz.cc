// Parts heard from whole input and from single bytes are the same, and so is the verdict.
#include <cstdlib>

#include "wire/multipart.h"

namespace {

struct Heard : penstock::wire::MultipartListener {
  void on_part(std::string_view name, std::string_view file, std::uint64_t offset) override {
    text += fmt::format("\x01{}\x02{}\x03{}", name, file, offset);
  }
  void on_content(std::string_view bytes) override { text += bytes; }
  void on_part_end(std::uint64_t offset) override { text += fmt::format("\x04{}", offset); }
  std::string text;
};

std::string run(std::string_view bytes, std::size_t step) {
  Heard heard;
  penstock::wire::MultipartReader reader("b", heard);
  for (std::size_t i = 0; i < bytes.size(); i += step) {
    auto fed = reader.feed(bytes.substr(i, step));
    if (!fed) return heard.text + "\x05" + fed.error();
  }
  return heard.text + (reader.done() ? "\x06" : "");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  penstock::wire::form_boundary(bytes);
  // Content before a cut may or may not have been heard when a defect follows it: compare fine forms only.
  std::string whole = run(bytes, size + 1);
  std::string split = run(bytes, 1);
  bool broken = whole.find('\x05') != std::string::npos || split.find('\x05') != std::string::npos;
  if (!broken && whole.ends_with('\x06') && whole != split) std::abort();
  return 0;
}
