#include "app/commands.h"
#include "app/doctor_keys.h"
#include "app/doctor_report.h"
#include "app/embedded_broker.h"
#include "app/found.h"
#include "app/gateway_config.h"
#include "app/model_options.h"
#include "http/client.h"
#include "infer/embedder.h"
#include "infer/repository.h"
#include "ingest/plan.h"
#include "net/acceptor.h"
#include "net/resolver.h"
#include "rt/await.h"
#include "store/state.h"

namespace penstock::app {
namespace {

void check_listeners(const GatewayConfig& config, Report& report) {
  rt::Loop loop;
  auto probe = [&](const net::Endpoint& endpoint, std::string_view what) {
    auto acceptor = net::Acceptor::listen(loop, endpoint, [](int, const net::Endpoint&) {});
    if (acceptor) {
      report.good(fmt::format("{} {} is free", what, endpoint.text()));
    } else {
      report.bad(acceptor.error().detail, "if that is this gateway running already, all is well");
    }
  };
  for (const ListenConfig& listen : config.listen) probe(listen.endpoint, "listen");
  probe(config.admin.endpoint, "admin");
}

std::string cure_for_status(int status, std::string_view name) {
  if (status == 401 || status == 403)
    return fmt::format("the API key of the provider '{}' is missing, wrong, or may not list models", name);
  if (status == 404)
    return fmt::format("the base_url of the provider '{}' is probably wrong: it should end in /v1", name);
  if (status == 429) return "the account is over its limit: wait, or raise the limit with the provider";
  return "look at the provider's own status page";
}

// Asks the provider for its models, the way every call to it would go: name, connection, TLS, key.
rt::Task<void> probe_provider(http::ClientPool& pool, std::string name, std::shared_ptr<const llm::Provider> provider,
                              Report& report) {
  std::shared_ptr<const http::Origin> origin = provider->origin();
  auto probe = provider->probe_head();
  http::ClientTimeouts timeouts{std::chrono::seconds(10), std::chrono::seconds(10), std::chrono::seconds(15)};
  http::ClientCall call(pool, origin, timeouts);
  auto sent = co_await call.send(probe, "");
  std::string where = fmt::format("provider {} at {}", name, origin->url.place());
  if (!sent) {
    report.bad(fmt::format("{}: {}", where, sent.error().detail),
               "check base_url, the network, and that the server runs");
    co_return;
  }
  if (call.status() == 200) {
    report.good(where + " answers");
  } else {
    report.bad(fmt::format("{} answers {}", where, call.status()), cure_for_status(call.status(), name));
  }
}

void check_providers(const GatewayConfig& config, Report& report) {
  rt::Loop loop;
  http::ClientPool pool(loop);
  rt::TaskScope scope(loop);
  auto all = [](rt::TaskScope& tasks, rt::Loop& l) -> rt::Task<void> {
    co_await tasks.idle();
    l.stop();
  };
  for (const auto& [name, provider] : config.llm->providers())
    scope.spawn(probe_provider(pool, name, provider, report));
  rt::spawn(all(scope, loop));
  loop.run();
}

void check_models(const GatewayConfig& config, const base::Registry& registry, Report& report) {
  infer::Repository repository(registry, model_options(config));
  repository.apply(loaded_at_once(config.models));
  infer::Engine engine(repository, {});
  infer::Embedder embedder(repository, engine);
  for (const infer::ModelConfig& model : config.models) {
    if (!model.embed || !repository.find(model.name, "")) continue;
    if (auto checked = embedder.check(model.name)) {
      report.good(fmt::format("model {} embeds", model.name));
    } else {
      report.bad(checked.error().detail, "mend `embed:` of the model, or its tokenizer.json");
    }
  }
  for (const infer::ModelStatus& model : repository.status()) {
    for (const infer::VersionStatus& version : model.versions) {
      std::string what =
          fmt::format("model {}{}{}", model.name, version.version.empty() ? "" : " version ", version.version);
      if (version.ready) {
        report.good(what + " loads");
      } else {
        report.bad(fmt::format("{}: {}", what, version.reason), fmt::format("look into {}", model.path));
      }
    }
  }
}

}  // namespace

int doctor(const base::Registry& registry, const DoctorOptions& options) {
  const std::string& file = options.file;
  Surroundings surroundings("./var");
  Report report;
  auto document = config::Document::load(file, surroundings.environment());
  if (!document) {
    report.bad(document.error().detail, "mend the file");
    return 2;
  }
  config::Map root = document->root().map();
  GatewayConfig config = read_gateway_config(root, registry);
  ingest::Context context{.registry = &registry, .clock = &base::system_clock()};
  ingest::Plan plan = ingest::read_plan(root, context, [&](const std::string&) {
    ingest::PipelineParts parts;
    parts.context = context;
    return parts;
  });
  root.done();
  if (document->failed()) {
    report.bad(document->report(), "mend the file");
    return 2;
  }
  report.good(fmt::format("{} is valid", file));
  for (const std::string& warning : plan.warnings) report.note(warning);
  net::Resolver::instance().use_servers(config.dns_servers);
  check_listeners(config, report);
  auto state = store::State::open(config.data_dir);
  if (state) {
    report.good(fmt::format("the data folder {} can be used", config.data_dir));
    bool any = !config.keys.empty() || state->had_keys().value_or(false);
    if (!any) report.note("there are no API keys: everybody who reaches the gateway may use it (loopback only)");
  } else {
    report.bad(state.error().detail, "check the folder's owner and free space, or set data_dir");
  }
  if (state) check_accounting(config, *state, report);
  if (state && !options.key.empty()) check_call(config, *state, options.key, options.model, report);
  if (surroundings.simulated())
    report.note("the language model is a simulation: no provider key, Ollama or llama-server was found");
  if (config.llm->routes().empty() && config.models.empty())
    report.note("no model is configured: every call would be answered 404");
  check_providers(config, report);
  check_models(config, registry, report);
  if (config.broker) check_broker(*config.broker, report);
  std::printf("%d problem%s found\n", report.bad_count(), report.bad_count() == 1 ? "" : "s");
  return report.bad_count() == 0 ? 0 : 1;
}

}  // namespace penstock::app
