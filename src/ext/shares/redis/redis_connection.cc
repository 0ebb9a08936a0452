#include "ext/shares/redis/redis_connection.h"

#include <fmt/format.h>
#include <hiredis/hiredis.h>
#include <netdb.h>
#include <poll.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "net/egress.h"

namespace penstock::ext {
namespace {

timeval to_timeval(base::Duration time) {
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(time).count();
  return {micros / 1'000'000, micros % 1'000'000};
}

// hiredis 0.14 gives the system's words, 1.x has some of its own.
bool is_late(std::string_view text) {
  return text.find("timed out") != text.npos || text.find("timeout") != text.npos ||
         text.find("in progress") != text.npos;
}

// What the library says of a broken connection; `error` is that of the system's last call.
Error broken_error(const redisContext& context, int error) {
  if (context.err == REDIS_ERR_EOF) return {Errc::unavailable, "it closed the connection"};
  if (error == EAGAIN || error == ETIMEDOUT || error == EINPROGRESS || is_late(context.errstr))
    return {Errc::deadline_exceeded, "it did not answer in time"};
  if (context.err == REDIS_ERR_PROTOCOL) return {Errc::unavailable, "what answers there does not speak Redis"};
  return {Errc::unavailable, context.err == REDIS_ERR_IO ? std::strerror(error) : context.errstr};
}

// The first word of an error of Redis names its kind.
Errc kind_of(std::string_view text) {
  struct Kind {
    std::string_view word;
    Errc code;
  };
  static constexpr std::array kKinds{Kind{"WRONGPASS", Errc::permission_denied},
                                     Kind{"NOAUTH", Errc::permission_denied},
                                     Kind{"NOPERM", Errc::permission_denied},
                                     Kind{"LOADING", Errc::unavailable},
                                     Kind{"BUSY", Errc::unavailable},
                                     Kind{"NOSCRIPT", Errc::unavailable},
                                     Kind{"CLUSTERDOWN", Errc::unavailable},
                                     Kind{"MASTERDOWN", Errc::unavailable},
                                     Kind{"TRYAGAIN", Errc::unavailable}};
  const std::string_view word = text.substr(0, text.find(' '));
  for (const Kind& kind : kKinds) {
    if (kind.word == word) return kind.code;
  }
  return Errc::failed_precondition;
}

Error reply_error(std::string_view text) {
  std::string detail(text);
  if (text.starts_with("MOVED")) detail += "; it is one node of a cluster: name the node that keeps this slot";
  if (text.starts_with("READONLY")) detail += "; name the primary, not a replica";
  if (text.starts_with("NOAUTH")) detail += "; set `password` under `shared`";
  return {kind_of(text), std::move(detail)};
}

struct Addresses {
  ~Addresses() {
    if (first != nullptr) freeaddrinfo(first);
  }
  addrinfo* first = nullptr;
};

Result<redisContext*> connected(redisContext* context, base::Duration timeout) {
  if (context == nullptr) return fail(Errc::resource_exhausted, "no memory for a connection");
  if (context->err != 0) {
    const std::string_view text = context->errstr;
    auto error = is_late(text) ? fail(Errc::deadline_exceeded, "no connection in time")
                               : fail(Errc::unavailable, std::string(text));
    redisFree(context);
    return error;
  }
  redisSetTimeout(context, to_timeval(timeout));
  return context;
}

Result<redisContext*> connect_to(const addrinfo& one, std::uint16_t port, base::Duration timeout) {
  net::Endpoint endpoint;
  std::memcpy(&endpoint.storage, one.ai_addr, one.ai_addrlen);
  endpoint.length = one.ai_addrlen;
  if (auto permitted = net::Egress::check(endpoint); !permitted) return std::unexpected(permitted.error());
  std::array<char, NI_MAXHOST> host{};
  if (getnameinfo(one.ai_addr, one.ai_addrlen, host.data(), host.size(), nullptr, 0, NI_NUMERICHOST) != 0)
    return fail(Errc::unavailable, "an address that cannot be written");
  return connected(redisConnectWithTimeout(host.data(), port, to_timeval(timeout)), timeout);
}

Result<redisContext*> connect_by_name(const RedisAddress& address, base::Duration timeout) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  Addresses found;
  const int code = getaddrinfo(address.host.c_str(), nullptr, &hints, &found.first);
  if (code != 0)
    return fail(Errc::unavailable,
                fmt::format("the name '{}' cannot be looked up: {}", address.host, gai_strerror(code)));
  Result<redisContext*> result = fail(Errc::unavailable, "the name has no address");
  for (const addrinfo* one = found.first; one != nullptr; one = one->ai_next) {
    result = connect_to(*one, address.port, timeout);
    if (result) break;
  }
  return result;
}

}  // namespace

void FreeRedisReply::operator()(redisReply* reply) const { freeReplyObject(reply); }
void RedisConnection::Close::operator()(redisContext* context) const { redisFree(context); }

Result<RedisConnection> RedisConnection::open(const RedisAddress& address, base::Duration timeout) {
  auto context = address.socket.empty()
                     ? connect_by_name(address, timeout)
                     : connected(redisConnectUnixWithTimeout(address.socket.c_str(), to_timeval(timeout)), timeout);
  if (!context) return std::unexpected(context.error());
  RedisConnection connection(*context, timeout);
  if (auto done = connection.log_in(address); !done) return std::unexpected(done.error());
  return connection;
}

// What it says to AUTH is not passed on: a server that does not know the command repeats its words.
Result<void> RedisConnection::log_in(const RedisAddress& address) {
  const bool known = !address.password.empty();
  const std::string database = std::to_string(address.database);
  if (known && address.user.empty()) send({"AUTH", address.password.reveal()});
  if (known && !address.user.empty()) send({"AUTH", address.user, address.password.reveal()});
  if (address.database != 0) send({"SELECT", database});
  if (known) {
    auto answer = reply();
    if (!answer && broken()) return std::unexpected(answer.error());
    if (!answer) return fail(Errc::permission_denied, "user or password are refused; see `password` under `shared`");
  }
  if (address.database == 0) return {};
  auto chosen = reply();
  return chosen ? Result<void>() : std::unexpected(chosen.error());
}

void RedisConnection::send(const std::vector<std::string_view>& words) {
  std::vector<const char*> texts;
  std::vector<std::size_t> sizes;
  texts.reserve(words.size());
  sizes.reserve(words.size());
  for (std::string_view word : words) {
    texts.push_back(word.data());
    sizes.push_back(word.size());
  }
  redisAppendCommandArgv(context_.get(), static_cast<int>(texts.size()), texts.data(), sizes.data());
}

// As redisGetReply(), whose timeout starts anew with every byte that comes.
redisReply* RedisConnection::read_until(base::SteadyTime deadline) {
  using std::chrono::ceil, std::chrono::milliseconds;
  const auto left = [&] { return ceil<milliseconds>(deadline - std::chrono::steady_clock::now()).count(); };
  for (int done = 0; done == 0;) {
    if (redisBufferWrite(context_.get(), &done) != REDIS_OK) return nullptr;
    if (done == 0 && left() <= 0) return errno = ETIMEDOUT, nullptr;
  }
  void* raw = nullptr;
  while (redisGetReplyFromReader(context_.get(), &raw) == REDIS_OK && raw == nullptr) {
    pollfd wanted{.fd = context_->fd, .events = POLLIN, .revents = 0};
    const auto patience = left();
    if (patience <= 0 || ::poll(&wanted, 1, static_cast<int>(patience)) == 0) return errno = ETIMEDOUT, nullptr;
    if (redisBufferRead(context_.get()) != REDIS_OK) return nullptr;
  }
  return static_cast<redisReply*>(raw);
}

Result<RedisReply> RedisConnection::reply() {
  errno = 0;
  RedisReply reply(read_until(std::chrono::steady_clock::now() + timeout_));
  if (!reply) {
    Error error = broken_error(*context_, errno);
    if (context_->err == 0) context_->err = REDIS_ERR_OTHER;
    return std::unexpected(std::move(error));
  }
  if (reply->type == REDIS_REPLY_ERROR)
    return std::unexpected(reply_error({reply->str, static_cast<std::size_t>(reply->len)}));
  return reply;
}

bool RedisConnection::broken() const { return context_->err != 0; }

}  // namespace penstock::ext
