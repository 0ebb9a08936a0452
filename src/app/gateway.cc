#include "app/gateway.h"

#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <filesystem>

#include "app/changes.h"
#include "base/version.h"
#include "flow/filter.h"
#include "net/resolver.h"
#include "obs/log.h"

namespace penstock::app {
namespace {

// How long after a change beside the configuration file or the stored keys these are looked at, and how often at least:
// not every file system tells of changes. A signal is handled at once.
constexpr auto kLookAfter = std::chrono::milliseconds(200);
constexpr auto kLookEvery = std::chrono::seconds(5);
// Answers under way get this long to finish after SIGTERM.
constexpr auto kDrainFor = std::chrono::seconds(20);

std::unexpected<StartFailure> cannot_start(int exit_status, std::string message) {
  return std::unexpected(StartFailure{exit_status, std::move(message)});
}

// Changes when the file is written or replaced.
std::int64_t stamp_of(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) return 0;
  return info.st_mtim.tv_sec * 1'000'000'007 + info.st_mtim.tv_nsec + static_cast<std::int64_t>(info.st_ino) * 31 +
         info.st_size;
}

void log_problems(const std::string& report) {
  std::size_t from = 0;
  while (from < report.size()) {
    std::size_t end = std::min(report.find('\n', from), report.size());
    obs::log(obs::Level::error, "configuration problem", {{"problem", report.substr(from, end - from)}});
    from = end + 1;
  }
}

bool needs_low_port(const GatewayConfig& config) {
  auto low = [](const net::Endpoint& endpoint) { return endpoint.port() > 0 && endpoint.port() < 1024; };
  return low(config.admin.endpoint) || std::any_of(config.listen.begin(), config.listen.end(),
                                                   [&](const ListenConfig& one) { return low(one.endpoint); });
}

bool serves_outside(const GatewayConfig& config) {
  return std::any_of(config.listen.begin(), config.listen.end(),
                     [](const ListenConfig& listen) { return !listen.endpoint.is_loopback(); });
}

// For the main thread while it drains; a second SIGTERM or SIGINT ends the program at once.
void wait_for(const std::function<bool()>& done, base::Duration at_most) {
  sigset_t signals;
  sigemptyset(&signals);
  for (int signal : {SIGTERM, SIGINT}) sigaddset(&signals, signal);
  timespec pause{0, 2'000'000};
  base::SteadyTime give_up = std::chrono::steady_clock::now() + at_most;
  while (!done() && std::chrono::steady_clock::now() < give_up) {
    if (sigtimedwait(&signals, nullptr, &pause) > 0) std::_Exit(1);
  }
}

std::vector<std::string> split_globs(const std::string& text) {
  std::vector<std::string> globs;
  std::size_t from = 0;
  while (from < text.size()) {
    std::size_t comma = std::min(text.find(',', from), text.size());
    if (comma > from) globs.push_back(text.substr(from, comma - from));
    from = comma + 1;
  }
  return globs;
}

}  // namespace

Gateway::Gateway(const base::Registry& registry, RunOptions options)
    : registry_(registry), options_(std::move(options)) {}

// The order matters: nothing may be called by what still runs.
Gateway::~Gateway() {
  admin_.reset();
  if (cores_) cores_->stop();
  acceptors_.clear();
  front_.reset();
  ingest_.reset();
  engine_.reset();
  health_checks_.reset();
  per_core_.clear();
  if (observer_) observer_->stop();
}

std::expected<config::Document, StartFailure> Gateway::load_document() {
  if (!surroundings_)
    surroundings_ = std::make_unique<Surroundings>(options_.data_dir.empty() ? "./var" : options_.data_dir);
  auto document = config::Document::load(options_.config_path, surroundings_->environment());
  if (!document) return cannot_start(2, document.error().detail);
  return *document;
}

std::expected<void, StartFailure> Gateway::start() {
  auto document = load_document();
  if (!document) return std::unexpected(document.error());
  config_stamp_ = stamp_of(options_.config_path);
  config::Map root = document->root().map();
  config_ = read_gateway_config(root, registry_);
  if (!options_.data_dir.empty()) config_.data_dir = options_.data_dir;
  Privileges privileges(config_.security);
  if (!document->failed()) {
    auto begun = privileges.begin(config_.data_dir, needs_low_port(config_));
    if (!begun) return cannot_start(begun.error().code == Errc::invalid_argument ? 2 : 1, begun.error().detail);
  }
  if (auto ready = start_state(); !ready) return ready;
  start_lanes();
  ingest::Plan plan = ingest_->plan(root);
  root.done();
  if (document->failed()) return cannot_start(2, document->report());
  repository_->apply(config_.models);
  publish(config_);
  if (serves_outside(config_) && !config_.insecure && !has_keys_) {
    return cannot_start(2,
                        "an address in `listen` is reachable from outside and there are no API keys: declare some "
                        "under `keys:`, make one with "
                        "`penstock key create`, or write `insecure: true` to let everybody in");
  }
  observer_->start();
  cores_->start();
  if (auto listening = privileges.bind([this] { return start_listeners(); }); !listening) return listening;
  if (auto settled = privileges.settle(); !settled) return cannot_start(1, settled.error().detail);
  ingest_->apply(std::move(plan));
  return {};
}

std::expected<void, StartFailure> Gateway::start_state() {
  auto secret = store::load_installation_secret(config_.data_dir);
  if (!secret) return cannot_start(1, secret.error().detail);
  installation_secret_ = std::move(*secret);
  auto keys = store::State::open(config_.data_dir);
  if (!keys) return cannot_start(1, keys.error().detail);
  keys_state_.emplace(std::move(*keys));
  auto usage = store::State::open(config_.data_dir);
  if (!usage) return cannot_start(1, usage.error().detail);
  usage_ = std::make_unique<UsageWriter>(std::move(*usage));
  return {};
}

void Gateway::start_lanes() {
  cores_ = std::make_unique<rt::Cores>(config_.threads, config_.io_uring);
  std::vector<http::ClientPool*> pools;
  std::vector<rt::Loop*> loops;
  per_core_.resize(config_.threads);
  for (std::size_t i = 0; i < config_.threads; ++i) {
    loops.push_back(&cores_->loop(i));
    per_core_[i].pool = std::make_unique<http::ClientPool>(cores_->loop(i));
    pools.push_back(per_core_[i].pool.get());
  }
  obs::Observer::Options observing;
  observing.cores = config_.threads;
  observing.on_batch = [this](const std::vector<obs::RequestEvent>& events) { return usage_->take(events); };
  observer_ = std::make_unique<obs::Observer>(std::move(observing));
  observer_->metrics().on_scrape([this](obs::MetricWriter& writer) { usage_->collect(writer); });
  llm_ = std::make_unique<llm::Lane>(pools);
  health_checks_ = std::make_unique<llm::HealthChecks>(*pools.front());
  repository_ = std::make_unique<infer::Repository>(registry_);
  engine_ = std::make_unique<infer::Engine>(*repository_, infer::Engine::Options{});
  model_port_ = std::make_unique<LocalModels>(*repository_, *engine_);
  http_port_ = std::make_unique<WebhookClient>(pools);
  ingest::LaneOptions lane;
  lane.context = {&registry_, &base::system_clock(), model_port_.get(), http_port_.get()};
  lane.loops = loops;
  lane.on_alarm = [](const ingest::AlarmChange& change) {
    obs::log(change.raised ? obs::Level::warn : obs::Level::info, change.raised ? "alarm raised" : "alarm cleared",
             {{"pipeline", change.pipeline}, {"alarm", change.name}, {"device", change.device}, {"why", change.why}});
  };
  ingest_ = std::make_unique<ingest::Lane>(std::move(lane));
  readiness_.obstacles = [this] { return obstacles(); };
  services_.put(llm_.get());
  services_.put(repository_.get());
  services_.put(engine_.get());
  services_.put(ingest_.get());
  services_.put(&readiness_);
  front_ = std::make_unique<flow::Front>(services_, *observer_, base::system_clock(), config_.threads);
  for (const std::string& name : registry_.names<flow::ApiFactory>())
    registry_.find<flow::ApiFactory>(name)->build(*front_);
  flow::Front* front = front_.get();
  for (std::size_t i = 0; i < config_.threads; ++i) {
    per_core_[i].server = std::make_unique<http::Server>(
        cores_->loop(i), [front](http::Exchange& exchange) { return front->handle(exchange); },
        [front](int status, std::string_view path, const std::string& detail) {
          return front->error_body(status, path, detail);
        },
        config_.http);
  }
}

std::expected<void, StartFailure> Gateway::start_listeners() {
  std::optional<StartFailure> failure;
  for (const ListenConfig& listen : config_.listen) {
    auto made = listener_options(listen);
    if (!made) return cannot_start(2, made.error().detail);
    // Accepted on the first core, served in turn by all.
    cores_->thread(0).run_and_wait([&] {
      auto acceptor = net::Acceptor::listen(
          cores_->loop(0), listen.endpoint, [this, options = *made](int fd, const net::Endpoint& peer) {
            std::size_t core = next_core_++ % per_core_.size();
            http::Server* server = per_core_[core].server.get();
            if (core == 0) {
              server->accept(fd, peer, options);
            } else {
              cores_->loop(core).post([server, fd, peer, options] { server->accept(fd, peer, options); });
            }
          });
      if (acceptor) {
        acceptors_.push_back(std::move(*acceptor));
      } else {
        failure = StartFailure{1, acceptor.error().detail};
      }
    });
    if (failure) return std::unexpected(*failure);
  }
  AdminParts parts;
  parts.observer = observer_.get();
  parts.llm = llm_.get();
  parts.repository = repository_.get();
  parts.ingest = ingest_.get();
  parts.readiness = &readiness_;
  parts.data_dir = config_.data_dir;
  parts.threads = config_.threads;
  parts.simulated = surroundings_->simulated();
  for (const auto& acceptor : acceptors_) parts.listen.push_back(acceptor->endpoint().text());
  parts.policy = make_policy(config_);
  parts.plan = config_.llm;
  auto admin = Admin::start(config_.admin, std::move(parts));
  if (!admin) return cannot_start(1, admin.error().detail);
  admin_ = std::move(*admin);
  return {};
}

std::shared_ptr<const flow::Policy> Gateway::make_policy(const GatewayConfig& config) {
  auto state_of = [this](std::string_view name) {
    auto& state = key_states_[std::string(name)];
    if (!state) state = std::make_shared<flow::KeyState>();
    return state;
  };
  std::vector<flow::DeclaredKey> declared = config.keys;
  for (flow::DeclaredKey& key : declared) {
    key.key.state = state_of(key.key.name);
    if (key.weak()) {
      obs::log(obs::Level::warn,
               "a key's secret is short enough to be guessed; `openssl rand -hex 24` makes a good one",
               {{"key", std::string(key.key.name.view())}});
    }
  }
  std::unordered_map<std::string, flow::Key> stored;
  auto rows = keys_state_->keys();
  if (!rows) obs::log(obs::Level::error, "stored keys cannot be read", {{"why", rows.error().detail}});
  for (const store::StoredKey& row : rows.value_or(std::vector<store::StoredKey>{})) {
    if (row.revoked != 0) continue;
    flow::Key key;
    key.name = obs::intern(row.name);
    key.id = row.id;
    key.models = split_globs(row.models);
    key.rpm = row.rpm;
    key.tpm = row.tpm;
    key.expires = row.expires;
    key.state = state_of(row.name);
    stored.emplace(row.hash, std::move(key));
  }
  keys_version_ = keys_state_->keys_version().value_or(0);
  // A key that was ever made, also a revoked one, says that callers are meant to have keys.
  bool keyless = declared.empty() && rows && rows->empty();
  open_to_all_ = keyless && (config.insecure || !serves_outside(config));
  std::vector<std::unique_ptr<flow::Filter>> filters;
  for (const std::string& name : config.filters) filters.push_back(registry_.find<flow::FilterFactory>(name)->make());
  has_keys_ = !declared.empty() || !stored.empty();
  flow::KeyTable table(std::move(declared), std::move(stored), installation_secret_);
  return std::make_shared<const flow::Policy>(std::move(table), open_to_all_, std::move(filters), config.compression);
}

void Gateway::publish(const GatewayConfig& config) {
  net::Resolver::instance().use_servers(config.dns_servers);
  net::Egress::use(config.egress);
  std::shared_ptr<const flow::Policy> policy = make_policy(config);
  if (admin_) {
    admin_->set_policy(policy);
    admin_->set_plan(config.llm);
    admin_->set_access(config.admin);
  }
  for (std::size_t i = 0; i < per_core_.size(); ++i) {
    cores_->loop(i).post([this, i, policy, plan = config.llm] {
      front_->set_policy(i, policy);
      llm_->set_plan(i, plan);
      if (i == 0) health_checks_->apply(*plan);
      std::vector<std::shared_ptr<const http::Origin>> wanted;
      for (const auto& [name, provider] : plan->providers()) wanted.push_back(provider->origin());
      per_core_[i].pool->prune(wanted);
    });
  }
}

void Gateway::reload(const char* why) {
  config_stamp_ = stamp_of(options_.config_path);
  auto document = load_document();
  if (!document) {
    obs::log(obs::Level::error, "reload refused, the running configuration stays", {{"why", document.error().message}});
    return;
  }
  config::Map root = document->root().map();
  GatewayConfig fresh = read_gateway_config(root, registry_);
  if (!options_.data_dir.empty()) fresh.data_dir = options_.data_dir;
  ingest::Plan plan = ingest_->plan(root);
  root.done();
  if (document->failed()) {
    log_problems(document->report());
    obs::log(obs::Level::error, "reload refused, the running configuration stays", {{"file", options_.config_path}});
    return;
  }
  if (fresh.listen != config_.listen || !fresh.admin.same_listener(config_.admin) || fresh.http != config_.http ||
      fresh.threads != config_.threads || fresh.security != config_.security || fresh.data_dir != config_.data_dir) {
    obs::log(obs::Level::warn,
             "listen, admin, http, threads, security and data_dir change with a restart; the rest was reloaded");
  }
  repository_->apply(fresh.models);
  config_ = std::move(fresh);  // before the cores let go of connections nobody refers to any more
  publish(config_);
  ingest_->apply(std::move(plan));
  obs::log(obs::Level::info, "configuration reloaded", {{"why", why}, {"file", options_.config_path}});
}

void Gateway::reload_keys_when_changed() {
  auto version = keys_state_->keys_version();
  if (!version || *version == keys_version_) return;
  publish(config_);
  obs::log(obs::Level::info, "keys reloaded");
}

std::vector<std::string> Gateway::obstacles() const {
  std::vector<std::string> found;
  for (const infer::ModelStatus& model : repository_->status()) {
    if (model.ready) continue;
    std::string reason = "not loaded";
    for (const auto& version : model.versions) {
      if (!version.reason.empty()) reason = version.reason;
    }
    found.push_back(fmt::format("the model '{}' cannot be served: {}", model.name, reason));
  }
  for (const ingest::SourceStatus& source : ingest_->sources()) {
    if (!source.status.connected)
      found.push_back(fmt::format("the source '{}' is not connected: {}", source.name, source.status.detail));
  }
  return found;
}

bool Gateway::file_changed() { return stamp_of(options_.config_path) != config_stamp_; }

void Gateway::watch() {
  std::vector<std::string> folders{config_.data_dir};
  if (!options_.config_path.empty()) {
    std::filesystem::path folder = std::filesystem::path(options_.config_path).parent_path();
    folders.push_back(folder.empty() ? "." : folder.string());
  }
  Changes changes({SIGTERM, SIGINT, SIGHUP}, folders);
  bool soon = false;
  std::int64_t changing = 0;
  while (true) {
    int signal = soon || !changes.complete() ? changes.wait(kLookAfter, false) : changes.wait(kLookEvery, true);
    if (signal == SIGTERM || signal == SIGINT) return;
    if (signal == SIGHUP) {
      reload("SIGHUP");
      continue;
    }
    soon = changes.changed();
    if (soon) continue;
    // A file seen changing is read once it has kept still: editors and copies write in pieces.
    if (file_changed()) {
      std::int64_t now = stamp_of(options_.config_path);
      if (now == changing && now != 0) reload("the file changed");
      soon = now != changing;
      changing = now;
    }
    reload_keys_when_changed();
  }
}

int Gateway::serve() {
  print_ready();
  if (config_.guide) print_guide();
  watch();
  obs::log(obs::Level::info, "draining: no new connections, answers under way finish");
  drain();
  obs::log(obs::Level::info, "stopped");
  return 0;
}

void Gateway::drain() {
  cores_->thread(0).run_and_wait([this] {
    for (auto& acceptor : acceptors_) acceptor->close();
    rt::spawn(health_checks_->stop());
  });
  // Shared with the cores: one that is stuck may report after the wait was given up.
  auto left = std::make_shared<std::atomic<std::size_t>>(per_core_.size());
  base::SteadyTime deadline = std::chrono::steady_clock::now() + kDrainFor;
  for (std::size_t i = 0; i < per_core_.size(); ++i) {
    cores_->loop(i).post([this, i, deadline, left] {
      rt::spawn(per_core_[i].server->drain(deadline), [this, i, left] {
        per_core_[i].pool->close_all();
        left->fetch_sub(1);
      });
    });
  }
  wait_for([&] { return left->load() == 0; }, kDrainFor + std::chrono::seconds(3));
  auto stopped = std::make_shared<std::atomic<bool>>(false);
  ingest_->stop([stopped] { stopped->store(true); });
  wait_for([&] { return stopped->load(); }, std::chrono::seconds(5));
  admin_->stop();
  cores_->stop();
  observer_->stop();
  usage_->flush();
}

void Gateway::print_ready() const {
  std::string data;
  for (const auto& acceptor : acceptors_) data += (data.empty() ? "" : ",") + acceptor->endpoint().text();
  std::printf("penstock ready data=%s admin=%s\n", data.c_str(), admin_->endpoint().text().c_str());
  std::fflush(stdout);
  if (open_to_all_) {
    obs::log(obs::Level::warn,
             "there are no API keys: everybody who reaches this address may use it; it serves loopback only (`penstock "
             "key create` makes a key)");
  }
}

void Gateway::print_guide() const {
  std::string data = acceptors_.front()->endpoint().text();
  std::string key = config_.keys.empty() ? "" : std::string(config_.keys.front().secret.reveal());
  std::string auth = key.empty() ? "" : fmt::format(" -H 'Authorization: Bearer {}'", key);
  std::string out =
      fmt::format("\n  console  {}://{}/\n", config_.admin.tls ? "https" : "http", admin_->endpoint().text());
  if (!key.empty()) out += fmt::format("  API key  {}\n", key);
  if (!surroundings_->llm().empty()) {
    out += fmt::format("\n  Chat, answered by {}:\n", surroundings_->llm());
    out += fmt::format(
        "    curl -s http://{}/v1/chat/completions{} -H 'Content-Type: application/json' \\\n"
        "      -d '{{\"model\":\"chat\",\"messages\":[{{\"role\":\"user\",\"content\":\"What is an edge "
        "gateway?\"}}]}}'\n",
        data, auth);
  }
  for (const infer::ModelConfig& model : config_.models) {
    if (model.name != "digits") continue;
    out += "\n  A handwritten digit (a 7 the model never saw), classified in this process:\n";
    out += fmt::format("    curl -s http://{}/v2/models/digits/infer{} -d @configs/samples/digit_7.json\n", data, auth);
  }
  for (const auto& pipeline : ingest_->pipelines()) {
    out +=
        fmt::format("\n  Live samples and alarms of the pipeline '{}':\n    curl -sN http://{}/pipelines/{}/events{}\n",
                    pipeline->name(), data, pipeline->name(), auth);
  }
  std::printf("%s\n", out.c_str());
  std::fflush(stdout);
}

}  // namespace penstock::app
