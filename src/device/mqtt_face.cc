// Twins and commands over MQTT topics:
//
//   devices/D/twin/desired    to the device, retained: {"version": 3, "desired": {...}}
//   devices/D/twin/reported   from the device: what it is, an object
//   devices/D/commands        to the device: {"id", "name", "payload", "expires"}
//   devices/D/commands/ack    from the device: {"id", "state": "done" | "failed", "result"}
#include "device/clerk.h"
#include "device/command.h"
#include "device/name.h"
#include "json/value.h"
#include "obs/log.h"

namespace penstock::device {
namespace {

constexpr std::string_view kPrefix = "devices/";
constexpr std::string_view kReported = "twin/reported";
constexpr std::string_view kAnswer = "commands/ack";
// A device that sends rubbish all day must not fill the log.
constexpr base::Duration kQuietBetweenLogs = std::chrono::seconds(10);

// The device of a topic, and what stands behind it; empty when it is none of ours.
std::pair<std::string, std::string_view> parts_of(std::string_view topic) {
  if (!topic.starts_with(kPrefix)) return {};
  topic.remove_prefix(kPrefix.size());
  const std::size_t slash = topic.find('/');
  if (slash == std::string_view::npos) return {};
  return {std::string(topic.substr(0, slash)), topic.substr(slash + 1)};
}

// Whether the store itself could not, rather than would not.
bool comes_again(const Error& error) {
  return error.code != Errc::not_found && error.code != Errc::failed_precondition &&
         error.code != Errc::invalid_argument;
}

}  // namespace

void Clerk::publish_with(Publish publish) {
  {
    std::lock_guard lock(publish_mutex_);
    publish_ = std::move(publish);
    tell_all_ = publish_ != nullptr;
    if (!publish_) on_the_way_.clear();
  }
  (void)pool_.submit([this] { tell_waiting(); });  // else with the next tick
}

void Clerk::on_identities(std::function<void(std::vector<BrokerIdentity>)> told) {
  std::lock_guard lock(refresh_mutex_);
  identities_told_ = std::move(told);
  if (identities_told_) tell_identities();
}

bool Clerk::publishing() {
  std::lock_guard lock(publish_mutex_);
  return publish_ != nullptr;
}

void Clerk::tell_broker(const std::vector<std::string>& names) {
  {
    std::lock_guard lock(publish_mutex_);
    if (!publish_) return;
    to_tell_.insert(names.begin(), names.end());
  }
  (void)pool_.submit([this] { tell_waiting(); });  // else with the next tick
}

// On the store's thread, as all below but take_messages().
void Clerk::tell_waiting() {
  std::set<std::string> names;
  bool all = false;
  {
    std::lock_guard lock(publish_mutex_);
    if (!publish_) return;
    names.swap(to_tell_);
    all = std::exchange(tell_all_, false);
  }
  if (all) {
    published_.clear();
    auto known = store_->devices({.prefix = "", .state = "", .group = "", .limit = INT64_MAX, .offset = 0});
    if (!known) {
      std::lock_guard lock(publish_mutex_);
      tell_all_ = true;
      return;
    }
    for (const store::StoredDevice& device : *known) names.insert(device.name);
  }
  for (const std::string& name : names) publish_state(name);
}

// Quarantined devices are told nothing.
void Clerk::publish_state(const std::string& device) {
  Publish publish;
  {
    std::lock_guard lock(publish_mutex_);
    publish = publish_;
  }
  if (!publish || !registry_.check(device)) return;
  auto twin = store_->twin(device);
  if (twin && twin->desired_version != std::exchange(published_[device], twin->desired_version))
    publish({.topic = fmt::format("devices/{}/twin/desired", device),
             .payload = json::dump(desired_json(*twin)),
             .retained = true});
  base::WallMicros now = options_.clock->wall();
  auto open = store_->open_commands(device, now);
  if (!open) return;
  for (const store::StoredCommand& command : *open) {
    if (is_due(command, now)) publish_command(publish, command, now);
  }
}

// It is noted as told when the broker has it; what it did not take is due again.
void Clerk::publish_command(const Publish& publish, const store::StoredCommand& command, base::WallMicros now) {
  {
    std::lock_guard lock(publish_mutex_);
    if (!on_the_way_.insert(command.id).second) return;
  }
  heard_since_.erase(command.id);
  auto told = [this, id = command.id, device = command.device, now](bool taken) {
    auto note = [this, id, now] {
      (void)store_->note_told(id, now);
      arrived(id);
    };
    if (taken && pool_.submit(std::move(note))) return;
    arrived(id);
    std::lock_guard lock(publish_mutex_);
    if (publish_) to_tell_.insert(device);  // with the next tick
  };
  // A broker that keeps it for a device that sleeps drops it when it has expired.
  publish({.topic = fmt::format("devices/{}/commands", command.device),
           .payload = json::dump(command_json(command)),
           .good_for = std::chrono::ceil<std::chrono::seconds>(std::chrono::microseconds(command.expires - now)),
           .told = std::move(told)});
}

void Clerk::arrived(const std::string& command) {
  std::lock_guard lock(publish_mutex_);
  on_the_way_.erase(command);
}

// A command that was handed over once is on its way: the broker keeps it for a device that sleeps, and each repetition
// would be kept beside it. A device that spoke since, and has not answered for a while, did not get it.
bool Clerk::is_due(const store::StoredCommand& command, base::WallMicros now) {
  if (command.delivered == 0) return true;
  auto standing = registry_.standing(command.device);
  if (!standing || standing->last_seen <= command.delivered) return false;
  auto [heard, fresh] = heard_since_.try_emplace(command.id, now);
  return !fresh && now - heard->second >= store::DeviceStore::kDeliverAgainAfter;
}

// What nobody answered.
void Clerk::find_unanswered() {
  if (!publishing()) return;
  auto open = store_->told_devices(options_.clock->wall());
  if (open) {
    std::lock_guard lock(publish_mutex_);
    to_tell_.insert(open->begin(), open->end());
  }
  tell_waiting();
  // Those that ended are not looked for one by one.
  base::WallMicros now = options_.clock->wall();
  std::erase_if(heard_since_,
                [&](const auto& one) { return now - one.second > 2 * store::DeviceStore::kDeliverAgainAfter; });
}

void Clerk::take_messages(std::vector<DeviceMessage> messages, std::function<void(bool)> settled) {
  auto work = [this, messages = std::move(messages), settled]() {
    std::map<std::string, std::string> reported;  // the newest of each device
    Refused refused;
    bool stored = true;
    for (const DeviceMessage& message : messages) stored = store_message(message, reported, refused) && stored;
    for (const auto& [device, twin] : reported) stored = store_twin(device, twin) && stored;
    // What is given again is counted once.
    if (stored) {
      for (const auto& [device, why] : refused) reject(device, why);
    }
    settled(stored);
  };
  if (auto given = pool_.submit(std::move(work)); !given) settled(false);
}

// False when the store could not.
bool Clerk::store_message(const DeviceMessage& message, std::map<std::string, std::string>& reported,
                          Refused& refused) {
  auto [device, what] = parts_of(message.topic);
  const bool answer = what == kAnswer;
  if ((!answer && what != kReported) || !registry_.check(device)) return true;
  registry_.note_seen(device);
  if (message.payload.size() > kMessageBytesMax) {
    refused.emplace_back(device, fmt::format("more than {} bytes", kMessageBytesMax));
    return true;
  }
  if (answer) return store_answer(device, message.payload, refused);
  if (auto twin = read_twin(message.payload)) {
    reported[device] = std::move(*twin);
  } else {
    refused.emplace_back(device, twin.error().detail);
  }
  return true;
}

bool Clerk::store_answer(const std::string& device, std::string_view payload, Refused& refused) {
  auto message = json::parse(payload);
  auto answer = message ? read_answer(*message) : std::unexpected(message.error());
  if (!answer) {
    refused.emplace_back(device, answer.error().detail);
    return true;
  }
  auto ended = store_->end_command(device, json::string_or(*message, "id", "").substr(0, kNameBytesMax), answer->state,
                                   answer->result, {"device:" + device, options_.clock->wall()});
  if (ended) return true;
  if (comes_again(ended.error())) return false;
  // An answer that comes twice, or too late, is nobody's fault.
  if (ended.error().code == Errc::not_found) refused.emplace_back(device, ended.error().detail);
  return true;
}

bool Clerk::store_twin(const std::string& device, const std::string& twin) {
  auto set = store_->set_reported(device, twin, std::nullopt, options_.clock->wall());
  return set || !comes_again(set.error());
}

void Clerk::reject(const std::string& device, const std::string& why) {
  registry_.note_malformed(device);
  ++unlogged_;
  const base::SteadyTime now = options_.clock->steady();
  if (now < quiet_until_) return;
  quiet_until_ = now + kQuietBetweenLogs;
  obs::log(obs::Level::warn, "what a device said at the broker is not taken",
           {{"device", device}, {"why", why}, {"count", fmt::format("{}", std::exchange(unlogged_, 0))}});
}

}  // namespace penstock::device
