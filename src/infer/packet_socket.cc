#include "infer/packet_socket.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstring>
#include <memory>

#include "infer/isolated_message.h"

namespace penstock::infer::isolated {
namespace {

constexpr std::size_t kDescriptorsMax = 4;
constexpr auto kReadPatience = std::chrono::seconds(1);

union Control {
  cmsghdr header;
  std::array<char, CMSG_SPACE(kDescriptorsMax * sizeof(int))> space;
};

// False when there is none until then.
bool wait_for_room(int socket, base::SteadyTime until) {
  auto left = std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now()).count();
  pollfd waiting{socket, POLLOUT, 0};
  return left > 0 && ::poll(&waiting, 1, static_cast<int>(left)) != 0;
}

char* thread_buffer() {
  thread_local auto buffer = std::make_unique_for_overwrite<char[]>(kMessageMax);
  return buffer.get();
}

std::vector<Descriptor> descriptors_of(msghdr& message) {
  std::vector<Descriptor> descriptors;
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof(int));
      descriptors.emplace_back(fd);
    }
  }
  return descriptors;
}

}  // namespace

void Descriptor::reset() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

Result<std::array<Descriptor, 2>> make_pair() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0)
    return fail(Errc::resource_exhausted, fmt::format("cannot make a socket: {}", std::strerror(errno)));
  return std::array<Descriptor, 2>{Descriptor(ends[0]), Descriptor(ends[1])};
}

Result<void> send(int socket, std::string_view text, std::initializer_list<int> descriptors) {
  if (text.size() > kMessageMax)
    return fail(Errc::resource_exhausted,
                fmt::format("{} bytes of names and shapes are more than an isolated model takes ({})", text.size(),
                            kMessageMax));
  iovec part{const_cast<char*>(text.data()), text.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  Control control{};
  if (descriptors.size() > 0) {
    message.msg_control = &control;
    message.msg_controllen = CMSG_SPACE(descriptors.size() * sizeof(int));
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(descriptors.size() * sizeof(int));
    std::memcpy(CMSG_DATA(header), descriptors.begin(), descriptors.size() * sizeof(int));
  }
  auto patience = std::chrono::steady_clock::now() + kReadPatience;
  while (::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
    if (errno == EINTR) continue;
    if (errno != EAGAIN)
      return fail(Errc::unavailable, fmt::format("the other side is gone: {}", std::strerror(errno)));
    if (!wait_for_room(socket, patience)) return fail(Errc::deadline_exceeded, "the other side does not read");
  }
  return {};
}

Result<Packet> receive(int socket) {
  iovec part{thread_buffer(), kMessageMax};
  Control control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = &control;
  message.msg_controllen = sizeof(control);
  ssize_t got = 0;
  while ((got = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC)) < 0) {
    if (errno != EINTR) return fail(Errc::unavailable, fmt::format("the other side is gone: {}", std::strerror(errno)));
  }
  Packet packet{.text = {thread_buffer(), static_cast<std::size_t>(got)}, .descriptors = descriptors_of(message)};
  if (got == 0) return fail(Errc::unavailable, "the other side is gone");
  if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) return fail(Errc::protocol_error, "a packet is too large");
  return packet;
}

Ready wait(int socket, int wake, base::Duration at_most) {
  std::array<pollfd, 2> waiting{{{socket, POLLIN, 0}, {wake, POLLIN, 0}}};
  int milliseconds = at_most < base::Duration::zero()
                         ? -1
                         : static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(
                                                std::min<base::Duration>(at_most, std::chrono::hours(1)))
                                                .count());
  int ready = ::poll(waiting.data(), waiting.size(), milliseconds);
  if (ready <= 0) return Ready::nothing;
  return waiting[1].revents != 0 ? Ready::wake : Ready::packet;
}

}  // namespace penstock::infer::isolated
