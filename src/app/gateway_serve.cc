// The gateway from its ready line to its end: what the main thread waits for, handing over to another process,
// draining.
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <set>
#include <thread>

#include "app/changes.h"
#include "app/gateway.h"
#include "app/guide.h"
#include "obs/log.h"

namespace penstock::app {
namespace {

// How long after a change beside the configuration file or a certificate these are looked at, and how often at least:
// not every file system tells of changes. A signal is handled at once, and so is a change of the stored keys; the next
// one after that time.
constexpr auto kLookAfter = std::chrono::milliseconds(200);
constexpr auto kLookAtKeysEvery = std::chrono::milliseconds(40);
constexpr auto kLookEvery = std::chrono::seconds(5);
// Written several times a second while there is traffic, and nothing to look at.
constexpr const char* kLedgerFiles = "ledger.db";
// A successor loads its models in this time, or is ended.
constexpr auto kSuccessorPatience = std::chrono::seconds(60);
constexpr auto kLookAtSuccessorEvery = std::chrono::milliseconds(20);
// A predecessor stops its sources and pipelines in this time, or ours start beside them.
constexpr auto kPredecessorPatience = std::chrono::seconds(30);
constexpr auto kIngestPatience = std::chrono::seconds(5);
// Connections that wait for their next request get this long to hear, with its answer, that they are closing. After an
// upgrade nobody is in a hurry.
constexpr auto kIdleGraceAtStop = std::chrono::milliseconds(250);
constexpr auto kIdleGraceAtUpgrade = std::chrono::seconds(5);

std::set<std::string> folders_of(const std::vector<std::string>& files) {
  std::set<std::string> folders;
  for (const std::string& file : files) {
    std::filesystem::path folder = std::filesystem::path(file).parent_path();
    folders.insert(folder.empty() ? "." : folder.string());
  }
  return folders;
}

}  // namespace

int Gateway::serve() {
  print_ready();
  manager_.ready("serving");
  End end = watch();
  if (end == End::handed_over) {
    obs::log(obs::Level::info, "another process has taken over: answers under way finish",
             {{"pid", std::to_string(successor_->pid())}});
    hand_over();
    drain(kIdleGraceAtUpgrade);
  } else {
    told_to_stop_ = true;
    // It would go on serving, with devices and brokers of ours, and nobody would know of it.
    if (successor_) successor_->end();
    obs::log(obs::Level::info, "draining: no new connections, answers under way finish");
    manager_.stopping();
    announce_drain();
    listeners_->close(false);
    drain(kIdleGraceAtStop);
  }
  {
    std::lock_guard lock(keys_mutex_);
    note_used_keys(true);
  }
  obs::log(obs::Level::info, "stopped");
  return 0;
}

void Gateway::print_ready() const {
  std::string data = fmt::format("{}", fmt::join(listen_addresses(), ","));
  std::printf("penstock ready data=%s admin=%s\n", data.c_str(), admin_->endpoint().text().c_str());
  std::fflush(stdout);
  if (open_to_all_) {
    obs::log(obs::Level::warn,
             "there are no API keys: everybody who reaches this address may use it; it serves loopback only (`penstock "
             "key create` makes a key)");
  }
  if (!config_.guide) return;
  GuideFacts facts{listen_addresses().front(), admin_->endpoint().text(), surroundings_->llm(), {}};
  for (const auto& pipeline : ingest_->pipelines()) facts.pipelines.push_back(pipeline->name());
  std::printf("%s\n", guide_text(config_, facts).c_str());
  std::fflush(stdout);
}

// We accept already; the device lane waits until the other process has let go of devices and brokers. Until we are
// ready it may have to go on without us: the files of its sockets are left alone before.
void Gateway::take_over() {
  predecessor_->tell_ready();
  listeners_->take_files();
  if (inherited_.name_of(admin_->endpoint()).empty()) admin_->take_file();
  inherited_.close_unclaimed();
  predecessor_->wait(kPredecessorPatience);
  predecessor_.reset();
  usage_->own_meters();
  observer_->wake();
  if (auto taken = data_lock_->take(); !taken)
    obs::log(obs::Level::warn, "nothing keeps a second gateway off", {{"why", taken.error().detail}});
  obs::log(obs::Level::info, "took over from another process");
}

Gateway::End Gateway::watch() {
  std::set<std::string> folders;
  std::optional<Changes> changes;
  bool soon = true;  // after a hand-over nobody has looked for a while
  while (true) {
    std::set<std::string> wanted = folders_of(watched_files(config_));
    wanted.insert(config_.data_dir);
    if (!changes || wanted != folders) {
      folders = std::move(wanted);
      changes.emplace(std::vector<int>{SIGTERM, SIGINT, SIGHUP, SIGUSR2},
                      std::vector<std::string>(folders.begin(), folders.end()), kLedgerFiles);
    }
    tell_alive();
    join_budgets();
    bool slowly = !soon && changes->complete() && !successor_ && !split_;
    base::Duration at_most = slowly ? base::Duration(kLookEvery) : base::Duration(kLookAtKeysEvery);
    if (successor_) at_most = kLookAtSuccessorEvery;
    if (base::Duration every = manager_.alive_every(); every > base::Duration::zero())
      at_most = std::min(at_most, every);
    int signal = changes->wait(at_most, slowly);
    if (signal == SIGTERM || signal == SIGINT) return End::stop;
    if (successor_ && successor_is_ready()) return End::handed_over;
    if (signal == SIGHUP) reload("SIGHUP");
    if (signal == SIGUSR2) start_upgrade();
    if (signal == 0) soon = look_at_files(changes->changed());
  }
}

// True when it is to be called again soon: files are read once they have kept still, for editors and copies write in
// pieces.
bool Gateway::look_at_files(bool changed) {
  reload_keys_when_changed();
  if (successor_) return true;
  base::SteadyTime time = std::chrono::steady_clock::now();
  if (!changed && time < look_at_) return true;
  look_at_ = time + kLookAfter;
  if (changed) return true;
  bool soon = false;
  if (std::int64_t now = files_stamp(config_); now != stamp_) {
    std::error_code ignored;
    bool there = std::filesystem::exists(options_.config_path, ignored);
    if (now == changing_ && there) reload("a file changed");
    if (!std::exchange(file_gone_, !there) && !there) {
      obs::log(obs::Level::warn, "the configuration file is gone; the running configuration stays",
               {{"file", options_.config_path}});
    }
    soon = now != changing_;
    changing_ = now;
  }
  return soon;
}

// The cores have to answer, too: a stuck one is a reason to be restarted.
void Gateway::tell_alive() {
  if (manager_.alive_every() == base::Duration::zero()) return;
  if (!heartbeats_) heartbeats_ = std::make_shared<std::atomic<std::size_t>>(per_core_.size());
  if (heartbeats_->load() < per_core_.size()) return;
  heartbeats_->store(0);
  for (std::size_t i = 0; i < per_core_.size(); ++i)
    cores_->loop(i).post([beats = heartbeats_] { beats->fetch_add(1); });
  manager_.alive(std::chrono::steady_clock::now());
}

// With gateways that share them there is a store that both tell.
void Gateway::split_budgets(bool split) {
  if (config_.shared) return;
  quota::SharingState state;
  state.gateways = split ? 2 : 1;
  book_->set_sharing(state, {std::chrono::steady_clock::now(), base::system_clock().wall()});
  split_ = split;
}

// All of them are ours when the predecessor has gone and what it left was taken up.
void Gateway::join_budgets() {
  if (!split_ || successor_ || ::getppid() == parent_) return;
  if (!joining_) joining_ = usage_->looks();
  if (usage_->metered() && usage_->looks() < *joining_ + 2) return;
  split_budgets(false);
  if (upgrade_wanted_) start_upgrade();
}

void Gateway::start_upgrade() {
  if (successor_) {
    obs::log(obs::Level::warn, "another process is being started already");
    return;
  }
  upgrade_wanted_ = split_ && usage_->metered();
  if (upgrade_wanted_) {
    obs::log(obs::Level::info, "the upgrade begins when the process before this one has finished its answers");
    return;
  }
  // What the other reads in the ledger is no less than what was given out before the split.
  split_budgets(true);
  std::uint64_t looks = usage_->looks();
  base::SteadyTime give_up = std::chrono::steady_clock::now() + std::chrono::seconds(1);
  while (usage_->metered() && usage_->looks() < looks + 2 && std::chrono::steady_clock::now() < give_up)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  std::vector<HandedSocket> sockets = listeners_->sockets();
  std::string admin = inherited_.name_of(admin_->endpoint());
  sockets.push_back({admin_->listening_fd(), admin.empty() ? std::string(kAdminSocket) : admin});
  auto started = Successor::start(options_.invocation, sockets, kSuccessorPatience);
  if (!started) {
    obs::log(obs::Level::error, "upgrade failed, this process goes on", {{"why", started.error().detail}});
    split_budgets(false);
    return;
  }
  successor_.emplace(std::move(*started));
  obs::log(obs::Level::info, "upgrade: starting another process",
           {{"pid", std::to_string(successor_->pid())}, {"program", options_.invocation.program}});
}

bool Gateway::successor_is_ready() {
  Successor::State state = successor_->look(std::chrono::steady_clock::now());
  if (state != Successor::State::failed) return state == Successor::State::ready;
  obs::log(obs::Level::error, "upgrade failed, this process goes on", {{"why", successor_->why()}});
  successor_.reset();
  split_budgets(false);
  return false;
}

// Devices and brokers see one of us at a time: ours stops before the other starts.
void Gateway::hand_over() {
  draining_.store(true);
  usage_->let_go_of_meters();
  manager_.main_process(successor_->pid());
  listeners_->close(true);
  admin_->hand_over();
  stop_ingest();
  observer_->wake();
  wait_for([&] { return usage_->has_let_go(); }, std::chrono::seconds(3));
  data_lock_->release();
  successor_->let_go();
}

// For the main thread while it drains. The second SIGTERM or SIGINT ends the program at once; after a hand-over the
// first may still come, and changes nothing about a drain that is under way.
void Gateway::wait_for(const std::function<bool()>& done, base::Duration at_most) {
  sigset_t signals;
  sigemptyset(&signals);
  for (int signal : {SIGTERM, SIGINT}) sigaddset(&signals, signal);
  timespec pause{0, 2'000'000};
  base::SteadyTime give_up = std::chrono::steady_clock::now() + at_most;
  while (!done() && std::chrono::steady_clock::now() < give_up) {
    if (sigtimedwait(&signals, nullptr, &pause) > 0 && std::exchange(told_to_stop_, true)) std::_Exit(1);
  }
}

void Gateway::announce_drain() {
  draining_.store(true);
  if (config_.drain_delay > base::Duration::zero()) wait_for([] { return false; }, config_.drain_delay);
}

void Gateway::stop_ingest() {
  auto stopped = std::make_shared<std::atomic<bool>>(false);
  ingest_->stop([stopped] { stopped->store(true); });
  wait_for([&] { return stopped->load(); }, kIngestPatience);
  alarm_keeper_->stop();
  broker_->stop();  // behind the last that was published
}

void Gateway::drain(base::Duration idle_grace) {
  cores_->thread(0).run_and_wait([this] { rt::spawn(health_checks_->stop()); });
  // Shared with the cores: one that is stuck may report after the wait was given up.
  auto left = std::make_shared<std::atomic<std::size_t>>(per_core_.size());
  base::SteadyTime now = std::chrono::steady_clock::now();
  base::SteadyTime deadline = now + config_.drain_timeout;
  base::SteadyTime idle_until = std::min(now + idle_grace, deadline);
  for (std::size_t i = 0; i < per_core_.size(); ++i) {
    cores_->loop(i).post([this, i, deadline, idle_until, left] {
      rt::spawn(per_core_[i].server->drain(deadline, idle_until), [this, i, left] {
        per_core_[i].pool->close_all();
        left->fetch_sub(1);
      });
    });
  }
  wait_for([&] { return left->load() == 0; }, config_.drain_timeout + std::chrono::seconds(3));
  stop_ingest();
  admin_->stop();
  devices_->stop();
  cores_->stop();
  observer_->stop();
  usage_->flush();
  sharing_->stop();  // may take as long as the store's timeouts
}

}  // namespace penstock::app
