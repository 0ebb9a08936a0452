// Keeping the models within `inference.memory`: the one that was used least recently makes room.
#include "infer/repository.h"

namespace penstock::infer {
namespace {

// Whoever a model was loaded for comes for it within this time.
constexpr base::Duration kArrival = std::chrono::seconds(5);

bool is_busy(const ModelEntry::Version& version) {
  if (!version.served) return false;
  if (version.served.use_count() > 1) return true;
  bool used = version.served->last_used.load(std::memory_order_relaxed) != 0;
  return !used && base::system_clock().steady() - version.loaded_at < kArrival;
}

base::WallMicros last_use(const ModelEntry& entry) {
  base::WallMicros last = 0;
  for (const auto& version : entry.versions) {
    if (version.served) last = std::max(last, base::WallMicros{version.served->last_used.load()});
  }
  return last;
}

}  // namespace

std::uint64_t Repository::memory_used() const {
  std::uint64_t bytes = building_;
  auto entries = entries_.read();
  for (const auto& [name, entry] : *entries) {
    for (const Version& version : entry->versions) bytes += version.served ? version.served->memory_bytes : 0;
    for (const auto& [number, leaving] : entry->leaving) {
      if (auto served = leaving.lock()) bytes += served->memory_bytes;
    }
  }
  return bytes;
}

std::string Repository::least_used(const std::string& for_model) const {
  std::string least;
  base::WallMicros oldest = 0;
  auto entries = entries_.read();
  for (const auto& [name, entry] : *entries) {
    if (name == for_model || entry->pinned || entry->ready.empty()) continue;
    if (std::any_of(entry->versions.begin(), entry->versions.end(), is_busy)) continue;
    base::WallMicros used = last_use(*entry);
    if (!least.empty() && used >= oldest) continue;
    least = name;
    oldest = used;
  }
  return least;
}

void Repository::evict(const std::string& name, const std::string& for_model) {
  auto before = entry(name);
  auto next = std::make_shared<ModelEntry>(*before);
  std::int64_t from = before->traffic->usual(before->ready);
  next->dormant = true;
  next->reason.clear();
  for (Version& version : next->versions) {
    if (!version.served) continue;
    next->leaving.emplace_back(version.number, version.served);
    version.served.reset();
    version.reason = fmt::format("evicted to make room for '{}'; it is loaded with the next request", for_model);
  }
  next->settle();
  before.reset();
  publish(name, std::move(next));
  note(name, "evict", from, 0, {"memory budget", fmt::format("room for '{}'", for_model)});
}

Result<void> Repository::make_room(std::uint64_t bytes, const std::string& for_model) {
  std::uint64_t most = options_.inference.memory_max;
  if (most == 0) return {};
  std::uint64_t used = memory_used();
  while (used > most || bytes > most - used) {
    std::string least = used > 0 ? least_used(for_model) : std::string();
    if (least.empty()) {
      std::uint64_t own = building_ + bytes;
      return fail(Errc::resource_exhausted,
                  fmt::format("the model needs {}, and {} of the {} of inference.memory are used by models that are "
                              "pinned, busy or its own; unload one, or raise inference.memory",
                              base::format_size(own), base::format_size(used - building_), base::format_size(most)));
    }
    evict(least, for_model);
    Reaper::Here::settle();
    used = memory_used();
  }
  return {};
}

}  // namespace penstock::infer
