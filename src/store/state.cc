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
    // Scopes and rules become texts of their own (JSON), a key has several secrets, and every change has a number.
    R"(CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
       INSERT INTO counters VALUES ('revision', 1);
       ALTER TABLE keys RENAME TO keys_2;
       CREATE TABLE keys (
         id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, team TEXT NOT NULL, scopes TEXT NOT NULL,
         labels TEXT NOT NULL, priority TEXT NOT NULL, rules TEXT NOT NULL,
         created INTEGER NOT NULL, expires INTEGER NOT NULL, revoked INTEGER NOT NULL, last_used INTEGER NOT NULL,
         revision INTEGER NOT NULL) STRICT;
       CREATE INDEX keys_revision ON keys (revision);
       CREATE INDEX keys_team ON keys (team) WHERE team<>'';
       CREATE TABLE secrets (
         key TEXT NOT NULL, hash TEXT NOT NULL, created INTEGER NOT NULL, expires INTEGER NOT NULL,
         PRIMARY KEY (key, hash)) STRICT, WITHOUT ROWID;
       INSERT INTO keys SELECT id, name, '',
           (SELECT iif(count(*)=0, '', json_object('models', json_group_array(trim(value))))
              FROM json_each('[' || replace(json_quote(models), ',', '","') || ']') WHERE trim(value)<>''),
           '', 'normal',
           iif(rpm<=0 AND tpm<=0, '',
               json_object('limits', json_patch('{}',
                   json_object('rpm', nullif(min(max(rpm, 0), 1000000000), 0),
                               'tpm', nullif(min(max(tpm, 0), 1000000000000), 0))))),
           created, expires, revoked, 0, 1 FROM keys_2;
       INSERT INTO secrets SELECT id, hash, created, 0 FROM keys_2 WHERE revoked=0;
       DROP TABLE keys_2;
       CREATE TABLE teams (
         name TEXT PRIMARY KEY, parent TEXT NOT NULL, scopes TEXT NOT NULL, rules TEXT NOT NULL,
         created INTEGER NOT NULL, removed INTEGER NOT NULL, revision INTEGER NOT NULL) STRICT;
       CREATE TABLE audit (
         sequence INTEGER PRIMARY KEY, at INTEGER NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL,
         object TEXT NOT NULL, before TEXT NOT NULL, after TEXT NOT NULL, hash TEXT NOT NULL) STRICT;)",
    // When which key or team was changed, whoever changes it, and in which order: for gateways that share them. Of two
    // changes the later one stays, so none is ever earlier than what it changes, whatever the clock says.
    R"(CREATE TABLE changes (id TEXT PRIMARY KEY, at INTEGER NOT NULL, sequence INTEGER NOT NULL) STRICT;
       CREATE INDEX changes_sequence ON changes (sequence);
       INSERT INTO changes SELECT 'key:' || id, max(created, revoked), row_number() OVER () FROM keys;
       INSERT INTO changes SELECT 'team:' || name, max(created, removed),
           (SELECT count(*) FROM keys) + row_number() OVER () FROM teams;
       CREATE VIEW next_change (at, sequence) AS
         SELECT CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER),
                coalesce((SELECT max(sequence) FROM changes), 0) + 1;
       CREATE TRIGGER key_added AFTER INSERT ON keys BEGIN
         INSERT INTO changes SELECT 'key:' || new.id, at, sequence FROM next_change WHERE true
           ON CONFLICT (id) DO UPDATE SET at=max(excluded.at, at+1), sequence=excluded.sequence; END;
       CREATE TRIGGER key_changed AFTER UPDATE OF revision ON keys BEGIN
         INSERT INTO changes SELECT 'key:' || new.id, at, sequence FROM next_change WHERE true
           ON CONFLICT (id) DO UPDATE SET at=max(excluded.at, at+1), sequence=excluded.sequence; END;
       CREATE TRIGGER team_added AFTER INSERT ON teams BEGIN
         INSERT INTO changes SELECT 'team:' || new.name, at, sequence FROM next_change WHERE true
           ON CONFLICT (id) DO UPDATE SET at=max(excluded.at, at+1), sequence=excluded.sequence; END;)",
    // Devices. What they are known by is kept after it was taken back, without its hash: for the list of revoked
    // certificates, and so that nobody gets the same number again.
    R"(INSERT INTO counters VALUES ('devices', 1);
       CREATE TABLE devices (
         name TEXT PRIMARY KEY, profile TEXT NOT NULL, state TEXT NOT NULL, why TEXT NOT NULL, groups TEXT NOT NULL,
         tags TEXT NOT NULL, created INTEGER NOT NULL, last_seen INTEGER NOT NULL, revision INTEGER NOT NULL) STRICT;
       CREATE INDEX devices_revision ON devices (revision);
       CREATE TABLE device_credentials (
         device TEXT NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL, hash TEXT NOT NULL, broker TEXT NOT NULL,
         created INTEGER NOT NULL, expires INTEGER NOT NULL, revoked INTEGER NOT NULL,
         PRIMARY KEY (device, kind, id)) STRICT, WITHOUT ROWID;
       CREATE INDEX device_codes ON device_credentials (hash) WHERE kind='code';
       CREATE TABLE device_twins (
         device TEXT PRIMARY KEY, desired TEXT NOT NULL, desired_version INTEGER NOT NULL, desired_at INTEGER NOT NULL,
         reported TEXT NOT NULL, reported_version INTEGER NOT NULL, reported_at INTEGER NOT NULL) STRICT;
       CREATE TABLE device_commands (
         id TEXT PRIMARY KEY, device TEXT NOT NULL, name TEXT NOT NULL, payload TEXT NOT NULL, state TEXT NOT NULL,
         actor TEXT NOT NULL, created INTEGER NOT NULL, expires INTEGER NOT NULL, delivered INTEGER NOT NULL,
         ended INTEGER NOT NULL, result TEXT NOT NULL) STRICT;
       CREATE INDEX device_commands_of ON device_commands (device, ended);
       CREATE INDEX device_commands_open ON device_commands (expires) WHERE ended=0;)",
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
       {"id,name,team,scopes,labels,priority,rules,created,expires,revoked,last_used,revision FROM keys",
        "key,hash,created,expires FROM secrets", "name,value FROM counters",
        "name,parent,scopes,rules,created,removed,revision FROM teams",
        "sequence,at,actor,action,object,before,after,hash FROM audit",
        "at,key,model,target,api,requests,errors,input_tokens,output_tokens,cached_tokens FROM usage",
        "id,key,provider,previous,used,bytes,input,body FROM responses",
        "name,profile,state,why,groups,tags,created,last_seen,revision FROM devices",
        "device,kind,id,hash,broker,created,expires,revoked FROM device_credentials",
        "device,desired,desired_version,desired_at,reported,reported_version,reported_at FROM device_twins",
        "id,device,name,payload,state,actor,created,expires,delivered,ended,result FROM device_commands"}) {
    if (auto known = database->prepare(fmt::format("SELECT {}", columns)); !known)
      return std::unexpected(known.error());
  }
  return State(std::move(*database), dir);
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
