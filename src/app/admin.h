// The admin listener: metrics, health, the JSON API behind the console, and the console itself. On a thread of its own,
// so that it answers when the cores are busy.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "app/admin_access.h"
#include "app/admin_desk.h"
#include "app/alarm_keeper.h"
#include "app/piece_queue.h"
#include "device/clerk.h"
#include "flow/filter.h"
#include "flow/readiness.h"
#include "http/coded_exchange.h"
#include "http/router.h"
#include "http/server.h"
#include "infer/repository.h"
#include "ingest/lane.h"
#include "llm/lane.h"
#include "net/acceptor.h"
#include "obs/observer.h"
#include "rt/cores.h"
#include "rt/pool.h"
#include "store/state.h"

namespace penstock::app {

struct AdminParts {
  obs::Observer* observer = nullptr;
  llm::Lane* llm = nullptr;
  const base::Registry* registry = nullptr;
  infer::Repository* repository = nullptr;
  infer::Journal* journal = nullptr;
  ingest::Lane* ingest = nullptr;
  device::Clerk* devices = nullptr;
  AlarmKeeper* alarms = nullptr;
  flow::Readiness* readiness = nullptr;
  std::string data_dir;
  std::size_t threads = 1;
  bool simulated = false;
  std::vector<std::string> listen;  // of the data listeners; these four at the start, set_...() follow
  std::shared_ptr<const flow::Policy> policy;
  std::shared_ptr<const llm::Plan> plan;
  std::shared_ptr<const Declared> declared = std::make_shared<Declared>();
  quota::Book* book = nullptr;
  // Called on the admin thread when keys or teams were changed: returns when the change is in force on every core.
  std::function<void()> keys_changed = [] {};
};

// What the admin listener stands on; opened and read before anything changes.
struct AdminDoor {
  std::optional<net::ListenSocket> socket;  // nothing: the one it has
  AdminConfig config;
  std::shared_ptr<const http::ListenerOptions> options;
};

class Admin {
 public:
  static Result<std::unique_ptr<Admin>> start(AdminDoor door, AdminParts parts);
  ~Admin();
  void stop();
  const net::Endpoint& endpoint() const { return endpoint_; }
  int listening_fd() const { return acceptor_->socket().fd(); }
  // For connections and requests that follow. By one thread at a time, as hand_over().
  void change(AdminDoor door);
  // The process that had the listening socket has let go: its file is ours.
  void take_file();
  // Accepts no more: another process has the same socket. Connections go on until stop().
  void hand_over();

  // Any thread.
  void set_policy(std::shared_ptr<const flow::Policy> policy);
  void set_plan(std::shared_ptr<const llm::Plan> plan);
  void set_declared(std::shared_ptr<const Declared> declared);
  void set_listen(std::vector<std::string> addresses);

 private:
  explicit Admin(AdminParts parts);
  void furnish();
  void add_routes();
  void enter(AdminDoor door);
  std::vector<AdminRoute> view_routes();
  rt::Task<void> handle(http::Exchange& connection);
  rt::Task<void> serve(http::Exchange& exchange, const AdminRoute& route, http::Params params, std::string actor);
  rt::Task<void> send_report(http::Exchange& exchange, int status, AdminReport report);
  json::Object status() const;
  json::Object requests(std::size_t limit) const;
  json::Object pipelines() const;
  void collect(obs::MetricWriter& writer) const;

  AdminParts parts_;
  base::SteadyTime started_ = std::chrono::steady_clock::now();
  rt::LoopThread thread_{0, "admin"};
  http::BodyCodec codec_;
  http::Router router_;
  std::unique_ptr<http::Server> server_;
  std::unique_ptr<net::Acceptor> acceptor_;
  net::Endpoint endpoint_;                                // for the thread that starts, changes and stops
  AdminAccess access_;                                    // the admin thread's
  std::shared_ptr<const http::ListenerOptions> options_;  // the admin thread's
  std::optional<store::State> state_;                     // the admin thread's
  AdminDesk desk_;                                        // the admin thread's
  std::vector<AdminRoute> routes_;                        // never changes
  std::vector<std::weak_ptr<PieceQueue>> reports_;        // the admin thread's: those under way
  mutable std::mutex mutex_;                              // guards the four below
  std::shared_ptr<const flow::Policy> policy_;
  std::shared_ptr<const llm::Plan> plan_;
  std::shared_ptr<const Declared> declared_;
  std::vector<std::string> listen_;
  bool stopped_ = false;
  rt::Pool report_pool_{"admin-reports", 2, 16};  // ends first
};

}  // namespace penstock::app
