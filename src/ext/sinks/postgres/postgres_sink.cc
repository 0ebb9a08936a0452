#include "ext/sinks/postgres/postgres_sink.h"

namespace penstock::ext {
namespace {

using namespace std::chrono_literals;

constexpr std::int64_t kBatchMax = 10'000;
constexpr base::Duration kTimeout = 10s;
// Of the rows of one statement, when it has more than one.
constexpr std::size_t kRowsBytesMax = std::size_t{16} << 20U;

std::string read_url(config::Map& map) {
  std::string url = map.required_text("url");
  if (!map.has("url")) return url;
  const bool known = url.starts_with("postgresql://") || url.starts_with("postgres://");
  const std::string_view rest = known ? std::string_view(url).substr(url.find("//") + 2) : std::string_view();
  const std::size_t at = rest.substr(0, rest.find_first_of("/?")).rfind('@');
  const bool tells = (at != std::string_view::npos && rest.substr(0, at).find(':') != std::string_view::npos) ||
                     rest.find("password=") != std::string_view::npos;
  if (!known) {
    map.get("url").problem("the address is postgresql://user@host:5432/database");
  } else if (tells) {
    map.get("url").problem("no password in the address: password: ${PGPASSWORD}");
  }
  return url;
}

}  // namespace

PostgresSink::PostgresSink(PostgresSinkOptions options)
    : options_(std::move(options)),
      insert_(options_.table.insert_statement()),
      session_(options_.timeout),
      status_{.detail = "nothing sent yet to " + options_.url},
      thread_("postgres sink", [this](const auto& samples) { return insert(samples); }) {}

void PostgresSink::send(ingest::Batch batch, std::function<void(ingest::Sent)> done) {
  thread_.send(std::move(batch), std::move(done));
}

void PostgresSink::stop() {
  thread_.stop([this] { session_.interrupt(); });
  session_.disconnect();
}

Result<void> PostgresSink::prepare() {
  // dbname takes a whole address; what stands behind it in the list counts more.
  PostgresSession::Settings settings{
      {"dbname", options_.url}, {"fallback_application_name", "penstock"}, {"client_encoding", "UTF8"}};
  if (!options_.password.empty()) settings.emplace_back("password", options_.password.reveal());
  if (auto connected = session_.connect(settings); !connected) return connected;
  if (!options_.create) return {};
  for (const std::string& statement : options_.table.create_statements()) {
    auto refusal = session_.run(statement);
    if (!refusal) continue;
    session_.disconnect();
    return fail(Errc::unavailable, fmt::format("cannot make the table {}: {} ({}); make it yourself and set `create: "
                                               "false`",
                                               options_.table.name(), refusal->why, refusal->state));
  }
  return {};
}

ingest::Sent PostgresSink::later(const std::string& why) {
  set_status(false, fmt::format("{}: {}", options_.url, why), 0);
  return {.outcome = ingest::Sent::Outcome::again, .why = why};
}

ingest::Sent PostgresSink::insert(const std::vector<ingest::Sample>& samples) {
  if (!session_.connected()) {
    if (auto ready = prepare(); !ready) return later(ready.error().detail);
  }
  ingest::Sent sent{.taken = 0};
  if (auto refusal = insert_range(samples, 0, samples.size(), sent)) {
    ingest::Sent again =
        later(refusal->state.empty() ? refusal->why : fmt::format("{} ({})", refusal->why, refusal->state));
    return *sent.taken > 0 ? sent : again;
  }
  set_status(true, sent.why.empty() ? "writing to " + options_.url : sent.why, samples.size() - sent.rejected.size());
  return sent;
}

// Halves what is refused until the samples that do not fit stand alone. The halves that pass stay, whatever comes
// behind them.
std::optional<PostgresRefusal> PostgresSink::insert_range(const std::vector<ingest::Sample>& samples, std::size_t first,
                                                          std::size_t last, ingest::Sent& sent) {
  const bool alone = last - first == 1;
  const std::string rows = options_.table.rows(samples, first, last, alone ? SIZE_MAX : kRowsBytesMax);
  std::optional<PostgresRefusal> refusal;
  if (alone || rows.size() <= kRowsBytesMax) {
    refusal = session_.run(insert_, rows.c_str());
    if (refusal && !refusal->is_about_data()) return refusal;
    if (alone && refusal) {
      sent.rejected.push_back(first);
      sent.why = fmt::format("the table {} does not take a sample: {} ({})", options_.table.name(), refusal->why,
                             refusal->state);
    }
    if (alone || !refusal) {
      sent.taken = last;
      return std::nullopt;
    }
  }
  const std::size_t middle = first + (last - first) / 2;
  if (auto other = insert_range(samples, first, middle, sent)) return other;
  return insert_range(samples, middle, last, sent);
}

void PostgresSink::set_status(bool connected, std::string detail, std::size_t more) {
  std::lock_guard lock(mutex_);
  status_.connected = connected;
  status_.detail = std::move(detail);
  status_.messages += more;
}

ingest::Status PostgresSink::status() const {
  std::lock_guard lock(mutex_);
  return status_;
}

std::unique_ptr<ingest::Sink> make_postgres_sink(const std::string&, const config::Node&, config::Map& map,
                                                 const ingest::Context&) {
  std::string url = read_url(map);
  PostgresSinkOptions options{
      .url = std::move(url), .password = map.secret("password"), .table = PostgresTable::read(map)};
  options.create = map.boolean("create", true);
  options.batch = static_cast<std::size_t>(map.integer("batch", 1'000, 1, kBatchMax));
  options.timeout = map.duration("timeout", kTimeout);
  return std::make_unique<PostgresSink>(std::move(options));
}

}  // namespace penstock::ext
