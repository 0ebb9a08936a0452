// The local models of this gateway: which versions there are on disk, which are loaded, and why the others are not.
//
// A broken file makes its version UNAVAILABLE with the reason and touches nothing else. `serve: latest` serves the
// highest version that loads, at start as on reload, so that a bad push is no outage.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/registry.h"
#include "infer/model_config.h"
#include "infer/served.h"

namespace penstock::infer {

// One version of one model for /admin/v1/models and /v2/repository/index.
struct VersionStatus {
  std::string version;  // empty when the model has no version to name
  bool ready = false;
  bool is_default = false;  // answers requests that name no version
  std::string reason;       // why it is not ready, or what went wrong with its replacement
  std::optional<ModelInfo> info;
  std::optional<StatsView> stats;
  base::Duration run_average{};  // measured; 0 when there is none yet
};
struct ModelStatus {
  std::string name;
  std::string path;
  bool ready = false;                   // a request that names no version would be served
  std::vector<VersionStatus> versions;  // ascending
};

class Repository {
 public:
  // Runs shorter than this are measured as fit for an event loop.
  static constexpr base::Duration kShortRun = std::chrono::microseconds(100);

  // `registry` outlives this.
  explicit Repository(const base::Registry& registry) : registry_(registry) {}

  // Makes the served set what `models` says: loads what is new or changed on disk, keeps what is not, keeps the loaded
  // version where its replacement fails, drops the rest. Blocks for as long as loading takes; any thread, one at a
  // time.
  void apply(std::vector<ModelConfig> models);
  // The same for one configured model; also takes an unloaded one back into service. Fails with the reason when nothing
  // of it can be served, or not_found.
  Result<void> load(const std::string& name);
  // Until load() or apply(). Requests in flight finish.
  Result<void> unload(const std::string& name);

  // `version` empty: the default one. not_found for what is not configured or not on disk, unavailable with the reason
  // for what is not loaded. Any thread; never waits for a load.
  Result<std::shared_ptr<Served>> find(std::string_view model, std::string_view version) const;
  // Versions on disk that are loaded, ascending. Any thread.
  std::vector<std::string> ready_versions(std::string_view model) const;
  // By name. Any thread.
  std::vector<ModelStatus> status() const;
  // Every configured model that was not unloaded on purpose can be served. Any thread.
  bool ready() const;

 private:
  // What a version was loaded from, to see that the file changed.
  struct Stamp {
    std::string file;
    std::int64_t modified = 0;
    std::uint64_t bytes = 0;
    bool operator==(const Stamp&) const = default;
  };
  struct Version {
    std::int64_t number = 0;
    Stamp stamp;
    std::string reason;
    std::shared_ptr<Served> served;  // null when not ready
  };
  struct Entry {
    ModelConfig config;
    std::vector<Version> versions;  // ascending
    std::string reason;             // why there are none
    bool unloaded = false;
    const Version* by_default() const;
  };
  using Snapshot = std::map<std::string, std::shared_ptr<const Entry>, std::less<>>;
  // A version directory and the model file in it; `reason` where there is none.
  struct Candidate {
    std::int64_t number = 0;
    std::string file;
    std::string runtime;
    std::string reason;
  };

  std::shared_ptr<const Snapshot> snapshot() const;
  void publish(const std::string& name, std::shared_ptr<const Entry> entry);
  std::shared_ptr<const Entry> build(const ModelConfig& config, const Entry* before);
  Version build_version(const ModelConfig& config, const Candidate& candidate, const Entry* before);
  Result<std::vector<Candidate>> scan(const std::string& path) const;
  Candidate candidate_in(const std::string& directory, std::int64_t number) const;
  Result<std::shared_ptr<const Model>> load_file(const Candidate& candidate);

  const base::Registry& registry_;
  std::mutex loading_;  // one apply, load or unload at a time; guards runtimes_
  std::map<std::string, std::unique_ptr<Runtime>> runtimes_;
  // Held only to copy or swap the pointer: tens of nanoseconds, never while loading.
  mutable std::mutex snapshot_mutex_;
  std::shared_ptr<const Snapshot> snapshot_ = std::make_shared<const Snapshot>();
};

}  // namespace penstock::infer
