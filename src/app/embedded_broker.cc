#include "app/embedded_broker.h"

#include <CLI/CLI.hpp>

#include "app/command_groups.h"
#include "device/onboarding.h"
#include "obs/log.h"

namespace penstock::app {
namespace {

constexpr int kKeeperSocket = 3;

void report_trouble(const Result<void>& result) {
  if (!result)
    obs::log(obs::Level::error, "the embedded broker is not as it is configured", {{"why", result.error().detail}});
}

}  // namespace

EmbeddedBroker::EmbeddedBroker(const std::string& data_dir)
    : supervisor_(data_dir, broker::launch_keeper, {device::authority_folder(data_dir)}) {}

void EmbeddedBroker::prepare(const std::optional<broker::BrokerConfig>& config) {
  wanted_.store(config.has_value());
  if (config) report_trouble(supervisor_.prepare(*config));
}

void EmbeddedBroker::start() {
  if (wanted_.load()) supervisor_.run();
}

void EmbeddedBroker::reload(const std::optional<broker::BrokerConfig>& config) {
  if (!config && wanted_.exchange(false)) return supervisor_.stop();
  if (!config) return;
  wanted_.store(true);
  report_trouble(supervisor_.apply(*config));
}

void EmbeddedBroker::stop() {
  if (wanted_.load()) supervisor_.stop();
}

std::vector<std::string> EmbeddedBroker::notes() const {
  if (!wanted_.load()) return {};
  const broker::BrokerStatus now = status();
  std::vector<std::string> notes;
  if (!now.running) notes.push_back("the embedded broker does not answer: " + now.detail);
  if (!now.unwritten.empty())
    notes.push_back("the embedded broker does not know its newest users and settings, and is told again: " +
                    now.unwritten);
  if (!now.left_out.empty()) notes.push_back("not at the embedded broker: " + now.left_out);
  return notes;
}

void EmbeddedBroker::collect(obs::MetricWriter& writer) const {
  if (!wanted_.load()) return;
  const broker::BrokerStatus now = status();
  const auto one = [&](std::string_view name, std::string_view type, std::string_view help, double value) {
    writer.family(name, type, help);
    writer.sample(name, {}, value);
  };
  one("penstock_broker_up", "gauge", "Whether the embedded broker answers.", now.running ? 1 : 0);
  one("penstock_broker_starts_total", "counter", "Starts of the embedded broker's process.",
      static_cast<double>(now.starts));
  one("penstock_broker_clients", "gauge", "Clients connected to the embedded broker.",
      static_cast<double>(now.clients));
  one("penstock_broker_messages_received_total", "counter", "Messages the embedded broker took, since its start.",
      static_cast<double>(now.received));
  one("penstock_broker_messages_sent_total", "counter", "Messages the embedded broker sent, since its start.",
      static_cast<double>(now.sent));
  one("penstock_broker_messages_dropped_total", "counter",
      "Messages the embedded broker lost because a client's queue was full, since its start.",
      static_cast<double>(now.dropped));
}

std::string describe_broker(const broker::BrokerConfig& config) {
  return fmt::format("broker {}{}{}, {} user{}", config.address(), config.tls ? " (TLS)" : "",
                     config.allow_anonymous ? ", open to everybody" : "", config.users.size(),
                     config.users.size() == 1 ? "" : "s");
}

void check_broker(const broker::BrokerConfig& config, Report& report) {
  if (auto program = broker::find_program(config.program); program) {
    report.good(fmt::format("the embedded broker is {}", *program));
  } else {
    report.bad(program.error().detail, "install it, or take `broker:` and `mqtt: embedded` out");
  }
}

void add_broker_keeper(CLI::App& cli, Command& chosen) {
  static std::string program, settings;
  CLI::App* keeper = cli.add_subcommand("broker-keeper", "the gateway starts it for its broker")->group("");
  keeper->add_option("program", program)->required();
  keeper->add_option("settings", settings)->required();
  keeper->callback([&chosen] { chosen = [] { return broker::serve_keeper(kKeeperSocket, program, settings); }; });
}

}  // namespace penstock::app
