// A DNS server on loopback for tests, on a thread of its own: answers A (and AAAA) by name, as a test told it to.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace penstock::net {

class DnsServer {
 public:
  enum class Mood { answers, silent, no_such_name, fails, garbage };
  struct Entry {
    std::vector<std::string> addresses;  // IPv4
    std::uint32_t ttl = 60;              // seconds
    Mood mood = Mood::answers;
    int delay_millis = 0;
  };

  DnsServer() : fd_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    ::bind(fd_, reinterpret_cast<sockaddr*>(&address), length);
    ::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &length);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { run(); });
  }
  ~DnsServer() {
    stopping_ = true;
    ::shutdown(fd_, SHUT_RDWR);
    thread_.join();
    ::close(fd_);
  }

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  void set(const std::string& name, Entry entry) {
    std::lock_guard lock(mutex_);
    entries_[name] = std::move(entry);
  }
  void set(const std::string& name, Mood mood) { set(name, Entry{{}, 0, mood}); }
  // Questions for the IPv4 addresses of `name` so far, tries included.
  int asked(const std::string& name) {
    std::lock_guard lock(mutex_);
    return asked_[name];
  }

 private:
  void run() {
    std::array<unsigned char, 512> packet{};
    while (!stopping_) {
      sockaddr_in from{};
      socklen_t length = sizeof from;
      ssize_t got = ::recvfrom(fd_, packet.data(), packet.size(), 0, reinterpret_cast<sockaddr*>(&from), &length);
      if (got < 17) continue;
      std::string answer =
          answer_to(std::string(reinterpret_cast<char*>(packet.data()), static_cast<std::size_t>(got)));
      if (!answer.empty()) ::sendto(fd_, answer.data(), answer.size(), 0, reinterpret_cast<sockaddr*>(&from), length);
    }
  }

  // The question's name, and where it ends.
  static std::pair<std::string, std::size_t> name_in(const std::string& question) {
    std::string name;
    std::size_t at = 12;
    while (at < question.size() && question[at] != 0) {
      auto size = static_cast<std::size_t>(question[at]);
      name += (name.empty() ? "" : ".") + question.substr(at + 1, size);
      at += size + 1;
    }
    return {name, at + 1};
  }

  std::string answer_to(const std::string& question) {
    auto [name, end] = name_in(question);
    bool ipv4 = question[end + 1] == 1;
    Entry entry;
    {
      std::lock_guard lock(mutex_);
      if (ipv4) ++asked_[name];
      auto known = entries_.find(name);
      entry = known == entries_.end() ? Entry{{}, 0, Mood::no_such_name} : known->second;
    }
    if (entry.delay_millis > 0) std::this_thread::sleep_for(std::chrono::milliseconds(entry.delay_millis));
    if (entry.mood == Mood::silent) return {};
    if (entry.mood == Mood::garbage) return question.substr(0, 2) + "\xff\xff\xff\xff no message at all";
    std::size_t count = ipv4 && entry.mood == Mood::answers ? entry.addresses.size() : 0;
    std::string answer = question.substr(0, end + 4);
    answer[2] = static_cast<char>(0x81);
    answer[3] = entry.mood == Mood::no_such_name ? 3 : entry.mood == Mood::fails ? 2 : 0;
    answer[6] = 0;
    answer[7] = static_cast<char>(count);
    answer[8] = answer[9] = answer[10] = answer[11] = 0;
    for (std::size_t i = 0; i < count; ++i) {
      answer += std::string("\xc0\x0c\x00\x01\x00\x01", 6);
      std::uint32_t ttl = htonl(entry.ttl);
      answer.append(reinterpret_cast<char*>(&ttl), 4);
      answer += std::string("\x00\x04", 2);
      in_addr address{};
      inet_pton(AF_INET, entry.addresses[i].c_str(), &address);
      answer.append(reinterpret_cast<char*>(&address), 4);
    }
    return answer;
  }

  int fd_;
  std::uint16_t port_ = 0;
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::map<std::string, Entry> entries_;
  std::map<std::string, int> asked_;
  std::thread thread_;
};

}  // namespace penstock::net
