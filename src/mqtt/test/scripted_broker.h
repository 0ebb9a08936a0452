// A broker that does what a test tells it, packet by packet (MQTT 3.1.1 section 2), on a free loopback port.
#pragma once

#include <poll.h>

#include <array>
#include <condition_variable>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "mqtt/test/broker.h"

namespace penstock::mqtt::test {

class ScriptedBroker {
 public:
  enum Kind : int { kConnect = 1, kPublish = 3, kPuback = 4, kSubscribe = 8, kPing = 12, kDisconnect = 14 };
  struct Packet {
    int kind;
    std::string body;
  };

  ScriptedBroker() {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    bind(listener_, reinterpret_cast<sockaddr*>(&address), size);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    listen(listener_, 8);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~ScriptedBroker() {
    ending_ = true;
    thread_.join();
    close(listener_);
  }
  std::string url() const { return fmt::format("mqtt://127.0.0.1:{}", port_); }

  // To the client connected last.
  void publish(std::string_view topic, std::string_view payload, int id) {
    std::string body{static_cast<char>(topic.size() >> 8), static_cast<char>(topic.size() & 0xff)};
    body += topic;
    body += {static_cast<char>(id >> 8), static_cast<char>(id & 0xff)};
    body += payload;
    std::lock_guard lock(mutex_);
    send(0x32, body);
  }
  void drop_client() {
    std::lock_guard lock(mutex_);
    if (client_ >= 0) shutdown(client_, SHUT_RDWR);
  }
  std::size_t count(int kind) const {
    std::lock_guard lock(mutex_);
    return static_cast<std::size_t>(
        std::count_if(packets_.begin(), packets_.end(), [&](const Packet& one) { return one.kind == kind; }));
  }
  std::vector<int> acknowledged() const {
    std::lock_guard lock(mutex_);
    std::vector<int> ids;
    for (const Packet& one : packets_) {
      if (one.kind == kPuback)
        ids.push_back(static_cast<unsigned char>(one.body[0]) << 8 | static_cast<unsigned char>(one.body[1]));
    }
    return ids;
  }
  bool closed() const {
    std::lock_guard lock(mutex_);
    return client_ < 0;
  }

 private:
  void send(int head, const std::string& body) {
    const std::string packet = std::string{static_cast<char>(head), static_cast<char>(body.size())} + body;
    if (client_ >= 0) ::send(client_, packet.data(), packet.size(), MSG_NOSIGNAL);
  }
  void serve() {
    while (!ending_) {
      pollfd waiting{client_ >= 0 ? client_ : listener_, POLLIN, 0};
      if (poll(&waiting, 1, 10) <= 0) continue;
      std::lock_guard lock(mutex_);
      if (client_ < 0) {
        client_ = accept(listener_, nullptr, nullptr);
      } else if (!receive()) {
        close(client_);
        client_ = -1;
        buffer_.clear();
      }
    }
    if (client_ >= 0) close(client_);
  }
  bool receive() {
    std::array<char, 4096> piece{};
    const ssize_t size = recv(client_, piece.data(), piece.size(), 0);
    if (size <= 0) return false;
    buffer_.append(piece.data(), static_cast<std::size_t>(size));
    // No packet of these tests is longer than 127 bytes behind its head.
    while (buffer_.size() >= 2 && buffer_.size() >= 2U + static_cast<unsigned char>(buffer_[1])) {
      const std::size_t length = static_cast<unsigned char>(buffer_[1]);
      const int kind = static_cast<unsigned char>(buffer_[0]) >> 4;
      packets_.push_back({kind, buffer_.substr(2, length)});
      buffer_.erase(0, 2 + length);
      if (kind == kConnect) send(0x20, std::string(2, '\0'));
      if (kind == kSubscribe) send(0x90, packets_.back().body.substr(0, 2) + '\1');
      if (kind == kPing) send(0xd0, "");
    }
    return true;
  }

  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> ending_{false};
  mutable std::mutex mutex_;  // guards what follows
  int client_ = -1;
  std::string buffer_;
  std::vector<Packet> packets_;
  std::thread thread_;
};

}  // namespace penstock::mqtt::test
