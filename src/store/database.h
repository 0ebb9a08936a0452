// SQLite for state: keys, responses, usage. One Database is used by one thread at a time. WAL mode, so that other
// processes (the command line) can read and write beside the running gateway.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace penstock::store {

// A prepared statement; parameters are 1-based, columns 0-based as in SQLite.
class Statement {
 public:
  Statement(sqlite3_stmt* statement, const char* begin_again) : statement_(statement), begin_again_(begin_again) {}
  ~Statement();
  Statement(Statement&& other) noexcept
      : statement_(std::exchange(other.statement_, nullptr)), begin_again_(other.begin_again_) {}
  Statement& operator=(Statement&&) = delete;

  Statement& bind(int index, std::int64_t value);
  Statement& bind(int index, std::string_view value);
  Statement& bind_null(int index);
  // True with a row, false at the end.
  Result<bool> step();
  // Runs to the end and makes the statement ready for the next parameters.
  Result<void> run();
  // Back to the begin, for the next parameters.
  void reset();
  std::int64_t integer(int column) const;
  std::string text(int column) const;

 private:
  sqlite3_stmt* statement_;
  const char* begin_again_;  // DatabaseOptions::begin_again
};

struct DatabaseOptions {
  // What else to do about a file that cannot be used, as errors say it. A literal.
  const char* begin_again =
      "move it away together with its -wal, its -shm and secret.key to begin without stored keys and usage";
  int cache_kib = 512;
  bool shrinks = false;  // give_back_pages() works; for files made from now on
};

class Database {
 public:
  // Creates the file (mode 0600) and brings its schema up to date: `migrations[i]` leads from version i to i+1, each in
  // one transaction. A file from a newer program is refused and left as it is. A damaged file is data_loss.
  static Result<Database> open(const std::string& path, const std::vector<std::string>& migrations,
                               const DatabaseOptions& options = {});
  ~Database();
  Database(Database&& other) noexcept
      : handle_(std::exchange(other.handle_, nullptr)), path_(std::move(other.path_)), options_(other.options_) {}
  Database& operator=(Database&&) = delete;

  // How long to wait for another writer before an operation fails; 2 s unless told.
  void set_patience(std::chrono::milliseconds patience);
  Result<void> execute(const std::string& sql);
  Result<Statement> prepare(std::string_view sql);

  // All or nothing.
  template <class F>
  Result<void> transaction(F body) {
    if (auto begun = execute("BEGIN IMMEDIATE"); !begun) return begun;
    Result<void> done = body();
    if (done) done = execute("COMMIT");
    if (!done) (void)execute("ROLLBACK");
    return done;
  }

 private:
  Database(sqlite3* handle, std::string path, const DatabaseOptions& options);
  Result<std::size_t> version();
  Result<void> migrate(std::size_t version, const std::vector<std::string>& migrations);
  Error error(int code) const;
  sqlite3* handle_;
  std::string path_;
  DatabaseOptions options_;
};

}  // namespace penstock::store
