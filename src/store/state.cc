#include "store/state.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

namespace penstock::store {
namespace {

const std::vector<std::string> kMigrations{
    R"(CREATE TABLE keys (
         id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, hash TEXT NOT NULL, models TEXT NOT NULL,
         rpm INTEGER NOT NULL, tpm INTEGER NOT NULL,
         created INTEGER NOT NULL, expires INTEGER NOT NULL, revoked INTEGER NOT NULL) STRICT;
       CREATE TABLE usage (
         at INTEGER NOT NULL, key TEXT NOT NULL, model TEXT NOT NULL, target TEXT NOT NULL, api TEXT NOT NULL,
         requests INTEGER NOT NULL, errors INTEGER NOT NULL,
         input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, cached_tokens INTEGER NOT NULL,
         PRIMARY KEY (at, key, model, target, api)) STRICT, WITHOUT ROWID;)",
    R"(CREATE TABLE responses (
         id TEXT PRIMARY KEY, key TEXT NOT NULL, provider TEXT NOT NULL, previous TEXT NOT NULL,
         used INTEGER NOT NULL, bytes INTEGER NOT NULL,
         input TEXT NOT NULL, body TEXT NOT NULL) STRICT;
       CREATE INDEX responses_used ON responses (used, bytes);)",
};

// 256 bits, six to a character.
constexpr std::size_t kSecretBytes = 32;
constexpr std::size_t kSecretCharacters = 43;

// The file is there whole or not at all, whatever interrupts this. Of two processes that start together one makes it
// and both read the same.
Result<void> make_secret(const std::string& path) {
  std::string fresh = base::random_token(kSecretBytes);
  std::string draft = fmt::format("{}.{}", path, ::getpid());
  int fd = ::open(draft.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
  bool done =
      fd >= 0 && ::write(fd, fresh.data(), fresh.size()) == static_cast<ssize_t>(fresh.size()) && ::fsync(fd) == 0;
  if (fd >= 0) done = ::close(fd) == 0 && done;
  if (done)
    done = ::renameat2(AT_FDCWD, draft.c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE) == 0 || errno == EEXIST;
  int why = errno;
  ::unlink(draft.c_str());
  if (done) return {};
  return fail(Errc::resource_exhausted, fmt::format("cannot write '{}': {}", path, std::strerror(why)));
}

// The database is there before the secret is made. A secret without one means that stored keys are lost, and a gateway
// without keys may be open to everybody.
Result<void> check_together(const std::string& dir) {
  std::error_code missing;
  auto bytes = std::filesystem::file_size(dir + "/penstock.db", missing);
  if ((!missing && bytes > 0) || ::access((dir + "/secret.key").c_str(), F_OK) != 0) return {};
  return fail(Errc::data_loss,
              fmt::format("'{0}/penstock.db' is {1} while '{0}/secret.key' is there: stored keys are lost. "
                          "Put a backup in its place, or remove secret.key too, to begin without stored "
                          "keys and usage",
                          dir, missing ? "missing" : "empty"));
}

}  // namespace

Result<void> make_data_dir(const std::string& dir) {
  std::error_code ec;
  if (std::filesystem::create_directories(dir, ec))
    std::filesystem::permissions(dir, std::filesystem::perms::owner_all, ec);
  if (ec) {
    return fail(Errc::permission_denied,
                fmt::format("cannot make the data folder '{}': {}; name another one (`data_dir`), or make room for it "
                            "where this user may write",
                            dir, ec.message()));
  }
  return {};
}

Result<State> State::open(const std::string& dir) {
  if (auto made = make_data_dir(dir); !made) return std::unexpected(made.error());
  if (auto there = check_together(dir); !there) return std::unexpected(there.error());
  auto database = Database::open(dir + "/penstock.db", kMigrations);
  if (!database) return std::unexpected(database.error());
  // What is missing shows here, not at the first call that is to be counted.
  for (std::string_view columns :
       {"id,name,hash,models,rpm,tpm,created,expires,revoked FROM keys",
        "at,key,model,target,api,requests,errors,input_tokens,output_tokens,cached_tokens FROM usage",
        "id,key,provider,previous,used,bytes,input,body FROM responses"}) {
    if (auto known = database->prepare(fmt::format("SELECT {}", columns)); !known)
      return std::unexpected(known.error());
  }
  return State(std::move(*database), dir);
}

Result<void> State::add_key(const StoredKey& key) {
  auto statement = database_.prepare("INSERT INTO keys VALUES (?,?,?,?,?,?,?,?,0)");
  if (!statement) return std::unexpected(statement.error());
  statement->bind(1, key.id).bind(2, key.name).bind(3, key.hash).bind(4, key.models).bind(5, key.rpm).bind(6, key.tpm);
  auto done = statement->bind(7, key.created).bind(8, key.expires).run();
  if (!done && done.error().code == Errc::already_exists) {
    return fail(Errc::already_exists,
                fmt::format("a key named '{}' exists already; choose another name or revoke it first", key.name));
  }
  return done;
}

Result<std::vector<StoredKey>> State::keys() {
  auto statement =
      database_.prepare("SELECT id,name,hash,models,rpm,tpm,created,expires,revoked FROM keys ORDER BY created");
  if (!statement) return std::unexpected(statement.error());
  std::vector<StoredKey> keys;
  while (true) {
    auto row = statement->step();
    if (!row) return std::unexpected(row.error());
    if (!*row) return keys;
    keys.push_back({statement->text(0), statement->text(1), statement->text(2), statement->text(3),
                    statement->integer(4), statement->integer(5), statement->integer(6), statement->integer(7),
                    statement->integer(8)});
  }
}

Result<int> State::revoke_key(std::string_view name_or_id, base::WallMicros now) {
  // A revoked key frees its name: the row stays for the history of usage, under a name nobody can ask for.
  auto statement = database_.prepare(
      "UPDATE keys SET revoked=?1, name=name||' (revoked '||id||')' WHERE (name=?2 OR id=?2) AND revoked=0 RETURNING "
      "id");
  if (!statement) return std::unexpected(statement.error());
  statement->bind(1, now).bind(2, name_or_id);
  int count = 0;
  while (true) {
    auto row = statement->step();
    if (!row) return std::unexpected(row.error());
    if (!*row) return count;
    ++count;
  }
}

Result<std::int64_t> State::keys_version() {
  // Creation and revocation times together change with every change of the table.
  auto statement = database_.prepare(
      "SELECT COUNT(*)*1000003 + COALESCE(SUM(revoked)%1000000007,0) + COALESCE(MAX(created),0) FROM keys");
  if (!statement) return std::unexpected(statement.error());
  auto row = statement->step();
  if (!row) return std::unexpected(row.error());
  return statement->integer(0);
}

Result<std::int64_t> State::keys_in_force() {
  auto statement = database_.prepare("SELECT COUNT(*) FROM keys WHERE revoked=0");
  if (!statement) return std::unexpected(statement.error());
  if (auto row = statement->step(); !row) return std::unexpected(row.error());
  return statement->integer(0);
}

Result<base::Secret> State::installation_secret() {
  std::string path = dir_ + "/secret.key";
  if (::access(path.c_str(), F_OK) != 0 && errno == ENOENT) {
    auto keys = keys_in_force();
    if (!keys) return std::unexpected(keys.error());
    // Another process may have made both meanwhile.
    if (*keys > 0 && ::access(path.c_str(), F_OK) != 0) {
      return fail(Errc::failed_precondition,
                  fmt::format("'{}' is missing, and {} stored keys cannot be checked without it: put it back from a "
                              "backup, or revoke them (`penstock key list`, `penstock key revoke NAME`) and make new "
                              "ones",
                              path, *keys));
    }
    if (auto made = make_secret(path); !made) return std::unexpected(made.error());
  }
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return fail(Errc::permission_denied, fmt::format("cannot read '{}': {}; stored keys cannot be checked without it",
                                                     path, std::strerror(errno)));
  }
  std::array<char, 256> buffer{};
  ssize_t got = ::read(fd, buffer.data(), buffer.size());
  ::close(fd);
  if (got < static_cast<ssize_t>(kSecretCharacters)) {
    return fail(Errc::data_loss,
                fmt::format("'{}' is damaged, and stored keys cannot be checked without it: put it back "
                            "from a backup; without one, revoke all stored keys and remove the file",
                            path));
  }
  return base::Secret(std::string(buffer.data(), static_cast<std::size_t>(got)));
}

}  // namespace penstock::store
