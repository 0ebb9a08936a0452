#include "ext/sinks/postgres/session.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>

namespace penstock::ext {
namespace {

// libpq's messages end with a line break, and some have several lines.
std::string one_line(const char* message) {
  std::string text = message == nullptr ? "" : message;
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

}  // namespace

PostgresSession::PostgresSession(base::Duration timeout)
    : timeout_(timeout), interrupt_fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

PostgresSession::~PostgresSession() {
  disconnect();
  if (interrupt_fd_ >= 0) ::close(interrupt_fd_);
}

bool PostgresSession::connected() const { return connection_ != nullptr; }

void PostgresSession::disconnect() {
  if (connection_ != nullptr) lib_->finish(connection_);
  connection_ = nullptr;
}

void PostgresSession::interrupt() { ::eventfd_write(interrupt_fd_, 1); }

std::string PostgresSession::last_error() const { return one_line(lib_->error_message(connection_)); }

bool PostgresSession::wait(Wanted wanted, base::SteadyTime until) const {
  const auto events =
      static_cast<short>((wanted != Wanted::write ? POLLIN : 0) | (wanted != Wanted::read ? POLLOUT : 0));
  while (true) {
    pollfd fds[] = {{lib_->socket(connection_), events, 0}, {interrupt_fd_, POLLIN, 0}};
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now()).count();
    const int ready = ::poll(fds, 2, static_cast<int>(std::max<std::int64_t>(0, left)));
    if (ready < 0 && errno == EINTR) continue;
    return ready > 0 && fds[1].revents == 0;
  }
}

Result<void> PostgresSession::connect(const Settings& settings) {
  auto lib = open_libpq();
  if (!lib) return std::unexpected(lib.error());
  lib_ = *lib;
  disconnect();
  std::vector<const char*> names;
  std::vector<const char*> values;
  for (const auto& [name, value] : settings) {
    names.push_back(name.c_str());
    values.push_back(value.c_str());
  }
  names.push_back(nullptr);
  values.push_back(nullptr);
  connection_ = lib_->connect_start(names.data(), values.data(), 1);
  if (connection_ == nullptr) return fail(Errc::unavailable, "no memory for a connection");
  const base::SteadyTime until = std::chrono::steady_clock::now() + timeout_;
  PostgresPollingStatusType next = PGRES_POLLING_WRITING;
  while (lib_->status(connection_) != CONNECTION_BAD && next != PGRES_POLLING_OK && next != PGRES_POLLING_FAILED) {
    if (!wait(next == PGRES_POLLING_READING ? Wanted::read : Wanted::write, until)) {
      disconnect();
      return fail(Errc::unavailable, "the server did not answer in time");
    }
    next = lib_->connect_poll(connection_);
  }
  if (lib_->status(connection_) != CONNECTION_OK) {
    auto error = fail(Errc::unavailable, last_error());
    disconnect();
    return error;
  }
  lib_->set_nonblocking(connection_, 1);
  lib_->set_notice_processor(connection_, [](void*, const char*) {}, nullptr);
  return {};
}

PostgresRefusal PostgresSession::gone(std::string why) {
  disconnect();
  return {.state = "", .why = std::move(why)};
}

std::optional<PostgresRefusal> PostgresSession::run(const std::string& statement, const char* parameter) {
  const base::SteadyTime until = std::chrono::steady_clock::now() + timeout_;
  if (lib_->send_query(connection_, statement.c_str(), parameter == nullptr ? 0 : 1, nullptr, &parameter, nullptr,
                       nullptr, 0) == 0) {
    return gone(last_error());
  }
  for (int left = lib_->flush(connection_); left != 0; left = lib_->flush(connection_)) {
    if (left < 0) return gone(last_error());
    if (!wait(Wanted::both, until)) return gone("the server did not answer in time");
    if (lib_->consume_input(connection_) == 0) return gone(last_error());
  }
  std::optional<PostgresRefusal> refusal;
  while (true) {
    while (lib_->is_busy(connection_) != 0) {
      if (!wait(Wanted::read, until)) return gone("the server did not answer in time");
      if (lib_->consume_input(connection_) == 0) return gone(last_error());
    }
    PGresult* result = lib_->get_result(connection_);
    if (result == nullptr) break;
    const ExecStatusType status = lib_->result_status(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && !refusal) {
      const char* state = lib_->error_field(result, PG_DIAG_SQLSTATE);
      const char* why = lib_->error_field(result, PG_DIAG_MESSAGE_PRIMARY);
      refusal = PostgresRefusal{.state = state == nullptr ? "" : state,
                                .why = one_line(why == nullptr ? lib_->result_error(result) : why)};
    }
    lib_->clear(result);
  }
  if (lib_->status(connection_) != CONNECTION_OK) return gone(refusal ? refusal->why : last_error());
  return refusal;
}

}  // namespace penstock::ext
