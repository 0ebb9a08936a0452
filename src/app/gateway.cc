#include "app/gateway.h"

#include <sys/stat.h>

#include <filesystem>
#include <set>

#include "app/abuse.h"
#include "app/admin_buffers.h"
#include "app/key_view.h"
#include "app/model_options.h"
#include "app/tls_metrics.h"
#include "base/version.h"
#include "flow/filter.h"
#include "infer/model_source.h"
#include "net/resolver.h"
#include "obs/log.h"

namespace penstock::app {
namespace {

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

void log_warnings(const ingest::Plan& plan) {
  for (const std::string& warning : plan.warnings) {
    obs::log(obs::Level::warn, "configuration warning", {{"warning", warning}});
  }
}

// What only a restart (or an upgrade) changes.
void warn_of_restart(const GatewayConfig& fresh, const GatewayConfig& running) {
  std::vector<std::string> names;
  if (fresh.threads != running.threads) names.emplace_back("threads");
  if (fresh.io_uring != running.io_uring) names.emplace_back("io_uring");
  if (fresh.data_dir != running.data_dir) names.emplace_back("data_dir");
  if (fresh.security != running.security) names.emplace_back("security");
  if (names.empty()) return;
  obs::log(obs::Level::warn, "changed, and takes effect with a restart; the rest was reloaded",
           {{"keys", fmt::format("{}", fmt::join(names, ", "))}});
}

bool needs_low_port(const GatewayConfig& config) {
  auto low = [](const net::Endpoint& endpoint) { return endpoint.port() > 0 && endpoint.port() < 1024; };
  return low(config.admin.endpoint) || std::any_of(config.listen.begin(), config.listen.end(),
                                                   [&](const ListenConfig& one) { return low(one.endpoint); });
}

void collect_responses(const store::ResponseStore& responses, obs::MetricWriter& writer) {
  auto one = [&](std::string_view name, std::string_view type, std::string_view help, double value) {
    writer.family(name, type, help);
    writer.sample(name, {}, value);
  };
  one("penstock_responses_waiting", "gauge", "Responses to keep or to read that wait for the disk.",
      static_cast<double>(responses.waiting()));
  one("penstock_responses_lost_total", "counter", "Responses that could not be kept.",
      static_cast<double>(responses.lost()));
}

// `teams`, and those of `others` that are not among them.
std::vector<flow::TeamSpec> with_missing(std::vector<flow::TeamSpec> teams, const std::vector<flow::TeamSpec>& others) {
  std::size_t count = teams.size();
  for (const flow::TeamSpec& other : others) {
    auto end = teams.begin() + static_cast<std::ptrdiff_t>(count);
    if (std::none_of(teams.begin(), end, [&](const flow::TeamSpec& team) { return team.name == other.name; }))
      teams.push_back(other);
  }
  return teams;
}

// What cannot be read is left out; keys in it are refused.
std::vector<flow::TeamSpec> specs_of(const std::vector<store::StoredTeam>& rows) {
  std::vector<flow::TeamSpec> specs;
  for (const store::StoredTeam& row : rows) {
    auto scopes = flow::parse_scopes(row.scopes);
    auto rules = quota::parse_rules(row.rules);
    if (scopes && rules) {
      specs.push_back({row.name, row.parent, std::move(*scopes), std::move(*rules)});
      continue;
    }
    obs::log(obs::Level::error, "a stored team cannot be understood, and its keys are refused",
             {{"team", row.name}, {"why", scopes ? rules.error().detail : scopes.error().detail}});
  }
  return specs;
}

std::shared_ptr<const Declared> declared_of(const GatewayConfig& config) {
  auto declared = std::make_shared<Declared>();
  base::WallMicros now = base::system_clock().wall();
  for (const flow::DeclaredKey& key : config.keys) declared->keys.push_back(describe(key, now));
  for (const flow::TeamSpec& team : config.teams) declared->teams.push_back(describe(team));
  return declared;
}

}  // namespace

Gateway::Gateway(const base::Registry& registry, RunOptions options)
    : registry_(registry),
      options_(std::move(options)),
      predecessor_(Predecessor::from_environment()),
      inherited_(InheritedSockets::from_environment(predecessor_.has_value())),
      manager_(predecessor_.has_value()) {}

// The order matters: nothing may be called by what still runs.
Gateway::~Gateway() {
  admin_.reset();
  if (model_pull_) model_pull_->stop();  // it tells the repository
  if (device_mqtt_) device_mqtt_->serve(false);
  if (devices_) devices_->stop();
  if (alarm_keeper_) alarm_keeper_->stop();
  if (cores_) cores_->stop();
  listeners_.reset();
  front_.reset();
  ingest_.reset();
  embeddings_.reset();
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

GatewayConfig Gateway::read_config(config::Map& root) {
  GatewayConfig config =
      read_gateway_config(root, registry_, [this](const std::string& name) { return inherited_.find(name); });
  if (!options_.data_dir.empty()) config.data_dir = options_.data_dir;
  place_pulled_models(config);
  return config;
}

std::expected<void, StartFailure> Gateway::start() {
  auto document = load_document();
  if (!document) return std::unexpected(document.error());
  config::Map root = document->root().map();
  config_ = read_config(root);
  stamp_ = files_stamp(config_);
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
  if (auto reach = check_reach(config_); !reach) return reach;
  log_warnings(plan);
  // Models may be fetched.
  net::Resolver::instance().use_servers(config_.dns_servers);
  net::Egress::use(config_.egress);
  repository_->apply(config_.models);
  embeddings_->prepare(config_.models);
  read_stored_keys();  // models may have taken a while
  publish(config_);
  observer_->start();
  cores_->start();
  devices_->start();
  broker_->prepare(config_.broker);
  // Nobody is served before the rights of the start are given up.
  auto doors = privileges.bind([&] { return open_doors(privileges); });
  if (!doors) return std::unexpected(doors.error());
  if (auto settled = privileges.settle(); !settled) return cannot_start(1, settled.error().detail);
  sharing_->configure(config_.shared);
  if (auto entered = enter(std::move(*doors)); !entered) return entered;
  if (predecessor_) take_over();
  alarm_keeper_->load();
  alarm_keeper_->apply(config_.alarms);
  broker_->start();
  device_mqtt_->serve(config_.broker.has_value());
  ingest_->apply(std::move(plan));
  return {};
}

bool Gateway::has_keys(const GatewayConfig& config) { return !config.keys.empty() || keys_->stored() > 0; }

std::expected<void, StartFailure> Gateway::check_reach(const GatewayConfig& config) {
  if (!serves_outside(config) || config.insecure || has_keys(config)) return {};
  return cannot_start(2,
                      "an address in `listen` is reachable from outside and there are no API keys: declare some "
                      "under `keys:`, make one with "
                      "`penstock key create`, or write `insecure: true` to let everybody in");
}

// A predecessor has it until it hands over.
std::expected<void, StartFailure> Gateway::lock_data() {
  auto lock = store::DataLock::open(config_.data_dir);
  if (!lock) return cannot_start(1, lock.error().detail);
  data_lock_.emplace(std::move(*lock));
  if (predecessor_) return {};
  auto taken = data_lock_->take();
  if (!taken && taken.error().code == Errc::already_exists) return cannot_start(1, taken.error().detail);
  if (!taken) obs::log(obs::Level::warn, "nothing keeps a second gateway off", {{"why", taken.error().detail}});
  return {};
}

std::expected<void, StartFailure> Gateway::start_state() {
  if (auto locked = lock_data(); !locked) return locked;
  auto keys = store::State::open(config_.data_dir);
  if (!keys) return cannot_start(1, keys.error().detail);
  keys_state_.emplace(std::move(*keys));
  auto secret = keys_state_->installation_secret();
  if (!secret) return cannot_start(1, secret.error().detail);
  installation_secret_ = std::move(*secret);
  book_ = std::make_unique<quota::Book>();
  // Limits and budgets go on where they stood: before any key, team or model has an account.
  auto ledger = store::Ledger::open(config_.data_dir);
  if (!ledger) return cannot_start(1, ledger.error().detail);
  usage_ = std::make_unique<UsageWriter>(std::move(*ledger));
  usage_->set_retention(config_.usage);
  if (auto kept = usage_->keep(*book_, predecessor_.has_value()); !kept) return cannot_start(1, kept.error().detail);
  if (predecessor_) split_budgets(true);
  // Without them nobody knows who may call, and which keys were revoked.
  keys_ = std::make_shared<flow::KeyTable>(installation_secret_, book_.get());
  if (!read_stored_keys()) return cannot_start(1, "the stored keys cannot be read");
  if (auto opened = open_devices(); !opened) return opened;
  budget_metrics_ = std::make_unique<BudgetMetrics>(*book_);
  auto responses = store::State::open(config_.data_dir);
  if (!responses) return cannot_start(1, responses.error().detail);
  responses_ = std::make_unique<store::ResponseStore>(std::move(*responses), config_.responses, [](const Error& error) {
    obs::log(obs::Level::error, "a response could not be kept: its caller will not find it", {{"why", error.detail}});
  });
  return {};
}

std::expected<void, StartFailure> Gateway::open_devices() {
  auto clerk = device::Clerk::open({.data_dir = config_.data_dir,
                                    .installation = installation_secret_,
                                    .changed = keep_device_keys(*keys_, installation_secret_),
                                    .wake = [this] { devices_->refresh(); }});
  if (!clerk) return cannot_start(1, clerk.error().detail);
  devices_ = std::move(*clerk);
  device_mqtt_ = std::make_unique<DeviceMqtt>(*devices_, config_.data_dir);
  device_gate_ = std::make_unique<DeviceGate>(devices_->registry());
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
  burden_ = std::make_shared<http::Burden>(config_.threads, config_.overload.burden);
  admission_ = std::make_shared<flow::Admission>(config_.threads, burden_, config_.overload.admission);
  obs::Observer::Options observing;
  observing.cores = config_.threads;
  observing.on_batch = [this](const std::vector<obs::RequestEvent>& events) {
    admission_->report();
    return usage_->take(events);
  };
  observer_ = std::make_unique<obs::Observer>(std::move(observing));
  sharing_ = std::make_unique<Sharing>(Sharing::Parts{book_.get(), &observer_->metrics(), config_.data_dir,
                                                      installation_secret_, [this] { reload_keys_when_changed(); }});
  observer_->metrics().on_scrape([this](obs::MetricWriter& writer) {
    usage_->collect(writer);
    budget_metrics_->collect(writer);
    admission_->collect(writer);
    collect_responses(*responses_, writer);
    sharing_->collect(writer);
    devices_->collect(writer);
  });
  observer_->metrics().on_scrape(collect_tls);
  observer_->metrics().on_scrape(flow::collect_websockets);
  llm_ = std::make_unique<llm::Lane>(pools);
  health_checks_ = std::make_unique<llm::HealthChecks>(*pools.front());
  model_pull_ = std::make_unique<ModelPull>(ModelPull::Options{
      .data_dir = config_.data_dir, .changed = [this](const std::string& model) { take_pulled(model); }});
  model_journal_ = std::make_unique<ModelJournal>(config_.data_dir);
  infer::Repository::Options models = model_options(config_, model_journal_.get());
  models.fetch = [this](const auto& model, const auto& inference) { return model_pull_->fetch(model, inference); };
  repository_ = std::make_unique<infer::Repository>(registry_, std::move(models));
  engine_ = std::make_unique<infer::Engine>(*repository_, infer::Engine::options_of(config_.inference));
  model_metrics_ = std::make_unique<ModelMetrics>(*repository_);
  model_metrics_->show_triton(config_.inference.triton_metrics);
  observer_->metrics().on_scrape([this](obs::MetricWriter& writer) { model_metrics_->collect(writer); });
  model_port_ = std::make_unique<LocalModels>(*repository_, *engine_);
  embeddings_ = std::make_unique<LocalEmbeddings>(*repository_, *engine_);
  llm_->set_local(embeddings_.get());
  http_port_ = std::make_unique<WebhookClient>(pools);
  alarm_keeper_ = std::make_unique<AlarmKeeper>(config_.data_dir, cores_->loop(0), http_port_.get());
  alarm_keeper_->stage(config_.alarms);
  observer_->metrics().on_scrape([this](obs::MetricWriter& writer) { alarm_keeper_->collect(writer); });
  ingest::LaneOptions lane;
  lane.context = {.registry = &registry_,
                  .clock = &base::system_clock(),
                  .models = model_port_.get(),
                  .http = http_port_.get(),
                  .llm = &llm_port_,
                  .devices = device_gate_.get(),
                  .data_dir = config_.data_dir};
  alarm_keeper_->furnish(lane.context);
  lane.loops = loops;
  lane.on_alarm = log_alarm;
  lane.on_problem = log_lane_problem;
  lane.on_buffer = log_buffer;
  ingest_ = std::make_unique<ingest::Lane>(std::move(lane));
  alarm_keeper_->watch(*ingest_);
  broker_ = std::make_unique<EmbeddedBroker>(config_.data_dir);
  devices_->on_identities([this](const auto& identities) { broker_->set_devices(broker_users(identities)); });
  observer_->metrics().on_scrape([this](obs::MetricWriter& writer) { broker_->collect(writer); });
  readiness_.obstacles = [this] { return obstacles(); };
  readiness_.shedding = [this] { return admission_->shedding(); };
  readiness_.notes = [this] {
    std::vector<std::string> notes = sharing_->notes();
    for (std::string& note : broker_->notes()) notes.push_back(std::move(note));
    return notes;
  };
  services_.put(llm_.get());
  services_.put(responses_.get());
  services_.put(repository_.get());
  services_.put(engine_.get());
  services_.put(ingest_.get());
  services_.put(&readiness_);
  services_.put(devices_.get());
  services_.put(&devices_->registry());
  front_ = std::make_unique<flow::Front>(services_, *observer_, base::system_clock(), config_.threads, admission_);
  for (const std::string& name : registry_.names<flow::ApiFactory>())
    registry_.find<flow::ApiFactory>(name)->build(*front_);
  llm_port_.open(front_.get());
  flow::Front* front = front_.get();
  for (std::size_t i = 0; i < config_.threads; ++i) {
    per_core_[i].server = std::make_unique<http::Server>(
        cores_->loop(i), [front](http::Exchange& exchange) { return front->handle(exchange); },
        [front](int status, std::string_view path, const std::string& detail) {
          return front->error_body(status, path, detail);
        },
        config_.http, burden_);
    per_core_[i].server->on_abuse(report_abuse(*observer_));
  }
}

// On the pull's thread.
void Gateway::take_pulled(const std::string& model) {
  auto loaded = repository_->refresh(model, {.actor = "pull", .why = "what could be fetched changed"});
  if (!loaded)
    obs::log(obs::Level::error, "a pulled model cannot be served", {{"model", model}, {"why", loaded.error().detail}});
}

std::expected<AdminDoor, StartFailure> Gateway::open_admin(const AdminConfig& admin) {
  ListenConfig listen;
  listen.endpoint = admin.endpoint;
  listen.tls = admin.tls;
  auto options = listener_options(listen, nullptr);
  if (!options) return cannot_start(2, options.error().detail);
  AdminDoor door{std::nullopt, admin, std::move(*options)};
  if (admin_ && admin.endpoint == config_.admin.endpoint) return door;
  door.socket = inherited_.claim(admin.endpoint, kAdminSocket);
  if (door.socket) return door;
  auto socket = net::ListenSocket::open(admin.endpoint);
  if (!socket) return cannot_start(1, socket.error().detail);
  door.socket = std::move(*socket);
  return door;
}

std::expected<Gateway::Doors, StartFailure> Gateway::open_doors(const Privileges& privileges) {
  std::vector<http::Server*> servers;
  for (const Core& core : per_core_) servers.push_back(core.server.get());
  listeners_ = std::make_unique<Listeners>(*cores_, std::move(servers), inherited_);
  auto change = listeners_->prepare(config_.listen);
  if (!change) return cannot_start(change.error().code == Errc::invalid_argument ? 2 : 1, change.error().detail);
  auto door = open_admin(config_.admin);
  if (!door) return std::unexpected(door.error());
  Doors doors{std::move(*change), std::move(*door)};
  std::vector<const net::ListenSocket*> opened;
  for (const Listeners::Change::Entry& entry : doors.listeners.entries) opened.push_back(&*entry.socket);
  opened.push_back(&*doors.admin.socket);
  for (const net::ListenSocket* socket : opened) {
    if (!socket->owns_file()) continue;
    if (auto given = privileges.give(socket->endpoint().path()); !given) return cannot_start(1, given.error().detail);
  }
  return doors;
}

std::expected<void, StartFailure> Gateway::enter(Doors doors) {
  listeners_->apply(std::move(doors.listeners));
  AdminParts parts;
  parts.observer = observer_.get();
  parts.llm = llm_.get();
  parts.registry = &registry_;
  parts.repository = repository_.get();
  parts.journal = model_journal_.get();
  parts.ingest = ingest_.get();
  parts.devices = devices_.get();
  parts.alarms = alarm_keeper_.get();
  parts.readiness = &readiness_;
  parts.data_dir = config_.data_dir;
  parts.threads = config_.threads;
  parts.simulated = surroundings_->simulated();
  parts.listen = listen_addresses();
  parts.policy = policy_;
  parts.plan = config_.llm;
  parts.declared = declared_of(config_);
  parts.book = book_.get();
  parts.keys_changed = [this] { reload_keys_when_changed(); };
  auto admin = Admin::start(std::move(doors.admin), std::move(parts));
  if (!admin) return cannot_start(1, admin.error().detail);
  admin_ = std::move(*admin);
  for (const std::string& socket : inherited_.unclaimed())
    obs::log(obs::Level::warn, "a socket was handed over that `listen` does not name", {{"socket", socket}});
  return {};
}

std::vector<std::string> Gateway::listen_addresses() const {
  std::vector<std::string> addresses;
  for (const net::Endpoint& endpoint : listeners_->endpoints()) addresses.push_back(endpoint.text());
  return addresses;
}

// What changed since the last time. The version is read first: what changes meanwhile is noticed later. When the keys
// cannot be read they are tried again.
bool Gateway::read_stored_keys() {
  auto version = keys_state_->revision();
  auto had = keys_state_->had_keys();
  auto teams = keys_state_->teams();
  Result<void> read;
  if (keys_version_ == 0) {
    if (auto count = keys_state_->keys_in_force()) keys_->reserve(static_cast<std::size_t>(*count));
  }
  if (version && *version != keys_version_) {
    std::vector<flow::KeyRecord::Secret> secrets;
    read = keys_state_->read_keys(keys_version_, [&](const store::StoredKey& key, const auto& stored) {
      secrets.clear();
      for (const store::StoredSecret& secret : stored) secrets.push_back({secret.hash, secret.expires});
      auto put = keys_->put(
          {key.id, key.name, key.team, key.scopes, key.rules, key.priority, key.expires, key.revoked != 0, secrets});
      if (!put) obs::log(obs::Level::error, "stored key", {{"problem", put.error().detail}});
    });
  }
  bool failed = !version || !had || !teams || !read;
  if (failed && !std::exchange(keys_unreadable_, true)) {
    const Error& why = !version ? version.error() : !had ? had.error() : !teams ? teams.error() : read.error();
    obs::log(obs::Level::error, "stored keys cannot be read; those read last stay", {{"why", why.detail}});
  }
  if (failed) return false;
  keys_unreadable_ = false;
  had_keys_ = *had;
  stored_teams_ = specs_of(*teams);
  keys_version_ = *version;
  return true;
}

// Written now and then, for people: no call waits for it.
void Gateway::note_used_keys(bool now) {
  constexpr auto kEvery = std::chrono::seconds(10);
  base::SteadyTime time = std::chrono::steady_clock::now();
  if (!now && time < used_noted_ + kEvery) return;
  used_noted_ = time;
  auto used = keys_->take_used();
  if (used.empty()) return;
  if (auto noted = keys_state_->note_used(used); !noted)
    obs::log(obs::Level::warn, "when keys were last used could not be written", {{"why", noted.error().detail}});
}

std::shared_ptr<const flow::Policy> Gateway::make_policy(const GatewayConfig& config,
                                                         const std::vector<flow::TeamSpec>& teams) {
  // A key that was ever made, also a revoked one, says that callers are meant to have keys.
  bool keyless = config.keys.empty() && !had_keys_;
  open_to_all_ = keyless && (config.insecure || !serves_outside(config));
  std::vector<std::unique_ptr<flow::Filter>> filters;
  for (const std::string& name : config.filters) filters.push_back(registry_.find<flow::FilterFactory>(name)->make());
  std::vector<std::string> problems;
  flow::Callers callers{keys_, flow::Teams(teams, book_.get(), problems), book_.get(), config.addresses};
  for (const std::string& problem : problems)
    obs::log(obs::Level::error, "a team is left out, and its keys are refused", {{"problem", problem}});
  return std::make_shared<const flow::Policy>(std::move(callers), open_to_all_, std::move(filters), config.compression,
                                              config.websocket);
}

// Comes back when every core has it, or one of them is stuck.
void Gateway::hand_out(std::shared_ptr<const flow::Policy> policy) {
  constexpr auto kPatience = std::chrono::seconds(1);
  policy_ = std::move(policy);
  if (admin_) admin_->set_policy(policy_);
  auto missing = std::make_shared<std::atomic<std::size_t>>(per_core_.size());
  for (std::size_t i = 0; i < per_core_.size(); ++i) {
    cores_->loop(i).post([this, i, missing, given = policy_] {
      front_->set_policy(i, given);
      missing->fetch_sub(1);
    });
  }
  // Before the first doors are open nobody waits, and the cores do not run yet.
  base::SteadyTime give_up = std::chrono::steady_clock::now() + kPatience;
  while (admin_ && missing->load() > 0 && std::chrono::steady_clock::now() < give_up)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

// For changes of teams this alone: the plan of routes stays as the cores know it.
void Gateway::publish_policy(const GatewayConfig& config) {
  for (const flow::DeclaredKey& key : config.keys) {
    if (!key.weak()) continue;
    obs::log(obs::Level::warn, "a key's secret is short enough to be guessed; `openssl rand -hex 24` makes a good one",
             {{"key", key.name}});
  }
  book_->set_address_rules(config.addresses);
  std::vector<flow::TeamSpec> teams = config.teams;
  teams.insert(teams.end(), stored_teams_.begin(), stored_teams_.end());
  // Keys change at once, policies core by core: while they do, the teams of before and after are known to all.
  std::vector<flow::TeamSpec> both = with_missing(teams, teams_);
  if (policy_ && (both.size() != teams.size() || both.size() != teams_.size())) hand_out(make_policy(config, both));
  keys_->declare(config.keys);
  hand_out(make_policy(config, teams));
  teams_ = std::move(teams);
  watch_budgets(config);
}

void Gateway::watch_budgets(const GatewayConfig& config) {
  quota::Now now{std::chrono::steady_clock::now(), base::system_clock().wall()};
  std::vector<std::shared_ptr<quota::Account>> accounts;
  for (const char* kind : {"team:", "model:", "target:", "provider:"})
    for (auto& [account, state] : book_->list(kind, now)) accounts.push_back(std::move(account));
  std::set<std::string, std::less<>> declared;
  for (const flow::DeclaredKey& key : config.keys)
    if (!key.rules.empty()) declared.insert("key:" + key.name);
  if (!declared.empty()) {
    for (auto& [account, state] : book_->list("key:", now))
      if (declared.contains(account->id())) accounts.push_back(std::move(account));
  }
  // The accounts of stored keys are made with their first call.
  usage_->set_metered(had_keys_ || !accounts.empty());
  budget_metrics_->show(accounts);
  observer_->wake();
}

void Gateway::publish(const GatewayConfig& config) {
  net::Resolver::instance().use_servers(config.dns_servers);
  burden_->set_limits(config.overload.burden);
  responses_->set_limits(config.responses);
  usage_->set_retention(config.usage);
  admission_->set_limits(config.overload.admission);
  net::Egress::use(config.egress);
  devices_->configure(config.devices);
  config.llm->open_accounts(*book_);
  publish_policy(config);
  if (admin_) {
    admin_->set_plan(config.llm);
    admin_->set_declared(declared_of(config));
  }
  for (std::size_t i = 0; i < per_core_.size(); ++i) {
    cores_->loop(i).post([this, i, plan = config.llm, limits = config.http] {
      per_core_[i].server->set_limits(limits);
      llm_->set_plan(i, plan);
      if (i == 0) health_checks_->apply(*plan);
      std::vector<std::shared_ptr<const http::Origin>> wanted;
      for (const auto& [name, provider] : plan->providers()) wanted.push_back(provider->origin());
      per_core_[i].pool->prune(wanted);
    });
  }
}

void Gateway::reload(const char* why) {
  if (successor_) {
    obs::log(obs::Level::warn,
             "not reloaded: another process is being started to take over, and reads the file itself");
    return;
  }
  manager_.reloading();
  if (auto done = try_reload(); done) {
    obs::log(obs::Level::info, "configuration reloaded", {{"why", why}, {"file", options_.config_path}});
  } else {
    log_problems(done.error().message);
    obs::log(obs::Level::error, "reload refused, the running configuration stays",
             {{"why", why}, {"file", options_.config_path}});
  }
  manager_.ready("serving");
}

// Reads and opens everything first; what follows cannot fail.
std::expected<void, StartFailure> Gateway::try_reload() {
  // Stamps are taken before what they are of is read: what changes meanwhile is noticed later.
  stamp_ = files_stamp(config_);
  std::int64_t file_stamp = stamp_of(options_.config_path);
  // Whatever else it may be now, reading it could take for ever.
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(options_.config_path, ignored))
    return cannot_start(2, fmt::format("'{}' is not a file", options_.config_path));
  auto document = load_document();
  if (!document) return std::unexpected(document.error());
  config::Map root = document->root().map();
  GatewayConfig fresh = read_config(root);
  std::int64_t fresh_stamp = files_stamp(fresh);
  alarm_keeper_->stage(fresh.alarms);
  ingest::Plan plan = ingest_->plan(root);
  root.done();
  if (document->failed()) return cannot_start(2, document->report());
  {
    std::lock_guard lock(keys_mutex_);
    read_stored_keys();
  }
  if (auto reach = check_reach(fresh); !reach) return reach;
  auto change = listeners_->prepare(fresh.listen);
  if (!change) return cannot_start(1, change.error().detail);
  auto door = open_admin(fresh.admin);
  if (!door) return std::unexpected(door.error());
  warn_of_restart(fresh, config_);
  log_warnings(plan);
  repository_->configure(fresh.inference);
  model_pull_->keep(fresh.models);
  repository_->apply(fresh.models);
  engine_->change(infer::Engine::options_of(fresh.inference));
  model_metrics_->show_triton(fresh.inference.triton_metrics);
  embeddings_->prepare(fresh.models);
  {
    std::lock_guard lock(keys_mutex_);
    config_ = std::move(fresh);  // before the cores let go of connections nobody refers to any more
    publish(config_);
  }
  // A file that changed since it was read is read again.
  stamp_ = file_stamp == stamp_of(options_.config_path) ? fresh_stamp : 0;
  sharing_->configure(config_.shared);
  listeners_->apply(std::move(*change));
  admin_->change(std::move(*door));
  admin_->set_listen(listen_addresses());
  alarm_keeper_->apply(config_.alarms);
  broker_->reload(config_.broker);
  device_mqtt_->serve(config_.broker.has_value());
  ingest_->apply(std::move(plan));
  return {};
}

// The main thread, now and then, and the admin thread after it changed them: what it says is in force when it returns.
void Gateway::reload_keys_when_changed() {
  devices_->refresh();
  std::lock_guard lock(keys_mutex_);
  note_used_keys(false);
  auto version = keys_state_->revision();
  if (version && *version == keys_version_) keys_unreadable_ = false;
  if (!version || *version == keys_version_) return;
  std::vector<flow::TeamSpec> teams = stored_teams_;
  bool had_keys = had_keys_;
  if (!read_stored_keys()) return;
  // Keys are in force at once; only these are part of a policy.
  if (teams != stored_teams_ || had_keys != had_keys_) publish_policy(config_);
  obs::log(obs::Level::info, "keys reloaded");
}

std::vector<std::string> Gateway::obstacles() const {
  std::vector<std::string> found;
  if (draining_.load()) found.emplace_back("the gateway is being stopped");
  for (std::string& obstacle : model_obstacles(*repository_)) found.push_back(std::move(obstacle));
  for (const ingest::SourceStatus& source : ingest_->sources()) {
    if (!source.status.connected)
      found.push_back(fmt::format("the source '{}' is not connected: {}", source.name, source.status.detail));
  }
  return found;
}

std::vector<std::string> Gateway::watched_files(const GatewayConfig& config) const {
  std::vector<std::string> files = config.admin.files();
  files.push_back(options_.config_path);
  for (const ListenConfig& listen : config.listen) {
    for (std::string& file : listen.files()) files.push_back(std::move(file));
  }
  for (const auto& [name, provider] : config.llm->providers()) {
    const std::vector<std::string>& of_provider = provider->origin()->files;
    files.insert(files.end(), of_provider.begin(), of_provider.end());
  }
  return files;
}

std::int64_t Gateway::files_stamp(const GatewayConfig& config) const {
  std::uint64_t stamp = 0;
  for (const std::string& file : watched_files(config)) stamp = stamp * 31 + static_cast<std::uint64_t>(stamp_of(file));
  return static_cast<std::int64_t>(stamp);
}

}  // namespace penstock::app
