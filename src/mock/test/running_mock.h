#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "json/value.h"
#include "mock/server.h"
#include "rt/cores.h"

namespace penstock::mock {

// The mock on its own thread, and a client that sends bytes and reads until the end or a time.
struct Running : testing::Test {
  explicit Running(Options options = {}) {
    options.listen = *net::parse_endpoint({"127.0.0.1", 0});
    server = Server::start({&thread.loop()}, std::move(options)).value();
    thread.start();
  }
  ~Running() override {
    server->stop();
    thread.stop();
  }
  int connect() const {
    int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    const auto& endpoint = server->endpoint();
    EXPECT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&endpoint.storage), endpoint.length), 0);
    timeval wait{5, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    return fd;
  }
  static void send(int fd, std::string_view bytes) {
    EXPECT_EQ(::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  }
  std::string raw(std::string_view bytes) const {
    int fd = connect();
    send(fd, bytes);
    std::string all;
    std::array<char, 4096> buffer{};
    for (ssize_t got = 0; (got = ::recv(fd, buffer.data(), buffer.size(), 0)) > 0;)
      all.append(buffer.data(), static_cast<std::size_t>(got));
    ::close(fd);
    return all;
  }
  static std::string request(std::string_view path, std::string_view body, std::string_view fields = "") {
    return fmt::format("POST {} HTTP/1.1\r\nHost: m\r\nConnection: close\r\n{}Content-Length: {}\r\n\r\n{}", path,
                       fields, body.size(), body);
  }
  std::string post(std::string_view path, std::string_view body, std::string_view fields = "") const {
    return raw(request(path, body, fields));
  }
  std::string get(std::string_view path) const {
    return raw(fmt::format("GET {} HTTP/1.1\r\nHost: m\r\nConnection: close\r\n\r\n", path));
  }

  // The body of an answer that came in one piece, or the pieces of one that came in chunks.
  static std::string body_of(std::string_view answer) {
    std::size_t head = answer.find("\r\n\r\n");
    if (head == std::string_view::npos) return {};
    std::string_view rest = answer.substr(head + 4);
    if (answer.substr(0, head).find("chunked") == std::string_view::npos) return std::string(rest);
    std::string body;
    while (!rest.empty()) {
      std::size_t line = rest.find("\r\n");
      std::size_t size = std::stoul(std::string(rest.substr(0, line)), nullptr, 16);
      if (size == 0 || rest.size() < line + size + 4) break;
      body += rest.substr(line + 2, size);
      rest.remove_prefix(line + size + 4);
    }
    return body;
  }
  json::Value ask(std::string_view path, const json::Value& body, std::string_view fields = "") const {
    return json::parse(body_of(post(path, json::dump(body), fields))).value_or(nullptr);
  }

  rt::LoopThread thread{0, "mock"};
  std::unique_ptr<Server> server;
};

}  // namespace penstock::mock
