#include "net/listen_socket.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "net/acceptor.h"

namespace penstock::net {
namespace {

using testing::HasSubstr;

struct LocalSocket : testing::Test {
  std::filesystem::path folder = [] {
    std::string name = testing::TempDir() + "penstock-XXXXXX";
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    return std::filesystem::path(name);
  }();
  Endpoint endpoint = *local_endpoint((folder / "s").string());
  ~LocalSocket() override { std::filesystem::remove_all(folder); }

  bool reachable() const {
    int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
    bool connected = ::connect(fd, reinterpret_cast<const sockaddr*>(&endpoint.storage), endpoint.length) == 0;
    ::close(fd);
    return connected;
  }
};

TEST_F(LocalSocket, HasItsModeAndGoesWithItsOwner) {
  {
    auto socket = ListenSocket::open(endpoint, 0600);
    ASSERT_TRUE(socket) << socket.error().detail;
    EXPECT_EQ(socket->endpoint().text(), "unix:" + (folder / "s").string());
    EXPECT_EQ(std::filesystem::status(folder / "s").permissions(), std::filesystem::perms(0600));
    EXPECT_TRUE(reachable());
  }
  EXPECT_FALSE(std::filesystem::exists(folder / "s"));
}

TEST_F(LocalSocket, ReplacesAFileThatNobodyListensOn) {
  {
    auto left = ListenSocket::open(endpoint);
    ASSERT_TRUE(left);
    left->leave_file();
  }
  ASSERT_TRUE(std::filesystem::exists(folder / "s"));
  auto socket = ListenSocket::open(endpoint);
  EXPECT_TRUE(socket.has_value());
  EXPECT_TRUE(reachable());
}

TEST_F(LocalSocket, LeavesASocketInUseAndOtherFilesAlone) {
  auto first = ListenSocket::open(endpoint);
  ASSERT_TRUE(first);
  auto second = ListenSocket::open(endpoint);
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().detail, HasSubstr("in use"));
  EXPECT_TRUE(reachable());
  first->close();
  std::ofstream(folder / "s") << "precious";
  EXPECT_FALSE(ListenSocket::open(endpoint));
  EXPECT_TRUE(std::filesystem::exists(folder / "s"));
}

TEST_F(LocalSocket, DoesNotRemoveTheFileOfItsReplacement) {
  auto first = ListenSocket::open(endpoint);
  ASSERT_TRUE(first);
  std::filesystem::remove(folder / "s");
  auto second = ListenSocket::open(endpoint);
  ASSERT_TRUE(second);
  first->close();
  EXPECT_TRUE(reachable());
}

TEST_F(LocalSocket, AdoptsWhatListensAndNothingElse) {
  auto first = ListenSocket::open(endpoint);
  ASSERT_TRUE(first);
  auto adopted = ListenSocket::adopt(::dup(first->fd()));
  ASSERT_TRUE(adopted);
  EXPECT_TRUE(adopted->endpoint() == endpoint);
  EXPECT_FALSE(adopted->owns_file());
  adopted->close();
  EXPECT_TRUE(reachable());
  int plain = ::socket(AF_UNIX, SOCK_STREAM, 0);
  EXPECT_FALSE(ListenSocket::adopt(plain));
  ::close(plain);
}

TEST_F(LocalSocket, TakesOverTheFileOfWhoeverHadIt) {
  auto first = ListenSocket::open(endpoint);
  ASSERT_TRUE(first);
  auto adopted = ListenSocket::adopt(::dup(first->fd()));
  ASSERT_TRUE(adopted);
  adopted->take_file();
  first->leave_file();
  first->close();
  EXPECT_TRUE(reachable());
  adopted->close();
  EXPECT_FALSE(std::filesystem::exists(folder / "s"));
}

TEST(LocalEndpoint, RefusesPathsTheSystemCannotTake) {
  EXPECT_FALSE(local_endpoint(""));
  EXPECT_FALSE(local_endpoint(std::string(108, 'x')));
  EXPECT_TRUE(local_endpoint(std::string(107, 'x')));
  EXPECT_TRUE(parse_listen_address("unix:/run/x")->is_loopback());
  EXPECT_EQ(parse_listen_address("unix:/run/x")->text(), "unix:/run/x");
}

TEST(HttpUrl, MayNameALocalSocket) {
  auto url = parse_http_url("unix:/run/llama.sock:/v1/");
  ASSERT_TRUE(url) << url.error().detail;
  EXPECT_EQ(url->socket, "/run/llama.sock");
  EXPECT_EQ(url->path, "/v1");
  EXPECT_EQ(url->authority(), "localhost");
  EXPECT_EQ(url->place(), "unix:/run/llama.sock");
  EXPECT_EQ(parse_http_url("unix:/run/llama.sock")->path, "");
  for (const char* bad : {"unix:", "unix::/v1", "unix:/run/x:v1", "unix:/run/x:/v 1"})
    EXPECT_FALSE(parse_http_url(bad)) << bad;
}

TEST(Acceptor, TakesWhatWaitsBeforeItCloses) {
  rt::Loop loop;
  int taken = 0;
  auto acceptor = Acceptor::listen(loop, *parse_endpoint({"127.0.0.1", 0}), [&](int fd, const Endpoint&) {
                    ++taken;
                    ::close(fd);
                  }).value();
  const Endpoint endpoint = acceptor->endpoint();
  std::vector<int> clients;
  for (int i = 0; i < 5; ++i) {
    clients.push_back(::socket(AF_INET, SOCK_STREAM, 0));
    ASSERT_EQ(::connect(clients.back(), reinterpret_cast<const sockaddr*>(&endpoint.storage), endpoint.length), 0);
  }
  acceptor->close();
  EXPECT_EQ(taken, 5);
  for (int client : clients) ::close(client);
}

}  // namespace
}  // namespace penstock::net
