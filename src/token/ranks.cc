#include "token/ranks.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>

namespace penstock::token {
namespace {

std::uint64_t word_at(const char* at) {
  std::uint64_t word;
  std::memcpy(&word, at, 8);
  return word;
}

}  // namespace

std::uint64_t Ranks::long_key(const char* at, std::size_t size) {
  constexpr std::uint64_t kOdd = 0xD6E8FEB86659FD93;
  std::uint64_t hash = size * kOdd;
  const char* last = at + size - 8;
  for (; at < last; at += 8) hash = (std::rotl(hash, 31) ^ word_at(at)) * kOdd;
  hash = (std::rotl(hash, 31) ^ word_at(last)) * kOdd;
  return hash ^ (hash >> 29);
}

// Four lanes, so that megabytes take a millisecond.
std::uint64_t Ranks::checksum(std::string_view bytes) {
  constexpr std::uint64_t kOdd = 0x9FB21C651E98DF25;
  std::uint64_t lanes[4] = {1, 2, 3, bytes.size()};
  std::size_t at = 0;
  for (; at + 32 <= bytes.size(); at += 32) {
    for (std::size_t i = 0; i < 4; ++i) lanes[i] = std::rotl(lanes[i] ^ word_at(bytes.data() + at + 8 * i), 27) * kOdd;
  }
  for (; at < bytes.size(); ++at) {
    lanes[0] = std::rotl(lanes[0] ^ static_cast<unsigned char>(bytes[at]), 27) * kOdd;
  }
  std::uint64_t sum = 0;
  for (std::uint64_t lane : lanes) sum = (std::rotl(sum, 27) ^ lane ^ (lane >> 32)) * kOdd;
  return sum;
}

std::uint32_t Ranks::find_long(const char* at, std::size_t size) const {
  std::uint64_t key = long_key(at, size);
  for (std::size_t i = place(key, size, shift_);; i = (i + 1) & mask_) {
    const Slot& slot = slots_[i];
    if (slot.size == 0) return kNone;
    if (slot.key == key && slot.size == size && std::memcmp(pool_ + offsets_[slot.token], at, size) == 0) {
      return slot.token;
    }
  }
}

std::uint32_t Ranks::longest(const char* at, const char* end) const {
  auto left = static_cast<std::size_t>(end - at);
  std::size_t size = std::min<std::size_t>(left, 3);
  // What begins like no token of its length is not asked for: most lengths fall away.
  for (std::size_t start = 4; start <= std::min<std::size_t>(left, 64); start *= 2) {
    std::size_t most = starts_[start_at(at, start, shift_)];
    if (most < start) break;
    size = std::min(std::min(left, most), 2 * start - 1);
    if (most < 2 * start) break;
    if (start == 64) size = std::min(left, kLongestMax);
  }
  for (; size > 1; --size) {
    std::uint32_t token = find(at, size, end);
    if (token != kNone) return token;
  }
  return find(at, 1, end);
}

// Whether every number in the tables stays inside them, whatever wrote the file.
bool Ranks::is_sound(std::size_t pool) const {
  if (offsets_[0] != 0 || offsets_[tokens_] != pool) return false;
  for (std::uint32_t i = 0; i < tokens_; ++i) {
    if (offsets_[i + 1] < offsets_[i] || size_of(i) > kLongestMax) return false;
    Halves halves = halves_[i];
    bool whole = halves.left == kNone && halves.right == kNone;
    if (prefixes_[i] >= std::max<std::size_t>(size_of(i), 1) || (prefixes_[i] == 0) != whole) return false;
    if (!whole && (halves.left >= i || halves.right >= i)) return false;
    if (whole != (size_of(i) < 2)) return false;
    if (!whole && size_of(halves.left) + size_of(halves.right) != size_of(i)) return false;
  }
  std::size_t used = 0;
  for (std::size_t i = 0; i <= mask_; ++i) {
    if (slots_[i].size == 0) continue;
    ++used;
    if (slots_[i].token >= tokens_ || size_of(slots_[i].token) != slots_[i].size) return false;
  }
  for (unsigned byte = 0; byte < 256; ++byte) {
    char one = static_cast<char>(byte);
    if (find_short(short_key(&one, 1), 1) == kNone) return false;
  }
  return used <= mask_;
}

Result<Ranks> Ranks::read(std::string_view bytes, std::string_view name) {
  Header header;
  if (bytes.size() < sizeof header) return fail(Errc::data_loss, "the file is cut short");
  std::memcpy(&header, bytes.data(), sizeof header);
  if (std::memcmp(header.magic, kMagic, sizeof kMagic) != 0) return fail(Errc::data_loss, "this is no table of tokens");
  if (header.version != kVersion) {
    return fail(Errc::failed_precondition,
                fmt::format("its version is {}, this program reads {}", header.version, kVersion));
  }
  char named[sizeof header.name] = {};
  name.copy(named, sizeof named);
  if (std::memcmp(header.name, named, sizeof named) != 0) {
    return fail(Errc::failed_precondition, fmt::format("it is not of {}", name));
  }
  bool sized = std::has_single_bit(header.slots) && header.slots >= 512 && header.slots <= (1U << 28) &&
               header.tokens >= 256 && header.tokens < header.slots;
  std::size_t halves = sizeof header + std::size_t{header.slots} * sizeof(Slot);
  std::size_t offsets = halves + std::size_t{header.tokens} * sizeof(Halves);
  std::size_t starts = offsets + (std::size_t{header.tokens} + 1) * sizeof(std::uint32_t);
  std::size_t prefixes = starts + header.slots;
  std::size_t pool = prefixes + header.tokens;
  if (!sized || bytes.size() != pool + header.pool) return fail(Errc::data_loss, "the file is cut short or too long");
  if (checksum(bytes.substr(sizeof header)) != header.checksum) return fail(Errc::data_loss, "its checksum differs");
  Ranks ranks;
  ranks.slots_ = reinterpret_cast<const Slot*>(bytes.data() + sizeof header);
  ranks.halves_ = reinterpret_cast<const Halves*>(bytes.data() + halves);
  ranks.offsets_ = reinterpret_cast<const std::uint32_t*>(bytes.data() + offsets);
  ranks.starts_ = reinterpret_cast<const std::uint8_t*>(bytes.data() + starts);
  ranks.prefixes_ = reinterpret_cast<const std::uint8_t*>(bytes.data() + prefixes);
  ranks.pool_ = bytes.data() + pool;
  ranks.tokens_ = header.tokens;
  ranks.mask_ = header.slots - 1;
  ranks.shift_ = 64 - static_cast<unsigned>(std::countr_zero(header.slots));
  if (!ranks.is_sound(header.pool)) return fail(Errc::data_loss, "its tables contradict each other");
  return ranks;
}

Result<Ranks> Ranks::open(const std::string& path, std::string_view name) {
  int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return fail(Errc::not_found, fmt::format("{}: {}", path, std::strerror(errno)));
  struct stat about{};
  bool known = ::fstat(file, &about) == 0 && S_ISREG(about.st_mode) && about.st_size > 0;
  auto size = known ? static_cast<std::size_t>(about.st_size) : 0;
  void* at = known ? ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file, 0) : MAP_FAILED;
  ::close(file);
  if (at == MAP_FAILED) return fail(Errc::data_loss, fmt::format("{}: cannot be mapped, or is no file", path));
  std::shared_ptr<const void> mapping(at, [size](const void* start) { ::munmap(const_cast<void*>(start), size); });
  auto ranks = read({static_cast<const char*>(at), size}, name);
  if (!ranks) return fail(ranks.error().code, fmt::format("{}: {}. Build it anew", path, ranks.error().detail));
  // Checking touched every page; what is used comes back.
  ::madvise(at, size, MADV_DONTNEED);
  ranks->mapping_ = std::move(mapping);
  return ranks;
}

}  // namespace penstock::token
