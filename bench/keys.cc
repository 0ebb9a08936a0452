// A million stored keys: how long until they are there, what they take, what finding one costs, and what a change
// costs.
//   build/keys [KEYS] [FOLDER]     with a folder: also the state file with as many keys, written and read as at a start
#include <fmt/format.h>

#include <time.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/process.h"
#include "base/secret.h"
#include "flow/key_table.h"
#include "store/state.h"

namespace {

using namespace penstock;

// Time of this thread alone: whatever else the machine does.
struct Clock {
  using duration = std::chrono::nanoseconds;
  static duration now() {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return std::chrono::seconds(time.tv_sec) + duration(time.tv_nsec);
  }
};

constexpr base::WallMicros kNow = 1'800'000'000'000'000;
const std::string kInstallation = "0123456789abcdef0123456789abcdef0123456789a";

// As long as those that `penstock key create` makes.
std::string secret_of(std::size_t i) { return fmt::format("pk-{:012}-{:032}", i, i * 7919); }
std::string id_of(std::size_t i) { return fmt::format("id{:010}", i); }
std::string name_of(std::size_t i) { return fmt::format("customer-{:08}", i); }
// Ten kinds of keys, as tariffs are.
std::string rules_of(std::size_t i) { return fmt::format(R"({{"limits":{{"rpm":{}}}}})", 60 * (i % 10 + 1)); }
constexpr std::string_view kScopes = R"({"models":["chat","lab/*"]})";

double seconds(Clock::duration d) { return std::chrono::duration<double>(d).count(); }

template <class Work>
void time_each(const char* what, std::size_t rounds, Work work) {
  auto begun = Clock::now();
  for (std::size_t i = 0; i < rounds; ++i) work(i);
  std::printf("%-58s %8.0f ns\n", what, seconds(Clock::now() - begun) * 1e9 / static_cast<double>(rounds));
}

void put(flow::KeyTable& table, std::size_t i, const std::string& hash, bool revoked = false) {
  std::string id = id_of(i);
  std::string name = name_of(i);
  std::string rules = rules_of(i);
  flow::KeyRecord::Secret secret{hash, 0};
  (void)table.put({id, name, "", kScopes, rules, "normal", 0, revoked, {&secret, 1}});
}

void bench_table(std::size_t keys) {
  std::vector<std::string> hashes;
  for (std::size_t i = 0; i < keys; ++i) hashes.push_back(base::hmac_sha256_hex(kInstallation, secret_of(i)));
  auto before = base::resident_bytes();
  quota::Book book;
  flow::KeyTable table{base::Secret(kInstallation), &book};
  auto begun = Clock::now();
  table.reserve(keys);
  for (std::size_t i = 0; i < keys; ++i) put(table, i, hashes[i]);
  std::printf("%zu keys put in %.2f s\n", table.size(), seconds(Clock::now() - begun));
  std::printf("resident: %.0f MB for them, %.0f bytes a key\n",
              static_cast<double>(base::resident_bytes() - before) / 1e6,
              static_cast<double>(base::resident_bytes() - before) / static_cast<double>(keys));

  constexpr std::size_t kRounds = 1'000'000;
  std::vector<std::string> secrets;
  for (std::size_t i = 0; i < 100'000; ++i) secrets.push_back(secret_of(i * 104'729 % keys));
  std::vector<std::string> strangers;
  for (std::size_t i = 0; i < 100'000; ++i) strangers.push_back(fmt::format("pk-nobody-{:037}", i));
  std::size_t found = 0;
  flow::SecretHasher hasher(kInstallation);
  unsigned seen = 0;
  time_each("the keyed hash alone", kRounds, [&](std::size_t i) { seen |= hasher(secrets[i % 16])[0]; });
  time_each("check, the same few secrets (this core remembers them)", kRounds,
            [&](std::size_t i) { found += table.find(secrets[i % 16], kNow) != nullptr ? 1 : 0; });
  time_each("check, ever other secrets (hash and table)", kRounds,
            [&](std::size_t i) { found += table.find(secrets[i % secrets.size()], kNow) != nullptr ? 1 : 0; });
  time_each("check, secrets nobody has", kRounds,
            [&](std::size_t i) { found += table.find(strangers[i % strangers.size()], kNow) != nullptr ? 1 : 0; });
  if (found != 2 * kRounds || seen == 0) std::abort();
  time_each("a change: one key revoked, or put again", 100'000,
            [&](std::size_t i) { put(table, i / 2 * 31 % keys, hashes[i / 2 * 31 % keys], i % 2 == 0); });
  if (table.size() != keys) std::abort();
}

template <class T>
T need(Result<T> result) {
  if (result) return std::move(*result);
  std::fprintf(stderr, "%s\n", result.error().detail.c_str());
  std::exit(1);
}

// A file that is up to date, whatever its version.
store::Database open_again(const std::string& path) {
  std::vector<std::string> versions;
  while (true) {
    auto opened = store::Database::open(path, versions);
    if (opened || versions.size() > 100) return need(std::move(opened));
    versions.emplace_back();
  }
}

void bench_store(std::size_t keys, const std::string& folder) {
  auto state = need(store::State::open(folder));
  base::Secret installation = need(state.installation_secret());
  {
    // In one transaction, as no program of ours makes them.
    auto database = open_again(folder + "/penstock.db");
    auto filled = database.transaction([&]() -> Result<void> {
      auto key = need(database.prepare("INSERT INTO keys VALUES (?,?,'',?,'','normal',?,1,0,0,0,2)"));
      auto secret = need(database.prepare("INSERT INTO secrets VALUES (?,?,1,0)"));
      for (std::size_t i = 0; i < keys; ++i) {
        std::string id = id_of(i);
        key.bind(1, id).bind(2, name_of(i)).bind(3, kScopes).bind(4, rules_of(i));
        if (auto done = key.run(); !done) return done;
        secret.bind(1, id).bind(2, base::hmac_sha256_hex(installation.reveal(), secret_of(i)));
        if (auto done = secret.run(); !done) return done;
      }
      return database.execute("UPDATE counters SET value=2");
    });
    if (!filled) std::exit(1);
  }
  flow::KeyTable table{installation};
  auto read = [&](std::int64_t since) {
    std::vector<flow::KeyRecord::Secret> secrets;
    auto done = state.read_keys(since, [&](const store::StoredKey& key, const std::vector<store::StoredSecret>& known) {
      secrets.clear();
      for (const auto& one : known) secrets.push_back({one.hash, one.expires});
      (void)table.put(
          {key.id, key.name, key.team, key.scopes, key.rules, key.priority, key.expires, key.revoked != 0, secrets});
    });
    if (!done) std::exit(1);
  };
  auto before = base::resident_bytes();
  auto begun = Clock::now();
  table.reserve(keys);
  read(0);
  std::printf("%zu keys read from the state file in %.2f s, resident %.0f MB more\n", table.size(),
              seconds(Clock::now() - begun), static_cast<double>(base::resident_bytes() - before) / 1e6);
  std::int64_t revision = need(state.revision());
  begun = Clock::now();
  if (need(state.revoke_key(name_of(keys / 2), {"bench", kNow})) != 1) std::exit(1);
  std::printf("one key revoked in the state file in %.2f ms\n", seconds(Clock::now() - begun) * 1e3);
  begun = Clock::now();
  read(revision);
  std::printf("noticed and taken over in %.2f ms\n", seconds(Clock::now() - begun) * 1e3);
  if (table.find(secret_of(keys / 2), kNow) != nullptr) std::abort();
}

}  // namespace

int main(int argc, char** argv) {
  std::size_t keys = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1'000'000;
  if (argc > 2) {
    bench_store(keys, argv[2]);
  } else {
    bench_table(keys);
  }
  return 0;
}
