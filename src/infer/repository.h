// The local models of this gateway: which versions there are on disk, which are loaded, and why the others are not.
//
// A broken file makes its version UNAVAILABLE with the reason and touches nothing else. `serve: latest` serves the
// highest version that loads, at start as on reload, so that a bad push is no outage. A version is taken out of service
// only when its successor stands; its memory is given back when its last run has ended.
//
// Models are loaded one at a time: by whoever calls apply(), load() or unload(), by one thread for those that requests
// wait for, and by one that looks at the folders where that is wanted. Requests never wait for any of them.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/registry.h"
#include "infer/inference_config.h"
#include "infer/journal.h"
#include "infer/model_config.h"
#include "infer/model_entry.h"
#include "infer/published.h"
#include "infer/reaper.h"
#include "infer/request.h"
#include "infer/served.h"
#include "infer/traffic.h"
#include "infer/version_loader.h"
#include "rt/loop.h"
#include "rt/pool.h"

namespace penstock::infer {

// As the index of the protocol has them.
enum class VersionState { unavailable, loading, ready, unloading };
// "UNAVAILABLE", "LOADING", "READY", "UNLOADING"
std::string_view to_string(VersionState state);

// One version of one model for /admin/v1/models and /v2/repository/index.
struct VersionStatus {
  std::string version = {};  // empty when the model has no version to name
  VersionState state = VersionState::unavailable;
  bool ready = false;       // state is ready
  bool is_default = false;  // answers most requests that name no version
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
  bool dormant = false;     // not in memory; comes with the next request
  bool unloaded = false;    // on purpose
  bool by_request = false;  // its configuration or files came with a request, not from disk
  std::string reason = {};  // why it is not ready, or why what is on disk was not taken
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
  // "1/model.onnx" and the bytes: instead of what is on disk, with what belongs beside it. Needs `config`.
  std::map<std::string, std::string> files = {};
  Wish by = {};
};

class Repository {
 public:
  // Runs shorter than this are measured as fit for an event loop.
  static constexpr base::Duration kShortRun = std::chrono::microseconds(100);
  // Requests that wait for models to be loaded; more are refused with backpressure.
  static constexpr std::size_t kWaitersMax = 1024;

  struct Options {
    InferenceConfig inference = {};
    Journal* journal = nullptr;  // outlives this; null: nothing is kept
    FileHooks files = {};
    // Brings what is to be on disk there, before it is looked at. When it fails, what is there already is served.
    std::function<Result<void>(const ModelConfig& config, const InferenceConfig& inference)> fetch = {};
    // Made once and kept for as long as the model's traffic is configured alike. Empty: make_traffic() of traffic.h.
    std::function<std::shared_ptr<Traffic>(const ModelConfig& config, Journal* journal)> make_traffic = {};
    // For the log: something about `model` that somebody should know.
    std::function<void(const std::string& model, const std::string& what)> warn = {};
  };

  // `registry` outlives this.
  explicit Repository(const base::Registry& registry) : Repository(registry, Options()) {}
  Repository(const base::Registry& registry, Options options);
  // The loops that when_loaded() was given outlive this.
  ~Repository();

  // Bounds and intervals, from now on; nothing is evicted before the next load. Any thread.
  void configure(const InferenceConfig& inference);

  // Makes the served set what `models` says: loads what is new or changed on disk, keeps what is not, keeps the loaded
  // version where its replacement fails, drops the rest. Blocks for as long as loading takes; any thread, one at a
  // time.
  void apply(std::vector<ModelConfig> models);
  // The same for one model; also takes an unloaded one back into service, and loads one that waits for a request. Fails
  // with the reason when the new state could not be had (what was served before then still is), not_found, or
  // invalid_argument for what came in the request.
  Result<void> load(LoadRequest wanted);
  // Looks at one model again, since what it is made of changed: what came with a request, what was unloaded, and what
  // is not in memory stay so. Errors as load().
  Result<void> refresh(const std::string& name, Wish by);
  // Until load(), or apply() with another configuration of it. Requests in flight finish, and the memory is given back.
  // What came with a request is forgotten.
  Result<void> unload(const std::string& name, Wish by);
  // A pinned model is not evicted. Holds until the process ends, over reloads.
  Result<void> pin(const std::string& name, bool pinned, Wish by);

  // What answers the request. not_found for what is not configured or not on disk, unavailable with the reason for what
  // is not loaded. Any thread; never waits for a load.
  Result<Pick> pick(const Request& request) const;
  // pick() said unavailable, but the model is loaded on demand: `done` is called on `loop` when it can be picked, or
  // with the reason why it cannot, never before this returns. All that wait for a model share one load; one that failed
  // is not tried again at once. False: nothing is to be waited for, and `done` is not called. Any loop's thread.
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
  // Every configured model that was not unloaded on purpose can be served, at once or after a load on demand. Any
  // thread.
  bool ready() const;

 private:
  using Version = ModelEntry::Version;
  using Entries = std::map<std::string, std::shared_ptr<const ModelEntry>, std::less<>>;
  // What came with a request to load.
  struct Override {
    std::string config;
    std::map<std::int64_t, GivenFiles> versions;
  };
  // A model on its way from one state to the next.
  struct Build {
    std::string name;
    std::shared_ptr<const ModelEntry> before;  // null: it is new
    std::shared_ptr<ModelEntry> entry;
    std::vector<Candidate> candidates;
    const Override* given = nullptr;
    Wish by;
    bool demanded = false;
    bool refusable = false;  // when it fails, all stays as it was before
    std::string failure;     // why what was wanted could not be had, although something may be served
    bool full = false;       // there was no room
  };
  struct Waiter;

  // --- repository.cc ---
  std::shared_ptr<const ModelEntry> entry(std::string_view name) const;
  void publish(const std::string& name, std::shared_ptr<const ModelEntry> entry);
  void note(const std::string& model, std::string action, std::int64_t from, std::int64_t to, const Wish& by) const;
  void warn(const std::string& model, const std::string& what) const;
  std::shared_ptr<Served> usable(const ModelEntry& entry, std::int64_t version) const;

  // --- repository_build.cc; all with loading_ held ---
  // `refusable`: what came with a request and is not in force yet.
  Build build(const ModelConfig& declared, Wish by, bool demanded, bool refusable = false);
  void configure_entry(Build& build, const ModelConfig& declared);
  void find_candidates(Build& build);
  void load_versions(Build& build);
  void list_dormant(Build& build);
  void add_version(Build& build, std::int64_t number);
  Version make_version(Build& build, const Candidate& candidate);
  Version new_version(Build& build, const Candidate& candidate, const Version* old);
  void keep_before(Build& build);
  void stay(Build& build);
  void finish(Build& build);
  void drop(const std::string& name, const Wish& by);
  static Result<void> failed(const Build& result);
  Result<Override> take_override(const LoadRequest& wanted, const ModelConfig& declared) const;

  // --- repository_memory.cc; with loading_ held ---
  std::uint64_t memory_used() const;
  Result<void> make_room(std::uint64_t bytes, const std::string& for_model);
  std::string least_used(const std::string& for_model) const;
  void evict(const std::string& name, const std::string& for_model);

  // --- repository_demand.cc ---
  void load_demanded(const std::string& name);
  void give_up(const std::string& name, const std::shared_ptr<Waiter>& waiter, Error error);
  Result<void> load_now(const std::string& name);
  void forget_waiters();
  void watch();
  void look();

  const base::Registry& registry_;
  Options options_;     // inference: guarded by loading_
  Reaper reaper_;       // outlives every version
  std::mutex loading_;  // one apply, load or unload at a time; guards what follows
  VersionLoader loader_;
  std::map<std::string, Override> overrides_;
  std::map<std::string, bool> pins_;
  std::uint64_t building_ = 0;  // bytes of versions that are loaded but not yet seen
  Published<Entries> entries_;

  std::mutex demand_mutex_;  // guards what follows; taken for a moment, also on loops
  std::map<std::string, std::vector<std::shared_ptr<Waiter>>> waiting_;
  std::size_t waiters_ = 0;
  std::unique_ptr<rt::Pool> demanded_;  // started with the first

  std::mutex watch_mutex_;  // guards what follows
  std::condition_variable watch_changed_;
  base::Duration watch_every_{};
  std::map<std::string, std::uint64_t> changing_;  // the watcher's: folders that looked new the last time
  std::atomic<bool> stopping_{false};
  std::thread watcher_;  // started with the first interval
};

}  // namespace penstock::infer
