// Twins and commands.
#include "json/value.h"
#include "store/device_store.h"

namespace penstock::store {
namespace {

constexpr std::string_view kTwinColumns = "desired,desired_version,desired_at,reported,reported_version,reported_at";
constexpr std::string_view kCommandColumns =
    "id,device,name,payload,state,actor,created,expires,delivered,ended,result";

StoredCommand command_of(const Statement& row) {
  return {row.text(0),    row.text(1),    row.text(2),    row.text(3),    row.text(4), row.text(5),
          row.integer(6), row.integer(7), row.integer(8), row.integer(9), row.text(10)};
}

json::Value parsed(std::string_view text) {
  auto value = json::parse(text);
  return value ? *value : json::Value(nullptr);
}

std::string object_of(std::string_view device) { return fmt::format("device:{}", device); }

}  // namespace

Result<StoredTwin> DeviceStore::twin(std::string_view device) {
  auto there = this->device(device);
  if (!there) return std::unexpected(there.error());
  if (!*there) return fail(Errc::not_found, fmt::format("there is no device '{}'", device));
  auto statement = database_.prepare(fmt::format("SELECT {} FROM device_twins WHERE device=?1", kTwinColumns));
  if (!statement) return std::unexpected(statement.error());
  auto row = statement->bind(1, device).step();
  if (!row) return std::unexpected(row.error());
  if (!*row) return StoredTwin{};
  return StoredTwin{statement->text(0), statement->integer(1), statement->integer(2),
                    statement->text(3), statement->integer(4), statement->integer(5)};
}

Result<StoredTwin> DeviceStore::set_twin(std::string_view device, bool desired, std::string_view text,
                                         std::optional<std::int64_t> expected, const Actor& actor) {
  StoredTwin after;
  auto done = transact([&]() -> Result<void> {
    auto before = twin(device);
    if (!before) return std::unexpected(before.error());
    std::int64_t version = desired ? before->desired_version : before->reported_version;
    if (expected && *expected != version) {
      return fail(Errc::failed_precondition,
                  fmt::format("the twin of '{}' is at version {}, not {}: read it again, then change that", device,
                              version, *expected));
    }
    after = *before;
    std::string& part = desired ? after.desired : after.reported;
    std::string old = std::exchange(part, std::string(text));
    (desired ? after.desired_version : after.reported_version) = version + 1;
    (desired ? after.desired_at : after.reported_at) = actor.at;
    auto statement = database_.prepare(
        fmt::format("INSERT OR REPLACE INTO device_twins (device,{}) VALUES (?,?,?,?,?,?,?)", kTwinColumns));
    if (!statement) return std::unexpected(statement.error());
    statement->bind(1, device).bind(2, after.desired).bind(3, after.desired_version).bind(4, after.desired_at);
    statement->bind(5, after.reported).bind(6, after.reported_version).bind(7, after.reported_at);
    if (auto ran = statement->run(); !ran) return ran;
    if (auto bumped = bump(device); !bumped) return std::unexpected(bumped.error());
    if (!desired) return {};
    return state_.append_audit(actor, "device.twin", object_of(device), old, text);
  });
  if (!done) return std::unexpected(done.error());
  return after;
}

Result<StoredTwin> DeviceStore::set_desired(std::string_view device, std::string_view desired,
                                            std::optional<std::int64_t> expected, const Actor& actor) {
  return set_twin(device, true, desired, expected, actor);
}

Result<StoredTwin> DeviceStore::set_reported(std::string_view device, std::string_view reported,
                                             std::optional<std::int64_t> expected, base::WallMicros now) {
  return set_twin(device, false, reported, expected, {"", now});
}

Result<std::vector<StoredCommand>> DeviceStore::read_commands(std::string_view where, std::string_view device,
                                                              const std::function<void(Statement&)>& bind) {
  auto statement =
      database_.prepare(fmt::format("SELECT {} FROM device_commands WHERE device=?1 AND {}", kCommandColumns, where));
  if (!statement) return std::unexpected(statement.error());
  statement->bind(1, device);
  bind(*statement);
  std::vector<StoredCommand> all;
  while (true) {
    auto row = statement->step();
    if (!row) return std::unexpected(row.error());
    if (!*row) return all;
    all.push_back(command_of(*statement));
  }
}

Result<void> DeviceStore::add_command(const StoredCommand& command, const Actor& actor) {
  return transact([&]() -> Result<void> {
    auto device = this->device(command.device);
    if (!device) return std::unexpected(device.error());
    if (!*device || (*device)->state == "retired")
      return fail(Errc::not_found, fmt::format("there is no device '{}' that could be told", command.device));
    auto open = read_commands("state IN ('pending','delivered')", command.device, [](Statement&) {});
    if (!open) return std::unexpected(open.error());
    if (static_cast<std::int64_t>(open->size()) >= kOpenCommandsMax) {
      return fail(Errc::resource_exhausted,
                  fmt::format("{} commands wait for '{}' already; cancel some, or wait until they expire", open->size(),
                              command.device));
    }
    auto statement = database_.prepare(
        fmt::format("INSERT INTO device_commands ({}) VALUES (?,?,?,?,?,?,?,?,0,0,'')", kCommandColumns));
    if (!statement) return std::unexpected(statement.error());
    statement->bind(1, command.id).bind(2, command.device).bind(3, command.name).bind(4, command.payload);
    statement->bind(5, command.state).bind(6, actor.who).bind(7, command.created).bind(8, command.expires);
    if (auto ran = statement->run(); !ran) return ran;
    auto old = database_.prepare(
        "DELETE FROM device_commands WHERE device=?1 AND ended<>0 AND id NOT IN (SELECT id FROM device_commands WHERE "
        "device=?1 AND ended<>0 ORDER BY ended DESC LIMIT ?2)");
    if (!old) return std::unexpected(old.error());
    if (auto ran = old->bind(1, command.device).bind(2, kEndedCommandsMax).run(); !ran) return ran;
    if (auto bumped = bump(command.device); !bumped) return std::unexpected(bumped.error());
    json::Object said{{"id", command.id}, {"name", command.name}, {"expires", base::to_rfc3339(command.expires)}};
    if (!command.payload.empty()) said["payload"] = parsed(command.payload);
    return state_.append_audit(actor, "device.command", object_of(command.device), "", json::dump(said));
  });
}

Result<std::optional<StoredCommand>> DeviceStore::command(std::string_view device, std::string_view id) {
  auto found = read_commands("id=?2", device, [&](Statement& statement) { statement.bind(2, id); });
  if (!found) return std::unexpected(found.error());
  if (found->empty()) return std::nullopt;
  return std::move(found->front());
}

Result<std::vector<StoredCommand>> DeviceStore::commands(std::string_view device, std::int64_t limit) {
  return read_commands("1 ORDER BY created DESC, rowid DESC LIMIT ?2", device,
                       [&](Statement& statement) { statement.bind(2, limit); });
}

Result<std::vector<StoredCommand>> DeviceStore::deliver(std::string_view device, base::WallMicros now) {
  std::vector<StoredCommand> due;
  auto waiting = [&] {
    return read_commands(
        "expires>?2 AND (state='pending' OR (state='delivered' AND delivered<=?3)) ORDER BY created, rowid", device,
        [&](Statement& statement) { statement.bind(2, now).bind(3, now - kDeliverAgainAfter); });
  };
  // Most looks find nothing, and need no writing.
  auto seen = waiting();
  if (!seen || seen->empty()) return seen;
  auto done = transact([&]() -> Result<void> {
    auto found = waiting();
    if (!found) return std::unexpected(found.error());
    due = std::move(*found);
    auto statement = database_.prepare("UPDATE device_commands SET state='delivered',delivered=?2 WHERE id=?1");
    if (!statement) return std::unexpected(statement.error());
    for (StoredCommand& command : due) {
      command.state = "delivered";
      command.delivered = now;
      if (auto ran = statement->bind(1, command.id).bind(2, now).run(); !ran) return ran;
    }
    return {};
  });
  if (!done) return std::unexpected(done.error());
  return due;
}

Result<std::vector<StoredCommand>> DeviceStore::open_commands(std::string_view device, base::WallMicros now) {
  return read_commands("ended=0 AND expires>?2 ORDER BY created, rowid", device,
                       [&](Statement& statement) { statement.bind(2, now); });
}

Result<void> DeviceStore::note_told(std::string_view id, base::WallMicros now) {
  auto statement = database_.prepare("UPDATE device_commands SET delivered=?2 WHERE id=?1 AND ended=0");
  if (!statement) return std::unexpected(statement.error());
  return statement->bind(1, id).bind(2, now).run();
}

Result<std::vector<std::string>> DeviceStore::told_devices(base::WallMicros now) {
  auto statement = database_.prepare("SELECT DISTINCT device FROM device_commands WHERE ended=0 AND expires>?1");
  if (!statement) return std::unexpected(statement.error());
  statement->bind(1, now);
  std::vector<std::string> names;
  while (true) {
    auto row = statement->step();
    if (!row) return std::unexpected(row.error());
    if (!*row) return names;
    names.push_back(statement->text(0));
  }
}

Result<StoredCommand> DeviceStore::end_command(std::string_view device, std::string_view id, std::string_view state,
                                               std::string_view result, const Actor& actor) {
  StoredCommand ended;
  auto done = transact([&]() -> Result<void> {
    auto found = command(device, id);
    if (!found) return std::unexpected(found.error());
    if (!*found) return fail(Errc::not_found, fmt::format("the device '{}' has no command '{}'", device, id));
    ended = std::move(**found);
    bool late = ended.ended == 0 && ended.expires <= actor.at;
    if (ended.ended != 0 && ended.state == state) return {};
    if (ended.ended != 0 || late) {
      return fail(Errc::failed_precondition,
                  fmt::format("the command '{}' is {} already", id, late ? "expired" : ended.state));
    }
    ended.state = state;
    ended.result = result;
    ended.ended = actor.at;
    auto statement = database_.prepare("UPDATE device_commands SET state=?2,result=?3,ended=?4 WHERE id=?1");
    if (!statement) return std::unexpected(statement.error());
    if (auto ran = statement->bind(1, id).bind(2, state).bind(3, ended.result).bind(4, actor.at).run(); !ran)
      return ran;
    if (state != "cancelled") return {};
    json::Object said{{"id", ended.id}, {"name", ended.name}, {"state", ended.state}};
    return state_.append_audit(actor, "device.command", object_of(device), "", json::dump(said));
  });
  if (!done) return std::unexpected(done.error());
  return ended;
}

Result<int> DeviceStore::expire_commands(base::WallMicros now) {
  auto due = database_.prepare("SELECT count(*) FROM device_commands WHERE ended=0 AND expires<=?1");
  if (!due) return std::unexpected(due.error());
  if (auto row = due->bind(1, now).step(); !row) return std::unexpected(row.error());
  auto count = static_cast<int>(due->integer(0));
  due->reset();
  if (count == 0) return 0;
  auto statement =
      database_.prepare("UPDATE device_commands SET state='expired',ended=?1 WHERE ended=0 AND expires<=?1");
  if (!statement) return std::unexpected(statement.error());
  if (auto ran = statement->bind(1, now).run(); !ran) return std::unexpected(ran.error());
  return count;
}

}  // namespace penstock::store
