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

void acknowledge(store::DeviceStore& store, const std::string& device, std::string_view payload, base::WallMicros now) {
  auto message = json::parse(payload);
  auto answer = message ? read_answer(*message) : std::unexpected(message.error());
  std::string id(message ? json::string_or(*message, "id", "") : "");
  Result<void> done;
  if (answer) {
    auto ended = store.end_command(device, id, answer->state, answer->result, {"device:" + device, now});
    if (!ended) done = std::unexpected(ended.error());
  } else {
    done = std::unexpected(answer.error());
  }
  if (!done)
    obs::log(obs::Level::warn, "an answer to a command is not taken",
             {{"device", device}, {"why", done.error().detail}});
}

}  // namespace

void Clerk::publish_with(Publish publish) {
  {
    std::lock_guard lock(publish_mutex_);
    publish_ = std::move(publish);
  }
  (void)pool_.submit([this] {
    published_.clear();
    auto all = store_->devices({.prefix = "", .state = "", .group = "", .limit = INT64_MAX, .offset = 0});
    if (!all) return;
    for (const store::StoredDevice& device : *all) publish_state(device.name);
  });
}

void Clerk::on_identities(std::function<void(std::vector<BrokerIdentity>)> told) {
  std::lock_guard lock(refresh_mutex_);
  identities_told_ = std::move(told);
  if (identities_told_) tell_identities();
}

void Clerk::tell_broker(const std::vector<std::string>& names) {
  {
    std::lock_guard lock(publish_mutex_);
    if (!publish_) return;
  }
  for (const std::string& name : names) (void)pool_.submit([this, name] { publish_state(name); });
}

// On the store's thread. Quarantined devices are told nothing.
void Clerk::publish_state(const std::string& device) {
  Publish publish;
  {
    std::lock_guard lock(publish_mutex_);
    publish = publish_;
  }
  if (!publish || !registry_.check(device)) return;
  auto twin = store_->twin(device);
  if (twin && twin->desired_version != std::exchange(published_[device], twin->desired_version))
    publish(fmt::format("devices/{}/twin/desired", device), json::dump(desired_json(*twin)), true);
  base::WallMicros now = options_.clock->wall();
  auto open = store_->open_commands(device, now);
  if (!open) return;
  for (const store::StoredCommand& command : *open) {
    base::WallMicros& told = told_at_[command.id];
    if (told != 0 && now - told < store::DeviceStore::kDeliverAgainAfter) continue;
    told = now;
    publish(fmt::format("devices/{}/commands", device), json::dump(command_json(command)), false);
  }
}

// On the store's thread: what nobody answered comes again. Whether a device heard of it only its answer says, so a
// command that was published alone stays pending.
void Clerk::publish_again() {
  {
    std::lock_guard lock(publish_mutex_);
    if (!publish_) return;
  }
  base::WallMicros now = options_.clock->wall();
  auto names = store_->told_devices(now);
  if (!names) return;
  for (const std::string& name : *names) publish_state(name);
  std::erase_if(told_at_,
                [&](const auto& one) { return now - one.second > 2 * store::DeviceStore::kDeliverAgainAfter; });
}

void Clerk::take_message(std::string_view device, std::string_view topic, std::string payload) {
  if (!topic.starts_with(kPrefix)) return;
  std::string_view rest = topic.substr(kPrefix.size());
  std::size_t slash = rest.find('/');
  if (slash == std::string_view::npos || (!device.empty() && rest.substr(0, slash) != device)) return;
  std::string name(rest.substr(0, slash));
  std::string_view what = rest.substr(slash + 1);
  if (!registry_.check(name)) return;
  registry_.note_seen(name);
  bool reported = what == "twin/reported";
  if (!reported && what != "commands/ack") return;
  (void)pool_.submit([this, name, reported, payload = std::move(payload)] {
    base::WallMicros now = options_.clock->wall();
    if (!reported) return acknowledge(*store_, name, payload, now);
    auto twin = read_twin(payload);
    Result<store::StoredTwin> set =
        twin ? store_->set_reported(name, *twin, std::nullopt, now) : std::unexpected(twin.error());
    if (set) return;
    registry_.note_malformed(name);
    obs::log(obs::Level::warn, "a reported twin is not taken", {{"device", name}, {"why", set.error().detail}});
  });
}

}  // namespace penstock::device
