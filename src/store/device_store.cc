#include "store/device_store.h"

#include "json/value.h"

namespace penstock::store {
namespace {

constexpr std::string_view kDeviceColumns = "name,profile,state,why,groups,tags,created,last_seen,revision";
constexpr std::string_view kCredentialColumns = "device,kind,id,hash,broker,created,expires";

StoredDevice device_of(const Statement& row) {
  return {row.text(0), row.text(1),    row.text(2),    row.text(3),   row.text(4),
          row.text(5), row.integer(6), row.integer(7), row.integer(8)};
}

StoredCredential credential_of(const Statement& row) {
  return {row.text(0), row.text(1), row.text(2), row.text(3), row.text(4), row.integer(5), row.integer(6)};
}

// For the audit log.
std::string shown(const StoredDevice& device) {
  json::Object o{{"name", device.name}, {"state", device.state}};
  for (const auto& [name, value] :
       {std::pair<const char*, const std::string*>{"profile", &device.profile}, {"why", &device.why}})
    if (!value->empty()) o[name] = *value;
  for (const auto& [name, value] :
       {std::pair<const char*, const std::string*>{"groups", &device.groups}, {"tags", &device.tags}}) {
    if (value->empty()) continue;
    auto parsed = json::parse(*value);
    o[name] = parsed ? *parsed : json::Value(*value);
  }
  return json::dump(o);
}

std::string shown(const StoredCredential& credential) {
  json::Object o{{"kind", credential.kind}, {"id", credential.id}};
  if (credential.expires != 0) o["expires"] = base::to_rfc3339(credential.expires);
  return json::dump(o);
}

std::string object_of(std::string_view device) { return fmt::format("device:{}", device); }

std::unexpected<Error> no_device(std::string_view name) {
  return fail(Errc::not_found, fmt::format("there is no device '{}'; `penstock device list` shows them", name));
}

// ?1 to ?3 are bound below.
std::string where(const DeviceQuery& query) {
  std::string text = "1";
  if (!query.prefix.empty()) text += " AND substr(name,1,length(?1))=?1";
  if (!query.state.empty()) text += " AND state=?2";
  if (!query.group.empty()) text += " AND groups<>'' AND EXISTS (SELECT 1 FROM json_each(groups) WHERE value=?3)";
  return text;
}

void bind(Statement& statement, const DeviceQuery& query) {
  if (!query.prefix.empty()) statement.bind(1, query.prefix);
  if (!query.state.empty()) statement.bind(2, query.state);
  if (!query.group.empty()) statement.bind(3, query.group);
}

template <class T>
Result<std::vector<T>> all_of(Statement& statement, T (*read)(const Statement&)) {
  std::vector<T> all;
  while (true) {
    auto row = statement.step();
    if (!row) return std::unexpected(row.error());
    if (!*row) return all;
    all.push_back(read(statement));
  }
}

}  // namespace

Result<std::int64_t> DeviceStore::revision() {
  auto statement = database_.prepare("SELECT value FROM counters WHERE name='devices'");
  if (!statement) return std::unexpected(statement.error());
  if (auto row = statement->step(); !row) return std::unexpected(row.error());
  return statement->integer(0);
}

// Within the transaction of the change.
Result<std::int64_t> DeviceStore::bump(std::string_view device) {
  if (auto done = database_.execute("UPDATE counters SET value=value+1 WHERE name='devices'"); !done)
    return std::unexpected(done.error());
  auto now = revision();
  if (!now || device.empty()) return now;
  auto statement = database_.prepare("UPDATE devices SET revision=?2 WHERE name=?1");
  if (!statement) return std::unexpected(statement.error());
  if (auto done = statement->bind(1, device).bind(2, *now).run(); !done) return std::unexpected(done.error());
  return now;
}

Result<void> DeviceStore::note_change() {
  auto revision = bump({});
  return revision ? Result<void>() : std::unexpected(revision.error());
}

Result<void> DeviceStore::write(StoredDevice& device) {
  auto revision = bump({});
  if (!revision) return std::unexpected(revision.error());
  device.revision = *revision;
  auto statement = database_.prepare(
      fmt::format("INSERT INTO devices ({}) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9) ON CONFLICT (name) DO UPDATE SET "
                  "profile=?2,state=?3,why=?4,groups=?5,tags=?6,revision=?9",
                  kDeviceColumns));
  if (!statement) return std::unexpected(statement.error());
  statement->bind(1, device.name).bind(2, device.profile).bind(3, device.state).bind(4, device.why);
  statement->bind(5, device.groups).bind(6, device.tags).bind(7, device.created).bind(8, device.last_seen);
  return statement->bind(9, *revision).run();
}

Result<void> DeviceStore::read(std::int64_t since, const Visitor& visit) {
  auto rows = database_.prepare(fmt::format("SELECT {} FROM devices WHERE revision>?1 ORDER BY name", kDeviceColumns));
  if (!rows) return std::unexpected(rows.error());
  rows->bind(1, since);
  auto each = database_.prepare(fmt::format(
      "SELECT {} FROM device_credentials WHERE device=?1 AND revoked=0 ORDER BY created", kCredentialColumns));
  if (!each) return std::unexpected(each.error());
  while (true) {
    auto row = rows->step();
    if (!row) return std::unexpected(row.error());
    if (!*row) return {};
    StoredDevice device = device_of(*rows);
    each->bind(1, device.name);
    auto credentials = all_of(*each, credential_of);
    if (!credentials) return std::unexpected(credentials.error());
    each->reset();
    visit(device, *credentials);
  }
}

Result<void> DeviceStore::add(const StoredDevice& device, const Actor& actor) {
  return transact([&]() -> Result<void> {
    auto taken = this->device(device.name);
    if (!taken) return std::unexpected(taken.error());
    if (*taken) {
      return fail(Errc::already_exists, fmt::format("there is a device '{}' already ({}); names are used once",
                                                    device.name, (*taken)->state));
    }
    StoredDevice fresh = device;
    if (auto done = write(fresh); !done) return done;
    return state_.append_audit(actor, "device.create", object_of(device.name), "", shown(device));
  });
}

// Within a transaction.
Result<StoredDevice> DeviceStore::rewrite(std::string_view name, std::string_view action, const Actor& actor,
                                          const Change& make) {
  auto before = device(name);
  if (!before) return std::unexpected(before.error());
  if (!*before) return no_device(name);
  StoredDevice after = **before;
  if (auto made = make(after); !made) return std::unexpected(made.error());
  if (auto done = write(after); !done) return std::unexpected(done.error());
  if (auto said = state_.append_audit(actor, action, object_of(name), shown(**before), shown(after)); !said)
    return std::unexpected(said.error());
  return after;
}

Result<StoredDevice> DeviceStore::change(std::string_view name, std::string_view action, const Actor& actor,
                                         const Change& make) {
  Result<StoredDevice> after = StoredDevice{};
  auto done = transact([&]() -> Result<void> {
    after = rewrite(name, action, actor, make);
    return after ? Result<void>() : std::unexpected(after.error());
  });
  if (!done) return std::unexpected(done.error());
  return after;
}

Result<StoredDevice> DeviceStore::change_and_revoke(std::string_view name, std::string_view action, const Actor& actor,
                                                    const Change& make) {
  Result<StoredDevice> after = StoredDevice{};
  auto done = transact([&]() -> Result<void> {
    auto taken = take_back(name, {}, {}, actor);
    if (!taken) return std::unexpected(taken.error());
    after = rewrite(name, action, actor, make);
    return after ? Result<void>() : std::unexpected(after.error());
  });
  if (!done) return std::unexpected(done.error());
  return after;
}

Result<std::optional<StoredDevice>> DeviceStore::device(std::string_view name) {
  auto statement = database_.prepare(fmt::format("SELECT {} FROM devices WHERE name=?1", kDeviceColumns));
  if (!statement) return std::unexpected(statement.error());
  auto row = statement->bind(1, name).step();
  if (!row) return std::unexpected(row.error());
  if (!*row) return std::nullopt;
  return device_of(*statement);
}

Result<std::vector<StoredDevice>> DeviceStore::devices(const DeviceQuery& query) {
  auto statement = database_.prepare(
      fmt::format("SELECT {} FROM devices WHERE {} ORDER BY name LIMIT ?4 OFFSET ?5", kDeviceColumns, where(query)));
  if (!statement) return std::unexpected(statement.error());
  bind(*statement, query);
  statement->bind(4, query.limit).bind(5, query.offset);
  return all_of(*statement, device_of);
}

Result<std::int64_t> DeviceStore::count(const DeviceQuery& query) {
  auto statement = database_.prepare(fmt::format("SELECT COUNT(*) FROM devices WHERE {}", where(query)));
  if (!statement) return std::unexpected(statement.error());
  bind(*statement, query);
  if (auto row = statement->step(); !row) return std::unexpected(row.error());
  return statement->integer(0);
}

Result<void> DeviceStore::note_seen(const std::vector<std::pair<std::string, base::WallMicros>>& seen) {
  return transact([&]() -> Result<void> {
    auto statement = database_.prepare(
        "UPDATE devices SET last_seen=?2, state=iif(state='new','active',state) WHERE name=?1 AND last_seen<?2");
    if (!statement) return std::unexpected(statement.error());
    for (const auto& [name, at] : seen) {
      if (auto done = statement->bind(1, name).bind(2, at).run(); !done) return done;
    }
    return {};
  });
}

// Within a transaction.
Result<void> DeviceStore::insert(const StoredCredential& credential, std::string_view action, const Actor& actor) {
  auto device = this->device(credential.device);
  if (!device) return std::unexpected(device.error());
  if (!*device) return no_device(credential.device);
  if ((*device)->state == "retired")
    return fail(Errc::failed_precondition, fmt::format("the device '{}' is retired", credential.device));
  auto statement = database_.prepare(
      fmt::format("INSERT INTO device_credentials ({},revoked) VALUES (?,?,?,?,?,?,?,0)", kCredentialColumns));
  if (!statement) return std::unexpected(statement.error());
  statement->bind(1, credential.device).bind(2, credential.kind).bind(3, credential.id).bind(4, credential.hash);
  statement->bind(5, credential.broker).bind(6, credential.created).bind(7, credential.expires);
  if (auto done = statement->run(); !done) return done;
  if (auto done = bump(credential.device); !done) return std::unexpected(done.error());
  return state_.append_audit(actor, action, object_of(credential.device), "", shown(credential));
}

Result<void> DeviceStore::add_credential(const StoredCredential& credential, std::string_view action,
                                         const Actor& actor) {
  return transact([&] { return insert(credential, action, actor); });
}

Result<std::vector<StoredCredential>> DeviceStore::credentials(std::string_view device) {
  auto statement = database_.prepare(fmt::format(
      "SELECT {} FROM device_credentials WHERE device=?1 AND revoked=0 ORDER BY created", kCredentialColumns));
  if (!statement) return std::unexpected(statement.error());
  statement->bind(1, device);
  return all_of(*statement, credential_of);
}

Result<std::vector<std::pair<std::string, base::WallMicros>>> DeviceStore::revoked_certificates(base::WallMicros now) {
  auto statement = database_.prepare(
      "SELECT id,revoked FROM device_credentials WHERE kind='certificate' AND revoked<>0 AND expires>?1 ORDER BY id");
  if (!statement) return std::unexpected(statement.error());
  statement->bind(1, now);
  return all_of<std::pair<std::string, base::WallMicros>>(
      *statement, [](const Statement& row) { return std::pair{row.text(0), row.integer(1)}; });
}

// Within a transaction.
Result<int> DeviceStore::take_back(std::string_view device, std::string_view kind, std::string_view id,
                                   const Actor& actor) {
  auto all = credentials(device);
  if (!all) return std::unexpected(all.error());
  auto statement = database_.prepare(
      "UPDATE device_credentials SET revoked=?4,hash='',broker='' WHERE device=?1 AND kind=?2 AND id=?3");
  if (!statement) return std::unexpected(statement.error());
  int count = 0;
  for (const StoredCredential& one : *all) {
    if ((!kind.empty() && one.kind != kind) || (!id.empty() && one.id != id)) continue;
    statement->bind(1, device).bind(2, one.kind).bind(3, one.id).bind(4, actor.at);
    if (auto ran = statement->run(); !ran) return std::unexpected(ran.error());
    if (auto said = state_.append_audit(actor, "device.revoke", object_of(device), shown(one), ""); !said)
      return std::unexpected(said.error());
    ++count;
  }
  if (count == 0) return 0;
  if (auto revision = bump(device); !revision) return std::unexpected(revision.error());
  return count;
}

Result<int> DeviceStore::revoke(std::string_view device, std::string_view kind, std::string_view id,
                                const Actor& actor) {
  Result<int> count = 0;
  auto done = transact([&]() -> Result<void> {
    count = take_back(device, kind, id, actor);
    return count ? Result<void>() : std::unexpected(count.error());
  });
  if (!done) return std::unexpected(done.error());
  return count;
}

Result<void> DeviceStore::use_code(std::string_view hash, base::WallMicros now,
                                   const std::function<Result<StoredCredential>(const StoredDevice&)>& make) {
  // Whoever guesses takes no part in writing.
  auto known = database_.prepare("SELECT 1 FROM device_credentials WHERE kind='code' AND hash=?1 AND revoked=0");
  if (!known) return std::unexpected(known.error());
  auto there = known->bind(1, hash).step();
  if (!there) return std::unexpected(there.error());
  known->reset();
  // Found and used up in one piece: of two who send the same code one gets in.
  auto used = !*there ? Result<void>(fail(Errc::not_found, "")) : transact([&]() -> Result<void> {
    auto statement = database_.prepare(
        fmt::format("SELECT {} FROM device_credentials WHERE kind='code' AND hash=?1 AND revoked=0 AND expires>?2",
                    kCredentialColumns));
    if (!statement) return std::unexpected(statement.error());
    auto row = statement->bind(1, hash).bind(2, now).step();
    if (!row) return std::unexpected(row.error());
    if (!*row) return fail(Errc::not_found, "");
    StoredCredential code = credential_of(*statement);
    statement->reset();
    auto device = this->device(code.device);
    if (!device) return std::unexpected(device.error());
    if (!*device || (*device)->state == "retired" || (*device)->state == "quarantined")
      return fail(Errc::not_found, "");
    auto made = make(**device);
    if (!made) return std::unexpected(made.error());
    auto gone = database_.prepare("UPDATE device_credentials SET revoked=?2,hash='' WHERE kind='code' AND device=?1");
    if (!gone) return std::unexpected(gone.error());
    if (auto ran = gone->bind(1, code.device).bind(2, now).run(); !ran) return ran;
    return insert(*made, "device.onboard", {"device:" + made->device, now});
  });
  if (!used && used.error().code == Errc::not_found) {
    return fail(Errc::not_found,
                "this code is not known, was used already, or is too old; `penstock device onboard-code NAME` makes "
                "another one");
  }
  return used;
}

}  // namespace penstock::store
