#include "infer/repository.h"

#include <charconv>
#include <filesystem>

#include "infer/isolated_model.h"
#include "infer/warm_up.h"

namespace penstock::infer {
namespace {

namespace fs = std::filesystem;

// "7" but not "07", "0", "+7" or "7a": a version has one way to be written.
std::optional<std::int64_t> parse_version(std::string_view text) {
  std::int64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || number < 1 || text.front() == '0')
    return std::nullopt;
  return number;
}

}  // namespace

const Repository::Version* Repository::Entry::by_default() const {
  for (auto version = versions.rbegin(); version != versions.rend(); ++version) {
    if (version->served) return &*version;
  }
  return nullptr;
}

std::shared_ptr<const Repository::Snapshot> Repository::snapshot() const {
  std::lock_guard lock(snapshot_mutex_);
  return snapshot_;
}

void Repository::publish(const std::string& name, std::shared_ptr<const Entry> entry) {
  auto next = std::make_shared<Snapshot>(*snapshot());
  if (entry) {
    (*next)[name] = std::move(entry);
  } else {
    next->erase(name);
  }
  std::shared_ptr<const Snapshot> old = std::move(next);
  {
    std::lock_guard lock(snapshot_mutex_);
    snapshot_.swap(old);
  }
  // The last reference to an old model may end here, outside the lock.
}

Repository::Candidate Repository::candidate_in(const std::string& directory, std::int64_t number) const {
  Candidate candidate{.number = number, .file = {}, .runtime = {}, .reason = {}};
  std::string names;
  for (const std::string& name : registry_.names<RuntimeFactory>()) {
    const std::string& file_name = registry_.find<RuntimeFactory>(name)->file_name;
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

Result<std::vector<Repository::Candidate>> Repository::scan(const std::string& path) const {
  std::error_code error;
  if (fs::is_regular_file(path, error)) {
    for (const std::string& name : registry_.names<RuntimeFactory>()) {
      if (fs::path(registry_.find<RuntimeFactory>(name)->file_name).extension() == fs::path(path).extension()) {
        return std::vector{Candidate{.number = 1, .file = path, .runtime = name, .reason = {}}};
      }
    }
    return fail(Errc::unimplemented, fmt::format("{}: no runtime takes a file of this kind", path));
  }
  if (!fs::is_directory(path, error)) {
    return fail(Errc::not_found, fmt::format("{}: no such directory; check the model's path", path));
  }
  Candidate direct = candidate_in(path, 1);
  if (!direct.file.empty()) return std::vector{direct};
  std::vector<Candidate> candidates;
  for (auto entry = fs::directory_iterator(path, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    std::error_code ignored;
    auto number = parse_version(entry->path().filename().string());
    if (number && entry->is_directory(ignored)) candidates.push_back(candidate_in(entry->path().string(), *number));
  }
  if (error)
    return fail(Errc::permission_denied, fmt::format("{}: cannot read the directory: {}", path, error.message()));
  if (candidates.empty()) {
    return fail(Errc::not_found,
                fmt::format("{}: no numbered version directory such as {}/1, and {}", path, path, direct.reason));
  }
  std::sort(candidates.begin(), candidates.end(), [](const auto& a, const auto& b) { return a.number < b.number; });
  return candidates;
}

Result<std::shared_ptr<const Model>> Repository::load_file(const Candidate& candidate, const RuntimeOptions& options) {
  if (options.isolate) return load_isolated(candidate.runtime, {.path = candidate.file, .bytes = nullptr}, options);
  auto& runtime = runtimes_[candidate.runtime];
  if (!runtime) runtime = registry_.find<RuntimeFactory>(candidate.runtime)->make();
  return runtime->load({.path = candidate.file, .bytes = nullptr}, options);
}

Repository::Version Repository::build_version(const ModelConfig& config, const Candidate& candidate,
                                              const Entry* before) {
  Version version;
  version.number = candidate.number;
  const Version* old = nullptr;
  if (before != nullptr && before->config == config) {
    for (const Version& existing : before->versions) {
      if (existing.number == candidate.number && existing.served) old = &existing;
    }
  }
  version.reason = candidate.reason;
  if (candidate.reason.empty()) {
    std::error_code error;
    version.stamp.file = candidate.file;
    version.stamp.bytes = fs::file_size(candidate.file, error);
    version.stamp.modified = fs::last_write_time(candidate.file, error).time_since_epoch().count();
    if (old != nullptr && old->stamp == version.stamp) return *old;
    auto model = load_file(candidate, config.runtime);
    if (model) {
      version.served = std::make_shared<Served>(std::make_shared<const ModelConfig>(config), candidate.number,
                                                std::move(*model), version.stamp.bytes);
      warm_up(*version.served, kShortRun);
      return version;
    }
    version.reason = model.error().detail;
  }
  if (old != nullptr) {
    std::string reason =
        fmt::format("the new file was not taken: {}; the one loaded before still serves", version.reason);
    version = *old;
    version.reason = std::move(reason);
  }
  return version;
}

std::shared_ptr<const Repository::Entry> Repository::build(const ModelConfig& config, const Entry* before) {
  auto entry = std::make_shared<Entry>();
  entry->config = config;
  auto found = scan(config.path);
  std::vector<Candidate> candidates = found ? std::move(*found) : std::vector<Candidate>();
  if (!found) entry->reason = found.error().detail;
  switch (config.serve) {
    case ModelConfig::Serve::all:
      for (const Candidate& candidate : candidates) entry->versions.push_back(build_version(config, candidate, before));
      break;
    case ModelConfig::Serve::listed:
      for (std::int64_t number : config.versions) {
        auto same = [&](const Candidate& candidate) { return candidate.number == number; };
        auto candidate = std::find_if(candidates.begin(), candidates.end(), same);
        Candidate missing{.number = number, .file = {}, .runtime = {}, .reason = {}};
        missing.reason = found ? fmt::format("{}: there is no version {}", config.path, number) : found.error().detail;
        entry->versions.push_back(build_version(config, candidate != candidates.end() ? *candidate : missing, before));
      }
      break;
    case ModelConfig::Serve::latest:
      for (auto candidate = candidates.rbegin(); candidate != candidates.rend(); ++candidate) {
        entry->versions.insert(entry->versions.begin(), build_version(config, *candidate, before));
        if (entry->versions.front().served) break;
      }
      break;
  }
  // Nothing of the new state can serve: whatever served before goes on, whatever happened to its files.
  if (before != nullptr && entry->by_default() == nullptr && !before->unloaded && before->by_default() != nullptr) {
    Version kept = *before->by_default();
    std::string why = entry->versions.empty() ? entry->reason : entry->versions.back().reason;
    kept.reason = fmt::format("still serving what was loaded before: {}", why);
    std::erase_if(entry->versions, [&](const Version& version) { return version.number == kept.number; });
    entry->versions.push_back(std::move(kept));
    std::sort(entry->versions.begin(), entry->versions.end(),
              [](const auto& a, const auto& b) { return a.number < b.number; });
  }
  return entry;
}

void Repository::apply(std::vector<ModelConfig> models) {
  std::lock_guard lock(loading_);
  auto before = snapshot();
  for (const ModelConfig& model : models) {
    auto old = before->find(model.name);
    publish(model.name, build(model, old == before->end() ? nullptr : old->second.get()));
  }
  for (const auto& [name, entry] : *before) {
    bool kept = std::any_of(models.begin(), models.end(), [&](const ModelConfig& model) { return model.name == name; });
    if (!kept) publish(name, nullptr);
  }
}

Result<void> Repository::load(LoadRequest wanted) {
  const std::string& name = wanted.name;
  std::lock_guard lock(loading_);
  auto before = snapshot();
  auto old = before->find(name);
  if (old == before->end()) {
    return fail(Errc::not_found, fmt::format("unknown model '{}'; declare it under models: with its path", name));
  }
  auto entry = build(old->second->config, old->second.get());
  publish(name, entry);
  if (entry->by_default() != nullptr) return {};
  std::string why = entry->versions.empty() ? entry->reason : entry->versions.back().reason;
  return fail(Errc::unavailable, fmt::format("model '{}' cannot be served: {}", name, why));
}

Result<void> Repository::unload(const std::string& name, Wish) {
  std::lock_guard lock(loading_);
  auto before = snapshot();
  auto old = before->find(name);
  if (old == before->end()) return fail(Errc::not_found, fmt::format("unknown model '{}'", name));
  auto entry = std::make_shared<Entry>();
  entry->config = old->second->config;
  entry->reason = "unloaded on request";
  entry->unloaded = true;
  for (const Version& version : old->second->versions) {
    entry->versions.push_back({.number = version.number, .stamp = {}, .reason = entry->reason, .served = nullptr});
  }
  publish(name, std::move(entry));
  return {};
}

Result<std::shared_ptr<Served>> Repository::find(std::string_view model, std::string_view version) const {
  auto models = snapshot();
  auto found = models->find(model);
  if (found == models->end()) return fail(Errc::not_found, fmt::format("unknown model '{}'", model));
  const Entry& entry = *found->second;
  if (version.empty()) {
    if (const Version* served = entry.by_default()) return served->served;
    std::string why = entry.versions.empty() ? entry.reason : entry.versions.back().reason;
    return fail(Errc::unavailable, fmt::format("model '{}' is not ready: {}", model, why));
  }
  for (const Version& candidate : entry.versions) {
    if (std::to_string(candidate.number) != version) continue;
    if (candidate.served) return candidate.served;
    return fail(Errc::unavailable,
                fmt::format("version {} of model '{}' is not ready: {}", version, model, candidate.reason));
  }
  return fail(Errc::not_found, fmt::format("model '{}' has no version '{}' in service", model, version));
}

Result<Pick> Repository::pick(const Request& request) const {
  auto served = find(request.model, request.version);
  if (!served) return std::unexpected(std::move(served.error()));
  return Pick{.served = std::move(*served), .fallback = nullptr, .shadow = nullptr, .traffic = nullptr};
}

bool Repository::when_loaded(rt::Loop&, const Request&, base::SteadyTime, std::function<void(Result<void>)>) {
  return false;
}

std::vector<std::string> Repository::ready_versions(std::string_view model) const {
  std::vector<std::string> versions;
  auto models = snapshot();
  auto found = models->find(model);
  if (found == models->end()) return versions;
  for (const Version& version : found->second->versions) {
    if (version.served) versions.push_back(version.served->version);
  }
  return versions;
}

std::vector<ModelStatus> Repository::status() const {
  std::vector<ModelStatus> result;
  for (const auto& [name, entry] : *snapshot()) {
    ModelStatus model;
    model.name = name;
    model.path = entry->config.path;
    model.ready = entry->by_default() != nullptr;
    model.config = std::make_shared<const ModelConfig>(entry->config);
    for (const Version& version : entry->versions) {
      VersionStatus status;
      status.version = std::to_string(version.number);
      status.ready = version.served != nullptr;
      status.is_default = &version == entry->by_default();
      status.reason = version.reason;
      if (version.served) {
        status.info = version.served->model->info();
        status.stats = version.served->stats.view();
        status.run_average = version.served->cost.average();
      }
      model.versions.push_back(std::move(status));
    }
    if (model.versions.empty()) {
      VersionStatus none;
      none.reason = entry->reason;
      model.versions.push_back(std::move(none));
    }
    result.push_back(std::move(model));
  }
  return result;
}

bool Repository::ready() const {
  auto models = snapshot();
  return std::all_of(models->begin(), models->end(),
                     [](const auto& named) { return named.second->unloaded || named.second->by_default() != nullptr; });
}

}  // namespace penstock::infer
