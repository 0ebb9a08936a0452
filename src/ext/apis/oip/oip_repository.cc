#include "ext/apis/oip/load_request.h"
#include "ext/apis/oip/oip_api.h"
#include "flow/permission.h"
#include "json/value.h"
#include "rt/attempt.h"
#include "rt/await.h"

namespace penstock::ext {
namespace {

namespace oip = infer::oip;

constexpr std::uint64_t kSmallBodyBytesMax = 64 * 1024;
// A model file of 190 MB in base64. Larger ones belong on the disk.
constexpr std::uint64_t kLoadBytesMax = 256U << 20;
// Loads that wait for the one under way; more are refused.
constexpr std::size_t kLoadsMax = 16;

// Whether `body`, which may be empty, is a JSON object.
Result<json::Value> parse_object(std::string_view body) {
  if (body.empty()) return json::Value(json::Object());
  auto parsed = json::parse(body);
  if (parsed && !parsed->is_object()) return fail(Errc::invalid_argument, "the body must be a JSON object");
  return parsed;
}

infer::Wish wish_of(const flow::Call& call) {
  std::string actor = call.key == nullptr ? "a request" : fmt::format("key {}", call.key->name().view());
  return {.actor = std::move(actor), .why = "asked for over /v2/repository"};
}

// Who is it, the body, and may it change what is served.
rt::Task<std::optional<std::string_view>> read_change(flow::Call& call, http::Params params, std::uint64_t bytes_max) {
  call.model = http::param(params, "m");
  call.needs.add(flow::Capability::admin);
  auto body = co_await flow::identify_and_read(call, bytes_max);
  if (!body) co_return std::nullopt;
  auto admitted = co_await flow::admit(call);
  if (admitted) co_return body;
  co_await flow::refuse(call, admitted.error());
  co_return std::nullopt;
}

}  // namespace

rt::Task<void> OipApi::index(flow::Call& call) {
  auto body = co_await flow::identify_and_read(call, kSmallBodyBytesMax);
  if (!body) co_return;
  auto wish = parse_object(*body);
  if (!wish) {
    co_await flow::refuse(call, wish.error());
    co_return;
  }
  std::vector<infer::ModelStatus> models = repository_.status();
  std::erase_if(models, [&](const auto& model) { return !flow::may_use(call, model.name); });
  co_await flow::respond_json(call, 200, oip::encode_index(models, json::bool_or(*wish, "ready", false)));
}

rt::Task<void> OipApi::load(flow::Call& call, http::Params params) {
  auto body = co_await read_change(call, std::move(params), kLoadBytesMax);
  if (!body) co_return;
  auto wanted = parse_load(*body);
  if (!wanted) {
    co_await flow::refuse(call, wanted.error());
    co_return;
  }
  wanted->name = call.model;
  wanted->by = wish_of(call);
  auto carried = std::make_shared<infer::LoadRequest>(std::move(*wanted));
  co_await change(call, [carried](infer::Repository& repository) { return repository.load(std::move(*carried)); });
}

// `unload_dependents` is accepted: nothing depends on a model here.
rt::Task<void> OipApi::unload(flow::Call& call, http::Params params) {
  auto body = co_await read_change(call, std::move(params), kSmallBodyBytesMax);
  if (!body) co_return;
  if (auto wish = parse_object(*body); !wish) {
    co_await flow::refuse(call, wish.error());
    co_return;
  }
  std::string name = call.model;
  infer::Wish by = wish_of(call);
  co_await change(call, [name, by](infer::Repository& repository) { return repository.unload(name, by); });
}

rt::Task<void> OipApi::change(flow::Call& call, Change change) {
  std::function<void(std::function<void(Result<void>)>)> start = [&](std::function<void(Result<void>)> done) {
    auto work = [change, &repository = repository_] {
      auto now = [&] { return change(repository); };
      return rt::attempt(now);
    };
    auto submitted = pool().run(call.exchange.loop(), std::move(work), done);
    if (!submitted) done(std::unexpected(submitted.error()));
  };
  rt::Callback<Result<void>> changing(call.exchange.loop(), std::move(start));
  auto changed = co_await changing;
  if (!changed) {
    co_await flow::refuse(call, changed.error());
    co_return;
  }
  co_await flow::respond_json(call, 200, "");
}

rt::Pool& OipApi::pool() {
  std::call_once(pool_once_, [this] { pool_ = std::make_unique<rt::Pool>("model load", 1, kLoadsMax); });
  return *pool_;
}

}  // namespace penstock::ext
