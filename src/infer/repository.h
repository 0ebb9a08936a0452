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
#include "infer/inference_config.h"
#include "infer/journal.h"
#include "infer/model_config.h"
#include "infer/served.h"
#include "infer/traffic.h"
#include "rt/loop.h"

namespace penstock::infer {

// One version of one model for /admin/v1/models and /v2/repository/index.
struct VersionStatus {
  std::string version = {};  // empty when the model has no version to name
  bool ready = false;
  bool is_default = false;  // answers requests that name no version
  std::string reason = {};  // why it is not ready, or what went wrong with its replacement
  std::optional<ModelInfo> info = {};
  std::optional<StatsView> stats = {};
  base::Duration run_average{};  // measured; 0 when there is none yet
  std::uint64_t memory_bytes = 0;
  std::vector<std::string> labels = {};
};
struct ModelStatus {
  std::string name = {};
  std::string path = {};
  bool ready = false;                        // a request that names no version would be served
  std::vector<VersionStatus> versions = {};  // ascending
  std::shared_ptr<const ModelConfig> config = {};
  bool pinned = false;
};

// The version that answers a request, and what else is done with it.
struct Pick {
  std::shared_ptr<Served> served = {};
  std::shared_ptr<Served> fallback = {};  // null: none
  std::shared_ptr<Served> shadow = {};    // null: none
  std::shared_ptr<Traffic> traffic = {};  // whose watcher hears of it; null: nobody
};

// A load by request, with what came in it.
struct LoadRequest {
  std::string name = {};
  // Instead of what the configuration says: JSON with the keys of model.yaml or of Triton's ModelConfig. Empty: none.
  std::string config = {};
  // "1/model.onnx" and the bytes: instead of what is on disk. Needs `config`.
  std::map<std::string, std::string> files = {};
  Wish by = {};
};

class Repository {
 public:
  // Runs shorter than this are measured as fit for an event loop.
  static constexpr base::Duration kShortRun = std::chrono::microseconds(100);

  struct Options {
    InferenceConfig inference;
    Journal* journal = nullptr;  // outlives this; null: nothing is kept
  };

  // `registry` outlives this.
  explicit Repository(const base::Registry& registry) : Repository(registry, Options()) {}
  Repository(const base::Registry& registry, Options options) : registry_(registry), options_(std::move(options)) {}

  // Makes the served set what `models` says: loads what is new or changed on disk, keeps what is not, keeps the loaded
  // version where its replacement fails, drops the rest. Blocks for as long as loading takes; any thread, one at a
  // time.
  void apply(std::vector<ModelConfig> models);
  // The same for one model; also takes an unloaded one back into service. Fails with the reason when nothing of it can
  // be served (what was served before then still is), or not_found.
  Result<void> load(LoadRequest wanted);
  // Until load() or apply(). Requests in flight finish, and the memory is given back.
  Result<void> unload(const std::string& name, Wish by);
  // A pinned model is not evicted.
  Result<void> pin(const std::string& name, bool pinned, Wish by);

  // What answers the request. not_found for what is not configured or not on disk, unavailable with the reason for what
  // is not loaded. Any thread; never waits for a load.
  Result<Pick> pick(const Request& request) const;
  // pick() said unavailable, but the model is loaded on demand: `done` is called on `loop` when it can be picked, or
  // with the reason why it cannot. False: it is not, and `done` is not called. Any loop's thread.
  bool when_loaded(rt::Loop& loop, const Request& request, base::SteadyTime deadline,
                   std::function<void(Result<void>)> done);

  // `version` empty: the one that answers most requests that name none. Errors as pick(). Any thread.
  Result<std::shared_ptr<Served>> find(std::string_view model, std::string_view version) const;
  // Null when the model is not configured. Any thread.
  std::shared_ptr<Traffic> traffic(std::string_view model) const;
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
  Result<std::shared_ptr<const Model>> load_file(const Candidate& candidate, const RuntimeOptions& options);

  const base::Registry& registry_;
  Options options_;
  std::mutex loading_;  // one apply, load or unload at a time; guards runtimes_
  std::map<std::string, std::unique_ptr<Runtime>> runtimes_;
  // Held only to copy or swap the pointer: tens of nanoseconds, never while loading.
  mutable std::mutex snapshot_mutex_;
  std::shared_ptr<const Snapshot> snapshot_ = std::make_shared<const Snapshot>();
};

}  // namespace penstock::infer
