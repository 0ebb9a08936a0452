#include "ext/apis/anthropic/anthropic_api.h"

#include <charconv>

#include "json/object_writer.h"
#include "llm/estimate.h"
#include "llm/serve.h"

namespace penstock::ext::anthropic {
namespace {

enum FieldIndex : std::size_t { kModel, kStream, kMaxTokens, kMessages, kSystem, kTools, kServiceTier, kSpeed };

std::unexpected<Error> wrong_type(std::string_view name, std::string_view wanted) {
  return fail(Errc::invalid_argument, fmt::format("{}: must be {}", name, wanted));
}

std::size_t bytes_of(const json::Field& field) { return field.end - field.begin; }

// Checks only what routing and policy read; the rest of the body is the provider's business.
Result<llm::Request> read_request(const AnthropicCodec& codec, std::string_view body, flow::Call& call) {
  constexpr std::array<std::string_view, 8> kNames{"model",  "stream", "max_tokens",   "messages",
                                                   "system", "tools",  "service_tier", "speed"};
  std::array<json::Field, kNames.size()> fields;
  auto peeked = json::peek(body, kNames, fields);
  if (!peeked) return std::unexpected(peeked.error());
  using Kind = json::Field::Kind;
  llm::Request request;
  request.family = chat::Family::anthropic;
  request.operation = codec.operation();
  request.keep_alive = "event: ping\ndata: {\"type\":\"ping\"}\n\n";
  request.body = body;
  request.object_begin = peeked->object_begin;
  request.codec = &codec;
  if (fields[kModel].kind != Kind::string || fields[kModel].string.empty())
    return wrong_type("model", "the name of a model");
  if (fields[kMessages].kind != Kind::array) return wrong_type("messages", "a list of messages");
  if (fields[kStream].kind == Kind::boolean) {
    request.stream = fields[kStream].boolean && codec.operation() == chat::Operation::chat;
  } else if (fields[kStream].kind != Kind::absent && fields[kStream].kind != Kind::null) {
    return wrong_type("stream", "true or false");
  }
  request.model = fields[kModel];
  call.model = request.model.string.view();
  call.input_tokens =
      llm::estimate_tokens(bytes_of(fields[kMessages]) + bytes_of(fields[kSystem]) + bytes_of(fields[kTools]));
  if (codec.operation() == chat::Operation::count_tokens) return request;
  // Who asks for speed pays for that, whatever the tier.
  bool fast = fields[kSpeed].kind == Kind::string && fields[kSpeed].string == "fast";
  const json::Field& tier = fields[fast ? kSpeed : kServiceTier];
  if (tier.kind == Kind::string) request.service_tier = tier.string.view();
  request.output.take(fields[kMaxTokens]);
  request.output.insert(request.object_begin + 1, request.object_begin + 1, R"("max_tokens":)", ",");
  return request;
}

std::string forwarded_lines(const flow::Call& call) {
  std::string lines;
  for (std::string_view name : kForwardedFields) {
    std::string_view value = call.exchange.request().field(name);
    if (!value.empty()) http::append_field(lines, name, value);
  }
  return lines;
}

void append_model(std::string& out, std::string_view id) {
  json::ObjectWriter model(out);
  model.text("type", "model");
  model.text("id", id);
  model.text("display_name", id);
  // Of a model whose age nobody knows (the API's reference says so).
  model.text("created_at", "1970-01-01T00:00:00Z");
  model.end();
}

// One page of the names, as the query asks for it: `limit`, and `after_id` or `before_id`.
struct Page {
  std::vector<std::string> names;
  bool more = false;
};

std::string query_value(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), pair.size() + 1));
    if (pair.substr(0, pair.find('=')) == name && pair.size() > name.size())
      return http::percent_decode(pair.substr(name.size() + 1));
  }
  return {};
}

Result<Page> page_of(std::vector<std::string> names, std::string_view query) {
  constexpr std::size_t kLimitDefault = 20;
  constexpr std::size_t kLimitMost = 1000;
  std::size_t limit = kLimitDefault;
  if (std::string text = query_value(query, "limit"); !text.empty()) {
    auto [end, defect] = std::from_chars(text.data(), text.data() + text.size(), limit);
    if (defect != std::errc{} || end != text.data() + text.size() || limit < 1 || limit > kLimitMost)
      return fail(Errc::invalid_argument, "limit: must be from 1 to 1000");
  }
  std::string after = query_value(query, "after_id");
  std::string before = query_value(query, "before_id");
  auto begin = after.empty() ? names.begin() : std::upper_bound(names.begin(), names.end(), after);
  auto end = before.empty() ? names.end() : std::lower_bound(begin, names.end(), before);
  auto count = static_cast<std::size_t>(end - begin);
  auto shown = static_cast<std::ptrdiff_t>(std::min(limit, count));
  Page page{.names = {}, .more = count > limit};
  if (!before.empty()) begin = end - shown;
  page.names.assign(begin, begin + shown);
  return page;
}

std::string write_page(const Page& page) {
  std::string body;
  json::ObjectWriter list(body);
  std::string& out = list.member("data");
  out += '[';
  for (const std::string& name : page.names) {
    if (out.back() != '[') out += ',';
    append_model(out, name);
  }
  out += ']';
  list.boolean("has_more", page.more);
  if (page.names.empty()) {
    list.member("first_id") += "null";
    list.member("last_id") += "null";
  } else {
    list.text("first_id", page.names.front());
    list.text("last_id", page.names.back());
  }
  list.end();
  return body;
}

}  // namespace

rt::Task<void> AnthropicApi::serve(flow::Call& call, chat::Operation operation) const {
  auto body = co_await flow::identify_and_read(call, llm::kRequestBytesMax);
  if (!body) co_return;
  auto request = read_request(operation == chat::Operation::chat ? messages_ : counts_, *body, call);
  if (!request) {
    co_await flow::refuse(call, request.error());
    co_return;
  }
  std::string lines = forwarded_lines(call);
  request->lines = lines;
  co_await llm::serve(call, lane_, *request);
}

rt::Task<void> AnthropicApi::list_models(flow::Call& call) const {
  Result<Page> page;
  if (auto known = flow::identify(call); !known) {
    page = std::unexpected(known.error());
  } else {
    page = page_of(llm::visible_routes(call, lane_), call.exchange.request().query);
  }
  if (!page) {
    co_await flow::refuse(call, page.error());
    co_return;
  }
  co_await flow::respond_json(call, 200, write_page(*page));
}

rt::Task<void> AnthropicApi::show_model(flow::Call& call, std::string id) const {
  Result<void> passed = flow::identify(call);
  if (passed) {
    if (auto route = llm::visible_route(call, lane_, id); !route) passed = std::unexpected(route.error());
  }
  if (!passed) {
    co_await flow::refuse(call, passed.error());
    co_return;
  }
  std::string body;
  append_model(body, id);
  co_await flow::respond_json(call, 200, std::move(body));
}

}  // namespace penstock::ext::anthropic
