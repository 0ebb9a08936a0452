// The spool with its thread, on the machine's own file system.
#include "spool/spool.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <future>
#include <random>

namespace penstock::spool {
namespace {

using namespace std::chrono_literals;
using testing::IsEmpty;
using testing::SizeIs;

class SpoolTest : public testing::Test {
 protected:
  SpoolTest() {
    std::string pattern = testing::TempDir() + "spool_XXXXXX";
    options.folder = std::string(mkdtemp(pattern.data())) + "/buffer";
    options.cursors = {"sink"};
  }
  ~SpoolTest() override { std::filesystem::remove_all(std::filesystem::path(options.folder).parent_path()); }

  std::shared_ptr<Spool> open() {
    auto opened = Spool::open(options, local_storage(), base::system_clock());
    EXPECT_TRUE(opened) << opened.error().detail;
    return opened ? *opened : nullptr;
  }
  static Result<std::uint64_t> store(Spool& spool, Spool::Entries entries) {
    std::promise<Result<std::uint64_t>> promise;
    spool.append(std::move(entries), [&](auto stored) { promise.set_value(std::move(stored)); });
    return promise.get_future().get();
  }
  static Result<Spool::Entries> read(Spool& spool, std::uint64_t after, std::size_t bytes_max = 1 << 20U) {
    std::promise<Result<Spool::Entries>> promise;
    spool.read(after, bytes_max, [&](auto entries) { promise.set_value(std::move(entries)); });
    return promise.get_future().get();
  }

  Options options;
};

TEST_F(SpoolTest, StoresReadsAcknowledgesAndGoesOnAfterAStart) {
  std::string identity;
  {
    auto spool = open();
    identity = spool->identity();
    EXPECT_EQ(identity.size(), 16U);
    EXPECT_EQ(*store(*spool, {{0, 0, 1, "one"}, {0, 0, 1, "two"}}), 1U);
    EXPECT_EQ(*store(*spool, {{0, 0, 1, "three"}}), 3U);
    EXPECT_THAT(*read(*spool, 0), SizeIs(3));
    spool->acknowledge("sink", 2);
    EXPECT_EQ(spool->cursor("sink"), 2U);
    EXPECT_EQ(spool->cursor("nobody"), 0U);
  }
  auto spool = open();
  EXPECT_EQ(spool->identity(), identity);
  EXPECT_EQ(spool->cursor("sink"), 2U);
  EXPECT_EQ(spool->stats().backlog, 1U);
  auto entries = read(*spool, 2);
  ASSERT_THAT(*entries, SizeIs(1));
  EXPECT_EQ(entries->front().bytes, "three");
  EXPECT_EQ(*store(*spool, {{0, 0, 1, "four"}}), 4U);
}

TEST_F(SpoolTest, ItsFilesAreItsOwnersAlone) {
  auto spool = open();
  ASSERT_TRUE(store(*spool, {{0, 0, 1, "one"}}));
  for (const auto& entry : std::filesystem::recursive_directory_iterator(options.folder)) {
    struct stat about{};
    ASSERT_EQ(::lstat(entry.path().c_str(), &about), 0);
    EXPECT_EQ(about.st_mode & 0777U, entry.is_directory() ? 0700U : 0600U) << entry.path();
  }
}

TEST_F(SpoolTest, LinksInAFilesPlaceAreNotFollowed) {
  {
    auto spool = open();
  }
  std::string victim = options.folder + "/../victim";
  {
    int fd = ::open(victim.c_str(), O_CREAT | O_WRONLY, 0600);
    ::close(fd);
  }
  std::filesystem::remove(options.folder + "/state");
  std::filesystem::create_symlink(victim, options.folder + "/state");
  std::filesystem::create_symlink(victim, options.folder + "/p1/00000000000000000001.seg");
  auto refused = Spool::open(options, local_storage(), base::system_clock());
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().detail, testing::HasSubstr("symbolic link"));
  EXPECT_EQ(std::filesystem::file_size(victim), 0U);
  std::filesystem::remove(options.folder + "/state");
  auto spool = open();
  EXPECT_THAT(*read(*spool, 0), IsEmpty());
}

TEST_F(SpoolTest, AppendsThatWaitTogetherShareASync) {
  auto spool = open();
  constexpr int kAppends = 2000;
  std::atomic<int> stored = 0;
  for (int i = 0; i < kAppends; ++i) {
    spool->append({{0, 0, 1, fmt::format("entry {}", i)}}, [&](auto first) { stored += first ? 1 : 0; });
  }
  spool->close();
  EXPECT_EQ(stored, kAppends);
  EXPECT_LT(spool->stats().syncs, kAppends / 4);
  EXPECT_EQ(spool->stats().appended, std::uint64_t{kAppends});
}

TEST_F(SpoolTest, TellsWhenSomethingCanBeRead) {
  auto spool = open();
  std::promise<void> told;
  std::atomic<bool> once = false;
  spool->on_append([&] {
    if (!once.exchange(true)) told.set_value();
  });
  spool->append({{0, 0, 1, "one"}}, {});
  told.get_future().get();
  EXPECT_THAT(*read(*spool, 0), SizeIs(1));
  spool->on_append({});
  ASSERT_TRUE(store(*spool, {{0, 0, 1, "two"}}));
}

TEST_F(SpoolTest, TooMuchThatWaitsIsRefused) {
  options.waiting_bytes_max = 10'000;
  auto spool = open();
  // The thread is busy in this callback meanwhile.
  std::promise<void> go;
  std::promise<void> busy;
  spool->append({{0, 0, 1, "first"}}, [&](auto) {
    busy.set_value();
    go.get_future().get();
  });
  busy.get_future().get();
  std::atomic<int> stored = 0;
  std::atomic<int> refused = 0;
  for (int i = 0; i < 20; ++i) {
    spool->append({{0, 0, 1, std::string(1000, 'x')}}, [&](auto first) {
      if (first) {
        ++stored;
      } else {
        EXPECT_EQ(first.error().code, Errc::backpressure);
        ++refused;
      }
    });
  }
  go.set_value();
  spool->close();
  EXPECT_EQ(stored, 9);
  EXPECT_EQ(refused, 11);
}

TEST_F(SpoolTest, WhatComesAfterCloseIsCancelled) {
  auto spool = open();
  spool->close();
  auto stored = store(*spool, {{0, 0, 1, "late"}});
  ASSERT_FALSE(stored);
  EXPECT_EQ(stored.error().code, Errc::cancelled);
  EXPECT_FALSE(read(*spool, 0));
  spool->acknowledge("sink", 1);
  spool->close();
}

TEST_F(SpoolTest, TheLastOwnerMayLetGoInACallback) {
  auto spool = open();
  std::promise<void> done;
  auto* raw = spool.get();
  raw->append({{0, 0, 1, "one"}}, [owner = std::move(spool), &done](auto stored) mutable {
    EXPECT_TRUE(stored);
    owner = nullptr;
    done.set_value();
  });
  done.get_future().get();
  options.lock_wait = 5s;
  auto again = open();
  EXPECT_THAT(*read(*again, 0), SizeIs(1));
}

TEST_F(SpoolTest, OneFolderHasOneSpool) {
  auto spool = open();
  auto second = Spool::open(options, local_storage(), base::system_clock());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::already_exists);
  spool->close();
  spool = open();
  EXPECT_NE(spool, nullptr);
}

TEST_F(SpoolTest, ManyThreadsMayCallAtOnce) {
  auto spool = open();
  constexpr int kThreads = 4;
  constexpr int kEach = 300;
  std::atomic<int> stored = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kEach; ++i) {
        spool->append({{0, 0, 1, "entry"}}, [&](auto first) {
          ++stored;
          spool->acknowledge("sink", *first / 2);
        });
        (void)spool->stats();
        (void)spool->cursor("sink");
        spool->on_append([] {});
        spool->read(0, 100, [](auto) {});
      }
    });
  }
  for (auto& thread : threads) thread.join();
  spool->close();
  EXPECT_EQ(stored, kThreads * kEach);
}

// ---- Killed

// Stores numbered entries until it is killed, and says which were stored.
[[noreturn]] void child(Options options, int out, std::uint64_t from) {
  auto spool = Spool::open(std::move(options), local_storage(), base::system_clock());
  if (!spool) ::_exit(3);
  std::atomic<int> waiting = 0;
  for (std::uint64_t number = from;; ++number) {
    while (waiting > 64) std::this_thread::yield();
    ++waiting;
    (*spool)->append({{0, 0, static_cast<std::uint8_t>(number % 3), std::to_string(number)}}, [&, number](auto first) {
      std::uint64_t told[2] = {number, first ? *first : 0};
      if (!first || ::write(out, told, sizeof told) != sizeof told) ::_exit(4);
      --waiting;
    });
    if (number % 50 == 0) (*spool)->read(0, 1000, [](auto) {});
  }
}

TEST_F(SpoolTest, NothingStoredIsLostWhenTheProcessIsKilled) {
  options.segment_bytes = 16 << 10U;
  std::map<std::uint64_t, std::uint64_t> stored;  // by sequence
  std::mt19937 random(11);
  std::uint64_t next = 1;
  for (int round = 0; round < 12; ++round) {
    options.sync = static_cast<Sync>(round % 3);
    options.by_priority = round % 2 == 0;
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    pid_t pid = ::fork();
    ASSERT_GE(pid, 0);
    if (pid == 0) {
      ::close(ends[0]);
      child(options, ends[1], next);
    }
    ::close(ends[1]);
    // From the first answer on, so that a slow machine kills no one before he began.
    std::uint64_t told[2];
    ASSERT_EQ(::read(ends[0], told, sizeof told), ssize_t{sizeof told});
    auto note = [&] {
      EXPECT_TRUE(stored.emplace(told[1], told[0]).second) << "sequence " << told[1] << " was given out twice";
      next = std::max(next, told[0] + 1000);
    };
    note();
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 60'000));
    ::kill(pid, SIGKILL);
    while (::read(ends[0], told, sizeof told) == ssize_t{sizeof told}) note();
    ::close(ends[0]);
    int status = 0;
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    ASSERT_TRUE(WIFSIGNALED(status)) << WEXITSTATUS(status);
  }
  auto spool = open();
  std::map<std::uint64_t, std::string> found;
  std::uint64_t after = 0;
  while (true) {
    auto entries = read(*spool, after);
    ASSERT_TRUE(entries);
    if (entries->empty()) break;
    for (Entry& entry : *entries) {
      EXPECT_GT(entry.sequence, after);
      after = entry.sequence;
      found[after] = std::move(entry.bytes);
    }
  }
  for (const auto& [sequence, number] : stored) EXPECT_EQ(found[sequence], std::to_string(number));
  EXPECT_EQ(spool->stats().damaged, 0U);
  EXPECT_GT(stored.size(), 100U);
}

}  // namespace
}  // namespace penstock::spool
