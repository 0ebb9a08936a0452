#include "ingest/buffer_config.h"

#include <algorithm>
#include <cmath>

namespace penstock::ingest {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kDiskLeast = 1'000'000;
constexpr std::uint64_t kJournalDisk = 1'000'000'000;
constexpr std::int64_t kMemoryMost = 1'000'000;
constexpr std::size_t kKeyLeast = 32;
constexpr base::Duration kSyncLeast = 1ms;
constexpr base::Duration kSyncMost = 60s;

// "10M", "500k" or plain digits.
std::uint64_t read_count(config::Map& map, std::string_view key) {
  const config::Node node = map.get(key);
  if (!node.present()) return 0;
  const std::string text = node.text();
  std::size_t used = 0;
  while (used < text.size() && text[used] >= '0' && text[used] <= '9') ++used;
  static constexpr std::pair<std::string_view, std::uint64_t> kFactors[] = {
      {"", 1}, {"k", 1'000}, {"M", 1'000'000}, {"G", 1'000'000'000}};
  const auto* factor = std::find_if(std::begin(kFactors), std::end(kFactors),
                                    [&](const auto& one) { return one.first == std::string_view(text).substr(used); });
  if (used == 0 || used > 9 || factor == std::end(kFactors) || std::stoull(text.substr(0, used)) == 0) {
    node.problem(fmt::format("'{}' is no number of samples; write 500k or 10M", text));
    return 0;
  }
  return std::stoull(text.substr(0, used)) * factor->second;
}

// HMAC spreads whatever the text holds over 32 bytes; the length asked for makes it hold enough.
base::Secret read_key(config::Map& map) {
  const config::Node node = map.get("key");
  if (!node.present()) return {};
  const base::Secret text = node.secret();
  if (text.reveal().size() < kKeyLeast) {
    node.problem(fmt::format("a key has at least {} characters; make one with: openssl rand -hex 32", kKeyLeast));
    return {};
  }
  const std::string hex = base::hmac_sha256_hex(text.reveal(), "penstock buffer");
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  }
  return base::Secret(std::move(bytes));
}

void read_sync(config::Map& map, BufferOptions& options) {
  const config::Node node = map.get("sync");
  if (!node.present()) return;
  const std::string text = node.text();
  if (text == "batch" || text == "none") {
    options.sync = text == "batch" ? spool::Sync::batch : spool::Sync::none;
    return;
  }
  const auto every = base::parse_duration(text);
  if (!every || *every < kSyncLeast || *every > kSyncMost) {
    return node.problem(
        fmt::format("'{}' is none of: batch (what is stored survives a power loss), a time from 1ms to "
                    "60s (how much a power loss may cost), none",
                    text));
  }
  options.sync = spool::Sync::interval;
  options.sync_every = *every;
}

void read_full(config::Map& map, BufferOptions& options, std::string_view fallback) {
  const std::string full = map.choice("full", {"refuse", "drop_oldest", "drop_newest"}, fallback);
  options.full = full == "refuse"        ? spool::Full::refuse
                 : full == "drop_newest" ? spool::Full::drop_newest
                                         : spool::Full::drop_oldest;
}

void read_disk(config::Map& map, BufferOptions& options) {
  if (map.has("disk")) {
    options.disk = map.size("disk", kJournalDisk);
    if (options.disk < kDiskLeast) map.get("disk").problem("less than 1MB holds nothing worth a disk");
  }
  options.age = map.duration("age", {});
  options.records = read_count(map, "records");
  options.compress = map.boolean("compress", true);
  options.key = read_key(map);
  read_sync(map, options);
}

// Keys that say something only about what is on disk.
void refuse_disk_keys(config::Map& map) {
  for (const std::string_view key : {"age", "records", "compress", "key", "sync", "replay", "live_first", "name"}) {
    if (map.has(key)) map.get(key).problem(fmt::format("'{}' needs a buffer on disk: write disk: 2GB as well", key));
  }
}

}  // namespace

BufferOptions read_buffer(const config::Node& node, bool answered_for) {
  BufferOptions options;
  options.answered_for = answered_for;
  if (answered_for) options.full = spool::Full::refuse;
  if (!node.present()) return options;
  config::Map map = node.map();
  options.memory =
      static_cast<std::size_t>(map.integer("memory", static_cast<std::int64_t>(options.memory), 1, kMemoryMost));
  read_full(map, options, answered_for && !map.has("disk") ? "refuse" : "drop_oldest");
  if (!map.has("disk")) {
    refuse_disk_keys(map);
  } else {
    read_disk(map, options);
    options.replay = map.rate("replay", 0);
    options.live_first = map.boolean("live_first", false);
    options.name = map.text("name");
    const bool fits = options.name.size() <= 64 && std::all_of(options.name.begin(), options.name.end(), [](char c) {
                        return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_';
                      });
    if (!fits) map.get("name").problem("a name is up to 64 letters, digits, - and _");
  }
  map.done();
  return options;
}

BufferOptions read_journal(const config::Node& node) {
  BufferOptions options;
  options.disk = kJournalDisk;
  options.full = spool::Full::refuse;
  if (!node.present()) return options;
  config::Map map = node.map();
  options.written = node.dump();
  read_full(map, options, "refuse");
  read_disk(map, options);
  map.done();
  return options;
}

}  // namespace penstock::ingest
