#include "store/database.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

namespace penstock::store {

Statement::~Statement() { sqlite3_finalize(statement_); }

Statement& Statement::bind(int index, std::int64_t value) {
  sqlite3_bind_int64(statement_, index, value);
  return *this;
}

Statement& Statement::bind(int index, std::string_view value) {
  sqlite3_bind_text64(statement_, index, value.data(), value.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
  return *this;
}

Statement& Statement::bind_null(int index) {
  sqlite3_bind_null(statement_, index);
  return *this;
}

Result<bool> Statement::step() {
  int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  std::string why = sqlite3_errmsg(sqlite3_db_handle(statement_));
  sqlite3_reset(statement_);
  if (code == SQLITE_CONSTRAINT) return fail(Errc::already_exists, why);
  if (code == SQLITE_FULL) return fail(Errc::resource_exhausted, "the disk is full");
  if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB) return fail(Errc::data_loss, why);
  return fail(Errc::unavailable, why);
}

Result<void> Statement::run() {
  while (true) {
    auto row = step();
    if (!row) return std::unexpected(row.error());
    if (!*row) break;
  }
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
  return {};
}

std::int64_t Statement::integer(int column) const { return sqlite3_column_int64(statement_, column); }

std::string Statement::text(int column) const {
  const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  if (bytes == nullptr) return {};
  return {bytes, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}

void Database::set_patience(std::chrono::milliseconds patience) {
  sqlite3_busy_timeout(handle_, static_cast<int>(patience.count()));
}

Error Database::error(int code, std::string_view doing) const {
  std::string why = handle_ != nullptr ? sqlite3_errmsg(handle_) : sqlite3_errstr(code);
  Errc kind = code == SQLITE_CORRUPT || code == SQLITE_NOTADB ? Errc::data_loss
              : code == SQLITE_FULL                           ? Errc::resource_exhausted
                                                              : Errc::unavailable;
  return {kind, fmt::format("{}: cannot {}: {}", path_, doing, why), path_};
}

Result<Database> Database::open(const std::string& path, const std::vector<std::string>& migrations) {
  // Made here first, so that nobody else can read it even for a moment. Only when it does not exist: closing any
  // descriptor of the file would drop every lock this process holds on it (POSIX locks belong to the process), and
  // another process could then take the write-ahead log away.
  if (int fd = ::open(path.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600); fd >= 0) ::close(fd);
  sqlite3* handle = nullptr;
  int code =
      sqlite3_open_v2(path.c_str(), &handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  Database database(handle, path);
  if (code != SQLITE_OK) return std::unexpected(database.error(code, "open the database"));
  database.set_patience(std::chrono::seconds(2));
  // NORMAL in WAL mode: a commit survives the process; a power cut may lose the last ones but never tears the file.
  for (const char* sql :
       {"PRAGMA journal_mode=WAL", "PRAGMA synchronous=NORMAL", "PRAGMA cache_size=-512", "PRAGMA temp_store=MEMORY"}) {
    if (auto done = database.execute(sql); !done) return std::unexpected(done.error());
  }
  if (auto done = database.migrate(migrations); !done) return std::unexpected(done.error());
  return database;
}

Result<void> Database::migrate(const std::vector<std::string>& migrations) {
  std::size_t version = 0;
  {
    auto statement = prepare("PRAGMA user_version");
    if (!statement) return std::unexpected(statement.error());
    if (auto row = statement->step(); !row) return std::unexpected(row.error());
    version = static_cast<std::size_t>(statement->integer(0));
  }
  if (version > migrations.size()) {
    return fail(Errc::failed_precondition,
                fmt::format("{} was written by a newer version of this program (schema {}, known {})", path_, version,
                            migrations.size()));
  }
  for (; version < migrations.size(); ++version) {
    auto done = transaction([&]() -> Result<void> {
      if (auto applied = execute(migrations[version]); !applied) return applied;
      return execute(fmt::format("PRAGMA user_version={}", version + 1));
    });
    if (!done) return done;
  }
  return {};
}

Database::~Database() { sqlite3_close_v2(handle_); }

Result<void> Database::execute(const std::string& sql) {
  int code = sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return std::unexpected(error(code, "run a statement"));
  return {};
}

Result<Statement> Database::prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  int code = sqlite3_prepare_v2(handle_, sql.data(), static_cast<int>(sql.size()), &statement, nullptr);
  if (code != SQLITE_OK) return std::unexpected(error(code, "prepare a statement"));
  return Statement(statement);
}

}  // namespace penstock::store
