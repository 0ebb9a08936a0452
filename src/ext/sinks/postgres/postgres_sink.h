// Samples as rows of a PostgreSQL or TimescaleDB table.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "base/secret.h"
#include "ext/sinks/postgres/session.h"
#include "ext/sinks/postgres/table.h"
#include "ingest/batch_thread.h"

namespace penstock::ext {

struct PostgresSinkOptions {
  std::string url;  // postgresql://user@host:port/database, without the password
  base::Secret password;
  PostgresTable table;
  bool create = true;  // the table, when it is not there
  std::size_t batch = 1'000;
  base::Duration timeout{};  // of connecting and of each statement
};

// A thread of its own speaks to the server.
class PostgresSink : public ingest::Sink {
 public:
  explicit PostgresSink(PostgresSinkOptions options);

  Result<void> start(rt::Loop& loop) override { return thread_.start(loop); }
  std::size_t batch_max() const override { return options_.batch; }
  void send(ingest::Batch batch, std::function<void(ingest::Sent)> done) override;
  void stop() override;
  ingest::Status status() const override;

 private:
  ingest::Sent insert(const std::vector<ingest::Sample>& samples);
  Result<void> prepare();
  // Adds the positions the server refuses to `sent`, and says there how far it came; a refusal that is about more than
  // data ends it.
  std::optional<PostgresRefusal> insert_range(const std::vector<ingest::Sample>& samples, std::size_t first,
                                              std::size_t last, ingest::Sent& sent);
  ingest::Sent later(const std::string& why);
  void set_status(bool connected, std::string detail, std::size_t more);

  const PostgresSinkOptions options_;
  const std::string insert_;
  PostgresSession session_;   // of the thread, but for interrupt()
  mutable std::mutex mutex_;  // guards the one below
  ingest::Status status_;
  ingest::BatchThread thread_;
};

std::unique_ptr<ingest::Sink> make_postgres_sink(const std::string& pipeline, const config::Node& kind,
                                                 config::Map& map, const ingest::Context& context);

}  // namespace penstock::ext
