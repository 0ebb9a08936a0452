// A server's session takes anything: whatever a client sends, whole or byte by byte, it does not crash, hands out no
// more than the windows allow, and ends or goes on. Input without the preface gets it put before, so that frames are
// reached.
#include <cstdlib>
#include <map>

#include "wire/h2_session.h"

namespace {

using namespace penstock::wire;

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// What a client may send before it has acknowledged our settings (RFC 9113 section 6.9.2).
constexpr std::size_t kFirstWindow = 65'535;

// Answers every request as soon as it has ended, gives back half of what it gets.
struct Server : H2Owner {
  struct Stream : H2Stream {
    Stream(Server& owner, std::int32_t number) : server(owner), id(number) {}
    void on_data(std::string_view bytes) override {
      held += bytes.size();
      if (held > kFirstWindow) std::abort();
      if (++pieces % 2 == 0) server.session.consume(id, std::exchange(held, 0));
    }
    void on_end() override { server.session.respond(id, 200, {}, true); }
    void on_closed(H2Error) override { server.closed.push_back(id); }
    H2Data take_data(std::span<char> room) override {
      std::fill_n(room.begin(), std::min<std::size_t>(room.size(), 10), 'x');
      return {std::min<std::size_t>(room.size(), 10), true, {}};
    }
    Server& server;
    std::int32_t id;
    std::size_t held = 0;
    int pieces = 0;
  };

  void on_request(std::int32_t id, H2Head& head) override {
    if (head.method.empty() && !head.too_large) std::abort();
    auto [place, fresh] = streams.try_emplace(id, *this, id);
    if (!fresh) std::abort();
    session.attach(id, place->second);
    if (streams.size() - closed.size() > limits.streams_max) std::abort();
  }

  void run(std::string_view bytes, std::size_t step) {
    std::string out;
    bool going = true;
    for (std::size_t at = 0; going && at < bytes.size(); at += step) {
      going = session.feed(bytes.substr(at, step));
      session.pull(out, 1U << 20);
      out.clear();
      for (std::int32_t id : std::exchange(closed, {})) streams.erase(id);
    }
  }

  H2Limits limits{.streams_max = 8,
                  .stream_window_bytes = 1000,
                  .session_window_bytes = 70'000,
                  .header_list_bytes_max = 1000,
                  .fields_max = 20,
                  .header_table_bytes = 4096};
  std::map<std::int32_t, Stream> streams;
  std::vector<std::int32_t> closed;
  H2Session session{H2Session::Side::server, limits, *this};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string bytes(reinterpret_cast<const char*>(data), size);
  if (!bytes.starts_with("PRI")) bytes.insert(0, kPreface);
  Server().run(bytes, bytes.size());
  Server().run(bytes, 1);
  return 0;
}
