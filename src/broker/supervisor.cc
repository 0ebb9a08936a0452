#include "broker/supervisor.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <fstream>
#include <iterator>
#include <set>

#include "broker/password_hash.h"
#include "mqtt/embedded.h"
#include "obs/log.h"

namespace penstock::broker {
namespace {

using namespace std::chrono_literals;

constexpr const char* kClientName = "penstock-gateway";
constexpr std::size_t kPacketMax = 1024;
constexpr base::Duration kStopWithin = 6s;
// What a start is waited for.
constexpr base::Duration kStartWithin = 1s;
// Between a keeper that was killed and the next.
constexpr base::Duration kKeeperPause = 1s;
// Between attempts to write what the disk did not take.
constexpr base::Duration kRetryLeast = 500ms;
constexpr base::Duration kRetryMost = 60s;

// Warnings about what we mean: a root that stays root, and a local socket that has no such option.
bool worth_telling(std::string_view line) {
  return !line.contains("should not be run as root") && !line.contains("Unable to set TCP_NODELAY");
}

// Whether somebody accepts connections on the local socket.
bool answers(const std::string& path) {
  auto endpoint = net::local_endpoint(path);
  if (!endpoint) return false;
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const bool accepted = ::connect(fd, reinterpret_cast<const sockaddr*>(&endpoint->storage), endpoint->length) == 0;
  ::close(fd);
  return accepted;
}

std::string digest_of(const OwnAuthority& own) {
  if (own.folder.empty()) return {};
  std::ifstream list(own.revoked(), std::ios::binary);
  return base::hmac_sha256_hex("", std::string(std::istreambuf_iterator<char>(list), {}));
}

std::string hint(const std::string& why, const BrokerConfig& config) {
  if (why.find("ddress already in use") == std::string::npos) return {};
  return fmt::format(
      "; another program listens on {}, perhaps a broker that the system started (`systemctl disable "
      "--now mosquitto`): end it, or choose another `listen` for `broker:`",
      config.address());
}

}  // namespace

Supervisor::Supervisor(std::string data_dir, LaunchKeeper launch, OwnAuthority own)
    : files_(data_dir),
      launch_(std::move(launch)),
      own_(std::move(own)),
      password_(base::random_token(24)),
      password_hash_(hash_password(password_)),
      trouble_("it was not started yet"),
      retries_(kRetryLeast, kRetryMost),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  show();
}

Supervisor::~Supervisor() {
  stop();
  if (wake_ >= 0) ::close(wake_);
}

void Supervisor::set_trouble(std::string why) {
  std::lock_guard lock(mutex_);
  trouble_ = std::move(why);
  show();
}

// With mutex_ held, which may be for as long as a disk takes. Nobody waits for that to see what was.
void Supervisor::show() {
  std::lock_guard lock(shown_mutex_);
  shown_.pid = pid_;
  shown_.starts = starts_;
  shown_.detail = trouble_;
  shown_.left_out = left_out_;
  shown_.unwritten = unwritten_;
  shown_listens_ = listens_;
}

// With mutex_ held.
std::vector<BrokerUser> Supervisor::all_users() {
  std::vector<BrokerUser> users{{own_name_, password_hash_, {"#"}, {"#", "$SYS/#"}}};
  std::set<std::string, std::less<>> taken{own_name_};
  for (const BrokerUser& user : declared_) taken.insert(users.emplace_back(user).name);
  std::vector<std::string> left_out;
  for (const BrokerUser& device : devices_) {
    auto good = check_user(device);
    if (good && !taken.insert(device.name).second)
      good = fail(Errc::already_exists, "`users` of `broker:` has that name: call one of the two otherwise");
    if (!good) {
      left_out.push_back(fmt::format("the device '{}': {}", device.name, good.error().detail));
      continue;
    }
    BrokerUser& user = users.emplace_back(device);
    for (std::string& filter : filters_for(config_.acl, device.name)) {
      for (std::vector<std::string>* filters : {&user.publish, &user.subscribe}) {
        if (std::find(filters->begin(), filters->end(), filter) == filters->end()) filters->push_back(filter);
      }
    }
  }
  const std::string said = fmt::format("{}", fmt::join(left_out, "; "));
  if (!said.empty() && said != left_out_) obs::log(obs::Level::warn, "broker: left out", {{"why", said}});
  left_out_ = said;
  return users;
}

// With mutex_ held. What can be written is, and the broker is told of it; of the rest the first error.
Result<void> Supervisor::write_users() {
  const std::vector<BrokerUser> users = all_users();
  const std::pair<std::string, std::string> texts[] = {{files_.access(), access_text(users, config_.allow_anonymous)},
                                                       {files_.passwords(), passwords_text(users)}};
  Result<void> all;
  bool changed = false;
  for (const auto& [path, text] : texts) {
    auto written = replace_file(path, text);
    changed |= written ? *written : narrow_file(path, text);
    if (!written && all) all = std::unexpected(written.error());
  }
  const std::string before = std::exchange(revoked_, digest_of(own_));
  changed |= revoked_ != before;
  if (changed) order(Order::reread);
  return all;
}

// With mutex_ held. The users go first: a broker that starts with the new settings finds them, or fewer.
Result<void> Supervisor::write_files() {
  if (auto made = make_folder(files_); !made) return made;
  auto own_name = load_own_name(files_);
  if (!own_name) return std::unexpected(own_name.error());
  own_name_ = std::move(*own_name);
  auto users = write_users();
  const auto wanted = settings_of(config_, files_, own_);
  if (!wanted) return std::unexpected(wanted.error());
  if (!wanted->client_ca.empty()) {
    auto authorities = replace_file(files_.client_ca(), wanted->client_ca);
    if (!authorities) return std::unexpected(authorities.error());
  }
  auto settings = replace_file(files_.settings(), wanted->text);
  if (!settings) return std::unexpected(settings.error());
  listens_ = "listens on " + config_.address();
  if (*settings && started_) order(Order::again);
  return users;
}

// With mutex_ held. Brings the broker up to what is known; what fails is due again later.
Result<void> Supervisor::update() {
  auto written = write_files();
  if (!written) {
    if (written.error().detail != unwritten_)
      obs::log(obs::Level::error, "broker: its files do not hold what it has to know; it is tried again",
               {{"why", written.error().detail}});
    unwritten_ = written.error().detail;
    retry_at_ = base::system_clock().steady() + retries_.next();
    ::eventfd_write(wake_, 1);
    return written;
  }
  complete_ = true;
  retries_.reset();
  retry_at_.reset();
  if (std::exchange(unwritten_, {}).empty()) return {};
  obs::log(obs::Level::info, "broker: what it has to know is written");
  if (!started_ || stopping_) return {};
  announce();
  order(Order::start);  // it may have waited for its files
  return {};
}

Result<void> Supervisor::prepare(const BrokerConfig& config) {
  std::lock_guard lock(mutex_);
  config_ = config;
  declared_.clear();
  for (const DeclaredUser& declared : config.users) {
    declared_.push_back(declared.user);
    if (!declared.password.empty()) declared_.back().password_hash = hash_password(declared.password);
  }
  auto program = find_program(config.program);
  Result<void> ready = program ? Result<void>() : std::unexpected(program.error());
  if (ready) program_ = *program, ready = update();
  if (program && keeper_ < 0) {
    if (auto launched = launch(); !launched) ready = launched;
  }
  if (!ready) trouble_ = ready.error().detail;
  show();
  return ready;
}

Result<void> Supervisor::apply(const BrokerConfig& config) {
  const std::string before = [this] {
    std::lock_guard lock(mutex_);
    return program_;
  }();
  auto program = find_program(config.program);
  if (program && !before.empty() && *program != before) stop();  // a keeper keeps one program
  auto ready = prepare(config);
  run();
  return ready;
}

// With mutex_ held.
Result<void> Supervisor::launch() {
  std::array<int, 2> ends{-1, -1};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0)
    return fail(Errc::resource_exhausted, fmt::format("no socket for the broker's keeper: {}", std::strerror(errno)));
  keeper_ = launch_(ends[1], program_, files_.settings());
  const int why = errno;
  ::close(ends[1]);
  if (keeper_ < 0) {
    ::close(ends[0]);
    const bool forbidden = why == EPERM || why == EACCES;
    return fail(Errc::unavailable,
                fmt::format("the process that keeps the broker cannot be started: {}{}", std::strerror(why),
                            forbidden ? "; with security.seccomp it starts only with the gateway: "
                                        "restart it, or set security.upgrade"
                                      : ""));
  }
  socket_ = ends[0];
  finished_ = false;
  return {};
}

// With mutex_ held.
void Supervisor::order(Order order) {
  const char packet = static_cast<char>(order);
  if (socket_ >= 0) ::send(socket_, &packet, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void Supervisor::run() {
  {
    std::lock_guard lock(mutex_);
    if (keeper_ < 0 || std::exchange(started_, true)) return;
    stopping_ = false;
    (void)update();  // whoever had the broker before this process may have written meanwhile
    if (complete_) {
      trouble_ = "it is being started";
      order(Order::start);
    }
    show();
  }
  listener_ = std::thread([this] { listen(); });
  // Mostly 20 ms: whoever connects next then needs no second attempt.
  const base::SteadyTime until = base::system_clock().steady() + kStartWithin;
  while (!answers(files_.socket()) && base::system_clock().steady() < until) {
    std::unique_lock lock(mutex_);
    if (changed_.wait_for(lock, 5ms, [this] { return pid_ < 0 && (starts_ > 0 || !complete_); })) break;
  }
  {
    std::lock_guard lock(mutex_);
    if (complete_) announce();
  }
  watch();
}

// With mutex_ held. For everything that means the embedded broker.
void Supervisor::announce() { mqtt::Embedded::use(mqtt::EmbeddedAddress{files_.socket(), 0, own_name_, password_}); }

// The next packet of the keeper; empty when there is no keeper any more, nothing when it is time or something is due
// anew.
std::optional<std::string> Supervisor::wait_for_news(int socket, std::optional<base::SteadyTime> until) {
  if (socket < 0) return std::string();
  std::array<pollfd, 2> waiting{{{socket, POLLIN, 0}, {wake_, POLLIN, 0}}};
  const auto left = until ? *until - base::system_clock().steady() : base::Duration::zero();
  const auto patience = std::max<std::int64_t>(0, std::chrono::ceil<std::chrono::milliseconds>(left).count());
  if (::poll(waiting.data(), waiting.size(), until ? static_cast<int>(patience) : -1) <= 0) return std::nullopt;
  eventfd_t ignored = 0;
  if (waiting[1].revents != 0) ::eventfd_read(wake_, &ignored);
  if (waiting[0].revents == 0) return std::nullopt;
  std::string packet(kPacketMax, '\0');
  const ssize_t size = ::recv(socket, packet.data(), packet.size(), 0);
  if (size < 0 && errno == EINTR) return std::nullopt;
  packet.resize(static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
  return packet;
}

// Its own thread, while there is a keeper.
void Supervisor::listen() {
  sigset_t all;
  sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
  std::unique_lock lock(mutex_);
  while (!finished_) {
    show();
    const int socket = socket_;
    const auto until = stopping_ ? std::nullopt : retry_at_;
    lock.unlock();
    const std::optional<std::string> packet = wait_for_news(socket, until);
    lock.lock();
    if (retry_at_ && !stopping_ && base::system_clock().steady() >= *retry_at_) (void)update();
    if (!packet) continue;
    if (!packet->empty()) {
      hear(*packet);
      continue;
    }
    // The keeper is gone, and the system ends its broker.
    if (socket_ >= 0) ::close(std::exchange(socket_, -1));
    if (keeper_ > 0) ::waitpid(std::exchange(keeper_, -1), nullptr, 0);
    pid_ = -1;
    if (stopping_) break;
    trouble_ = "the process that keeps it was ended";
    show();
    obs::log(obs::Level::error, "broker: the process that keeps it was ended; another one is started");
    if (changed_.wait_for(lock, kKeeperPause, [this] { return stopping_; })) break;
    if (auto again = launch(); again) {
      if (complete_) order(Order::start);
    } else {
      trouble_ = again.error().detail;
    }
  }
  finished_ = true;
  show();
  changed_.notify_all();
}

// With mutex_ held.
void Supervisor::hear(std::string_view packet) {
  const std::string text(packet.substr(1));
  switch (static_cast<News>(packet.front())) {
    case News::running:
      std::from_chars(text.data(), text.data() + text.size(), pid_);
      ++starts_;
      trouble_ = "it was started and does not answer yet";
      obs::log(obs::Level::info, "broker: started", {{"pid", text}, {"listen", config_.address()}});
      return;
    case News::ended:
      pid_ = -1;
      trouble_ = text + hint(text, config_);
      if (!stopping_) obs::log(obs::Level::warn, "broker: ended, and is started again", {{"why", trouble_}});
      return;
    case News::line:
      if (worth_telling(text)) obs::log(obs::Level::warn, "broker says", {{"line", text}});
      return;
    case News::finished:
      finished_ = true;
      changed_.notify_all();
      return;
  }
}

// A client of the broker: whether it answers, and what it counts.
void Supervisor::watch() {
  mqtt::Options options;
  options.embedded = true;
  options.client_id = fmt::format("{}-watch-{}", kClientName, ::getpid());
  auto watch = std::make_shared<mqtt::Connection>(
      options,
      std::vector<mqtt::Subscription>{{"$SYS/broker/clients/connected", 0},
                                      {"$SYS/broker/messages/received", 0},
                                      {"$SYS/broker/messages/sent", 0},
                                      {"$SYS/broker/publish/messages/dropped", 0}},
      mqtt::Handlers{.message = [this](const mqtt::Incoming& message) { note(message); }});
  if (auto started = watch->start(); !started) set_trouble(started.error().detail);
  std::lock_guard lock(shown_mutex_);
  watch_ = std::move(watch);
}

void Supervisor::note(const mqtt::Incoming& message) {
  std::uint64_t value = 0;
  std::from_chars(message.payload.data(), message.payload.data() + message.payload.size(), value);
  const std::pair<std::string_view, std::atomic<std::uint64_t>*> counts[] = {
      {"$SYS/broker/clients/connected", &clients_},
      {"$SYS/broker/messages/received", &received_},
      {"$SYS/broker/messages/sent", &sent_},
      {"$SYS/broker/publish/messages/dropped", &dropped_}};
  for (const auto& [topic, place] : counts) {
    if (topic == message.topic) place->store(value, std::memory_order_relaxed);
  }
}

void Supervisor::set_devices(std::vector<BrokerUser> devices) {
  std::lock_guard lock(mutex_);
  devices_ = std::move(devices);
  if (!program_.empty()) (void)update();
  show();
}

void Supervisor::stop() {
  std::shared_ptr<mqtt::Connection> watch;
  {
    std::lock_guard lock(shown_mutex_);
    watch = std::exchange(watch_, nullptr);
  }
  if (watch) watch->stop({});
  watch.reset();
  {
    std::unique_lock lock(mutex_);
    stopping_ = true;
    mqtt::Embedded::use(std::nullopt);
    changed_.notify_all();
    order(Order::finish);
    if (started_ && keeper_ > 0 && !changed_.wait_for(lock, kStopWithin, [this] { return finished_; })) {
      obs::log(obs::Level::error, "broker: it does not end, and is killed");
      if (pid_ > 0) ::kill(pid_, SIGKILL);
      if (keeper_ > 0) ::kill(keeper_, SIGKILL);
    }
    if (socket_ >= 0) ::shutdown(socket_, SHUT_RDWR);
  }
  if (listener_.joinable()) listener_.join();
  std::lock_guard lock(mutex_);
  if (socket_ >= 0) ::close(std::exchange(socket_, -1));
  if (keeper_ > 0) ::waitpid(std::exchange(keeper_, -1), nullptr, 0);
  started_ = false;
  complete_ = false;
  pid_ = -1;
  trouble_ = "stopped";
  show();
}

BrokerStatus Supervisor::status() const {
  std::lock_guard lock(shown_mutex_);
  BrokerStatus status = shown_;
  status.running = status.pid > 0 && watch_ && watch_->status().connected;
  if (status.running) status.detail = shown_listens_;
  status.clients = clients_.load(std::memory_order_relaxed);
  status.received = received_.load(std::memory_order_relaxed);
  status.sent = sent_.load(std::memory_order_relaxed);
  status.dropped = dropped_.load(std::memory_order_relaxed);
  return status;
}

}  // namespace penstock::broker
