// A listener whose backlog is full: connecting to it neither succeeds nor fails, like an address whose packets get
// lost.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vector>

#include "net/address.h"

namespace penstock::net {

class FullListener {
 public:
  FullListener() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    endpoint_ = *parse_endpoint({"127.0.0.1", 0});
    auto* address = reinterpret_cast<sockaddr*>(&endpoint_.storage);
    ::bind(listener_, address, endpoint_.length);
    ::getsockname(listener_, address, &endpoint_.length);
    ::listen(listener_, 0);
    // One is queued; the rest make sure of it.
    for (int i = 0; i < 4; ++i) {
      int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
      ::connect(fd, address, endpoint_.length);
      fillers_.push_back(fd);
    }
  }
  ~FullListener() {
    for (int fd : fillers_) ::close(fd);
    ::close(listener_);
  }
  FullListener(const FullListener&) = delete;
  FullListener& operator=(const FullListener&) = delete;
  const Endpoint& endpoint() const { return endpoint_; }

 private:
  int listener_;
  Endpoint endpoint_;
  std::vector<int> fillers_;
};

}  // namespace penstock::net
