#include "app/commands.h"

#include "infer/model_source.h"

#include <openssl/crypto.h>
#include <sqlite3.h>

#include <cstdio>

#include "app/data_folder.h"
#include "app/embedded_broker.h"
#include "app/found.h"
#include "app/gateway_config.h"
#include "app/model_options.h"
#include "app/ports.h"
#include "app/sharing.h"
#include "base/version.h"
#include "infer/engine.h"
#include "ingest/notify.h"
#include "ingest/rehearsal.h"

namespace penstock::app {
namespace {

ingest::PipelineParts parts_for_check(const ingest::Context& context) {
  ingest::PipelineParts parts;
  parts.context = context;
  return parts;
}

void print_plan(const GatewayConfig& config, const ingest::Plan& plan, const std::string& file) {
  std::string out = fmt::format("{} is fine.\n\n", file);
  for (const ListenConfig& listen : config.listen)
    out += fmt::format("listen {}{}{}\n", listen.address(), listen.proxy_protocol ? " (PROXY)" : "",
                       listen.tls ? " (TLS)" : "");
  out +=
      fmt::format("admin {}\nthreads {}, data in {}\n", config.admin.endpoint.text(), config.threads, config.data_dir);
  for (const auto& [name, provider] : config.llm->providers()) {
    const net::Url& url = provider->origin()->url;
    out += fmt::format("provider {} at {}{}\n", name, url.place(), url.path);
  }
  for (const std::string& line : config.llm->describe()) out += line + "\n";
  for (const infer::ModelConfig& model : config.models)
    out += fmt::format("model {} from {}\n", model.name, model.path);
  auto rules = [](const quota::Rules& of) { return of.empty() ? std::string("no limits") : quota::to_text(of); };
  for (const flow::TeamSpec& team : config.teams) {
    out += fmt::format("team {}{}: {}, {}\n", team.name, team.parent.empty() ? "" : " in " + team.parent,
                       team.scopes.models_text(), rules(team.rules));
  }
  for (const flow::DeclaredKey& key : config.keys) {
    std::string scopes = flow::to_text(key.scopes);
    out += fmt::format("key {}{}: {}, {}\n", key.name, key.team.empty() ? "" : " in " + key.team,
                       scopes.empty() ? "every model" : scopes, rules(key.rules));
  }
  if (!config.addresses.empty()) out += fmt::format("each address: {}\n", rules(config.addresses));
  if (config.broker) out += describe_broker(*config.broker) + "\n";
  if (config.shared) out += describe(*config.shared) + "\n";
  out += fmt::format("filters {}\n", fmt::join(config.filters, ", "));
  for (const ingest::NotifyTarget& target : config.alarms.targets)
    out += fmt::format("notify {} {}\n", target.name, ingest::describe(target));
  out += plan.describe();
  std::fputs(out.c_str(), stdout);
}

// Calls to them would be refused: better known before the first one. Names are judged by where they lead, with each
// call.
void report_denied_providers(const GatewayConfig& config, config::Map& root) {
  for (const auto& [name, provider] : config.llm->providers()) {
    const net::Url& url = provider->origin()->url;
    auto endpoint = net::parse_endpoint({url.host, url.port});
    if (!url.socket.empty() || !endpoint) continue;
    if (auto permitted = config.egress.permits(*endpoint); !permitted)
      root.get("providers").map().get(name).map().get("base_url").problem(permitted.error().detail);
  }
}

}  // namespace

int check(const base::Registry& registry, const std::string& file) {
  Surroundings surroundings("./var");
  auto document = config::Document::load(file, surroundings.environment());
  if (!document) return complain(2, document.error().detail);
  config::Map root = document->root().map();
  GatewayConfig config = read_gateway_config(root, registry);
  ingest::SilentNotifier notifier(config.alarms.names());
  ingest::Context context{.registry = &registry, .clock = &base::system_clock(), .notify = &notifier};
  ingest::Plan plan = ingest::read_plan(root, context, [&](const std::string&) { return parts_for_check(context); });
  root.done();
  if (!document->failed()) report_denied_providers(config, root);
  if (document->failed()) return complain(2, document->report());
  print_plan(config, plan, file);
  for (const std::string& warning : plan.warnings) complain(0, "warning: " + warning);
  return 0;
}

int test(const base::Registry& registry, const std::string& file) {
  Surroundings surroundings("./var");
  auto document = config::Document::load(file, surroundings.environment());
  if (!document) return complain(2, document.error().detail);
  config::Map root = document->root().map();
  GatewayConfig config = read_gateway_config(root, registry);
  infer::Repository repository(registry, model_options(config));
  infer::Engine engine(repository, {});
  LocalModels models(repository, engine);
  ingest::SilentNotifier notifier(config.alarms.names());
  ingest::Context context{
      .registry = &registry, .clock = &base::system_clock(), .models = &models, .notify = &notifier};
  ingest::Plan plan = ingest::read_plan(root, context, [&](const std::string&) { return parts_for_check(context); });
  root.done();
  if (document->failed()) return complain(2, document->report());
  repository.apply(loaded_at_once(config.models));
  std::vector<ingest::TestReport> reports = ingest::run_tests(root, plan, context, file);
  std::size_t failed = 0;
  for (const ingest::TestReport& report : reports) {
    std::printf("%s\n", report.line().c_str());
    failed += report.passed ? 0 : 1;
  }
  if (reports.empty()) std::printf("no pipeline in %s has `tests:`\n", file.c_str());
  std::printf("%zu passed, %zu failed\n", reports.size() - failed, failed);
  return failed == 0 ? 0 : 1;
}

std::string version_text(const base::Registry& registry) {
  std::string text = fmt::format("penstock {}\n{}\nSQLite {}\n", base::kVersion, OpenSSL_version(OPENSSL_VERSION),
                                 sqlite3_libversion());
  for (const std::string& name : registry.names<infer::RuntimeFactory>())
    text += registry.find<infer::RuntimeFactory>(name)->describe() + "\n";
  return text;
}

}  // namespace penstock::app
