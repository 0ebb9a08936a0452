// A real Mosquitto for tests: a throwaway folder, a free loopback port, ended by its process id.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace penstock::mqtt::test {

// Looks until `met` or the deadline; whether it was met.
inline bool eventually(const std::function<bool()>& met, std::chrono::milliseconds within = std::chrono::seconds(8)) {
  const auto until = std::chrono::steady_clock::now() + within;
  while (!met()) {
    if (std::chrono::steady_clock::now() >= until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

inline sockaddr_in loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

inline int free_port() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  bind(fd, reinterpret_cast<sockaddr*>(&address), size);
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  close(fd);
  return ntohs(address.sin_port);
}

inline bool accepts(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = loopback(port);
  const bool ok = connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  close(fd);
  return ok;
}

// Starts a program with its output going to `log`; -1 when it cannot be started.
inline pid_t start_program(const std::vector<std::string>& command, const std::string& log) {
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  pid_t pid = -1;
  if (posix_spawnp(&pid, arguments[0], &actions, nullptr, arguments.data(), environ) != 0) pid = -1;
  posix_spawn_file_actions_destroy(&actions);
  return pid;
}

// Runs a program to its end; whether it succeeded.
inline bool run_program(const std::vector<std::string>& command, const std::string& log = "/dev/null") {
  const pid_t pid = start_program(command, log);
  int status = 0;
  return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

class Folder {
 public:
  Folder() {
    std::string path = (std::filesystem::temp_directory_path() / "penstock-test-XXXXXX").string();
    if (mkdtemp(path.data()) != nullptr) path_ = path;
  }
  ~Folder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(file(name)) << text;
    return file(name);
  }

 private:
  std::string path_;
};

class Broker {
 public:
  static std::string program() {
    for (const char* path : {"/usr/sbin/mosquitto", "/usr/bin/mosquitto", "/usr/local/sbin/mosquitto"}) {
      if (access(path, X_OK) == 0) return path;
    }
    return {};
  }
  static bool installed() { return !program().empty(); }

  // `settings`: further lines of the configuration, after the listener's.
  explicit Broker(const std::string& settings = "allow_anonymous true\n") {
    // A port that was free a moment ago may be taken by a test beside this one: then with another.
    for (int attempt = 0; attempt < 5 && !running_; ++attempt) {
      kill();
      port_ = free_port();
      write_settings(settings);
      start();
    }
  }
  ~Broker() { kill(); }
  Broker(const Broker&) = delete;
  Broker& operator=(const Broker&) = delete;

  void start() {
    pid_ = start_program({program(), "-c", folder_.file("mosquitto.conf")}, folder_.file("log"));
    running_ = pid_ > 0 && eventually([this] { return accepts(port_) || ended(); }) && !ended();
  }
  void kill() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
    pid_ = -1;
    running_ = false;
  }
  bool running() const { return running_; }
  int port() const { return port_; }
  std::string url(const char* scheme = "mqtt") const { return fmt::format("{}://127.0.0.1:{}", scheme, port_); }
  const Folder& folder() const { return folder_; }
  std::string log() const {
    std::ifstream in(folder_.file("log"));
    return {std::istreambuf_iterator<char>(in), {}};
  }

 private:
  void write_settings(const std::string& settings) {
    // Mosquitto gives up root for an account that cannot read the throwaway folder: keep the test's own.
    folder_.write(
        "mosquitto.conf",
        fmt::format("listener {} 127.0.0.1\n{}persistence false\nlog_dest stderr\nmax_queued_messages 100000\n"
                    "max_inflight_messages 0\nset_tcp_nodelay true\n{}",
                    port_, settings, geteuid() == 0 ? "user root\n" : ""));
  }
  // It ends by itself when it cannot have its port.
  bool ended() {
    if (pid_ > 0 && waitpid(pid_, nullptr, WNOHANG) == pid_) pid_ = -1;
    return pid_ < 0;
  }

  Folder folder_;
  int port_ = 0;
  pid_t pid_ = -1;
  bool running_ = false;
};

// A certificate authority and a server certificate for `host`, made with the openssl program.
struct Certificates {
  std::string ca, cert, key;
  bool made = false;

  Certificates(const Folder& folder, const std::string& host, const std::string& prefix = "")
      : ca(folder.file(prefix + "ca.pem")),
        cert(folder.file(prefix + "cert.pem")),
        key(folder.file(prefix + "key.pem")) {
    const std::string ca_key = folder.file(prefix + "ca-key.pem");
    const std::string request = folder.file(prefix + "request.pem");
    const std::string names = folder.write(prefix + "names.cnf", "subjectAltName=" + host + "\n");
    const std::vector<std::string> ec = {"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"};
    std::vector<std::string> authority = {"openssl",       "req",     "-x509", "-days", "2", "-subj",
                                          "/CN=throwaway", "-keyout", ca_key,  "-out",  ca};
    std::vector<std::string> ask = {"openssl", "req", "-subj", "/CN=broker", "-keyout", key, "-out", request};
    authority.insert(authority.end(), ec.begin(), ec.end());
    ask.insert(ask.end(), ec.begin(), ec.end());
    made = run_program(authority) && run_program(ask) &&
           run_program({"openssl", "x509", "-req", "-days", "2", "-in", request, "-CA", ca, "-CAkey", ca_key,
                        "-CAcreateserial", "-extfile", names, "-out", cert});
  }
};

}  // namespace penstock::mqtt::test
