// The running gateway: every lane, the threads they run on, and how they start, reload and drain.
#pragma once

#include <csignal>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include <unistd.h>
#include "app/admin.h"
#include "app/alarm_keeper.h"
#include "app/budget_metrics.h"
#include "app/device_gate.h"
#include "app/embedded_broker.h"
#include "app/found.h"
#include "app/gateway_config.h"
#include "app/inherited_sockets.h"
#include "app/inner_llm.h"
#include "app/listeners.h"
#include "app/local_embeddings.h"
#include "app/model_journal.h"
#include "app/model_metrics.h"
#include "app/ports.h"
#include "app/privilege.h"
#include "app/service_manager.h"
#include "app/sharing.h"
#include "app/upgrade.h"

#include "app/model_pull.h"
#include "app/usage_writer.h"
#include "base/registry.h"
#include "base/services.h"
#include "device/clerk.h"
#include "flow/front.h"
#include "flow/readiness.h"
#include "http/server.h"
#include "infer/engine.h"
#include "ingest/lane.h"
#include "llm/health_checks.h"
#include "llm/lane.h"
#include "obs/observer.h"
#include "quota/book.h"
#include "rt/cores.h"
#include "store/data_lock.h"
#include "store/response_store.h"
#include "store/state.h"

namespace penstock::app {

struct RunOptions {
  std::string config_path;
  std::string data_dir;   // overrides the file's when not empty
  Invocation invocation;  // what an upgrade starts
};

// Why the program cannot start or had to stop, with its exit status: 2 for bad configuration, 1 for everything else.
struct StartFailure {
  int exit_status = 1;
  std::string message;
};

class Gateway {
 public:
  Gateway(const base::Registry& registry, RunOptions options);
  ~Gateway();

  // Everything up to and with listening.
  std::expected<void, StartFailure> start();
  // Prints the ready line, then serves until SIGTERM or SIGINT, or until another process took over (SIGUSR2), and
  // drains. The signals must be blocked in every thread before start(). Returns the exit status.
  int serve();

 private:
  // One core's share: everything in it lives on that core's loop.
  struct Core {
    std::unique_ptr<http::ClientPool> pool;
    std::unique_ptr<http::Server> server;
  };

  enum class End { stop, handed_over };

  std::expected<config::Document, StartFailure> load_document();
  std::expected<void, StartFailure> lock_data();
  void split_budgets(bool split);
  void join_budgets();
  std::expected<void, StartFailure> start_state();
  void start_lanes();
  void take_pulled(const std::string& model);
  // Everything that is listened on, before anybody is accepted.
  struct Doors {
    Listeners::Change listeners;
    AdminDoor admin;
  };
  std::expected<Doors, StartFailure> open_doors(const Privileges& privileges);
  std::expected<void, StartFailure> enter(Doors doors);
  std::expected<AdminDoor, StartFailure> open_admin(const AdminConfig& admin);
  void publish(const GatewayConfig& config);
  std::expected<void, StartFailure> open_devices();
  void publish_policy(const GatewayConfig& config);
  void watch_budgets(const GatewayConfig& config);
  std::shared_ptr<const flow::Policy> make_policy(const GatewayConfig& config,
                                                  const std::vector<flow::TeamSpec>& teams);
  void hand_out(std::shared_ptr<const flow::Policy> policy);
  bool read_stored_keys();
  void note_used_keys(bool now);
  bool has_keys(const GatewayConfig& config);
  std::expected<void, StartFailure> check_reach(const GatewayConfig& config);
  void reload(const char* why);
  std::expected<void, StartFailure> try_reload();
  void reload_keys_when_changed();
  std::vector<std::string> watched_files(const GatewayConfig& config) const;
  std::int64_t files_stamp(const GatewayConfig& config) const;
  std::vector<std::string> listen_addresses() const;
  GatewayConfig read_config(config::Map& root);

  // --- gateway_serve.cc: from the ready line to the end ---
  void take_over();
  End watch();
  bool look_at_files(bool changed);
  void tell_alive();
  void start_upgrade();
  bool successor_is_ready();
  void hand_over();
  void announce_drain();
  void stop_ingest();
  void drain(base::Duration idle_grace);
  void wait_for(const std::function<bool()>& done, base::Duration at_most);
  std::vector<std::string> obstacles() const;
  void print_ready() const;

  const base::Registry& registry_;
  RunOptions options_;
  std::unique_ptr<Surroundings> surroundings_;
  GatewayConfig config_;
  std::int64_t stamp_ = 0;      // of the files the configuration was read from
  std::int64_t changing_ = 0;   // the same, seen changing
  base::SteadyTime look_at_{};  // when the files are looked at again, at the earliest
  bool file_gone_ = false;      // and that was said
  // Guards what keys and teams are read with, and publishing: the admin thread does both after a change of its own.
  std::mutex keys_mutex_;
  std::optional<store::State> keys_state_;
  std::vector<flow::TeamSpec> stored_teams_;    // as last read
  std::vector<flow::TeamSpec> teams_;           // of the policy last made: declared and stored
  bool had_keys_ = false;                       // some key was ever stored
  std::int64_t keys_version_ = 0;               // of keys and teams as last read, or older
  base::SteadyTime used_noted_{};               // when the last use of keys was written
  bool keys_unreadable_ = false;                // and that was said
  std::shared_ptr<const flow::Policy> policy_;  // last published
  bool open_to_all_ = false;  // of the policy last made: no key was ever made, and nobody outside can call
  std::optional<store::DataLock> data_lock_;
  bool split_ = false;                    // budgets, with another process while one takes over from the other
  bool upgrade_wanted_ = false;           // as soon as they are not
  pid_t parent_ = ::getppid();            // a predecessor, as long as it lives
  std::optional<std::uint64_t> joining_;  // the predecessor has gone: when the meters were looked at so often
  base::Secret installation_secret_;
  std::unique_ptr<quota::Book> book_;     // outlives reloads, as its accounts do
  std::shared_ptr<flow::KeyTable> keys_;  // the same
  std::unique_ptr<UsageWriter> usage_;    // the observer thread's
  std::unique_ptr<BudgetMetrics> budget_metrics_;
  std::unique_ptr<obs::Observer> observer_;
  std::unique_ptr<rt::Cores> cores_;
  std::unique_ptr<store::ResponseStore> responses_;  // answers on the cores' loops
  std::unique_ptr<device::Clerk> devices_;           // the same
  std::unique_ptr<DeviceGate> device_gate_;          // of devices_
  std::vector<Core> per_core_;
  std::shared_ptr<http::Burden> burden_;
  std::shared_ptr<flow::Admission> admission_;
  std::unique_ptr<Sharing> sharing_;  // with other gateways
  base::Services services_;
  flow::Readiness readiness_;
  std::unique_ptr<llm::Lane> llm_;
  std::unique_ptr<llm::HealthChecks> health_checks_;  // core 0's
  std::unique_ptr<ModelJournal> model_journal_;
  std::unique_ptr<ModelPull> model_pull_;
  std::unique_ptr<infer::Repository> repository_;
  std::unique_ptr<infer::Engine> engine_;
  std::unique_ptr<ModelMetrics> model_metrics_;
  std::unique_ptr<LocalModels> model_port_;
  InnerLlm llm_port_;
  std::unique_ptr<LocalEmbeddings> embeddings_;  // of engine_ and repository_
  std::unique_ptr<WebhookClient> http_port_;
  std::unique_ptr<AlarmKeeper> alarm_keeper_;
  std::unique_ptr<EmbeddedBroker> broker_;
  std::unique_ptr<ingest::Lane> ingest_;
  std::unique_ptr<flow::Front> front_;
  std::unique_ptr<Admin> admin_;
  std::optional<Predecessor> predecessor_;  // until it has handed over
  std::optional<Successor> successor_;      // from SIGUSR2 on
  InheritedSockets inherited_;
  std::unique_ptr<Listeners> listeners_;
  ServiceManager manager_;
  std::shared_ptr<std::atomic<std::size_t>> heartbeats_;  // cores that answered since the last sign of life
  std::atomic<bool> draining_{false};
  bool told_to_stop_ = false;  // by SIGTERM or SIGINT
};

}  // namespace penstock::app
