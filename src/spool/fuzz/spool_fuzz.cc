// What lies in a segment's file is whatever a disk, or somebody, made of it: reading it must not crash, must end, and
// must give out rising sequences only. The first byte chooses whether checksums are made to fit, so that what lies
// behind them is reached.
#include <cstdlib>

#include "spool/bytes.h"
#include "spool/crc32c.h"
#include "spool/segment.h"

namespace {

using namespace penstock;
using namespace penstock::spool;

class MemoryFile : public File {
 public:
  explicit MemoryFile(std::string_view bytes) : bytes_(bytes) {}
  Result<void> write(std::uint64_t, std::string_view) override { std::abort(); }
  Result<std::size_t> read(std::uint64_t offset, std::span<char> into) override {
    if (offset >= bytes_.size()) return 0;
    std::size_t count = std::min<std::size_t>(into.size(), bytes_.size() - offset);
    std::memcpy(into.data(), bytes_.data() + offset, count);
    return count;
  }
  Result<void> truncate(std::uint64_t) override { std::abort(); }
  Result<std::uint64_t> size() override { return bytes_.size(); }
  Result<void> sync() override { std::abort(); }

 private:
  std::string_view bytes_;
};

template <class T>
void put_at(std::string& bytes, std::size_t at, T value) {
  std::memcpy(bytes.data() + at, &value, sizeof value);
}

// Gives every frame's header and body the checksums they need.
void make_fit(std::string& bytes) {
  for (std::size_t at = bytes.find(kFrameMark); at != std::string::npos; at = bytes.find(kFrameMark, at + 1)) {
    if (bytes.size() - at < kFrameHeaderBytes) return;
    std::uint32_t body = 0;
    std::memcpy(&body, bytes.data() + at + 12, sizeof body);
    std::size_t left = bytes.size() - at - kFrameHeaderBytes;
    if (body > left) body = static_cast<std::uint32_t>(left);
    put_at(bytes, at + 12, body);
    put_at(bytes, at + 8, crc32c(std::string_view(bytes).substr(at + kFrameHeaderBytes, body)));
    put_at(bytes, at + 4, crc32c(std::string_view(bytes).substr(at + 8, kFrameHeaderBytes - 8)));
  }
  if (bytes.size() >= kSegmentHeaderBytes && bytes.starts_with("PNSTKLOG")) {
    std::string_view all(bytes);
    put_at(bytes, 12, crc32c(all.substr(16, kSegmentHeaderBytes - 16), crc32c(all.substr(8, 4))));
  }
}

void read_all(std::string_view bytes) {
  MemoryFile file(bytes);
  auto opened = open_segment(file, 1);
  if (!opened) std::abort();
  for (std::uint64_t after : {std::uint64_t{0}, opened->segment.last / 2, UINT64_MAX}) {
    (void)opened->segment.records_after(after);
    (void)opened->segment.time_after(after);
  }
  static const base::Secret key(std::string(kKeyBytes, 'k'));
  Cipher cipher(key, opened->segment.header.salt);
  SegmentReader reader(std::make_unique<MemoryFile>(bytes), opened->header_good ? kSegmentHeaderBytes : 0);
  std::uint64_t offset = 0;
  while (true) {
    auto found = reader.next(bytes.size());
    if (!found) std::abort();
    if (found->what == Found::What::end) break;
    if (found->end <= found->offset || found->offset < offset || found->end > bytes.size()) std::abort();
    offset = found->end;
    if (found->what == Found::What::damage) continue;
    std::vector<Entry> entries;
    if (!decode_entries(found->header, found->body, &cipher, entries) && !entries.empty()) std::abort();
    for (std::size_t i = 1; i < entries.size(); ++i) {
      if (entries[i].sequence <= entries[i - 1].sequence) std::abort();
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] % 2 == 1) make_fit(bytes);
  read_all(bytes);
  return 0;
}
