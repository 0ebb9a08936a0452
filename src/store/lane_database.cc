#include "store/lane_database.h"

#include "store/state.h"

namespace penstock::store {
namespace {

const std::vector<std::string> kMigrations{
    R"(CREATE TABLE kept (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
       CREATE TABLE events (
         sequence INTEGER PRIMARY KEY, at INTEGER NOT NULL, kind TEXT NOT NULL, pipeline TEXT NOT NULL,
         name TEXT NOT NULL, device TEXT NOT NULL, what TEXT NOT NULL, severity TEXT NOT NULL, actor TEXT NOT NULL,
         why TEXT NOT NULL) STRICT;
       CREATE INDEX events_of ON events (kind, pipeline, name, sequence);)"};

constexpr std::string_view kEventColumns = "sequence,at,kind,pipeline,name,device,what,severity,actor,why";

// At most `bytes` of it, whole characters.
std::string_view shortened(std::string_view text, std::size_t bytes) {
  if (text.size() <= bytes) return text;
  while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xC0U) == 0x80U) --bytes;
  return text.substr(0, bytes);
}

}  // namespace

Result<LaneDatabase> LaneDatabase::open(const std::string& dir) {
  if (auto made = make_data_dir(dir); !made) return std::unexpected(made.error());
  DatabaseOptions options;
  options.begin_again =
      "move it away together with its -wal and -shm to begin without standing alarms and without knowing which actions "
      "were made";
  options.cache_kib = 128;
  auto database = Database::open(file_in(dir), kMigrations, options);
  if (!database) return std::unexpected(database.error());
  // An action is made once what is to be done is written down: that must outlast a power cut.
  if (auto set = database->execute("PRAGMA synchronous=FULL"); !set) return std::unexpected(set.error());
  for (const std::string& columns :
       {std::string("key,value FROM kept"), fmt::format("{} FROM events", kEventColumns)}) {
    if (auto known = database->prepare("SELECT " + columns); !known) return std::unexpected(known.error());
  }
  return LaneDatabase(std::move(*database));
}

Result<std::vector<std::pair<std::string, std::string>>> LaneDatabase::values() {
  auto statement = database_.prepare("SELECT key,value FROM kept");
  if (!statement) return std::unexpected(statement.error());
  std::vector<std::pair<std::string, std::string>> found;
  while (true) {
    auto row = statement->step();
    if (!row) return std::unexpected(row.error());
    if (!*row) return found;
    found.emplace_back(statement->text(0), statement->text(1));
  }
}

Result<void> LaneDatabase::apply(const std::vector<LaneChange>& changes, const std::vector<LaneEvent>& events) {
  return database_.transaction([&]() -> Result<void> {
    if (auto changed = change(changes); !changed) return changed;
    return events.empty() ? Result<void>() : add(events);
  });
}

Result<void> LaneDatabase::change(const std::vector<LaneChange>& changes) {
  auto put = database_.prepare(
      "INSERT INTO kept (key,value) VALUES (?,?) ON CONFLICT (key) DO UPDATE SET value=excluded.value");
  if (!put) return std::unexpected(put.error());
  auto erase = database_.prepare("DELETE FROM kept WHERE key=?");
  if (!erase) return std::unexpected(erase.error());
  for (const auto& [key, value] : changes) {
    auto done = value ? put->bind(1, key).bind(2, *value).run() : erase->bind(1, key).run();
    if (!done) return done;
  }
  return {};
}

Result<void> LaneDatabase::add(const std::vector<LaneEvent>& events) {
  auto statement = database_.prepare(
      "INSERT INTO events (at,kind,pipeline,name,device,what,severity,actor,why) VALUES (?,?,?,?,?,?,?,?,?)");
  if (!statement) return std::unexpected(statement.error());
  for (const LaneEvent& event : events) {
    statement->bind(1, event.at).bind(2, event.kind).bind(3, event.pipeline).bind(4, event.name).bind(5, event.device);
    statement->bind(6, event.what).bind(7, event.severity).bind(8, shortened(event.actor, kWhyBytesMax));
    if (auto added = statement->bind(9, shortened(event.why, kWhyBytesMax)).run(); !added) return added;
  }
  auto trim = database_.prepare("DELETE FROM events WHERE sequence <= (SELECT max(sequence) FROM events) - ?");
  if (!trim) return std::unexpected(trim.error());
  return trim->bind(1, kEventsMax).run();
}

Result<std::vector<LaneEvent>> LaneDatabase::events(const LaneEventFilter& filter) {
  const std::pair<std::string_view, const std::string*> columns[] = {{"kind", &filter.kind},
                                                                     {"pipeline", &filter.pipeline},
                                                                     {"name", &filter.name},
                                                                     {"device", &filter.device},
                                                                     {"what", &filter.what}};
  std::string where = "at >= ?2";
  for (int i = 0; const auto& [column, value] : columns) {
    ++i;
    if (!value->empty()) where += fmt::format(" AND {}=?{}", column, i + 2);
  }
  auto statement = database_.prepare(
      fmt::format("SELECT {} FROM events WHERE {} ORDER BY sequence DESC LIMIT ?1", kEventColumns, where));
  if (!statement) return std::unexpected(statement.error());
  statement->bind(1, filter.limit).bind(2, filter.since);
  for (int i = 0; const auto& [column, value] : columns) {
    ++i;
    if (!value->empty()) statement->bind(i + 2, *value);
  }
  std::vector<LaneEvent> found;
  while (true) {
    auto row = statement->step();
    if (!row) return std::unexpected(row.error());
    if (!*row) return found;
    found.push_back({statement->integer(0), statement->integer(1), statement->text(2), statement->text(3),
                     statement->text(4), statement->text(5), statement->text(6), statement->text(7), statement->text(8),
                     statement->text(9)});
  }
}

}  // namespace penstock::store
