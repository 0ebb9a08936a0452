#include "app/inherited_sockets.h"

#include <fcntl.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>

#include "obs/log.h"

namespace penstock::app {
namespace {

constexpr int kFirst = 3;  // SD_LISTEN_FDS_START

std::string take_variable(const char* name) {
  const char* value = std::getenv(name);
  std::string text = value == nullptr ? "" : value;
  ::unsetenv(name);
  return text;
}

int number_of(const std::string& text) {
  int value = 0;
  auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  return ec == std::errc{} && end == text.data() + text.size() ? value : -1;
}

bool same_but_port(const net::Endpoint& socket, const net::Endpoint& wanted) {
  return !wanted.is_local_socket() && wanted.port() == 0 && socket.storage.ss_family == wanted.storage.ss_family &&
         socket.address() == wanted.address();
}

}  // namespace

InheritedSockets InheritedSockets::from_environment(bool from_predecessor) {
  InheritedSockets inherited;
  int count = number_of(take_variable("LISTEN_FDS"));
  int pid = number_of(take_variable("LISTEN_PID"));
  std::string names = take_variable("LISTEN_FDNAMES");
  if (count <= 0 || (!from_predecessor && pid != ::getpid())) return inherited;
  for (int fd = kFirst; fd < kFirst + count; ++fd) {
    std::size_t colon = std::min(names.find(':'), names.size());
    std::string name = colon == 0 ? "unknown" : names.substr(0, colon);
    names.erase(0, std::min(colon + 1, names.size()));
    auto socket = net::ListenSocket::adopt(fd);
    if (socket) {
      inherited.sockets_.push_back({std::move(name), std::move(*socket), false});
    } else {
      obs::log(obs::Level::warn, "a socket that was handed over cannot be used",
               {{"name", name}, {"why", socket.error().detail}});
      ::close(fd);
    }
  }
  return inherited;
}

std::optional<net::Endpoint> InheritedSockets::find(std::string_view name) const {
  for (const Socket& one : sockets_) {
    if (!one.ours() && one.name == name) return one.socket.endpoint();
  }
  return std::nullopt;
}

std::optional<net::ListenSocket> InheritedSockets::claim(const net::Endpoint& wanted, std::string_view role) {
  for (auto fits : {+[](const net::Endpoint& a, const net::Endpoint& b) { return a == b; }, &same_but_port}) {
    for (std::size_t i = 0; i < sockets_.size(); ++i) {
      Socket& one = sockets_[i];
      if ((one.ours() && one.name != role) || !fits(one.socket.endpoint(), wanted)) continue;
      if (one.ours()) {
        net::ListenSocket socket = std::move(one.socket);
        sockets_.erase(sockets_.begin() + static_cast<std::ptrdiff_t>(i));
        return socket;
      }
      one.claimed = true;
      auto copy = net::ListenSocket::adopt(::fcntl(one.socket.fd(), F_DUPFD_CLOEXEC, kFirst));
      if (copy) return std::move(*copy);
    }
  }
  return std::nullopt;
}

std::string InheritedSockets::name_of(const net::Endpoint& endpoint) const {
  for (const Socket& one : sockets_) {
    if (!one.ours() && one.socket.endpoint() == endpoint) return one.name;
  }
  return {};
}

void InheritedSockets::close_unclaimed() {
  std::erase_if(sockets_, [](Socket& one) {
    if (one.ours()) one.socket.take_file();
    return one.ours();
  });
}

std::vector<std::string> InheritedSockets::unclaimed() const {
  std::vector<std::string> names;
  for (const Socket& one : sockets_) {
    if (!one.claimed && !one.ours()) names.push_back(fmt::format("{} ({})", one.socket.endpoint().text(), one.name));
  }
  return names;
}

}  // namespace penstock::app
