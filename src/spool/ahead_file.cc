#include "spool/ahead_file.h"

#include "spool/bytes.h"
#include "spool/crc32c.h"

namespace penstock::spool {
namespace {

constexpr std::string_view kMark = "PNSTKAHD";
constexpr std::string_view kName = "/ahead";
// The oldest are kept: they would come again first.
constexpr std::size_t kAheadRangesMax = std::size_t{1} << 20U;
constexpr std::uint64_t kFileBytesMax = std::uint64_t{256} << 20U;

std::string encode(std::uint64_t identity, const Aheads& aheads) {
  std::string rest;
  put(rest, identity);
  put(rest, static_cast<std::uint32_t>(aheads.size()));
  for (const auto& [name, ranges] : aheads) {
    put(rest, static_cast<std::uint8_t>(name.size()));
    rest += name;
    const std::size_t count = std::min(ranges.size(), kAheadRangesMax);
    put_varint(rest, count);
    std::uint64_t at = 0;
    for (std::size_t i = 0; i < count; ++i) {
      put_varint(rest, ranges[i].first - at);
      put_varint(rest, ranges[i].last - ranges[i].first);
      at = ranges[i].last;
    }
  }
  std::string out(kMark);
  put(out, crc32c(rest));
  return out + rest;
}

std::optional<Aheads> decode(std::string_view bytes, std::uint64_t identity) {
  if (!bytes.starts_with(kMark)) return std::nullopt;
  bytes.remove_prefix(kMark.size());
  ByteReader head(bytes);
  if (head.take<std::uint32_t>() != crc32c(bytes.substr(std::min<std::size_t>(4, bytes.size())))) return std::nullopt;
  ByteReader reader(bytes.substr(std::min<std::size_t>(4, bytes.size())));
  if (reader.take<std::uint64_t>() != identity) return std::nullopt;
  Aheads aheads;
  for (auto names = reader.take<std::uint32_t>(); names > 0 && reader.good(); --names) {
    const auto length = reader.take<std::uint8_t>();
    Ranges& ranges = aheads[std::string(reader.take_bytes(length))];
    std::uint64_t at = 0;
    for (std::uint64_t count = reader.take_varint(); count > 0 && reader.good(); --count) {
      const std::uint64_t first = at + reader.take_varint();
      at = first + reader.take_varint();
      ranges.push_back({first, at});
    }
  }
  if (!reader.at_end()) return std::nullopt;
  return aheads;
}

}  // namespace

Ranges above(const Ranges& ranges, std::uint64_t cursor) {
  Ranges left;
  for (const Range& range : ranges) {
    if (range.last > cursor) left.push_back({std::max(range.first, cursor + 1), range.last});
  }
  return left;
}

Result<Aheads> load_aheads(Storage& storage, const std::string& folder, std::uint64_t identity) {
  auto file = storage.open(folder + std::string(kName), Open::read);
  if (!file && file.error().code == Errc::not_found) return Aheads();
  if (!file) return std::unexpected(file.error());
  auto size = (*file)->size();
  if (!size) return std::unexpected(size.error());
  std::string bytes(static_cast<std::size_t>(std::min(*size, kFileBytesMax)), '\0');
  auto got = (*file)->read(0, bytes);
  if (!got) return std::unexpected(got.error());
  return decode(std::string_view(bytes).substr(0, *got), identity).value_or(Aheads());
}

Result<void> save_aheads(Storage& storage, const std::string& folder, std::uint64_t identity, const Aheads& aheads) {
  const std::string path = folder + std::string(kName);
  const std::string fresh = path + ".new";
  if (auto removed = storage.remove(fresh); !removed && removed.error().code != Errc::not_found) return removed;
  auto file = storage.open(fresh, Open::create);
  if (!file) return std::unexpected(file.error());
  if (auto written = (*file)->write(0, encode(identity, aheads)); !written) return written;
  if (auto synced = (*file)->sync(); !synced) return synced;
  if (auto renamed = storage.rename(fresh, path); !renamed) return renamed;
  return storage.sync_folder(folder);
}

}  // namespace penstock::spool
