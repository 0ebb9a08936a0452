#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "store/state.h"

namespace penstock::store {
namespace {

struct Folder {
  std::string path = std::filesystem::temp_directory_path() / ("penstock-store-" + base::random_token(9));
  ~Folder() { std::filesystem::remove_all(path); }
};

StoredKey key(std::string name) {
  StoredKey k;
  k.id = "id-" + name;
  k.name = std::move(name);
  k.created = 5;
  return k;
}

StoredSecret secret(std::string hash = "h") { return {std::move(hash), 5, 0}; }

Actor actor(base::WallMicros at = 9) { return {"cli:test", at}; }

std::vector<StoredKey> all_keys(State& state) {
  KeyQuery query;
  query.revoked = true;
  return state.keys(query).value();
}

TEST(State, KeepsKeysAcrossOpenings) {
  Folder folder;
  {
    auto state = State::open(folder.path);
    ASSERT_TRUE(state.has_value()) << state.error().detail;
    ASSERT_TRUE(state->add_key(key("app"), secret(), actor()).has_value());
    auto again = state->add_key(key("app"), secret(), actor());
    ASSERT_FALSE(again.has_value());
    EXPECT_EQ(again.error().code, Errc::already_exists);
  }
  auto state = State::open(folder.path);
  ASSERT_EQ(all_keys(*state).size(), 1U);
  std::int64_t before = state->revision().value();
  EXPECT_EQ(state->revoke_key("nobody", actor()).value(), 0);
  EXPECT_EQ(state->revoke_key("app", actor()).value(), 1);
  EXPECT_NE(state->revision().value(), before);
  EXPECT_EQ(all_keys(*state).front().revoked, 9);
  StoredKey second = key("app");
  second.id = "id-2";
  EXPECT_TRUE(state->add_key(second, secret(), actor()).has_value()) << "a revoked key frees its name";
}

TEST(State, RefusesDamagedAndNewerFiles) {
  Folder folder;
  std::filesystem::create_directories(folder.path);
  std::ofstream(folder.path + "/penstock.db") << "this is no database, however long it goes on and on and on";
  auto damaged = State::open(folder.path);
  ASSERT_FALSE(damaged.has_value());
  EXPECT_EQ(damaged.error().code, Errc::data_loss);
  std::filesystem::remove(folder.path + "/penstock.db");
  {
    ASSERT_TRUE(State::open(folder.path).has_value());
  }
  {
    ASSERT_TRUE(Database::open(folder.path + "/penstock.db", {"", "", "", "", "SELECT 1"})
                    ->execute("PRAGMA user_version=99")
                    .has_value());
  }
  auto newer = State::open(folder.path);
  ASSERT_FALSE(newer.has_value());
  EXPECT_EQ(newer.error().code, Errc::failed_precondition);
}

TEST(State, AnotherProcessDoesNotTakeTheLogAway) {
  Folder folder;
  auto keys = State::open(folder.path);
  auto usage = State::open(folder.path);  // a second connection of this process must not drop the first one's locks
  ASSERT_TRUE(keys && usage);
  ASSERT_TRUE(keys->add_key(key("mine"), secret(), actor()).has_value());
  pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    bool revoked = State::open(folder.path)->revoke_key("mine", actor()).value_or(0) == 1;
    _exit(revoked ? 0 : 1);
  }
  int status = 1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(std::filesystem::exists(folder.path + "/penstock.db-wal"));
  EXPECT_EQ(all_keys(*keys).front().revoked, 9) << "what the other process wrote is seen here";
}

TEST(InstallationSecret, IsMadeOnceAndPrivate) {
  Folder folder;
  auto first = State::open(folder.path)->installation_secret();
  auto second = State::open(folder.path)->installation_secret();
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->reveal(), second->reveal());
  struct stat info{};
  ASSERT_EQ(stat((folder.path + "/secret.key").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
}

TEST(InstallationSecret, IsNotMadeAgainWhileStoredKeysNeedTheOldOne) {
  Folder folder;
  auto state = State::open(folder.path);
  ASSERT_TRUE(state->installation_secret() && state->add_key(key("app"), secret(), actor()));
  std::string file = folder.path + "/secret.key";
  std::filesystem::resize_file(file, 42);
  EXPECT_EQ(state->installation_secret().error().code, Errc::data_loss);
  std::filesystem::remove(file);
  auto missing = state->installation_secret();
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().code, Errc::failed_precondition);
  EXPECT_NE(missing.error().detail.find("1 stored keys"), std::string::npos) << missing.error().detail;
  ASSERT_TRUE(state->revoke_key("app", actor()).has_value());
  EXPECT_TRUE(state->installation_secret().has_value()) << "nobody needs the old one";
}

TEST(State, RefusesADatabaseWithoutItsTables) {
  for (const char* damage :
       {"DROP TABLE keys", "DROP TABLE usage", "DROP TABLE responses", "ALTER TABLE keys DROP COLUMN scopes"}) {
    Folder folder;
    ASSERT_TRUE(State::open(folder.path).has_value());
    ASSERT_TRUE(Database::open(folder.path + "/penstock.db", {"", "", "", "", ""})->execute(damage).has_value());
    auto state = State::open(folder.path);
    ASSERT_FALSE(state.has_value()) << damage;
    EXPECT_EQ(state.error().code, Errc::data_loss);
    EXPECT_NE(state.error().detail.find("backup"), std::string::npos) << state.error().detail;
  }
}

}  // namespace
}  // namespace penstock::store
