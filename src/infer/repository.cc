#include "infer/repository.h"

#include <charconv>

namespace penstock::infer {
namespace {

// A number as versions are written, or nothing.
std::optional<std::int64_t> to_number(std::string_view text) {
  std::int64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || number < 1 || text.front() == '0')
    return std::nullopt;
  return number;
}

Error unknown_model(std::string_view name) { return {Errc::not_found, fmt::format("unknown model '{}'", name)}; }

Error not_ready(std::string_view name, const ModelEntry& entry) {
  return {Errc::unavailable, fmt::format("model '{}' is not ready: {}", name, entry.why())};
}

// The version a request names by number or label.
Result<const ModelEntry::Version*> named(std::string_view name, const ModelEntry& entry, std::string_view version) {
  auto number = to_number(version);
  if (!number) number = entry.traffic->labelled(version);
  const ModelEntry::Version* found = number ? entry.find(*number) : nullptr;
  if (found == nullptr && entry.dormant && number) return std::unexpected(not_ready(name, entry));
  if (found == nullptr)
    return fail(Errc::not_found, fmt::format("model '{}' has no version '{}' in service", name, version));
  if (found->served) return found;
  return fail(Errc::unavailable, fmt::format("version {} of model '{}' is not ready: {}", version, name,
                                             found->reason.empty() ? entry.why() : found->reason));
}

VersionState state_of(const ModelEntry& entry, const ModelEntry::Version& version) {
  if (version.served) return VersionState::ready;
  if (entry.loading) return VersionState::loading;
  for (const auto& [number, served] : entry.leaving) {
    if (number == version.number && !served.expired()) return VersionState::unloading;
  }
  return VersionState::unavailable;
}

VersionStatus describe(const ModelEntry& entry, const ModelEntry::Version& version) {
  VersionStatus status;
  status.version = std::to_string(version.number);
  status.state = state_of(entry, version);
  status.ready = version.served != nullptr;
  status.is_default = status.ready && entry.traffic->usual(entry.ready) == version.number;
  status.reason = version.reason;
  for (const auto& [label, configured] : entry.config->traffic.labels) {
    if (entry.traffic->labelled(label) == version.number) status.labels.push_back(label);
  }
  if (!version.served) return status;
  status.info = version.served->model->info();
  if (status.reason.empty()) status.reason = status.info->notice;
  if (status.reason.empty() && entry.config->batch.max > 1 && !version.served->joins.load())
    status.reason =
        "its requests do not share runs: not all inputs and outputs are open in their first dimension, or what its "
        "rows "
        "give depends on one another";
  status.stats = version.served->stats.view();
  status.run_average = version.served->cost.average();
  status.memory_bytes = version.served->memory_bytes;
  return status;
}

}  // namespace

std::string_view to_string(VersionState state) {
  constexpr std::array<std::string_view, 4> kNames{"UNAVAILABLE", "LOADING", "READY", "UNLOADING"};
  return kNames[static_cast<std::size_t>(state)];
}

std::string ModelEntry::why() const {
  if (!reason.empty()) return reason;
  for (auto version = versions.rbegin(); version != versions.rend(); ++version) {
    if (!version->reason.empty()) return version->reason;
  }
  return loading ? "it is being loaded" : "nothing of it is loaded";
}

void ModelEntry::settle() {
  std::sort(versions.begin(), versions.end(), [](const auto& a, const auto& b) { return a.number < b.number; });
  ready.clear();
  for (const Version& version : versions) {
    if (version.served) ready.push_back(version.number);
  }
}

Repository::Repository(const base::Registry& registry, Options options)
    : registry_(registry),
      options_(std::move(options)),
      loader_(registry, reaper_, options_.files),
      entries_(std::make_unique<const Entries>()) {
  if (!options_.make_traffic) {
    options_.make_traffic = [](const ModelConfig& config, Journal* journal) { return make_traffic(config, journal); };
  }
  configure(options_.inference);
}

Repository::~Repository() {
  stopping_.store(true);
  {
    std::lock_guard lock(watch_mutex_);
  }
  watch_changed_.notify_all();
  if (watcher_.joinable()) watcher_.join();
  demanded_.reset();
  forget_waiters();
  Reaper::Here here;
  entries_.replace(std::make_unique<const Entries>());
}

void Repository::configure(const InferenceConfig& inference) {
  {
    std::lock_guard lock(loading_);
    options_.inference = inference;
  }
  std::lock_guard lock(watch_mutex_);
  watch_every_ = inference.watch;
  if (watch_every_ > base::Duration::zero() && !watcher_.joinable()) watcher_ = std::thread([this] { watch(); });
  watch_changed_.notify_all();
}

std::shared_ptr<const ModelEntry> Repository::entry(std::string_view name) const {
  auto entries = entries_.read();
  auto found = entries->find(name);
  return found == entries->end() ? nullptr : found->second;
}

// Null takes the model out.
void Repository::publish(const std::string& name, std::shared_ptr<const ModelEntry> entry) {
  auto next = std::make_unique<Entries>(*entries_.read());
  if (entry) {
    (*next)[name] = std::move(entry);
  } else {
    next->erase(name);
  }
  entries_.replace(std::move(next));
}

void Repository::note(const std::string& model, std::string action, std::int64_t from, std::int64_t to,
                      const Wish& by) const {
  if (options_.journal == nullptr) return;
  ModelEvent event{base::system_clock().wall(), model, std::move(action), from, to, by};
  if (auto kept = options_.journal->append(event); !kept)
    warn(model, fmt::format("its history could not be written: {}", kept.error().detail));
}

void Repository::warn(const std::string& model, const std::string& what) const {
  if (options_.warn) options_.warn(model, what);
}

std::shared_ptr<Served> Repository::usable(const ModelEntry& entry, std::int64_t version) const {
  const Version* found = entry.find(version);
  return found == nullptr ? nullptr : found->served;
}

Result<Pick> Repository::pick(const Request& request) const {
  auto entries = entries_.read();
  auto found = entries->find(std::string_view(request.model));
  if (found == entries->end()) return std::unexpected(unknown_model(request.model));
  const ModelEntry& entry = *found->second;
  Pick pick;
  if (!request.version.empty()) {
    auto version = named(request.model, entry, request.version);
    if (!version) return std::unexpected(std::move(version.error()));
    pick.served = (*version)->served;
  } else if (entry.ready.empty()) {
    return std::unexpected(not_ready(request.model, entry));
  } else {
    Choice choice{.version = entry.ready.front()};
    if (entry.ready.size() > 1) {
      choice = entry.traffic->choose(request.sticky, entry.ready);
      if (choice.fallback) pick.fallback = usable(entry, *choice.fallback);
      if (choice.shadow) pick.shadow = usable(entry, *choice.shadow);
    }
    pick.served = usable(entry, choice.version);
    if (!pick.served) pick.served = usable(entry, entry.ready.back());
    if (entry.traffic->watcher() != nullptr) pick.traffic = entry.traffic;
  }
  return pick;
}

Result<std::shared_ptr<Served>> Repository::find(std::string_view model, std::string_view version) const {
  auto entries = entries_.read();
  auto found = entries->find(model);
  if (found == entries->end()) return std::unexpected(unknown_model(model));
  const ModelEntry& entry = *found->second;
  if (version.empty()) {
    if (entry.ready.empty()) return std::unexpected(not_ready(model, entry));
    auto served = usable(entry, entry.traffic->usual(entry.ready));
    return served ? served : usable(entry, entry.ready.back());
  }
  auto one = named(model, entry, version);
  if (!one) return std::unexpected(std::move(one.error()));
  return (*one)->served;
}

std::shared_ptr<Traffic> Repository::traffic(std::string_view model) const {
  auto found = entry(model);
  return found ? found->traffic : nullptr;
}

std::vector<std::string> Repository::ready_versions(std::string_view model) const {
  std::vector<std::string> versions;
  auto found = entry(model);
  if (!found) return versions;
  for (std::int64_t number : found->ready) versions.push_back(std::to_string(number));
  return versions;
}

std::vector<ModelStatus> Repository::status() const {
  // Copied first: whoever replaces waits for readers.
  Entries entries = *entries_.read();
  std::vector<ModelStatus> result;
  for (const auto& [name, entry] : entries) {
    ModelStatus model;
    model.name = name;
    model.path = entry->config->path;
    model.ready = !entry->ready.empty();
    model.config = entry->config;
    model.pinned = entry->pinned;
    model.dormant = entry->dormant;
    model.unloaded = entry->unloaded;
    model.by_request = entry->by_request;
    model.reason = entry->reason;
    for (const Version& version : entry->versions) model.versions.push_back(describe(*entry, version));
    if (model.versions.empty()) {
      VersionStatus none;
      none.state = entry->loading ? VersionState::loading : VersionState::unavailable;
      none.reason = entry->why();
      model.versions.push_back(std::move(none));
    }
    result.push_back(std::move(model));
  }
  return result;
}

bool Repository::ready() const {
  auto entries = entries_.read();
  return std::all_of(entries->begin(), entries->end(), [](const auto& named) {
    const ModelEntry& entry = *named.second;
    return entry.unloaded || !entry.ready.empty() || (entry.dormant && entry.reason.empty());
  });
}

void Repository::drop(const std::string& name, const Wish& by) {
  auto before = entry(name);
  overrides_.erase(name);
  pins_.erase(name);
  std::int64_t from = before->ready.empty() ? 0 : before->ready.back();
  before.reset();
  publish(name, nullptr);
  if (from != 0) note(name, "unload", from, 0, by);
}

void Repository::apply(std::vector<ModelConfig> models) {
  std::lock_guard lock(loading_);
  Reaper::Here here;
  Wish by{"configuration", ""};
  std::vector<std::string> gone;
  {
    auto entries = entries_.read();
    for (const auto& [name, entry] : *entries) {
      if (std::none_of(models.begin(), models.end(), [&](const ModelConfig& model) { return model.name == name; }))
        gone.push_back(name);
    }
  }
  for (const std::string& name : gone) drop(name, by);
  for (const ModelConfig& model : models) build(model, by, false);
}

Result<void> Repository::load(LoadRequest wanted) {
  std::lock_guard lock(loading_);
  Reaper::Here here;
  const std::string& name = wanted.name;
  auto before = entry(name);
  if (!before)
    return fail(Errc::not_found, fmt::format("unknown model '{}'; declare it under models: with its path", name));
  auto next = take_override(wanted, *before->declared);
  if (!next) return std::unexpected(std::move(next.error()));
  auto kept = overrides_.extract(name);
  if (!next->config.empty()) overrides_[name] = std::move(*next);
  auto declared = before->declared;
  before.reset();
  Build result = build(*declared, wanted.by, true, !wanted.config.empty());
  if (result.failure.empty()) return {};
  overrides_.erase(name);
  if (!kept.empty()) overrides_.insert(std::move(kept));
  return failed(result);
}

Result<void> Repository::refresh(const std::string& name, Wish by) {
  std::lock_guard lock(loading_);
  Reaper::Here here;
  auto before = entry(name);
  if (!before) return std::unexpected(unknown_model(name));
  auto declared = before->declared;
  before.reset();
  Build result = build(*declared, std::move(by), false);
  return result.failure.empty() ? Result<void>() : failed(result);
}

Result<void> Repository::failed(const Build& result) {
  const std::string& name = result.name;
  Errc code = result.full ? Errc::resource_exhausted : Errc::unavailable;
  if (result.entry->ready.empty())
    return fail(code, fmt::format("model '{}' cannot be served: {}", name, result.failure));
  return fail(code, fmt::format("model '{}' was not changed, version {} still serves: {}", name,
                                result.entry->traffic->usual(result.entry->ready), result.failure));
}

Result<void> Repository::unload(const std::string& name, Wish by) {
  std::lock_guard lock(loading_);
  Reaper::Here here;
  auto before = entry(name);
  if (!before) return std::unexpected(unknown_model(name));
  overrides_.erase(name);
  auto next = std::make_shared<ModelEntry>(*before);
  std::int64_t from = before->ready.empty() ? 0 : before->ready.back();
  next->reason = "unloaded on request";
  next->unloaded = true;
  next->dormant = next->loading = next->by_request = false;
  for (Version& version : next->versions) {
    if (version.served) next->leaving.emplace_back(version.number, version.served);
    version.served.reset();
    version.reason = next->reason;
  }
  next->settle();
  before.reset();
  publish(name, std::move(next));
  note(name, "unload", from, 0, by);
  return {};
}

Result<void> Repository::pin(const std::string& name, bool pinned, Wish by) {
  std::lock_guard lock(loading_);
  auto before = entry(name);
  if (!before) return std::unexpected(unknown_model(name));
  pins_[name] = pinned;
  auto next = std::make_shared<ModelEntry>(*before);
  next->pinned = pinned;
  publish(name, std::move(next));
  note(name, pinned ? "pin" : "unpin", 0, 0, by);
  return {};
}

}  // namespace penstock::infer
