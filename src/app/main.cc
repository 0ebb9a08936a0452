// The command line. Everything it starts is in gateway.cc, commands.cc, doctor.cc and *_commands.cc.
#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <system_error>

#include "app/command_groups.h"
#include "app/commands.h"
#include "app/default_config.h"
#include "app/gateway.h"
#include "app/privilege.h"
#include "mock/server.h"
#include "mock/traits.h"

namespace penstock::ext {
void register_all(base::Registry& registry);
}

namespace penstock::app {
namespace {

// Before any thread: the ones that follow inherit the mask, and only serve() waits for signals.
void block_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR2}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow is an error of that write, not the end of the program
}

// A program may be started with standard input, output or error closed. The next socket or file would get that number,
// and log lines would go to whoever is at its other end.
void occupy_standard_descriptors() {
  int fd = 0;
  while (fd >= 0 && fd <= STDERR_FILENO) fd = ::open("/dev/null", O_RDWR);
  if (fd >= 0) ::close(fd);
}

int run(const base::Registry& registry, RunOptions options) try {
  forbid_new_privileges();
  block_signals();
  if (options.config_path.empty()) {
    auto written = write_default_config(options.data_dir.empty() ? "./var" : options.data_dir);
    if (!written) {
      std::fprintf(stderr, "%s\n", written.error().detail.c_str());
      return 1;
    }
    options.config_path = *written;
  }
  Gateway gateway(registry, std::move(options));
  if (auto started = gateway.start(); !started) {
    std::fprintf(stderr, "%s\n", started.error().message.c_str());
    return started.error().exit_status;
  }
  return gateway.serve();
} catch (const std::system_error& error) {
  std::fprintf(stderr,
               "the system refused what the gateway needs to run, mostly a thread: %s. Look at the limits of tasks and "
               "memory (ulimit -u, ulimit -v, TasksMax, MemoryMax)\n",
               error.what());
  return 1;
}

struct MockOptions {
  std::string listen = "127.0.0.1:9001";
  std::string first_token = "0";
  std::string per_token = "0";
  std::vector<std::string> fail;
  mock::Options options;
};

int run_mock(MockOptions given) {
  auto complain = [](std::string_view option, const Error& error) {
    std::fprintf(stderr, "%s: %s\n", std::string(option).c_str(), error.detail.c_str());
    return 2;
  };
  auto address = net::parse_host_port(given.listen);
  auto endpoint = address ? net::parse_endpoint(*address) : Result<net::Endpoint>(std::unexpected(address.error()));
  if (!endpoint) return complain("--listen", endpoint.error());
  auto first_token = base::parse_duration(given.first_token);
  if (!first_token) return complain("--first-token", first_token.error());
  auto per_token = base::parse_duration(given.per_token);
  if (!per_token) return complain("--per-token", per_token.error());
  given.options.listen = *endpoint;
  given.options.first_token = *first_token;
  given.options.per_token = *per_token;
  for (const std::string& text : given.fail) {
    auto rule = mock::parse_fail_rule(text);
    if (!rule) return complain("--fail", rule.error());
    given.options.fail.push_back(*rule);
  }
  auto status = mock::run(given.options);
  if (!status) return complain("mock", status.error());
  return *status;
}

}  // namespace
}  // namespace penstock::app

int main(int argc, char** argv) {
  using namespace penstock;
  app::occupy_standard_descriptors();
  base::Registry registry;
  ext::register_all(registry);

  CLI::App cli{"Penstock: one gateway for language models, local models and devices."};
  cli.require_subcommand(1);
  cli.set_version_flag("--version", [&] { return app::version_text(registry); });

  app::RunOptions run_options;
  run_options.invocation = app::remember_invocation(argc, argv);
  CLI::App* run = cli.add_subcommand("run", "the gateway");
  run->add_option("--config", run_options.config_path,
                  "configuration file; without one it looks around and says what it found");
  run->add_option("--data-dir", run_options.data_dir, "where keys and usage are kept (overrides data_dir of the file)");

  std::string file;
  CLI::App* check = cli.add_subcommand("check", "validate a configuration and print the compiled plan");
  check->add_option("FILE", file)->required();
  CLI::App* test = cli.add_subcommand("test", "run the inline tests of pipelines, offline");
  test->add_option("FILE", file)->required();
  CLI::App* doctor = cli.add_subcommand("doctor", "explain in words why a call would fail");
  app::DoctorOptions doctor_options;
  doctor->add_option("--config,FILE", doctor_options.file)->required();
  doctor->add_option("--key", doctor_options.key, "the name or id of a key whose calls fail");
  doctor->add_option("--model", doctor_options.model, "and the model they ask for");

  app::Command chosen;
  app::add_key_commands(cli, chosen);
  app::add_team_commands(cli, chosen);
  app::add_usage_command(cli, chosen);
  app::add_budget_commands(cli, chosen);
  app::add_price_commands(cli, chosen);
  app::add_audit_commands(cli, chosen);
  app::add_alarm_commands(cli, chosen);
  app::add_action_commands(cli, chosen);
  app::add_device_commands(cli, chosen);
  app::add_model_worker(cli, registry, chosen);
  app::add_broker_keeper(cli, chosen);
  app::add_tune(*app::add_model_commands(cli, chosen), registry, chosen);
  app::add_artifact_commands(cli, chosen);

  app::MockOptions mock_options;
  CLI::App* mock = cli.add_subcommand("mock", "a deterministic provider for tests, demos and benchmarks");
  mock->add_option("--listen", mock_options.listen, "address")->capture_default_str();
  mock->add_option("--dialect", mock_options.options.dialect,
                   "the only dialect to speak: openai, anthropic, gemini or ollama; by default all of them");
  mock->add_option("--first-token", mock_options.first_token, "wait before the first token")->capture_default_str();
  mock->add_option("--per-token", mock_options.per_token, "wait between tokens")->capture_default_str();
  mock->add_option("--tokens", mock_options.options.tokens, "length of an answer")->capture_default_str();
  mock->add_option("--fail", mock_options.fail, "share and kind of failures, for example 5%:503 or 2%:cut");
  mock->add_option("--seed", mock_options.options.seed, "same seed, same answers")->capture_default_str();
  mock->add_option("--threads", mock_options.options.threads, "event loops")->capture_default_str();
  mock->add_option("--api-key", mock_options.options.api_key, "refuse other keys");
  mock->footer(
      "A model called mock-NAME fails or differs, and so does one called mock-NAME+NAME. Failures: 400 to 599, " +
      mock::failure_names() + ". Traits: " + mock::trait_names() +
      ".\nGET /mock/stats, /mock/last and /mock/requests tell what arrived.");

  try {
    cli.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return cli.exit(error) == 0 ? 0 : 2;
  }
  if (*run) return app::run(registry, std::move(run_options));
  if (*check) return app::check(registry, file);
  if (*test) return app::test(registry, file);
  if (*doctor) return app::doctor(registry, doctor_options);
  if (chosen) return chosen();
  return app::run_mock(std::move(mock_options));
}
