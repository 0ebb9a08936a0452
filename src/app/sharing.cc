#include "app/sharing.h"

#include <array>

#include "base/quantity.h"
#include "obs/log.h"
#include "store/state.h"

namespace penstock::app {
namespace {

// Seconds: a local Redis answers in a tenth of a millisecond, the timeout is half a second.
constexpr std::array kExchangeBounds{0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01,
                                     0.025,  0.05,    0.1,    0.25,  0.5,    1.0};

std::string seconds(base::Duration time) { return fmt::format("{:.1f}s", std::chrono::duration<double>(time).count()); }

}  // namespace

// Stored keys and teams as records. The sharing thread's.
class Sharing::StateKeeper : public quota::RecordKeeper {
 public:
  explicit StateKeeper(const Parts& parts)
      : data_dir_(parts.data_dir),
        fingerprint_(base::hmac_sha256_hex(parts.installation.reveal(), "penstock: whose hashes these are")),
        keys_changed_(parts.keys_changed) {}

  Result<quota::SharedRecords> changed(std::int64_t since, std::size_t most) override {
    if (auto ready = open(); !ready) return std::unexpected(ready.error());
    auto rows = state_->changed_rows(since, static_cast<std::int64_t>(most));
    if (!rows) return std::unexpected(rows.error());
    quota::SharedRecords found{{}, since};
    for (store::SharedRow& row : *rows) {
      found.revision = row.sequence;
      found.records.push_back({std::move(row.id), row.changed, row.revoked, std::move(row.text)});
    }
    return found;
  }

  Result<void> take(std::span<const quota::SharedRecord> records) override {
    if (auto ready = open(); !ready) return ready;
    std::vector<store::SharedRow> rows;
    rows.reserve(records.size());
    for (const quota::SharedRecord& record : records)
      rows.push_back({record.id, record.changed, record.final, record.text, 0});
    auto taken = state_->take_rows(rows);
    if (!taken) return std::unexpected(taken.error());
    if (*taken > 0) keys_changed_();
    return {};
  }

  std::string fingerprint() const override { return fingerprint_; }

 private:
  Result<void> open() {
    if (state_) return {};
    auto opened = store::State::open(data_dir_);
    if (!opened) return std::unexpected(opened.error());
    state_.emplace(std::move(*opened));
    return {};
  }

  const std::string data_dir_;
  const std::string fingerprint_;
  const std::function<void()> keys_changed_;
  std::optional<store::State> state_;
};

Sharing::Sharing(Parts parts)
    : parts_(std::move(parts)), keeper_(std::make_unique<StateKeeper>(parts_)), sharer_(ports(), base::system_clock()) {
  parts_.book->on_slice_used([this] { sharer_.wake(); });
}

Sharing::~Sharing() { stop(); }

quota::SharerPorts Sharing::ports() {
  quota::SharerPorts ports;
  quota::Book& book = *parts_.book;
  ports.uses = [&book](const quota::Now& now) { return book.shared_uses(now); };
  ports.apply = [&book](const std::vector<quota::SharedSum>& sums, const quota::Now& now) { book.apply(sums, now); };
  ports.set = [&book](const quota::SharingState& state, const quota::Now& now) { book.set_sharing(state, now); };
  ports.exchanged = [&metrics = *parts_.metrics](base::Duration took) {
    auto lock = metrics.lock();
    metrics
        .histogram("penstock_shared_exchange_seconds",
                   "Telling the shared store what was used, and hearing what all used.", {}, kExchangeBounds)
        .observe(std::chrono::duration<double>(took).count());
  };
  ports.lost = [this](const Error& error, int parts) {
    obs::log(
        obs::Level::warn,
        "the store that gateways share limits through does not answer; until it does, this one gives out its part of "
        "what is left",
        {{"store", sharer_.status().place}, {"why", error.detail}, {"gateways", std::to_string(parts)}});
  };
  ports.connected = [this](base::Duration away) {
    const quota::ShareStatus status = sharer_.status();
    obs::log(obs::Level::info, "limits and budgets are shared with other gateways",
             {{"store", status.place}, {"gateways", std::to_string(status.gateways)}, {"after", seconds(away)}});
  };
  ports.trouble = [](const Error& error) {
    obs::log(obs::Level::error, "stored keys are not shared with other gateways; limits are", {{"why", error.detail}});
  };
  ports.records = keeper_.get();
  return ports;
}

void Sharing::configure(std::optional<quota::ShareConfig> config) {
  const bool wanted = config.has_value();
  sharer_.configure(std::move(config));
  if (wanted && !std::exchange(started_, true)) sharer_.start();
}

void Sharing::stop() { sharer_.stop(); }

std::vector<std::string> Sharing::notes() const {
  const quota::ShareStatus status = sharer_.status();
  if (!status.on || status.connected) return {};
  return {fmt::format(
      "the store that gateways share limits through does not answer: this one gives out 1/{} of what is left",
      status.gateways)};
}

void Sharing::collect(obs::MetricWriter& writer) const {
  const quota::ShareStatus status = sharer_.status();
  if (!status.on) return;
  auto one = [&](std::string_view name, std::string_view type, std::string_view help, double value) {
    writer.family(name, type, help);
    writer.sample(name, {}, value);
  };
  one("penstock_shared_connected", "gauge", "Whether limits are shared with other gateways at the moment.",
      status.connected ? 1 : 0);
  one("penstock_shared_gateways", "gauge",
      "Gateways that share limits, or by which what is left is divided without the store.", status.gateways);
  one("penstock_shared_failures_total", "counter", "Exchanges with the shared store that failed.",
      static_cast<double>(status.failures));
}

std::string describe(const quota::ShareConfig& config) {
  return fmt::format("limits{} shared through {} every {}, {:g}% of each ahead, divided by {} without it",
                     config.keys ? " and stored keys" : "", config.store.place, base::format_duration(config.every),
                     config.slice * 100, config.gateways);
}

}  // namespace penstock::app
