// Modbus devices for tests, served by libmodbus: over TCP on a free port, or behind one end of a pair of pseudo
// terminals.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <modbus/modbus.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

namespace penstock::ext::modbus {

struct Request {
  std::uint8_t* bytes = nullptr;  // the whole frame
  int unit = 0;
  int function = 0;
  int address = 0;
  int count = 0;
};

class ModbusServer {
 public:
  // Before a request is answered, on the server's thread: the exception to answer with, or 0 for the answer.
  using Hook = std::function<int(const Request&)>;

  // 1,000 of each table.
  explicit ModbusServer(bool serial = false) : mapping_(modbus_mapping_new(1000, 1000, 1000, 1000)) {
    if (serial) {
      open_line();
    } else {
      context_ = modbus_new_tcp("127.0.0.1", 0);
      listener_ = modbus_tcp_listen(context_, 4);
      sockaddr_in address{};
      socklen_t size = sizeof address;
      getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
      port = ntohs(address.sin_port);
    }
    thread_ = std::thread([this, serial] { serial ? serve_line() : serve_tcp(); });
  }
  ~ModbusServer() {
    stopping_ = true;
    thread_.join();
    if (bridge_.joinable()) bridge_.join();
    modbus_mapping_free(mapping_);
    modbus_free(context_);
    for (int fd : {listener_, masters_[0], masters_[1], slaves_[0], slaves_[1]}) {
      if (fd >= 0) close(fd);
    }
  }

  std::uint16_t* holding() { return mapping_->tab_registers; }
  std::uint16_t* inputs() { return mapping_->tab_input_registers; }
  std::uint8_t* coils() { return mapping_->tab_bits; }
  std::uint8_t* discrete() { return mapping_->tab_input_bits; }

  void before_answers(Hook hook) {
    std::lock_guard lock(mutex);
    hook_ = std::move(hook);
  }
  std::size_t asked(int unit) {
    std::lock_guard lock(mutex);
    const auto header = static_cast<std::size_t>(modbus_get_header_length(context_));
    return static_cast<std::size_t>(
        std::count_if(queries.begin(), queries.end(), [&](const auto& one) { return one[header - 1] == unit; }));
  }

  int port = 0;
  std::string line;  // the client's end
  std::atomic<int> requests{0};
  std::atomic<int> connections{0};
  std::atomic<bool> drops{false};   // closes the connection instead of answering
  std::atomic<bool> closes{false};  // closes it behind every answer
  std::atomic<bool> mute{false};    // takes requests and says nothing
  std::atomic<int> hole{-1};        // a register that answers exception 02
  std::atomic<int> units{0};        // only units up to this answer; 0: all
  std::mutex mutex;
  std::vector<std::vector<std::uint8_t>> queries;  // guarded by mutex

 private:
  void serve_tcp() {
    while (!stopping_) {
      if (!readable(listener_)) continue;
      int socket = modbus_tcp_accept(context_, &listener_);
      ++connections;
      while (!stopping_ && socket >= 0) {
        if (readable(socket) && !serve_one()) break;
      }
      modbus_close(context_);
    }
  }
  void serve_line() {
    while (!stopping_) {
      if (readable(slaves_[1])) serve_one();
    }
  }
  bool serve_one() {
    std::uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
    const int length = modbus_receive(context_, query);
    if (length < 0) return false;
    if (length == 0) return true;
    ++requests;
    const int header = modbus_get_header_length(context_);
    const Request request{.bytes = query,
                          .unit = query[header - 1],
                          .function = query[header],
                          .address = query[header + 1] << 8 | query[header + 2],
                          .count = query[header + 3] << 8 | query[header + 4]};
    Hook hook;
    {
      std::lock_guard lock(mutex);
      queries.emplace_back(query, query + length);
      hook = hook_;
    }
    if (mute || (units > 0 && request.unit > units)) return true;
    if (drops) return false;
    int exception = hook ? hook(request) : 0;
    const bool holed = request.function == 3 && hole >= request.address && hole < request.address + request.count;
    if (holed) exception = MODBUS_EXCEPTION_ILLEGAL_DATA_ADDRESS;
    if (exception != 0) {
      modbus_reply_exception(context_, query, static_cast<unsigned>(exception));
    } else {
      modbus_reply(context_, query, length, mapping_);
    }
    return !closes;
  }
  static bool readable(int fd) {
    pollfd one{fd, POLLIN, 0};
    return poll(&one, 1, 20) > 0;
  }

  // Two pseudo terminals whose masters are joined stand for the cable.
  void open_line() {
    std::string names[2];
    for (int i = 0; i < 2; ++i) {
      masters_[i] = posix_openpt(O_RDWR | O_NOCTTY);
      grantpt(masters_[i]);
      unlockpt(masters_[i]);
      char name[128];
      ptsname_r(masters_[i], name, sizeof name);
      names[i] = name;
    }
    // Held open, so that the cable stays while the client reconnects.
    slaves_[0] = open(names[0].c_str(), O_RDWR | O_NOCTTY);
    termios raw{};
    tcgetattr(slaves_[0], &raw);
    cfmakeraw(&raw);
    tcsetattr(slaves_[0], TCSANOW, &raw);
    line = names[0];
    context_ = modbus_new_rtu(names[1].c_str(), 19200, 'E', 8, 1);
    modbus_set_slave(context_, 1);
    EXPECT_EQ(modbus_connect(context_), 0) << modbus_strerror(errno);
    slaves_[1] = dup(modbus_get_socket(context_));
    bridge_ = std::thread([this] {
      while (!stopping_) {
        pollfd both[2]{{masters_[0], POLLIN, 0}, {masters_[1], POLLIN, 0}};
        if (poll(both, 2, 20) <= 0) continue;
        for (int i = 0; i < 2; ++i) {
          char bytes[512];
          if ((both[i].revents & POLLIN) == 0) continue;
          const ssize_t got = read(masters_[i], bytes, sizeof bytes);
          if (got > 0) EXPECT_EQ(::write(masters_[1 - i], bytes, static_cast<std::size_t>(got)), got);
        }
      }
    });
  }

  Hook hook_;  // guarded by mutex
  modbus_mapping_t* mapping_;
  modbus_t* context_ = nullptr;
  int listener_ = -1;
  int masters_[2]{-1, -1};
  int slaves_[2]{-1, -1};
  std::atomic<bool> stopping_{false};
  std::thread thread_;
  std::thread bridge_;
};

}  // namespace penstock::ext::modbus
