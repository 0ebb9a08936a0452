// Which version of one model answers: labels, a split by weight, a canary with its judge, a shadow. Lives as long as
// the model's traffic is configured as it is; decisions and commands outlive it in the journal. Any thread.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "infer/evidence.h"
#include "infer/journal.h"
#include "infer/traffic_config.h"
#include "infer/watcher.h"

namespace penstock::infer {

struct ModelConfig;

// What a request is answered by.
struct Choice {
  std::int64_t version = 0;
  std::optional<std::int64_t> fallback = {};  // where it is tried again when `version` is to blame for a failure
  std::optional<std::int64_t> shadow = {};    // runs it too; nobody hears of its answer but the watcher
};

// How a canary does.
struct CanaryView {
  enum class Stage { watching, promoted, rolled_back };
  struct Rule {
    std::string text = {};  // as written
    Count count = {};
    Count others = {};          // of the other versions meanwhile
    double for_rollback = 0;    // evidence, as odds: so many to 1
    double for_promotion = 0;   // the same
    double rollback_needs = 0;  // of them
    double promotion_needs = 0;
  };
  std::int64_t version = 0;
  double share = 0;
  Stage stage = Stage::watching;
  base::WallMicros decided = 0;  // 0: not yet
  base::Duration watched{};
  std::string words = {};  // why it was decided, or how it stands
  std::vector<Rule> rules = {};
};

// A shadow's answers beside those that callers got.
struct ShadowView {
  std::int64_t version = 0;
  double share = 0;
  Count failed = {};    // of its runs
  Count differed = {};  // of those that did not fail
};

struct TrafficView {
  std::map<std::string, std::int64_t> labels = {};
  std::map<std::int64_t, double> split = {};
  bool labels_by_command = false;  // instead of what the configuration says
  bool split_by_command = false;
  std::int64_t promoted = 0;  // 0: none
  std::optional<CanaryView> canary = {};
  std::optional<ShadowView> shadow = {};
};

class Traffic {
 public:
  virtual ~Traffic() = default;
  // For a request that names no version. `ready`: versions in service, ascending, not empty. A version that is not
  // among them gets no traffic.
  virtual Choice choose(std::string_view sticky, std::span<const std::int64_t> ready) = 0;
  // The one of `ready` (as for choose) that answers most requests that name no version; counts as no request.
  virtual std::int64_t usual(std::span<const std::int64_t> ready) const = 0;
  // The version that has the label; nothing when none has. A canary has the label `canary`, and `stable` once it is
  // promoted, unless these labels are given otherwise.
  virtual std::optional<std::int64_t> labelled(std::string_view label) const = 0;
  // Versions that must be in memory besides those that `serve` asks for.
  virtual std::vector<std::int64_t> wanted() const = 0;
  // Versions that are on trial: `serve: latest` counts without them, so that there is something to compare with.
  virtual std::vector<std::int64_t> trials() const = 0;
  // Null: nobody looks.
  virtual Watcher* watcher() = 0;

  virtual TrafficView view() = 0;

  // Commands. In force, and on the disk, when they return. After an error of the disk they are in force until a
  // restart.
  // `version` gets what names no version; 0: the canary. Errors: failed_precondition.
  virtual Result<void> promote(std::int64_t version, const Wish& by) = 0;
  // Takes back what was promoted last, or the canary under way. Errors: failed_precondition.
  virtual Result<void> roll_back(const Wish& by) = 0;
  // In the place of the configuration's, until that changes. Nothing: as configured.
  virtual Result<void> set_labels(std::optional<std::map<std::string, std::int64_t>> labels, const Wish& by) = 0;
  virtual Result<void> set_split(std::optional<std::map<std::int64_t, double>> split, const Wish& by) = 0;
};

// Takes up what the journal keeps of the model, as far as it belongs to this configuration. `journal` (null: nothing
// is kept) and `clock` outlive it.
std::shared_ptr<Traffic> make_traffic(const ModelConfig& model, Journal* journal,
                                      const base::Clock& clock = base::system_clock());

}  // namespace penstock::infer
