#include "store/model_history.h"

#include "store/state.h"

namespace penstock::store {
namespace {

const std::vector<std::string> kMigrations{
    R"(CREATE TABLE events (
         sequence INTEGER PRIMARY KEY, at INTEGER NOT NULL, model TEXT NOT NULL, action TEXT NOT NULL,
         "from" INTEGER NOT NULL, "to" INTEGER NOT NULL, actor TEXT NOT NULL, why TEXT NOT NULL) STRICT;
       CREATE INDEX events_model ON events (model, sequence);
       CREATE TABLE states (
         model TEXT PRIMARY KEY, text TEXT NOT NULL, serial INTEGER NOT NULL, at INTEGER NOT NULL) STRICT;
       CREATE INDEX states_at ON states (at);)"};

constexpr std::string_view kEventColumns = R"(at,model,action,"from","to",actor,why)";

// At most `bytes` of it, whole characters.
std::string_view shortened(std::string_view text, std::size_t bytes) {
  if (text.size() <= bytes) return text;
  while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xC0U) == 0x80U) --bytes;
  return text.substr(0, bytes);
}

}  // namespace

Result<ModelHistory> ModelHistory::open(const std::string& dir) {
  if (auto made = make_data_dir(dir); !made) return std::unexpected(made.error());
  DatabaseOptions options;
  options.begin_again =
      "move it away together with its -wal and -shm to begin without the history of models and what was decided about "
      "their traffic";
  options.cache_kib = 128;
  auto database = Database::open(file_in(dir), kMigrations, options);
  if (!database) return std::unexpected(database.error());
  for (std::string_view columns :
       {R"(sequence,at,model,action,"from","to",actor,why FROM events)", "model,text,serial,at FROM states"}) {
    if (auto known = database->prepare(fmt::format("SELECT {}", columns)); !known)
      return std::unexpected(known.error());
  }
  return ModelHistory(std::move(*database));
}

Result<void> ModelHistory::append(const ModelEventRow& event) {
  return database_.transaction([&]() -> Result<void> {
    auto statement = database_.prepare(fmt::format("INSERT INTO events ({}) VALUES (?,?,?,?,?,?,?)", kEventColumns));
    if (!statement) return std::unexpected(statement.error());
    statement->bind(1, event.at).bind(2, event.model).bind(3, event.action).bind(4, event.from).bind(5, event.to);
    statement->bind(6, shortened(event.actor, kWhyBytesMax)).bind(7, shortened(event.why, kWhyBytesMax));
    if (auto added = statement->run(); !added) return added;
    return trim(event.model);
  });
}

Result<void> ModelHistory::trim(std::string_view model) {
  auto of_model = database_.prepare(
      "DELETE FROM events WHERE model=?1 AND sequence <= (SELECT sequence FROM events WHERE model=?1 "
      "ORDER BY sequence DESC LIMIT 1 OFFSET ?2)");
  if (!of_model) return std::unexpected(of_model.error());
  if (auto done = of_model->bind(1, model).bind(2, kEventsOfModelMax).run(); !done) return done;
  auto all = database_.prepare("DELETE FROM events WHERE sequence <= (SELECT max(sequence) FROM events) - ?");
  if (!all) return std::unexpected(all.error());
  return all->bind(1, kEventsMax).run();
}

Result<std::vector<ModelEventRow>> ModelHistory::last(std::string_view model, std::int64_t limit) {
  auto statement = database_.prepare(fmt::format("SELECT {} FROM events {} ORDER BY sequence DESC LIMIT ?1",
                                                 kEventColumns, model.empty() ? "" : "WHERE model=?2"));
  if (!statement) return std::unexpected(statement.error());
  statement->bind(1, limit);
  if (!model.empty()) statement->bind(2, model);
  std::vector<ModelEventRow> found;
  while (true) {
    auto row = statement->step();
    if (!row) return std::unexpected(row.error());
    if (!*row) return found;
    found.push_back({statement->integer(0), statement->text(1), statement->text(2), statement->integer(3),
                     statement->integer(4), statement->text(5), statement->text(6)});
  }
}

Result<bool> ModelHistory::keep(std::string_view model, const ModelStateRow& state, base::WallMicros now) {
  bool changed = false;
  Result<void> done = database_.transaction([&]() -> Result<void> {
    auto statement = database_.prepare(
        "INSERT INTO states (model, text, serial, at) VALUES (?,?,?,?) ON CONFLICT (model) DO UPDATE SET "
        "text=excluded.text, serial=excluded.serial, at=excluded.at WHERE excluded.serial >= serial "
        "RETURNING serial");
    if (!statement) return std::unexpected(statement.error());
    auto row = statement->bind(1, model).bind(2, state.text).bind(3, state.serial).bind(4, now).step();
    if (!row) return std::unexpected(row.error());
    changed = *row;
    if (changed) {
      if (auto ended = statement->run(); !ended) return ended;
    }
    // Models that are configured no more.
    auto trimmed =
        database_.prepare("DELETE FROM states WHERE at < (SELECT at FROM states ORDER BY at DESC LIMIT 1 OFFSET ?)");
    if (!trimmed) return std::unexpected(trimmed.error());
    return trimmed->bind(1, kStatesMax - 1).run();
  });
  if (!done) return std::unexpected(done.error());
  return changed;
}

Result<ModelStateRow> ModelHistory::kept(std::string_view model) {
  auto statement = database_.prepare("SELECT text, serial FROM states WHERE model=?");
  if (!statement) return std::unexpected(statement.error());
  auto row = statement->bind(1, model).step();
  if (!row) return std::unexpected(row.error());
  if (!*row) return ModelStateRow();
  return ModelStateRow{statement->text(0), statement->integer(1)};
}

}  // namespace penstock::store
