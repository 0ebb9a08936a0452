// Listening sockets handed over by whoever started this program: systemd (LISTEN_FDS, see sd_listen_fds(3)), or the
// process this one takes over from.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "net/listen_socket.h"

namespace penstock::app {

// How descriptors are told apart where they are handed on: what systemd called them, or who opened them here.
constexpr std::string_view kDataSocket = "penstock";
constexpr std::string_view kAdminSocket = "penstock-admin";

// The main thread's.
class InheritedSockets {
 public:
  InheritedSockets() = default;
  // Takes what the environment announces and removes the announcement, so that programs started later do not see it.
  // `from_predecessor`: they come from a process of this program, which does not know our process id.
  static InheritedSockets from_environment(bool from_predecessor);

  // The address of the socket systemd calls `name`; nothing when there is none.
  std::optional<net::Endpoint> find(std::string_view name) const;
  // The socket for `wanted`, in the hands of the caller: with exactly that address, or any port of it where 0 is asked
  // for. Of sockets opened by a predecessor only those of the same `role`.
  std::optional<net::ListenSocket> claim(const net::Endpoint& wanted, std::string_view role);
  // What systemd called the socket at this address; empty when it is none of systemd's.
  std::string name_of(const net::Endpoint& endpoint) const;
  // Closes what a predecessor had and nobody wants any more, with its files: it has let go. systemd's stay: it holds
  // them itself, and a later configuration may name them again.
  void close_unclaimed();
  // Those of systemd that nobody claimed, for the log.
  std::vector<std::string> unclaimed() const;

 private:
  struct Socket {
    std::string name;
    net::ListenSocket socket;
    bool claimed = false;
    bool ours() const { return name == kDataSocket || name == kAdminSocket; }
  };
  std::vector<Socket> sockets_;
};

}  // namespace penstock::app
