// Damaged tables: the bytes as a file; and a sound file with some bytes changed and its checksum made right again, so
// that only the other checks are left. What is opened must count anything without reading elsewhere or going on
// forever.
#include <cstdlib>
#include <cstring>

#include "token/merge.h"
#include "token/test/published.h"

namespace {

using namespace penstock::token;

constexpr std::size_t kHeaderBytes = 64;

void use(std::string_view file) {
  auto ranks = Ranks::read(file, "small");
  if (!ranks) return;
  for (std::string_view piece : {"the themes", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "\xFFthe    aa  the"}) {
    std::vector<std::uint32_t> tokens;
    encode_merged(*ranks, piece, tokens);
    std::size_t count = count_scanned(*ranks, piece);
    if (tokens.empty() || count == 0 || count > piece.size()) std::abort();
  }
}

}  // namespace

// Three bytes a change: where (within the first 64 KiB), and what.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::string kSound =
      *pack_ranks("small", test::published({"th", "he", "the", " the", "aa", "aaaa", "aaaaaaaa"}));
  use({reinterpret_cast<const char*>(data), size});
  std::string file = kSound;
  for (std::size_t i = 0; i + 3 <= size; i += 3) {
    std::size_t where = kHeaderBytes + (std::size_t{data[i]} | std::size_t{data[i + 1]} << 8);
    if (where < file.size()) file[where] = static_cast<char>(data[i + 2]);
  }
  std::uint64_t sum = Ranks::checksum(std::string_view(file).substr(kHeaderBytes));
  std::memcpy(file.data() + kHeaderBytes - sizeof sum, &sum, sizeof sum);
  use(file);
  return 0;
}
