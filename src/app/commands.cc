#include "app/commands.h"

#include <openssl/crypto.h>
#include <pwd.h>
#include <sqlite3.h>
#include <unistd.h>

#include <cstdio>

#include "app/found.h"
#include "app/gateway_config.h"
#include "app/ports.h"
#include "base/version.h"
#include "infer/engine.h"
#include "ingest/rehearsal.h"
#include "json/value.h"
#include "store/state.h"

namespace penstock::app {
namespace {

int complain(int status, const std::string& message) {
  std::fprintf(stderr, "%s\n", message.c_str());
  return status;
}

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
  for (const flow::DeclaredKey& key : config.keys) {
    out += fmt::format("key {}: models {}, {}, {}\n", key.key.name.view(),
                       key.key.models.empty() ? "*" : fmt::format("{}", fmt::join(key.key.models, " ")),
                       key.key.rpm > 0 ? fmt::format("{} requests/min", key.key.rpm) : "no request limit",
                       key.key.tpm > 0 ? fmt::format("{} tokens/min", key.key.tpm) : "no token limit");
  }
  out += fmt::format("filters {}\n", fmt::join(config.filters, ", "));
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

// The data folder a key command works on.
Result<std::string> data_dir_of(const KeyOptions& options) {
  if (!options.data_dir.empty()) return options.data_dir;
  if (options.config.empty()) return std::string("./var");
  // Only this one value is wanted: secrets that are not set here are no obstacle.
  auto document = config::Document::load(options.config, [](const std::string&) { return "-"; });
  if (!document) return std::unexpected(document.error());
  return document->root().map().text("data_dir", "./var");
}

Result<store::State> open_state(const KeyOptions& options) {
  auto dir = data_dir_of(options);
  if (!dir) return std::unexpected(dir.error());
  return store::State::open(*dir);
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  std::size_t from = 0;
  while (from < text.size()) {
    std::size_t comma = std::min(text.find(',', from), text.size());
    if (comma > from) parts.push_back(text.substr(from, comma - from));
    from = comma + 1;
  }
  return parts;
}

// Who works at the command line.
store::Actor actor() {
  const passwd* user = ::getpwuid(::getuid());
  return {"cli:" + (user == nullptr ? std::to_string(::getuid()) : std::string(user->pw_name)),
          base::system_clock().wall()};
}

}  // namespace

int check(const base::Registry& registry, const std::string& file) {
  Surroundings surroundings("./var");
  auto document = config::Document::load(file, surroundings.environment());
  if (!document) return complain(2, document.error().detail);
  config::Map root = document->root().map();
  GatewayConfig config = read_gateway_config(root, registry);
  ingest::Context context{&registry, &base::system_clock(), nullptr, nullptr};
  ingest::Plan plan = ingest::read_plan(root, context, [&](const std::string&) { return parts_for_check(context); });
  root.done();
  if (!document->failed()) report_denied_providers(config, root);
  if (document->failed()) return complain(2, document->report());
  print_plan(config, plan, file);
  return 0;
}

int test(const base::Registry& registry, const std::string& file) {
  Surroundings surroundings("./var");
  auto document = config::Document::load(file, surroundings.environment());
  if (!document) return complain(2, document.error().detail);
  config::Map root = document->root().map();
  GatewayConfig config = read_gateway_config(root, registry);
  infer::Repository repository(registry);
  infer::Engine engine(repository, {});
  LocalModels models(repository, engine);
  ingest::Context context{&registry, &base::system_clock(), &models, nullptr};
  ingest::Plan plan = ingest::read_plan(root, context, [&](const std::string&) { return parts_for_check(context); });
  root.done();
  if (document->failed()) return complain(2, document->report());
  repository.apply(config.models);
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

int create_key(const KeyOptions& options) {
  base::WallMicros now = base::system_clock().wall();
  base::WallMicros expires = 0;
  if (!options.expires.empty()) {
    auto lifetime = base::parse_duration(options.expires);
    if (!lifetime) return complain(2, "--expires: " + lifetime.error().detail);
    expires = now + std::chrono::duration_cast<std::chrono::microseconds>(*lifetime).count();
  }
  auto dir = data_dir_of(options);
  if (!dir) return complain(2, dir.error().detail);
  auto state = store::State::open(*dir);
  if (!state) return complain(1, state.error().detail);
  auto installation = state->installation_secret();
  if (!installation) return complain(1, installation.error().detail);
  store::StoredKey key;
  key.id = base::random_token(9);
  base::Secret secret("pk-" + key.id + "-" + base::random_token(24));
  key.name = options.name;
  store::StoredSecret stored{base::hmac_sha256_hex(installation->reveal(), secret.reveal()), now, 0};
  if (!options.models.empty()) {
    json::Array models;
    for (const std::string& glob : split(options.models)) models.emplace_back(glob);
    key.scopes = json::dump(json::Object{{"models", std::move(models)}});
  }
  json::Object limits;
  if (options.rpm > 0) limits["rpm"] = options.rpm;
  if (options.tpm > 0) limits["tpm"] = options.tpm;
  if (!limits.empty()) key.rules = json::dump(json::Object{{"limits", std::move(limits)}});
  key.created = now;
  key.expires = expires;
  if (auto added = state->add_key(key, stored, actor()); !added)
    return complain(added.error().code == Errc::already_exists ? 2 : 1, added.error().detail);
  std::printf("%s\n", std::string(secret.reveal()).c_str());
  std::fprintf(stderr, "This is the only time the key '%s' (id %s) is shown. Only a hash of it is kept, in %s.\n",
               key.name.c_str(), key.id.c_str(), dir->c_str());
  return 0;
}

int list_keys(const KeyOptions& options) {
  auto state = open_state(options);
  if (!state) return complain(1, state.error().detail);
  std::printf("%-14s %-24s %-28s %-28s %s\n", "ID", "NAME", "SCOPES", "LIMITS", "STATE");
  store::KeyQuery query;
  query.revoked = true;
  query.limit = 1000;
  while (true) {
    auto keys = state->keys(query);
    if (!keys) return complain(1, keys.error().detail);
    if (keys->empty()) return 0;
    for (const store::StoredKey& key : *keys) {
      std::string status = key.revoked != 0   ? "revoked " + base::to_rfc3339(key.revoked)
                           : key.expires != 0 ? "expires " + base::to_rfc3339(key.expires)
                                              : "active";
      std::printf("%-14s %-24s %-28s %-28s %s\n", key.id.c_str(), key.name.c_str(),
                  key.scopes.empty() ? "-" : key.scopes.c_str(), key.rules.empty() ? "-" : key.rules.c_str(),
                  status.c_str());
    }
    query.offset += query.limit;
  }
}

int revoke_key(const KeyOptions& options) {
  auto state = open_state(options);
  if (!state) return complain(1, state.error().detail);
  auto count = state->revoke_key(options.name, actor());
  if (!count) return complain(1, count.error().detail);
  if (*count == 0)
    return complain(
        2, fmt::format("there is no active stored key with the name or id '{}'; `penstock key list` shows them",
                       options.name));
  std::printf("revoked %s; a running gateway refuses it within a second\n", options.name.c_str());
  return 0;
}

std::string version_text(const base::Registry& registry) {
  std::string text = fmt::format("penstock {}\n{}\nSQLite {}\n", base::kVersion, OpenSSL_version(OPENSSL_VERSION),
                                 sqlite3_libversion());
  for (const std::string& name : registry.names<infer::RuntimeFactory>())
    text += registry.find<infer::RuntimeFactory>(name)->describe() + "\n";
  return text;
}

}  // namespace penstock::app
