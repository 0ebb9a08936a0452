#include "infer/model_folder.h"

#include <sys/stat.h>

#include <charconv>
#include <cstring>
#include <filesystem>
#include <functional>
#include <optional>

#include "infer/runtime.h"

namespace penstock::infer {
namespace {

namespace fs = std::filesystem;

// A folder with more versions than this is no model's.
constexpr std::size_t kVersionsMax = 10'000;

// "7" but not "07", "0", "+7" or "7a": a version has one way to be written.
std::optional<std::int64_t> parse_version(std::string_view text) {
  std::int64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || number < 1 || text.front() == '0')
    return std::nullopt;
  return number;
}

Candidate candidate_in(const base::Registry& registry, const std::string& directory, std::int64_t number) {
  Candidate candidate;
  candidate.number = number;
  std::string names;
  for (const std::string& name : registry.names<RuntimeFactory>()) {
    const std::string& file_name = registry.find<RuntimeFactory>(name)->file_name;
    std::error_code error;
    fs::path file = fs::path(directory) / file_name;
    if (fs::is_regular_file(file, error)) {
      candidate.file = file.string();
      candidate.runtime = name;
      return candidate;
    }
    names += names.empty() ? file_name : " or " + file_name;
  }
  candidate.reason = names.empty() ? "this build has no model runtime" : fmt::format("no {} in {}", names, directory);
  return candidate;
}

Result<std::vector<Candidate>> single_file(const base::Registry& registry, const std::string& path) {
  for (const std::string& name : registry.names<RuntimeFactory>()) {
    if (fs::path(registry.find<RuntimeFactory>(name)->file_name).extension() == fs::path(path).extension())
      return std::vector{Candidate{.number = 1, .file = path, .runtime = name, .reason = {}, .alone = true}};
  }
  return fail(Errc::unimplemented, fmt::format("{}: no runtime takes a file of this kind", path));
}

void add(Stamp& stamp, const std::string& path, const struct stat& found) {
  stamp.bytes += static_cast<std::uint64_t>(found.st_size);
  stamp.modified = std::max(stamp.modified, found.st_mtim.tv_sec * 1'000'000'000 + found.st_mtim.tv_nsec);
  std::uint64_t file = std::hash<std::string>()(path) ^ (static_cast<std::uint64_t>(found.st_ino) * 0x9E3779B97F4A7C15);
  // The size belongs to the file: two that grow and shrink by the same amount are a change.
  stamp.inodes += file * (static_cast<std::uint64_t>(found.st_size) | 1);
}

}  // namespace

Result<std::vector<Candidate>> scan_folder(const base::Registry& registry, const std::string& path) {
  std::error_code error;
  if (fs::is_regular_file(path, error)) return single_file(registry, path);
  if (!fs::is_directory(path, error))
    return fail(Errc::not_found, fmt::format("{}: no such directory; check the model's path", path));
  Candidate direct = candidate_in(registry, path, 1);
  if (!direct.file.empty()) return std::vector{direct};
  std::vector<Candidate> candidates;
  for (auto entry = fs::directory_iterator(path, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    std::error_code ignored;
    auto number = parse_version(entry->path().filename().string());
    if (!number || !entry->is_directory(ignored)) continue;
    if (candidates.size() >= kVersionsMax)
      return fail(Errc::out_of_range, fmt::format("{}: more than {} versions", path, kVersionsMax));
    candidates.push_back(candidate_in(registry, entry->path().string(), *number));
  }
  if (error == std::errc::no_such_file_or_directory)
    return fail(Errc::not_found, fmt::format("{}: the directory vanished while it was read", path));
  if (error)
    return fail(Errc::permission_denied, fmt::format("{}: cannot read the directory: {}", path, error.message()));
  if (candidates.empty()) {
    return fail(Errc::not_found,
                fmt::format("{}: no numbered version directory such as {}/1, and {}", path, path, direct.reason));
  }
  std::sort(candidates.begin(), candidates.end(), [](const auto& a, const auto& b) { return a.number < b.number; });
  return candidates;
}

Result<Stamp> stamp_of(const Candidate& candidate) {
  Stamp stamp;
  struct stat found{};
  if (::stat(candidate.file.c_str(), &found) != 0)
    return fail(Errc::not_found, fmt::format("{}: {}", candidate.file, std::strerror(errno)));
  add(stamp, candidate.file, found);
  if (candidate.alone) return stamp;
  std::error_code error;
  fs::path folder = fs::path(candidate.file).parent_path();
  for (auto entry = fs::directory_iterator(folder, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    std::string path = entry->path().string();
    if (path == candidate.file || ::stat(path.c_str(), &found) != 0 || !S_ISREG(found.st_mode)) continue;
    add(stamp, path, found);
  }
  return stamp;
}

std::uint64_t sight_of(const base::Registry& registry, const std::string& path) {
  std::uint64_t sight = 0;
  auto mix = [&sight](std::uint64_t value) { sight = (sight ^ value) * 0x9E3779B97F4A7C15 + 1; };
  for (const char* file : {"model.yaml", "config.pbtxt"}) {
    Stamp stamp;
    struct stat found{};
    std::string place = (fs::path(path) / file).string();
    if (::stat(place.c_str(), &found) == 0) add(stamp, place, found);
    mix(stamp.inodes ^ static_cast<std::uint64_t>(stamp.modified));
  }
  auto candidates = scan_folder(registry, path);
  if (!candidates) return sight;
  for (const Candidate& candidate : *candidates) {
    mix(static_cast<std::uint64_t>(candidate.number));
    auto stamp = candidate.file.empty() ? Result<Stamp>() : stamp_of(candidate);
    if (stamp) mix(stamp->inodes ^ static_cast<std::uint64_t>(stamp->modified) ^ stamp->bytes);
  }
  return sight;
}

}  // namespace penstock::infer
