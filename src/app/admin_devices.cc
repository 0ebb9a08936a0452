// Devices: what there are, and making, changing, trusting and telling them.
#include <set>

#include "app/admin_desk.h"
#include "app/admin_text.h"
#include "base/quantity.h"
#include "device/command.h"
#include "device/office.h"

namespace penstock::app {
namespace {

using json::Array;
using json::Object;
using json::Value;

std::string text_of(const Object& object, std::string_view name) {
  const Value* value = object.if_contains(name);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

device::Particulars particulars_of(const Object& body) {
  device::Particulars said;
  if (body.contains("profile")) said.profile = text_of(body, "profile");
  if (const Value* groups = body.if_contains("groups")) {
    said.groups.emplace();
    for (const Value& group : groups->get_array()) said.groups->emplace_back(group.get_string());
  }
  const Value* tags = body.if_contains("tags");
  if (tags == nullptr || !tags->is_object()) return said;
  for (const auto& tag : tags->get_object()) {
    std::string name(tag.key());
    said.tags[name] = tag.value().is_string() ? std::optional(std::string(tag.value().get_string())) : std::nullopt;
  }
  return said;
}

// What is stored, and what is known of it since the start.
Object shown(const AdminDesk& desk, store::StoredDevice device, base::WallMicros now) {
  device::Standing standing = desk.devices->registry().standing(device.name).value_or(device::Standing{});
  device.last_seen = std::max(device.last_seen, standing.last_seen);
  if (device.state == "new" && device.last_seen != 0) device.state = "active";
  auto silent = std::chrono::duration_cast<std::chrono::microseconds>(desk.devices->registry().settings().silent_after);
  std::string health = device.state == "quarantined" || device.state == "retired" ? device.state
                       : device.last_seen == 0                                    ? "never_seen"
                       : now - device.last_seen > silent.count()                  ? "silent"
                                                                                  : "ok";
  Object object = device::describe(device);
  object["health"] = health;
  object["samples"] = standing.samples;
  object["refused"] = standing.refused;
  object["malformed"] = standing.malformed;
  return object;
}

// One request's hands on the devices.
struct Counter {
  explicit Counter(AdminDesk& d) : desk(d), store(*d.state), office(store, d.data_dir, d.devices->installation()) {}
  Result<Object> answer(const AdminCall& call, Result<store::StoredDevice> device) {
    desk.devices->refresh();
    if (!device) return std::unexpected(device.error());
    return shown(desk, std::move(*device), call.now);
  }
  AdminDesk& desk;
  store::DeviceStore store;
  device::Office office;
};

store::Actor actor_of(const AdminCall& call) { return {call.actor, call.now}; }

Result<base::Duration> lifetime_of(const AdminCall& call, base::Duration otherwise) {
  std::string given = text_of(call.body, "expires");
  if (given.empty()) return otherwise;
  auto lifetime = base::parse_duration(given);
  if (!lifetime) return fail(Errc::invalid_argument, "'expires': " + lifetime.error().detail);
  return *lifetime;
}

// Of the lane's, those that the registry does not know.
Array unregistered(const AdminDesk& desk) {
  Array others;
  for (const ingest::LaneDevice& device : desk.ingest->devices()) {
    if (desk.devices->registry().standing(device.status.device)) continue;
    others.push_back(Object{{"device", text(device.status.device)},
                            {"last_seen", time_or_null(device.status.last_seen)},
                            {"samples", device.status.samples},
                            {"pipelines", texts(device.pipelines)}});
  }
  return others;
}

Result<Object> list(Counter& at, const AdminCall& call) {
  store::DeviceQuery query{.prefix = call.text("prefix"),
                           .state = call.text("state"),
                           .group = call.text("group"),
                           .limit = call.integer("limit", 100),
                           .offset = call.integer("offset", 0)};
  auto devices = at.store.devices(query);
  auto total = at.store.count(query);
  if (!devices || !total) return std::unexpected(devices ? total.error() : devices.error());
  Array all;
  for (store::StoredDevice& device : *devices) all.push_back(shown(at.desk, std::move(device), call.now));
  std::int64_t next = query.offset + static_cast<std::int64_t>(all.size());
  return Object{{"devices", std::move(all)},
                {"total", *total},
                {"next", next < *total ? Value(next) : Value(nullptr)},
                {"unregistered", unregistered(at.desk)}};
}

Result<Object> show(Counter& at, const AdminCall& call) {
  auto device = at.store.device(call.param("device"));
  if (!device) return std::unexpected(device.error());
  if (!*device) {
    return fail(Errc::not_found, fmt::format("there is no device '{}'; GET /admin/v1/devices shows them",
                                             call.param("device").substr(0, 100)));
  }
  auto credentials = at.store.credentials((*device)->name);
  if (!credentials) return std::unexpected(credentials.error());
  Object object = shown(at.desk, std::move(**device), call.now);
  Array all;
  for (const store::StoredCredential& one : *credentials) all.push_back(device::describe(one));
  object["credentials"] = std::move(all);
  return object;
}

Result<Object> create(Counter& at, const AdminCall& call) {
  return at.answer(call, at.office.create(text_of(call.body, "name"), particulars_of(call.body), actor_of(call)));
}

Result<Object> change(Counter& at, const AdminCall& call) {
  return at.answer(call, at.office.change(call.param("device"), particulars_of(call.body), actor_of(call)));
}

Result<Object> retire(Counter& at, const AdminCall& call) {
  return at.answer(call, at.office.retire(call.param("device"), actor_of(call)));
}

Result<Object> quarantine(Counter& at, const AdminCall& call) {
  return at.answer(call, at.office.quarantine(call.param("device"), text_of(call.body, "why"), actor_of(call)));
}

Result<Object> release(Counter& at, const AdminCall& call) {
  return at.answer(call, at.office.release(call.param("device"), actor_of(call)));
}

Result<Object> onboard_code(Counter& at, const AdminCall& call) {
  auto lifetime = lifetime_of(call, std::chrono::hours(24));
  if (!lifetime) return std::unexpected(lifetime.error());
  auto fresh = at.office.onboard_code(call.param("device"), *lifetime, actor_of(call));
  at.desk.devices->refresh();
  if (!fresh) return std::unexpected(fresh.error());
  return Object{{"code", text(fresh->secret.reveal())}, {"expires", time_or_null(fresh->stored.expires)}};
}

Result<Object> secret(Counter& at, const AdminCall& call) {
  const Value* replace = call.body.if_contains("replace");
  auto fresh = at.office.secret(call.param("device"), replace != nullptr && replace->is_bool() && replace->get_bool(),
                                actor_of(call));
  at.desk.devices->refresh();
  if (!fresh) return std::unexpected(fresh.error());
  return Object{{"secret", text(fresh->secret.reveal())}, {"credential", device::describe(fresh->stored)}};
}

Result<Object> certificate(Counter& at, const AdminCall& call) {
  const Value* days = call.body.if_contains("days");
  int good =
      days == nullptr ? at.desk.devices->registry().settings().certificate_days : static_cast<int>(days->get_int64());
  auto issued = at.office.certificate(call.param("device"), text_of(call.body, "csr"), good, actor_of(call));
  at.desk.devices->refresh();
  if (!issued) return std::unexpected(issued.error());
  auto authority = device::Authority::open(at.desk.data_dir + "/devices");
  if (!authority) return std::unexpected(authority.error());
  return Object{
      {"certificate", issued->certificate}, {"key", issued->key.empty() ? Value(nullptr) : text(issued->key.reveal())},
      {"authority", authority->pem()},      {"serial", issued->serial},
      {"fingerprint", issued->fingerprint}, {"expires", time_or_null(issued->expires)}};
}

Result<Object> revoke(Counter& at, const AdminCall& call) {
  auto count = at.office.revoke(call.param("device"), {}, call.param("credential"), actor_of(call));
  at.desk.devices->refresh();
  if (!count) return std::unexpected(count.error());
  return Object{{"revoked", *count}};
}

Result<Object> twin(Counter& at, const AdminCall& call) {
  auto found = at.store.twin(call.param("device"));
  if (!found) return std::unexpected(found.error());
  return device::twin_json(*found);
}

Result<Object> change_twin(Counter& at, const AdminCall& call) {
  const Value& desired = call.body.at("desired");
  if (!desired.is_object()) return fail(Errc::invalid_argument, "'desired': an object");
  auto before = at.store.twin(call.param("device"));
  if (!before) return std::unexpected(before.error());
  auto patched = device::patch_twin(before->desired, desired.get_object());
  if (!patched) return std::unexpected(patched.error());
  // What was read is what is changed, also when somebody else is faster.
  const Value* version = call.body.if_contains("version");
  std::int64_t expected = version == nullptr ? before->desired_version : version->to_number<std::int64_t>();
  auto after = at.store.set_desired(call.param("device"), *patched, expected, actor_of(call));
  at.desk.devices->refresh();
  if (!after) return std::unexpected(after.error());
  return device::twin_json(*after);
}

Result<Object> commands(Counter& at, const AdminCall& call) {
  auto found = at.store.commands(call.param("device"), call.integer("limit", 50));
  if (!found) return std::unexpected(found.error());
  Array all;
  for (const store::StoredCommand& command : *found) all.push_back(device::shown_command(command));
  return Object{{"commands", std::move(all)}};
}

Result<Object> command(Counter& at, const AdminCall& call) {
  auto found = at.store.command(call.param("device"), call.param("command"));
  if (!found) return std::unexpected(found.error());
  if (!*found) return fail(Errc::not_found, "there is no such command; ended ones are forgotten after a while");
  return device::shown_command(**found);
}

Result<Object> give_command(Counter& at, const AdminCall& call) {
  auto lifetime = lifetime_of(call, base::Duration::zero());
  if (!lifetime) return std::unexpected(lifetime.error());
  const Value* payload = call.body.if_contains("payload");
  auto made = device::make_command(call.param("device"), text_of(call.body, "name"),
                                   payload == nullptr ? Value(nullptr) : *payload, *lifetime, call.now);
  if (!made) return std::unexpected(made.error());
  made->actor = call.actor;
  if (auto added = at.store.add_command(*made, actor_of(call)); !added) return std::unexpected(added.error());
  at.desk.devices->refresh();
  return device::shown_command(*made);
}

Result<Object> cancel_command(Counter& at, const AdminCall& call) {
  auto ended = at.store.end_command(call.param("device"), call.param("command"), "cancelled", {}, actor_of(call));
  if (!ended) return std::unexpected(ended.error());
  return device::shown_command(*ended);
}

}  // namespace

std::vector<AdminRoute> device_routes(AdminDesk& desk) {
  constexpr std::string_view kAll = "/admin/v1/devices";
  constexpr std::string_view kOne = "/admin/v1/devices/{device}";
  constexpr std::string_view kTwin = "/admin/v1/devices/{device}/twin";
  constexpr std::string_view kCommands = "/admin/v1/devices/{device}/commands";
  constexpr std::string_view kCommand = "/admin/v1/devices/{device}/commands/{command}";
  using Handler = Result<Object> (*)(Counter&, const AdminCall&);
  std::vector<AdminRoute> routes;
  auto add = [&](std::string_view method, std::string_view path, std::string_view name, std::string_view about,
                 std::string_view takes, std::string_view gives, Handler handler) -> AdminRoute& {
    bool changes = method != "GET";
    routes.push_back({.method = method,
                      .path = path,
                      .name = name,
                      .about = about,
                      .takes = takes,
                      .gives = gives,
                      .refusals = changes ? std::vector<int>{409, 429} : std::vector<int>{},
                      .answer = [&desk, handler](const AdminCall& call) {
                        Counter counter(desk);
                        return handler(counter, call);
                      }});
    return routes.back();
  };
  std::vector<Field> filters{{"prefix", Kind::text, "Only names that begin so."},
                             {"state", Kind::text, "Only those.", "new active quarantined retired"},
                             {"group", Kind::text, "Only those of a group."}};
  for (const Field& field : page_fields()) filters.push_back(field);
  add("GET", kAll, "listDevices", "Devices by name, and others that sent something.", "", "Devices", list).query =
      std::move(filters);
  add("POST", kAll, "createDevice", "Makes a device.", "NewDevice", "Device", create).status = 201;
  add("GET", kOne, "getDevice", "A device, and what it is known by.", "", "DeviceInFull", show);
  add("PATCH", kOne, "changeDevice", "Changes a device.", "DeviceChange", "Device", change);
  add("DELETE", kOne, "retireDevice", "Retires a device, for good; its credentials are taken back.", "", "Device",
      retire);
  add("POST", "/admin/v1/devices/{device}/quarantine", "quarantineDevice", "Takes nothing from it any more.",
      "QuarantineOrder", "Device", quarantine);
  add("POST", "/admin/v1/devices/{device}/release", "releaseDevice", "Ends its quarantine.", "", "Device", release);
  add("POST", "/admin/v1/devices/{device}/onboard-code", "makeOnboardCode",
      "A code that is good once, shown this one time; makes the device when there is none.", "OnboardOrder",
      "OnboardCode", onboard_code);
  add("POST", "/admin/v1/devices/{device}/secrets", "makeDeviceSecret",
      "A secret, shown this one time; makes the device when there is none.", "SecretOrder", "DeviceSecret", secret);
  add("POST", "/admin/v1/devices/{device}/certificates", "issueCertificate",
      "A certificate of our own authority; makes the device when there is none.", "CertificateOrder",
      "DeviceCertificate", certificate);
  add("DELETE", "/admin/v1/devices/{device}/credentials/{credential}", "revokeCredential", "Takes a credential back.",
      "", "Revoked", revoke);
  add("GET", kTwin, "getTwin", "A device's twin.", "", "Twin", twin);
  add("PATCH", kTwin, "changeTwin", "Changes what is desired of a device.", "TwinChange", "Twin", change_twin);
  add("GET", kCommands, "listCommands", "Commands to a device, newest first.", "", "DeviceCommands", commands).query = {
      {"limit", Kind::integer, "How many, 50 unless told.", {}, false, false, 1, 200}};
  add("POST", kCommands, "giveCommand", "Tells a device to do something.", "NewDeviceCommand", "DeviceCommand",
      give_command)
      .status = 201;
  add("GET", kCommand, "getCommand", "A command and what became of it.", "", "DeviceCommand", command);
  add("DELETE", kCommand, "cancelCommand", "Takes a command back that has not ended.", "", "DeviceCommand",
      cancel_command);
  return routes;
}

}  // namespace penstock::app
