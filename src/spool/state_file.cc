#include "spool/state_file.h"

#include "spool/bytes.h"
#include "spool/crc32c.h"
#include "spool/spool.h"

namespace penstock::spool {
namespace {

constexpr std::string_view kMark = "PNSTKCUR";
constexpr std::size_t kPlaceBytes = 16 << 10U;

struct Place {
  std::uint64_t generation = 0;
  SpoolState state;
};

std::string encode(const Place& place) {
  std::string rest;
  put(rest, place.generation);
  put(rest, place.state.identity);
  put(rest, place.state.reserved);
  put(rest, place.state.log_time);
  put(rest, place.state.wall);
  put(rest, static_cast<std::uint32_t>(place.state.cursors.size()));
  for (const auto& [name, sequence] : place.state.cursors) {
    put(rest, static_cast<std::uint8_t>(name.size()));
    rest += name;
    put(rest, sequence);
  }
  std::string out(kMark);
  put(out, crc32c(rest));
  put(out, static_cast<std::uint32_t>(rest.size()));
  return out + rest;
}

std::optional<Place> decode(std::string_view bytes) {
  if (!bytes.starts_with(kMark)) return std::nullopt;
  ByteReader head(bytes.substr(kMark.size()));
  auto crc = head.take<std::uint32_t>();
  auto size = head.take<std::uint32_t>();
  std::string_view rest = head.take_bytes(size);
  if (!head.good() || crc32c(rest) != crc) return std::nullopt;
  ByteReader reader(rest);
  Place place;
  place.generation = reader.take<std::uint64_t>();
  place.state.identity = reader.take<std::uint64_t>();
  place.state.reserved = reader.take<std::uint64_t>();
  place.state.log_time = reader.take<std::int64_t>();
  place.state.wall = reader.take<std::int64_t>();
  auto count = reader.take<std::uint32_t>();
  for (std::uint32_t i = 0; i < count && reader.good(); ++i) {
    auto length = reader.take<std::uint8_t>();
    std::string name(reader.take_bytes(length));
    place.state.cursors[name] = reader.take<std::uint64_t>();
  }
  if (!reader.at_end()) return std::nullopt;
  return place;
}

}  // namespace

Result<StateFile> StateFile::open(Storage& storage, const std::string& folder) {
  std::string path = folder + "/state";
  auto file = storage.open(path, Open::write);
  if (!file && file.error().code == Errc::not_found) file = storage.open(path, Open::create);
  if (!file) return std::unexpected(file.error());
  StateFile state(std::move(*file));
  std::string bytes(kPlaceBytes, '\0');
  for (std::uint64_t at : {std::uint64_t{0}, std::uint64_t{kPlaceBytes}}) {
    auto got = state.file_->read(at, bytes);
    if (!got) {
      // As good as lost: what it said is delivered again.
      state.damaged_ = true;
      continue;
    }
    std::string_view found = std::string_view(bytes).substr(0, *got);
    auto place = decode(found);
    bool whole = place.has_value();
    if (whole && place->generation >= state.generation_) {
      state.generation_ = place->generation;
      state.found_ = std::move(place->state);
    }
    if (!whole && found.find_first_not_of('\0') != std::string_view::npos) state.damaged_ = true;
  }
  return state;
}

Result<void> StateFile::save(const SpoolState& state) {
  std::uint64_t place = (generation_ + 1) % 2;
  std::string bytes = encode({generation_ + 1, state});
  // Its blocks are there from the first time on: later a full disk does not matter.
  if (generation_ < 2) bytes.resize(kPlaceBytes, '\0');
  if (auto written = file_->write(place * kPlaceBytes, bytes); !written) return written;
  if (auto synced = file_->sync(); !synced) return synced;
  ++generation_;
  return {};
}

}  // namespace penstock::spool
