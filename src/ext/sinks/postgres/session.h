// One connection to PostgreSQL, for one thread; its waits end when another thread interrupts.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "ext/sinks/postgres/libpq.h"

namespace penstock::ext {

// What the server says to a statement it does not carry out.
// https://www.postgresql.org/docs/current/errcodes-appendix.html
struct PostgresRefusal {
  std::string state;  // five characters; empty: no answer, the connection is gone
  std::string why;
  // Values that do not fit or break a constraint, or are more than one statement can hold.
  bool is_about_data() const { return state.starts_with("22") || state.starts_with("23") || state.starts_with("54"); }
};

class PostgresSession {
 public:
  using Settings = std::vector<std::pair<std::string, std::string>>;  // libpq's own names

  explicit PostgresSession(base::Duration timeout);
  ~PostgresSession();
  PostgresSession(const PostgresSession&) = delete;
  PostgresSession& operator=(const PostgresSession&) = delete;

  bool connected() const;
  // Blocks until it stands, the timeout, or interrupt().
  Result<void> connect(const Settings& settings);
  void disconnect();
  // One statement, which is its own transaction; `parameter` is $1 when it is not null.
  std::optional<PostgresRefusal> run(const std::string& statement, const char* parameter = nullptr);

  // Any thread. From now on nothing waits any more.
  void interrupt();

 private:
  enum class Wanted : std::uint8_t { read, write, both };
  // False: the time is over or it was interrupted.
  bool wait(Wanted wanted, base::SteadyTime until) const;
  PostgresRefusal gone(std::string why);
  std::string last_error() const;

  const base::Duration timeout_;
  const int interrupt_fd_;
  const Libpq* lib_ = nullptr;
  PGconn* connection_ = nullptr;
};

}  // namespace penstock::ext
