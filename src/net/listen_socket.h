// A socket that listens, before and after a loop accepts from it: opened here, or handed over by whoever started us.
#pragma once

#include <sys/stat.h>

#include <optional>

#include "base/result.h"
#include "net/address.h"

namespace penstock::net {

// Owns the descriptor, and the file of a local socket that it made. Any thread.
class ListenSocket {
 public:
  // Binds and listens. Port 0 takes a free one: read it back from endpoint(). The file of a local socket gets `mode`
  // (else what the umask leaves); one that nobody listens on any more is replaced. Errors say who may hold the address.
  static Result<ListenSocket> open(const Endpoint& endpoint, std::optional<mode_t> mode = std::nullopt);
  // Takes a descriptor that listens already; its file stays somebody else's until take_file(). Errors: invalid_argument
  // when it is no listening stream socket; the descriptor stays the caller's then.
  static Result<ListenSocket> adopt(int fd);

  ListenSocket(ListenSocket&& other) noexcept;
  ListenSocket& operator=(ListenSocket&& other) noexcept;
  ~ListenSocket() { close(); }

  int fd() const { return fd_; }
  const Endpoint& endpoint() const { return endpoint_; }
  bool owns_file() const { return own_file_; }
  // Whoever had it goes: its file is removed when this one closes.
  void take_file();
  // Somebody else goes on with the same socket: its file stays when this one closes.
  void leave_file() { own_file_ = false; }
  // Of its file. Errors: permission_denied.
  Result<void> set_mode(mode_t mode) const;
  void close();

 private:
  explicit ListenSocket(int fd);

  int fd_ = -1;
  Endpoint endpoint_;
  bool own_file_ = false;
  ino_t inode_ = 0;  // of the file, so that nobody else's is removed
};

}  // namespace penstock::net
