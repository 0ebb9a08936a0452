// A real server on a local socket, without persistence, for tests.
#pragma once

#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <thread>
#include <vector>

namespace penstock::ext {

class RedisServer {
 public:
  // Empty: none is installed.
  static std::string program() {
    for (const char* name : {"/usr/bin/redis-server", "/usr/bin/valkey-server", "/usr/local/bin/redis-server"}) {
      if (::access(name, X_OK) == 0) return name;
    }
    return {};
  }

  explicit RedisServer(const std::vector<std::string>& more = {}) {
    ::signal(SIGPIPE, SIG_IGN);  // as the program does
    std::string pattern = (std::filesystem::temp_directory_path() / "penstock-redis-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    start(more);
  }
  ~RedisServer() {
    kill();
    std::filesystem::remove_all(folder_);
  }

  // Empty.
  void start(const std::vector<std::string>& more = {}) {
    std::vector<std::string> words{program(),      "--port", "0",     "--unixsocket", socket(),    "--save",        "",
                                   "--appendonly", "no",     "--dir", folder_,        "--logfile", folder_ + "/log"};
    words.insert(words.end(), more.begin(), more.end());
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    if (::posix_spawn(&pid_, words[0].c_str(), nullptr, nullptr, arguments.data(), environ) != 0) pid_ = 0;
    for (int i = 0; i < 1000 && !accepts(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  // As a crash.
  void kill() {
    if (pid_ == 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(std::exchange(pid_, 0), nullptr, 0);
    std::filesystem::remove(socket());
  }
  void send(int number) const { ::kill(pid_, number); }
  std::string socket() const { return folder_ + "/s"; }

 private:
  // The socket's file is there before anybody listens.
  bool accepts() const {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    socket().copy(address.sun_path, sizeof address.sun_path - 1);
    const int one = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool taken = ::connect(one, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    ::close(one);
    return taken;
  }

  std::string folder_;
  pid_t pid_ = 0;
};

}  // namespace penstock::ext
