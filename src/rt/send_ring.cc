#include "rt/send_ring.h"

#include <liburing.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

namespace penstock::rt {
namespace {

// As many as one epoll_wait reports sockets.
constexpr unsigned kEntries = 256;
// Fewer cost less one by one: measured, the ring gains from about four on.
constexpr std::size_t kWorthwhile = 4;

ssize_t bytes_of(const msghdr& message) {
  std::size_t sum = 0;
  for (std::size_t i = 0; i < message.msg_iovlen; ++i) sum += message.msg_iov[i].iov_len;
  return static_cast<ssize_t>(sum);
}

ssize_t send_one(int fd, const msghdr& message) {
  while (true) {
    ssize_t sent = ::sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) return sent;
    if (errno != EINTR) return -errno;
  }
}

// Linux 6.1 and newer tell how much of a short send went out.
bool kernel_suits() {
  utsname system{};
  int major = 0;
  int minor = 0;
  return uname(&system) == 0 && std::sscanf(system.release, "%d.%d", &major, &minor) == 2 &&
         (major > 6 || (major == 6 && minor >= 1));
}

}  // namespace

struct SendRing::Impl {
  io_uring ring{};
};

SendRing::SendRing(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

SendRing::~SendRing() { io_uring_queue_exit(&impl_->ring); }

std::unique_ptr<SendRing> SendRing::create() {
  if (!kernel_suits()) return nullptr;
  auto impl = std::make_unique<Impl>();
  io_uring_params params{};
  if (io_uring_queue_init_params(kEntries, &impl->ring, &params) != 0) return nullptr;
  auto ring = std::unique_ptr<SendRing>(new SendRing(std::move(impl)));
  if ((params.features & IORING_FEAT_CQE_SKIP) == 0) return nullptr;
  return ring;
}

bool SendRing::send_all(std::span<Send*> sends) {
  io_uring& ring = impl_->ring;
  bool usable = true;
  while (usable && sends.size() >= kWorthwhile) {
    auto batch = sends.first(std::min<std::size_t>(sends.size(), kEntries));
    for (Send* send : batch) {
      // Whoever is not heard of has sent everything: only failures and short sends are reported.
      send->result_ = bytes_of(send->message_);
      io_uring_sqe* entry = io_uring_get_sqe(&ring);
      io_uring_prep_sendmsg(entry, send->send_fd_, &send->message_, MSG_NOSIGNAL | MSG_DONTWAIT | MSG_WAITALL);
      entry->flags |= IOSQE_CQE_SKIP_SUCCESS;
      io_uring_sqe_set_data(entry, send);
    }
    int taken = io_uring_submit(&ring);
    unsigned head = 0;
    unsigned seen = 0;
    io_uring_cqe* report = nullptr;
    io_uring_for_each_cqe(&ring, head, report) {
      static_cast<Send*>(io_uring_cqe_get_data(report))->result_ = report->res;
      ++seen;
    }
    io_uring_cq_advance(&ring, seen);
    auto done = static_cast<std::size_t>(std::max(taken, 0));
    sends = sends.subspan(done);
    usable = done == batch.size();
  }
  for (Send* send : sends) send->result_ = send_one(send->send_fd_, send->message_);
  return usable;
}

}  // namespace penstock::rt
