#include <gtest/gtest.h>
#include <linux/io_uring.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "net/stream.h"
#include "rt/await.h"

namespace penstock::net {
namespace {

// Two connected sockets on a loop that sends at the end of its turns.
struct Pair {
  explicit Pair(rt::Loop& loop) {
    int fds[2] = {-1, -1};
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    near = std::make_unique<Stream>(loop, fds[0]);
    far = std::make_unique<Stream>(loop, fds[1]);
  }
  std::unique_ptr<Stream> near;
  std::unique_ptr<Stream> far;
};

class BatchedSend : public testing::Test {
 protected:
  void SetUp() override {
    io_uring_params params{};
    auto ring = static_cast<int>(syscall(SYS_io_uring_setup, 1, &params));
    if (ring < 0) GTEST_SKIP() << "this system has no io_uring: " << std::strerror(errno);
    ::close(ring);
    utsname system{};
    int major = 0;
    int minor = 0;
    ASSERT_EQ(uname(&system), 0);
    ASSERT_EQ(std::sscanf(system.release, "%d.%d", &major, &minor), 2);
    if (major < 6 || (major == 6 && minor < 1)) GTEST_SKIP() << "Linux " << system.release << " is older than 6.1";
    loop.batch_sends();
    ASSERT_TRUE(loop.batches_sends());
  }

  // Starts `count` tasks and runs the loop until all have ended.
  void run(std::vector<rt::Task<void>> tasks) {
    std::size_t left = tasks.size();
    for (auto& task : tasks) {
      rt::spawn(std::move(task), [&] {
        if (--left == 0) loop.stop();
      });
    }
    if (left > 0) loop.run();
  }

  rt::Loop loop;
};

rt::Task<void> send(Stream& stream, std::string bytes, Result<void>& result) {
  result = co_await stream.write({std::string_view(bytes).substr(0, 7), std::string_view(bytes).substr(7)});
}

rt::Task<void> receive(Stream& stream, std::size_t size, std::string& bytes) {
  std::array<char, 4096> buffer{};
  while (bytes.size() < size) {
    auto got = co_await stream.read(buffer);
    if (!got || *got == 0) co_return;
    bytes.append(buffer.data(), *got);
  }
}

// More than a socket holds, from more streams than one call takes: short sends go on when there is room.
TEST_F(BatchedSend, GivesEveryStreamItsBytesInOrder) {
  constexpr std::size_t kStreams = 300;
  std::vector<Pair> pairs;
  std::vector<Result<void>> results(kStreams);
  std::vector<std::string> received(kStreams);
  std::vector<rt::Task<void>> tasks;
  auto content = [](std::size_t i) {
    std::string bytes;
    for (std::size_t n = 0; bytes.size() < (i % 3 == 0 ? 600'000U : 100U); ++n) bytes += fmt::format("{}-{} ", i, n);
    return bytes;
  };
  for (std::size_t i = 0; i < kStreams; ++i) pairs.emplace_back(loop);
  for (std::size_t i = 0; i < kStreams; ++i) {
    tasks.push_back(send(*pairs[i].near, content(i), results[i]));
    tasks.push_back(receive(*pairs[i].far, content(i).size(), received[i]));
  }
  run(std::move(tasks));
  for (std::size_t i = 0; i < kStreams; ++i) {
    EXPECT_TRUE(results[i].has_value());
    EXPECT_EQ(received[i], content(i)) << i;
  }
}

TEST_F(BatchedSend, TellsWhoseOtherSideIsGone) {
  std::vector<Pair> pairs;
  std::vector<Result<void>> results(8);
  std::vector<rt::Task<void>> tasks;
  for (std::size_t i = 0; i < results.size(); ++i) pairs.emplace_back(loop);
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (i % 2 == 0) pairs[i].far->close();
    tasks.push_back(send(*pairs[i].near, "a few bytes", results[i]));
  }
  run(std::move(tasks));
  for (std::size_t i = 0; i < results.size(); ++i) {
    ASSERT_EQ(results[i].has_value(), i % 2 == 1) << i;
    if (!results[i]) EXPECT_EQ(results[i].error().code, Errc::unavailable);
  }
}

TEST_F(BatchedSend, ForgetsAStreamThatIsClosedBeforeTheTurnEnds) {
  std::vector<Pair> pairs;
  std::vector<Result<void>> results(8);
  std::vector<std::string> received(8);
  std::vector<rt::Task<void>> tasks;
  for (std::size_t i = 0; i < results.size(); ++i) pairs.emplace_back(loop);
  for (std::size_t i = 0; i < results.size(); ++i) {
    tasks.push_back(send(*pairs[i].near, "a few bytes", results[i]));
    tasks.push_back(receive(*pairs[i].far, 11, received[i]));
  }
  loop.post([&] { pairs[3].near->close(); });
  run(std::move(tasks));
  for (std::size_t i = 0; i < results.size(); ++i) {
    EXPECT_EQ(results[i].has_value(), i != 3);
    EXPECT_EQ(received[i], i == 3 ? "" : "a few bytes");
  }
  EXPECT_EQ(results[3].error().code, Errc::cancelled);
}

}  // namespace
}  // namespace penstock::net
