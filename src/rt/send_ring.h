// The sends of one loop turn, handed to the kernel in one system call (io_uring). A socket takes what it can at once:
// nothing is ever left under way, so that no send has to be cancelled. See docs/adr/0015.
#pragma once

#include <sys/socket.h>

#include <memory>
#include <span>

namespace penstock::rt {

// One message that waits for the end of the loop's turn. Its bytes, and the object, stay until sent() or
// Loop::remove_send().
class Send {
 public:
  Send() = default;
  Send(const Send&) = default;
  Send& operator=(const Send&) = default;
  virtual ~Send() = default;
  // Bytes taken (maybe not all), or minus errno.
  virtual void sent(ssize_t result) = 0;

 protected:
  int send_fd_ = -1;
  msghdr message_{};

 private:
  friend class Loop;
  friend class SendRing;
  ssize_t result_ = 0;
};

class SendRing {
 public:
  // Null where the kernel is older than 6.1 or a sandbox forbids io_uring: sends go out one by one then.
  static std::unique_ptr<SendRing> create();
  ~SendRing();
  SendRing(const SendRing&) = delete;
  SendRing& operator=(const SendRing&) = delete;

  // Sends every message and notes its result. False when the kernel would not take them all: those went out one by one,
  // and the ring must not be used again.
  bool send_all(std::span<Send*> sends);

 private:
  struct Impl;
  explicit SendRing(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace penstock::rt
