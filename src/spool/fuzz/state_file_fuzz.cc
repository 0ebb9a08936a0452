// The cursors' file is whatever a disk made of it. The first byte chooses whether checksums are made to fit. What was
// found can be written, and is found again.
#include <cstdlib>
#include <cstring>

#include "spool/crc32c.h"
#include "spool/state_file.h"
#include "spool/test/faulty_storage.h"

namespace {

using namespace penstock::spool;

void make_fit(std::string& bytes) {
  for (std::size_t at = bytes.find("PNSTKCUR"); at != std::string::npos; at = bytes.find("PNSTKCUR", at + 1)) {
    if (bytes.size() - at < 16) return;
    std::uint32_t size = 0;
    std::memcpy(&size, bytes.data() + at + 12, sizeof size);
    size = std::min(size, static_cast<std::uint32_t>(bytes.size() - at - 16));
    std::memcpy(bytes.data() + at + 12, &size, sizeof size);
    const std::uint32_t sum = crc32c(std::string_view(bytes).substr(at + 16, size));
    std::memcpy(bytes.data() + at + 8, &sum, sizeof sum);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] % 2 == 1) make_fit(bytes);
  FaultyStorage storage;
  if (!storage.make_folder("f")) std::abort();
  {
    auto file = storage.open("f/state", Open::create);
    if (!file || !(*file)->write(0, bytes)) std::abort();
  }
  auto opened = StateFile::open(storage, "f");
  if (!opened) return 0;
  SpoolState found = opened->found();
  if (!opened->save(found)) return 0;
  auto again = StateFile::open(storage, "f");
  if (!again || again->found().identity != found.identity || again->found().cursors != found.cursors) std::abort();
  return 0;
}
