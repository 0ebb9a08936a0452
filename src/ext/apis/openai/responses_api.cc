#include "ext/apis/openai/responses_api.h"

#include "ext/apis/openai/responses_call.h"
#include "flow/filter.h"
#include "json/peek.h"
#include "llm/estimate.h"
#include "llm/serve.h"

namespace penstock::ext {
namespace {

using Kind = json::Field::Kind;

constexpr std::array<std::string_view, 7> kNames{
    "model", "stream", "input", "max_output_tokens", "previous_response_id", "store", "service_tier"};
enum FieldIndex : std::size_t { kModel, kStream, kInput, kMaxOutput, kPrevious, kStore, kServiceTier };
using Fields = std::array<json::Field, kNames.size()>;

bool is_said(const json::Field& field) { return field.kind != Kind::absent && field.kind != Kind::null; }

Result<void> wrong_type(std::size_t index, std::string_view wanted) {
  return fail(Errc::invalid_argument, fmt::format("the field '{}' must be {}", kNames[index], wanted));
}

Result<Fields> read_fields(std::string_view body) {
  Fields fields;
  auto peeked = json::peek(body, kNames, fields);
  Result<void> read;
  if (!peeked) {
    read = std::unexpected(peeked.error());
  } else if (fields[kModel].kind != Kind::string || fields[kModel].string.empty()) {
    read = wrong_type(kModel, "the name of a model");
  } else if (is_said(fields[kStream]) && fields[kStream].kind != Kind::boolean) {
    read = wrong_type(kStream, "true or false");
  } else if (is_said(fields[kStore]) && fields[kStore].kind != Kind::boolean) {
    read = wrong_type(kStore, "true or false");
  } else if (is_said(fields[kPrevious]) && fields[kPrevious].kind != Kind::string) {
    read = wrong_type(kPrevious, "the id of a response");
  } else if (is_said(fields[kInput]) && fields[kInput].kind != Kind::string && fields[kInput].kind != Kind::array) {
    read = wrong_type(kInput, "a string or a list of items");
  }
  if (!read) return std::unexpected(read.error());
  return fields;
}

std::string_view text_of(std::string_view body, const json::Field& field) {
  return body.substr(field.begin, field.end - field.begin);
}

// A call's body as it is understood here, and as it goes on.
struct Body {
  std::string_view text;  // the client's, or `own`
  std::string own;
  Fields fields;
  std::string input;     // without what came before, when it is to be kept
  std::string previous;  // kept here
  std::string provider;  // which keeps the response before
};

// Puts other text in the place of some values.
Result<void> rewrite(Body& body, const std::string& input, bool forget_previous) {
  std::vector<std::pair<const json::Field*, std::string_view>> edits{{&body.fields[kInput], input}};
  if (forget_previous) edits.emplace_back(&body.fields[kPrevious], "null");
  std::sort(edits.begin(), edits.end(), [](const auto& a, const auto& b) { return a.first->begin < b.first->begin; });
  std::string text;
  std::size_t from = 0;
  for (const auto& [field, value] : edits) {
    text += body.text.substr(from, field->begin - from);
    text += value;
    from = field->end;
  }
  text += body.text.substr(from);
  body.own = std::move(text);
  body.text = body.own;
  auto fields = read_fields(body.text);
  if (!fields) return std::unexpected(fields.error());
  body.fields = std::move(*fields);
  return {};
}

rt::Task<Result<void>> resolve(Body& body, rt::Loop& loop, store::ResponseStore& store, ResponseOwner owner) {
  std::function<Result<std::string>(store::State&)> work =
      [input = std::string(text_of(body.text, body.fields[kInput])), owner](store::State& state) {
        return resolve_references(state, input, owner);
      };
  std::size_t bytes = body.text.size();
  auto resolved = co_await store.ask<std::string>(loop, std::move(work), bytes);
  if (!resolved) co_return std::unexpected(resolved.error());
  co_return rewrite(body, *resolved, false);
}

rt::Task<Result<void>> go_on(Body& body, rt::Loop& loop, store::ResponseStore& store, ResponseOwner owner) {
  std::string id(body.fields[kPrevious].string);
  std::size_t room = kContextBytesMax - std::min(kContextBytesMax, body.text.size());
  std::function<Result<Earlier>(store::State&)> work = [id, owner, room](store::State& state) {
    return read_earlier(state, id, owner, room);
  };
  auto earlier = co_await store.ask<Earlier>(loop, std::move(work));
  if (!earlier && earlier.error().code == Errc::not_found) earlier.error().code = Errc::invalid_argument;
  if (!earlier) {
    earlier.error().detail.insert(0, "previous_response_id: ");
    co_return std::unexpected(earlier.error());
  }
  if (!earlier->provider.empty()) {
    body.provider = std::move(earlier->provider);
    co_return Result<void>{};
  }
  body.previous = std::move(id);
  std::string_view own = text_of(body.text, body.fields[kInput]);
  std::string items = "[" + std::move(earlier->items);
  std::string message;
  if (body.fields[kInput].kind == Kind::string) {
    message = fmt::format(R"({{"role":"user","content":{}}})", own);
    own = message;
  } else {
    own = own.substr(1, own.size() - 2);
  }
  if (items.size() > 1 && own.find_first_not_of(" \t\r\n") != std::string_view::npos) items += ',';
  items += own;
  items += ']';
  co_return rewrite(body, items, true);
}

// What the call is about, and what it may cost.
void describe(flow::Call& call, const Body& body, llm::Request& request) {
  call.model = body.fields[kModel].string.view();
  call.input_tokens = llm::estimate_tokens(body.fields[kInput].end - body.fields[kInput].begin);
  request.body = body.text;
  request.model = body.fields[kModel];
  request.output = {};
  request.canonical = nullptr;
  if (body.fields[kServiceTier].kind == Kind::string) request.service_tier = body.fields[kServiceTier].string.view();
  if (request.operation == llm::Operation::count_tokens) return;
  request.output.take(body.fields[kMaxOutput]);
  std::size_t first = body.text.find('{') + 1;
  request.output.insert(first, first, R"("max_output_tokens":)", ",");
}

// Whoever chooses ids for requests may choose one twice. Those of responses are told apart.
std::string seed_of(const flow::Call& call) {
  std::string seed(call.event.id.view());
  if (!call.exchange.request().field(wire::FieldId::x_request_id).empty()) seed += "-" + base::random_token(6);
  std::replace(seed.begin(), seed.end(), '_', '-');
  return seed;
}

std::optional<std::string> query_value(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), pair.size() + 1));
    std::size_t equals = pair.find('=');
    if (pair.substr(0, equals) != name) continue;
    return equals == std::string_view::npos ? "" : http::percent_decode(pair.substr(equals + 1));
  }
  return std::nullopt;
}

Result<ItemPage> read_page(std::string_view query) {
  ItemPage page;
  if (auto limit = query_value(query, "limit")) {
    auto [end, defect] = std::from_chars(limit->data(), limit->data() + limit->size(), page.limit);
    if (defect != std::errc{} || end != limit->data() + limit->size() || page.limit < 1 || page.limit > 100)
      return fail(Errc::invalid_argument, "limit: must be a number from 1 to 100");
  }
  std::string order = query_value(query, "order").value_or("desc");
  if (order != "asc" && order != "desc") return fail(Errc::invalid_argument, "order: must be asc or desc");
  page.ascending = order == "asc";
  page.after = query_value(query, "after").value_or("");
  return page;
}

// The dialect's own words for what is not found speak of models.
rt::Task<void> refuse_unknown(flow::Call& call, std::string_view detail) {
  call.event.error_type = obs::ErrorType::caller_not_found;
  call.event.error.assign(detail);
  chat::ProviderError error{.status = 404, .type = "invalid_request_error", .message = std::string(detail)};
  std::string body = ResponsesCodec(chat::Operation::responses).write_error(error);
  co_await flow::respond_json(call, 404, std::move(body));
}

rt::Task<void> refuse_error(flow::Call& call, Error error) {
  if (error.code == Errc::not_found) return refuse_unknown(call, error.detail);
  return flow::refuse(call, std::move(error));
}

}  // namespace

ResponseOwner ResponsesApi::owner_of(const flow::Call& call) const {
  ResponseOwner owner;
  if (call.key) owner.key = call.policy->keys().owner_of(*call.key);
  if (store_ != nullptr) owner.unused_since = store_->unused_since();
  return owner;
}

rt::Task<void> ResponsesApi::generate(flow::Call& call, llm::Operation operation) const {
  auto text = co_await flow::identify_and_read(call, llm::kRequestBytesMax);
  if (!text) co_return;
  Body body;
  body.text = *text;
  Result<void> ready;
  auto fields = read_fields(*text);
  if (fields) {
    body.fields = std::move(*fields);
  } else {
    ready = std::unexpected(fields.error());
  }
  bool goes_on = ready && is_said(body.fields[kPrevious]);
  if (goes_on && !keeps())
    ready =
        fail(Errc::invalid_argument, "previous_response_id: this gateway keeps no responses (`responses.max` is 0)");
  if (goes_on && ready && !is_said(body.fields[kInput])) ready = wrong_type(kInput, "a string or a list of items");
  bool refers =
      ready && keeps() && text->find("item_reference") != std::string_view::npos && is_said(body.fields[kInput]);
  // What is kept is read only for calls that the limits let pass.
  bool reads = ready && (refers || goes_on);
  llm::Request request;
  request.operation = operation;
  if (ready) describe(call, body, request);
  if (reads) {
    auto route = llm::prepare(call, lane_, request);
    ready = co_await flow::admit(call);
    if (ready && !route) ready = std::unexpected(route.error());
    if (ready) request.route = std::move(*route);
  }
  rt::Loop& loop = call.exchange.loop();
  if (ready && refers) ready = co_await resolve(body, loop, *store_, owner_of(call));
  bool keep = ready && operation == llm::Operation::responses && keeps() &&
              !(body.fields[kStore].kind == Kind::boolean && !body.fields[kStore].boolean);
  if (keep) body.input = text_of(body.text, body.fields[kInput]);
  if (ready && goes_on) ready = co_await go_on(body, loop, *store_, owner_of(call));
  if (!ready) {
    co_await flow::refuse(call, ready.error());
    co_return;
  }
  ResponsesCall codec(operation, {.seed = seed_of(call),
                                  .key = owner_of(call).key,
                                  .previous = body.previous,
                                  .input = std::move(body.input),
                                  .store = keep ? store_ : nullptr});
  const std::function<void(const llm::Target&, std::string_view)> on_native = [&codec](const llm::Target& target,
                                                                                       std::string_view answer) {
    codec.keep_native(target.provider_name(), answer);
  };
  describe(call, body, request);
  request.keep_alive = ": ping\n\n";
  request.stream = body.fields[kStream].boolean && operation == llm::Operation::responses;
  request.codec = &codec;
  request.provider = body.provider;
  if (keep) request.on_native = &on_native;
  co_await llm::serve(call, lane_, request);
}

rt::Task<std::optional<store::StoredResponse>> ResponsesApi::find(flow::Call& call, std::string id) const {
  if (auto known = flow::identify(call); !known) {
    co_await flow::refuse(call, known.error());
    co_return std::nullopt;
  }
  Result<std::optional<store::StoredResponse>> found(std::nullopt);
  if (keeps()) {
    std::function<Result<std::optional<store::StoredResponse>>(store::State&)> work =
        [id, owner = owner_of(call)](store::State& state) { return state.response(id, owner.key, owner.unused_since); };
    found = co_await store_->ask<std::optional<store::StoredResponse>>(call.exchange.loop(), std::move(work));
  }
  if (found && !*found) found = fail(Errc::not_found, fmt::format("no response '{}' is kept here", id.substr(0, 100)));
  if (!found) {
    co_await refuse_error(call, found.error());
    co_return std::nullopt;
  }
  if (!(*found)->provider.empty()) {
    co_await relay_->pass_to(call, (*found)->provider);
    // What the provider forgot need not be remembered here.
    if (call.exchange.request().method == "DELETE" && call.event.status == 200) co_return std::move(**found);
    co_return std::nullopt;
  }
  co_return std::move(**found);
}

rt::Task<void> ResponsesApi::show(flow::Call& call, std::string id) const {
  auto found = co_await find(call, std::move(id));
  if (!found) co_return;
  if (query_value(call.exchange.request().query, "stream").value_or("false") == "true") {
    co_await flow::refuse(call, {Errc::invalid_argument, "stream: a response that is complete is not streamed again"});
    co_return;
  }
  co_await flow::respond_json(call, 200, std::move(found->body));
}

rt::Task<void> ResponsesApi::remove(flow::Call& call, std::string id) const {
  auto found = co_await find(call, id);
  if (!found) co_return;
  std::function<Result<bool>(store::State&)> work = [id, owner = owner_of(call)](store::State& state) {
    return state.remove_response(id, owner.key);
  };
  auto removed = co_await store_->ask<bool>(call.exchange.loop(), std::move(work));
  if (!found->provider.empty()) co_return;
  if (!removed) {
    co_await flow::refuse(call, removed.error());
    co_return;
  }
  std::string body = R"({"id":)";
  json::append_quoted(body, id);
  co_await flow::respond_json(call, 200, body + R"(,"object":"response","deleted":true})");
}

rt::Task<void> ResponsesApi::cancel(flow::Call& call, std::string id) const {
  auto found = co_await find(call, std::move(id));
  if (!found) co_return;
  co_await flow::refuse(call, {Errc::invalid_argument,
                               "only responses that were made with background=true can be "
                               "cancelled; end the connection to cancel this kind"});
}

rt::Task<void> ResponsesApi::list_input_items(flow::Call& call, std::string id) const {
  auto found = co_await find(call, id);
  if (!found) co_return;
  auto page = read_page(call.exchange.request().query);
  if (!page) {
    co_await flow::refuse(call, page.error());
    co_return;
  }
  std::function<Result<std::string>(store::State&)> work = [id, page = *page,
                                                            owner = owner_of(call)](store::State& state) {
    return ext::list_input_items(state, id, owner, page);
  };
  auto list = co_await store_->ask<std::string>(call.exchange.loop(), std::move(work));
  if (!list) {
    co_await refuse_error(call, list.error());
    co_return;
  }
  co_await flow::respond_json(call, 200, std::move(*list));
}

void add_responses(flow::ApiBuilder& builder, const llm::Lane& lane, std::shared_ptr<const llm::Relay> relay) {
  auto* store = builder.services().find<store::ResponseStore>();
  auto api = std::make_shared<const ResponsesApi>(lane, std::move(relay), store);
  auto post = [&](const std::string& path, llm::Operation operation) {
    builder.route("POST", path, "openai",
                  [api, operation](flow::Call& call, http::Params) { return api->generate(call, operation); });
  };
  post("/v1/responses", llm::Operation::responses);
  post("/v1/responses/input_tokens", llm::Operation::count_tokens);
  auto about = [&](const std::string& method, const std::string& path,
                   rt::Task<void> (ResponsesApi::*handle)(flow::Call&, std::string) const) {
    builder.route(method, path, "openai", [api, handle](flow::Call& call, http::Params params) {
      return (*api.*handle)(call, std::string(http::param(params, "id")));
    });
  };
  about("GET", "/v1/responses/{id}", &ResponsesApi::show);
  about("DELETE", "/v1/responses/{id}", &ResponsesApi::remove);
  about("POST", "/v1/responses/{id}/cancel", &ResponsesApi::cancel);
  about("GET", "/v1/responses/{id}/input_items", &ResponsesApi::list_input_items);
}

}  // namespace penstock::ext
