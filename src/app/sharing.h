// Limits, budgets and stored keys shared with other gateways, as `shared:` of the configuration says: quota::Sharer
// between the book, the state file, the log and the metrics.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/secret.h"
#include "obs/metrics.h"
#include "quota/sharer.h"

namespace penstock::app {

class Sharing {
 public:
  struct Parts {
    quota::Book* book = nullptr;
    obs::Metrics* metrics = nullptr;
    std::string data_dir;                        // of the stored keys
    base::Secret installation;                   // that their secrets are hashed with
    std::function<void()> keys_changed = [] {};  // some were taken from other gateways; on the sharing thread
  };

  explicit Sharing(Parts parts);
  ~Sharing();

  // What the configuration says now. From the first one that shares on there is a thread; what the book gives out is
  // this gateway's part until the store has answered. The main thread's.
  void configure(std::optional<quota::ShareConfig> config);
  // After the last call was settled: tells the rest. The main thread's.
  void stop();
  // What a person who asks whether the gateway is ready should know; nothing of addresses.
  std::vector<std::string> notes() const;
  void collect(obs::MetricWriter& writer) const;

 private:
  class StateKeeper;
  quota::SharerPorts ports();

  Parts parts_;
  std::unique_ptr<StateKeeper> keeper_;
  quota::Sharer sharer_;
  bool started_ = false;
};

// For `penstock check`.
std::string describe(const quota::ShareConfig& config);

}  // namespace penstock::app
