// An HTTP/2 server on the test's own loop that does with each request what the test says.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "net/acceptor.h"
#include "net/stream.h"
#include "wire/h2_session.h"

namespace penstock::http {

class FakeH2Server {
 public:
  struct Connection;

  // A request and its answer.
  struct Call : wire::H2Stream {
    Connection& connection;
    std::int32_t id = 0;
    wire::H2Head head;
    std::string body;
    bool reading = true;  // gives bytes of the request's body back to the window
    bool ended = false;
    std::string out;
    bool out_ended = false;
    std::vector<wire::H2Field> trailers;
    std::function<void(Call&)> on_ended;

    Call(Connection& on, std::int32_t number, wire::H2Head&& request)
        : connection(on), id(number), head(std::move(request)) {}
    void answer(int status, std::string text, std::vector<wire::H2Field> fields = {}) {
      begin(status, std::move(fields));
      say(std::move(text), true);
    }
    void begin(int status, std::vector<wire::H2Field> fields = {}) {
      connection.session.respond(id, status, fields, true);
      connection.schedule();
    }
    void say(const std::string& text, bool end = false) {
      out += text;
      out_ended = end;
      connection.session.resume(id);
      connection.schedule();
    }
    void reset(wire::H2Error error) {
      connection.session.reset(id, error);
      connection.schedule();
    }
    void on_data(std::string_view bytes) override {
      body += bytes;
      if (reading) connection.session.consume(id, bytes.size());
    }
    void on_end() override {
      ended = true;
      if (on_ended) on_ended(*this);
    }
    void on_closed(wire::H2Error error) override {
      connection.server.closed.push_back(error);
      connection.done.push_back(std::move(connection.calls[id]));
      connection.calls.erase(id);
    }
    wire::H2Data take_data(std::span<char> room) override {
      wire::H2Data data;
      data.bytes = std::min(room.size(), out.size());
      out.copy(room.data(), data.bytes);
      out.erase(0, data.bytes);
      data.end = out.empty() && out_ended;
      if (data.end) data.trailers = trailers;
      return data;
    }
  };

  struct Connection : wire::H2Owner {
    FakeH2Server& server;
    net::Stream stream;
    wire::H2Session session;
    rt::Timer turn;
    std::map<std::int32_t, std::unique_ptr<Call>> calls;
    std::vector<std::unique_ptr<Call>> done;
    std::string out;

    Connection(FakeH2Server& of, rt::Loop& loop, int fd)
        : server(of), stream(loop, fd), session(wire::H2Session::Side::server, of.limits, *this), turn(loop) {
      stream.on_readable([this] { schedule(); });
      stream.on_writable([this] { schedule(); });
      schedule();
    }
    void schedule() {
      if (!turn.armed()) turn.arm_at(stream.loop().now(), [this] { exchange(); });
    }
    void exchange() {
      std::array<char, 64 * 1024> buffer;
      while (stream.readable_now()) {
        auto got = stream.read_now(buffer);
        if (!got && got.error().code == Errc::backpressure) break;
        if (!got || *got == 0) {
          stream.close();
          break;
        }
        session.feed({buffer.data(), *got});
      }
      while (!stream.closed()) {
        if (out.empty()) session.pull(out, 64 * 1024);
        if (out.empty()) break;
        auto put = stream.write_now(out);
        if (!put) break;
        out.erase(0, *put);
      }
      done.clear();
    }
    void on_request(std::int32_t id, wire::H2Head& head) override {
      ++server.requests;
      auto call = std::make_unique<Call>(*this, id, std::move(head));
      session.attach(id, *call);
      Call& here = *call;
      calls[id] = std::move(call);
      server.handle(here);
    }
  };

  FakeH2Server(rt::Loop& on, std::function<void(Call&)> with)
      : loop(on),
        handle(std::move(with)),
        acceptor(
            net::Acceptor::listen(loop, *net::parse_endpoint({"127.0.0.1", 0}), [this](int fd, const net::Endpoint&) {
              connections.push_back(std::make_unique<Connection>(*this, loop, fd));
            }).value()) {}

  int port() const { return acceptor->endpoint().port(); }
  std::size_t open() const {
    return static_cast<std::size_t>(
        std::count_if(connections.begin(), connections.end(), [](const auto& one) { return !one->stream.closed(); }));
  }

  rt::Loop& loop;
  std::function<void(Call&)> handle;
  wire::H2Limits limits;
  int requests = 0;
  std::vector<wire::H2Error> closed;  // how streams ended
  std::vector<std::unique_ptr<Connection>> connections;
  std::unique_ptr<net::Acceptor> acceptor;
};

}  // namespace penstock::http
