#include "store/database.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

namespace penstock::store {
namespace {

// What went wrong with the file, and what to do about it.
Error describe(int code, std::string_view why, const std::string& path, std::string_view begin_again) {
  auto error = [&](Errc kind, std::string_view advice) {
    return Error{kind, fmt::format("{}: {}{}{}", path, why, advice.empty() ? "" : "; ", advice), path};
  };
  switch (code & 0xff) {
    case SQLITE_CONSTRAINT: return error(Errc::already_exists, "");
    case SQLITE_FULL: return error(Errc::resource_exhausted, "make room for it");
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return error(Errc::unavailable, "another process keeps it to itself: end that one (`fuser` names it)");
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
      return error(Errc::unavailable, "the file and its folder must be writable for the user the gateway runs as");
    case SQLITE_IOERR: return error(Errc::unavailable, "the disk is full, read-only or failing");
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_ERROR:
      return error(
          Errc::data_loss,
          fmt::format("the file is damaged, or not this program's: put a backup in its place, or {}", begin_again));
    default: return error(Errc::unavailable, "");
  }
}

}  // namespace

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
  sqlite3* handle = sqlite3_db_handle(statement_);
  const char* path = sqlite3_db_filename(handle, "main");
  Error error = describe(code, sqlite3_errmsg(handle), path == nullptr ? "" : path, begin_again_);
  sqlite3_reset(statement_);
  return std::unexpected(std::move(error));
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

void Statement::reset() { sqlite3_reset(statement_); }

std::int64_t Statement::integer(int column) const { return sqlite3_column_int64(statement_, column); }

std::string Statement::text(int column) const {
  const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  if (bytes == nullptr) return {};
  return {bytes, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}

void Database::set_patience(std::chrono::milliseconds patience) {
  sqlite3_busy_timeout(handle_, static_cast<int>(patience.count()));
}

Error Database::error(int code) const {
  return describe(code, handle_ != nullptr ? sqlite3_errmsg(handle_) : sqlite3_errstr(code), path_,
                  options_.begin_again);
}

Database::Database(sqlite3* handle, std::string path, const DatabaseOptions& options)
    : handle_(handle), path_(std::move(path)), options_(options) {}

Result<Database> Database::open(const std::string& path, const std::vector<std::string>& migrations,
                                const DatabaseOptions& options) {
  // Made here first, so that nobody else can read it even for a moment. Only when it does not exist: closing any
  // descriptor of the file would drop every lock this process holds on it (POSIX locks belong to the process), and
  // another process could then take the write-ahead log away.
  if (int fd = ::open(path.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600); fd >= 0) ::close(fd);
  sqlite3* handle = nullptr;
  int code =
      sqlite3_open_v2(path.c_str(), &handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  Database database(handle, path, options);
  if (code != SQLITE_OK) return std::unexpected(database.error(code));
  database.set_patience(std::chrono::seconds(2));
  auto version = database.version();
  if (!version) return std::unexpected(version.error());
  if (*version > migrations.size()) {
    sqlite3_db_config(handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);  // not a byte of it changes
    return fail(Errc::failed_precondition,
                fmt::format("{} was written by a newer version of this program (schema {}, known {}): run that "
                            "version, or {}",
                            path, *version, migrations.size(), options.begin_again));
  }
  // Before anything else is written: a file has this from its first page on.
  if (options.shrinks && *version == 0) {
    if (auto done = database.execute("PRAGMA auto_vacuum=INCREMENTAL"); !done) return std::unexpected(done.error());
  }
  // NORMAL in WAL mode: a commit survives the process; a power cut may lose the last ones but never tears the file.
  for (const std::string& sql :
       {std::string("PRAGMA journal_mode=WAL"), std::string("PRAGMA synchronous=NORMAL"),
        fmt::format("PRAGMA cache_size=-{}", options.cache_kib), std::string("PRAGMA temp_store=MEMORY")}) {
    if (auto done = database.execute(sql); !done) return std::unexpected(done.error());
  }
  if (auto done = database.migrate(*version, migrations); !done) return std::unexpected(done.error());
  return database;
}

Result<std::size_t> Database::version() {
  auto statement = prepare("PRAGMA user_version");
  if (!statement) return std::unexpected(statement.error());
  if (auto row = statement->step(); !row) return std::unexpected(row.error());
  return static_cast<std::size_t>(statement->integer(0));
}

Result<void> Database::migrate(std::size_t version, const std::vector<std::string>& migrations) {
  for (; version < migrations.size(); ++version) {
    auto done = transaction([&]() -> Result<void> {
      // Another process may have begun at the same moment.
      auto there = this->version();
      if (!there) return std::unexpected(there.error());
      if (*there > version) return {};
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
  if (code != SQLITE_OK) return std::unexpected(error(code));
  return {};
}

Result<Statement> Database::prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  int code = sqlite3_prepare_v2(handle_, sql.data(), static_cast<int>(sql.size()), &statement, nullptr);
  if (code != SQLITE_OK) return std::unexpected(error(code));
  return Statement(statement, options_.begin_again);
}

}  // namespace penstock::store
