// How a model gets from one state to the next: what its folder or a request says, which versions there are, and those
// that can be loaded.
#include "infer/folder_config.h"
#include "infer/repository.h"

namespace penstock::infer {
namespace {

constexpr std::string_view kDormant = "not in memory; it is loaded with the next request";

// What a session was made from is the same: it can serve on.
bool same_session(const ModelConfig& a, const ModelConfig& b) {
  return a.runtime == b.runtime && a.origin == b.origin && a.inputs == b.inputs && a.outputs == b.outputs;
}

// What requests go through on their way to it.
bool same_service(const ModelConfig& a, const ModelConfig& b) {
  return a.instances == b.instances && a.batch == b.batch && a.queue == b.queue && a.weight == b.weight &&
         a.embed == b.embed;
}

Stamp stamp_of_given(const GivenFiles& files) {
  Stamp stamp;
  for (const auto& [name, bytes] : files) {
    stamp.bytes += bytes->size();
    stamp.inodes = stamp.inodes * 31 + std::hash<std::string>()(name) + std::hash<std::string>()(*bytes);
  }
  return stamp;
}

// "3/model.onnx" → 3 and model.onnx. Names stay in their folder.
std::optional<std::pair<std::int64_t, std::string>> split_place(const std::string& place) {
  std::size_t slash = place.find('/');
  if (slash == std::string::npos || slash == 0 || slash > 18 || place.front() == '0') return std::nullopt;
  std::int64_t number = 0;
  for (char digit : place.substr(0, slash)) {
    if (digit < '0' || digit > '9') return std::nullopt;
    number = number * 10 + (digit - '0');
  }
  std::string name = place.substr(slash + 1);
  if (name.empty() || name.front() == '.' || name.find('/') != std::string::npos) return std::nullopt;
  return std::pair(number, std::move(name));
}

// No `file` where none of them is a runtime's.
Candidate candidate_among(const base::Registry& registry, std::int64_t number, const GivenFiles& files) {
  Candidate candidate;
  candidate.number = number;
  candidate.alone = true;
  for (const std::string& name : registry.names<RuntimeFactory>()) {
    const std::string& file_name = registry.find<RuntimeFactory>(name)->file_name;
    if (!files.contains(file_name)) continue;
    candidate.runtime = name;
    candidate.file = fmt::format("{}/{}", number, file_name);
    break;
  }
  return candidate;
}

}  // namespace

Result<Repository::Override> Repository::take_override(const LoadRequest& wanted, const ModelConfig& declared) const {
  Override next;
  next.config = wanted.config;
  if (!wanted.config.empty()) {
    if (auto config = with_request(declared, wanted.config); !config) return std::unexpected(std::move(config.error()));
  }
  if (wanted.files.empty()) return next;
  if (wanted.config.empty())
    return fail(Errc::invalid_argument, "files in a load request need a `config` beside them; {} will do");
  for (const auto& [place, bytes] : wanted.files) {
    auto parts = split_place(place);
    if (!parts)
      return fail(Errc::invalid_argument, fmt::format("'{}' is not a file of a version such as 1/model.onnx", place));
    next.versions[parts->first][parts->second] = std::make_shared<const std::string>(bytes);
  }
  bool has_to_be_signed = options_.inference.require_signature || !declared.origin.signed_by.empty();
  for (const auto& [number, files] : next.versions) {
    if (candidate_among(registry_, number, files).file.empty()) {
      return fail(Errc::invalid_argument,
                  fmt::format("version {} in the request has no model file such as {}/model.onnx", number, number));
    }
    if (!has_to_be_signed) continue;
    if (options_.files.open_given && (files.contains("manifest.sig") || files.contains("model.sig"))) continue;
    return fail(Errc::permission_denied,
                fmt::format("model '{}' has to be signed, and version {} in the request is not: send its manifest.json "
                            "and manifest.sig, or its model.sig, too",
                            wanted.name, number));
  }
  return next;
}

Repository::Build Repository::build(const ModelConfig& declared, Wish by, bool demanded, bool refusable) {
  Build build;
  build.name = declared.name;
  build.before = entry(declared.name);
  build.entry = std::make_shared<ModelEntry>();
  build.by = std::move(by);
  build.demanded = demanded;
  build.refusable = refusable && build.before;
  if (!demanded && build.before && build.before->unloaded && *build.before->declared == declared) {
    build.entry = std::make_shared<ModelEntry>(*build.before);
    return build;
  }
  if (auto given = overrides_.find(declared.name); given != overrides_.end()) build.given = &given->second;
  configure_entry(build, declared);
  if (build.failure.empty()) {
    find_candidates(build);
    bool evicted = build.before && build.before->dormant && build.before->reason.empty() &&
                   !build.before->config->residence.on_demand;
    bool idle = !build.before || build.before->ready.empty();
    if (!demanded && idle && (evicted || build.entry->config->residence.on_demand)) {
      list_dormant(build);
    } else {
      load_versions(build);
    }
  }
  keep_before(build);
  if (build.refusable && (!build.failure.empty() || build.entry->ready.empty())) {
    stay(build);
    return build;
  }
  if (build.refusable && build.entry->traffic != build.before->traffic)
    build.entry->traffic = options_.make_traffic(*build.entry->config, options_.journal);
  finish(build);
  return build;
}

void Repository::configure_entry(Build& build, const ModelConfig& declared) {
  ModelEntry& entry = *build.entry;
  const ModelEntry* before = build.before.get();
  entry.declared = std::make_shared<const ModelConfig>(declared);
  entry.by_request = build.given != nullptr;
  std::string unfetched;
  if (options_.fetch && (build.given == nullptr || build.given->versions.empty())) {
    if (auto fetched = options_.fetch(declared, options_.inference); !fetched) unfetched = fetched.error().detail;
  }
  entry.sight = sight_of(registry_, declared.path);
  auto config = build.given != nullptr ? with_request(declared, build.given->config) : with_folder(declared);
  if (config) {
    bool same = before != nullptr && *before->config == *config;
    entry.config = same ? before->config : std::make_shared<const ModelConfig>(std::move(*config));
  } else {
    build.failure = entry.reason = config.error().detail;
    entry.config = before != nullptr ? before->config : entry.declared;
  }
  if (!unfetched.empty()) {
    entry.reason = fmt::format("not all of the model could be fetched: {}", unfetched);
    warn(build.name, entry.reason);
  }
  bool same_traffic = before != nullptr && before->config->traffic == entry.config->traffic;
  // What is made of a configuration that may yet be refused must not touch what is remembered of the one in force.
  Journal* journal = build.refusable ? nullptr : options_.journal;
  entry.traffic = same_traffic ? before->traffic : options_.make_traffic(*entry.config, journal);
  if (before != nullptr && before->config->unmapped == entry.config->unmapped) return;
  for (const std::string& what : entry.config->unmapped)
    warn(build.name, fmt::format("config.pbtxt: there is no counterpart here for {}", what));
}

void Repository::find_candidates(Build& build) {
  if (build.given != nullptr && !build.given->versions.empty()) {
    for (const auto& [number, files] : build.given->versions)
      build.candidates.push_back(candidate_among(registry_, number, files));
    return;
  }
  auto found = scan_folder(registry_, build.entry->config->path);
  if (found) {
    build.candidates = std::move(*found);
  } else {
    // What could not be fetched is the better reason.
    if (build.entry->reason.empty()) build.entry->reason = found.error().detail;
    build.failure = build.entry->reason;
  }
}

void Repository::list_dormant(Build& build) {
  ModelEntry& entry = *build.entry;
  entry.dormant = true;
  for (const Candidate& candidate : build.candidates) {
    Version version;
    version.number = candidate.number;
    version.reason = candidate.reason.empty() ? std::string(kDormant) : candidate.reason;
    entry.versions.push_back(std::move(version));
  }
}

void Repository::load_versions(Build& build) {
  ModelEntry& entry = *build.entry;
  const ModelConfig& config = *entry.config;
  auto loading = std::make_shared<ModelEntry>(build.before ? *build.before : entry);
  loading->loading = true;
  publish(build.name, std::move(loading));
  if (config.serve == ModelConfig::Serve::latest) {
    // What is on trial is not the latest yet, nor again after it was rolled back; traffic wants it or not.
    std::vector<std::int64_t> trials = entry.traffic->trials();
    std::size_t ready = 0;
    for (auto candidate = build.candidates.rbegin(); candidate != build.candidates.rend() && ready < config.latest;
         ++candidate) {
      if (std::find(trials.begin(), trials.end(), candidate->number) != trials.end()) continue;
      add_version(build, candidate->number);
      if (entry.versions.back().served) ++ready;
    }
    // Better a version on trial than none at all.
    for (std::int64_t number : trials) {
      if (ready == 0) add_version(build, number);
    }
  }
  if (config.serve == ModelConfig::Serve::all) {
    for (const Candidate& candidate : build.candidates) add_version(build, candidate.number);
  }
  for (std::int64_t number : config.versions) add_version(build, number);
  for (std::int64_t number : entry.traffic->wanted()) add_version(build, number);
}

void Repository::add_version(Build& build, std::int64_t number) {
  auto same = [&](const auto& one) { return one.number == number; };
  auto& versions = build.entry->versions;
  if (std::any_of(versions.begin(), versions.end(), same)) return;
  auto found = std::find_if(build.candidates.begin(), build.candidates.end(), same);
  Candidate missing;
  missing.number = number;
  missing.reason = build.failure.empty() ? fmt::format("{}: there is no version {}", build.entry->config->path, number)
                                         : build.failure;
  versions.push_back(make_version(build, found != build.candidates.end() ? *found : missing));
}

Repository::Version Repository::make_version(Build& build, const Candidate& candidate) {
  const Version* old = build.before ? build.before->find(candidate.number) : nullptr;
  std::string known = old != nullptr ? old->reason : std::string();
  if (old != nullptr && !old->served) old = nullptr;
  Version version;
  version.number = candidate.number;
  version.reason = candidate.reason;
  if (candidate.reason.empty()) version = new_version(build, candidate, old);
  if (version.served) return version;
  std::string reason = version.reason;
  if (old != nullptr) {
    reason = fmt::format("the new file was not taken: {}; the one loaded before still serves", version.reason);
    version = *old;
    version.reason = reason;
    build.failure = reason;
  }
  if (known != reason) {
    Wish wish = build.by;
    wish.why = reason;
    note(build.name, "fail", 0, version.number, wish);
    warn(build.name, fmt::format("version {} is not served: {}", version.number, reason));
  }
  return version;
}

// Without `served` there is a reason.
Repository::Version Repository::new_version(Build& build, const Candidate& candidate, const Version* old) {
  const auto& config = build.entry->config;
  Version version;
  version.number = candidate.number;
  const GivenFiles* given = nullptr;
  if (build.given != nullptr && !build.given->versions.empty()) given = &build.given->versions.at(candidate.number);
  auto stamp = given != nullptr ? Result<Stamp>(stamp_of_given(*given)) : stamp_of(candidate);
  auto refuse = [&](const Error& error) {
    build.full = build.full || error.code == Errc::resource_exhausted;
    version.reason = error.detail;
    return version;
  };
  if (!stamp) return refuse(stamp.error());
  version.stamp = *stamp;
  if (old != nullptr && old->stamp == *stamp && same_session(*old->served->config, *config)) {
    version = *old;
    version.reason.clear();
    if (!same_service(*old->served->config, *config)) version.served = loader_.again(config, *old->served);
    return version;
  }
  if (stamp->bytes > options_.inference.file_bytes_max) {
    return refuse({Errc::out_of_range,
                   fmt::format("{} is {}, more than inference.file_max allows ({})", candidate.file,
                               base::format_size(stamp->bytes), base::format_size(options_.inference.file_bytes_max))});
  }
  if (auto room = make_room(stamp->bytes, build.name); !room) return refuse(room.error());
  auto served = loader_.load(config, options_.inference, candidate, *stamp, given);
  if (!served) return refuse(served.error());
  building_ += (*served)->memory_bytes;
  if (auto room = make_room(0, build.name); !room) {
    building_ -= (*served)->memory_bytes;
    served->reset();
    Reaper::Here::settle();
    return refuse(room.error());
  }
  version.served = std::move(*served);
  version.loaded_at = base::system_clock().steady();
  return version;
}

// Nothing of the new state can serve: whatever served before goes on, whatever happened to its files.
void Repository::keep_before(Build& build) {
  ModelEntry& entry = *build.entry;
  entry.settle();
  if (!entry.ready.empty() || !build.before || build.before->ready.empty()) return;
  std::string why = entry.why();
  build.failure = why;
  entry.dormant = false;
  for (const Version& kept : build.before->versions) {
    if (!kept.served) continue;
    std::erase_if(entry.versions, [&](const Version& version) { return version.number == kept.number; });
    entry.versions.push_back(kept);
    entry.versions.back().reason = fmt::format("still serving what was loaded before: {}", why);
  }
  entry.settle();
}

// What was asked for could not be had: nothing of it remains but the reason.
void Repository::stay(Build& build) {
  if (build.failure.empty()) build.failure = build.entry->why();
  auto entry = std::make_shared<ModelEntry>(*build.before);
  for (Version& version : entry->versions) {
    if (version.served) version.reason = fmt::format("still serving what was loaded before: {}", build.failure);
  }
  build.entry = std::move(entry);
  build.before.reset();
  publish(build.name, build.entry);
  building_ = 0;
}

void Repository::finish(Build& build) {
  ModelEntry& entry = *build.entry;
  const ModelEntry* before = build.before.get();
  auto pinned = pins_.find(build.name);
  entry.pinned = pinned != pins_.end() ? pinned->second : entry.config->residence.pin;
  bool waits = entry.config->residence.on_demand || build.full || (before != nullptr && before->dormant);
  if (entry.ready.empty() && !entry.dormant) {
    entry.dormant = waits;
    if (build.failure.empty()) build.failure = entry.why();
    if (entry.reason.empty()) entry.reason = build.failure;
  }
  // People look at versions.
  if (!entry.versions.empty() && entry.versions.back().reason.empty()) entry.versions.back().reason = entry.reason;
  std::vector<std::int64_t> fresh;
  for (const Version& version : entry.versions) {
    const Version* old = before != nullptr ? before->find(version.number) : nullptr;
    if (version.served && (old == nullptr || old->served == nullptr || old->served->model != version.served->model))
      fresh.push_back(version.number);
  }
  if (before != nullptr) {
    entry.leaving = before->leaving;
    std::erase_if(entry.leaving, [](const auto& one) { return one.second.expired(); });
    for (const Version& old : before->versions) {
      const Version* now = entry.find(old.number);
      if (old.served && (now == nullptr || now->served != old.served))
        entry.leaving.emplace_back(old.number, old.served);
    }
  }
  std::int64_t from = before != nullptr && !before->ready.empty() ? before->traffic->usual(before->ready) : 0;
  build.before.reset();
  publish(build.name, build.entry);
  building_ = 0;
  for (std::int64_t number : fresh) note(build.name, "load", from, number, build.by);
}

}  // namespace penstock::infer
