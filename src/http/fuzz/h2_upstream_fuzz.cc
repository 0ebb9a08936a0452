// What an upstream may say in HTTP/2: any bytes, in any pieces, to three calls that share a connection. Whatever they
// are, every call ends, no answer is both complete and broken, and no piece is larger than a stream's window.
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>

#include "http/h2_upstream.h"

namespace penstock::http {
namespace {

rt::Task<void> call_through(std::unique_ptr<H2Call> call, rt::Loop& loop, bool reads, int& left) {
  auto begun = call->submit("POST /x HTTP/1.1\r\nhost: h\r\ncontent-length: 4\r\n", {std::string_view("body")}, false);
  std::string body;
  while (begun && !call->complete() && !call->error()) {
    auto changed = co_await call->changed(loop.now() + std::chrono::seconds(5), nullptr);
    if (!changed) std::abort();  // the other side has closed: nothing may wait that long
    if (reads) {
      body.clear();
      call->take(body);
      if (body.size() > 256 * 1024) std::abort();
    }
  }
  if (call->complete() && call->error()) std::abort();
  if (call->complete() && !call->head_done()) std::abort();
  if (--left == 0) loop.stop();
}

}  // namespace
}  // namespace penstock::http

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock;
  constexpr std::size_t kBytesMax = 60'000;  // what a socket takes at once
  if (size < 2 || size > kBytesMax) return 0;
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) != 0) return 0;
  {
    rt::Loop loop;
    auto origin = std::make_shared<const http::Origin>();
    auto connection = std::make_shared<http::H2Upstream>(std::make_unique<net::Stream>(loop, fds[0]), origin,
                                                         std::make_shared<http::PoolCounters>(), [] {});
    int left = 0;
    // The first call alone until the other side has said how many it takes, as the pool does it.
    std::size_t first = data[0] * size / 256;
    [[maybe_unused]] auto sent = write(fds[1], data + 1, std::min(first, size - 1));
    connection->start();
    for (int i = 0; i < 3; ++i) {
      ++left;
      rt::spawn(http::call_through(connection->begin(), loop, i != 1, left));
    }
    loop.post([&] {
      if (first < size - 1) sent = write(fds[1], data + 1 + first, size - 1 - first);
      shutdown(fds[1], SHUT_WR);
    });
    loop.run();
    connection->forget_owner();
    connection->close();
  }
  close(fds[1]);
  return 0;
}
