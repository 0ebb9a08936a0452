#include "llm/relay.h"

#include <algorithm>

#include "json/value.h"
#include "llm/serve.h"
#include "llm/upload.h"

namespace penstock::llm {
namespace {

// The query without the gateway's own key.
std::string query_without_key(std::string_view query) {
  std::string kept;
  while (!query.empty()) {
    std::size_t end = query.find('&');
    std::string_view pair = query.substr(0, end);
    query.remove_prefix(end == std::string_view::npos ? query.size() : end + 1);
    if (pair.empty() || pair.substr(0, pair.find('=')) == "key") continue;
    kept += kept.empty() ? "?" : "&";
    kept += pair;
  }
  return kept;
}

bool is_plain_word(std::string_view text) {
  auto allowed = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '_' ||
           c == '-';
  };
  return std::all_of(text.begin(), text.end(), allowed) && text.find_first_not_of('.') != std::string_view::npos;
}

// The path at the provider, of /v1/SERVICE and what is below it. Built of plain words only: with dots, separators or
// escapes in it, it could name something else there.
std::optional<std::string> provider_path(std::string_view path) {
  path.remove_prefix(std::string_view("/v1").size());
  std::string plain;
  while (!path.empty()) {
    path.remove_prefix(1);
    std::string_view segment = path.substr(0, path.find('/'));
    path.remove_prefix(segment.size());
    std::string word = http::percent_decode(segment);
    if (!is_plain_word(word)) return std::nullopt;
    plain += '/' + word;
  }
  return plain;
}

// The boundary of the form in the body; empty after a refusal.
rt::Task<std::string> boundary_of(flow::Call& call) {
  std::string boundary = wire::form_boundary(call.exchange.request().field(wire::FieldId::content_type));
  if (boundary.empty()) {
    Error error{Errc::invalid_argument,
                "the body must be multipart/form-data with one boundary of 1 to 70 characters in its content-type"};
    co_await flow::refuse(call, std::move(error));
  }
  co_return boundary;
}

rt::Task<bool> identified(flow::Call& call) {
  auto known = flow::identify(call);
  if (known) co_return true;
  co_await flow::refuse(call, known.error());
  co_return false;
}

// What is asked for, when it is a model.
Result<void> take_model(flow::Call& call, const json::Field& model) {
  if (model.kind != json::Field::Kind::string || model.string.empty())
    return fail(Errc::invalid_argument, "the field 'model' must be the name of a model");
  if (!is_model_name(model.string))
    return fail(Errc::invalid_argument, "the field 'model' has control characters in it");
  call.model = model.string;
  return {};
}

// What OpenAI takes.
constexpr std::uint64_t kSoundBytesMax = 25U << 20;

// Ten a second, each of which has at least 16 kB as sound is usually coded.
std::int64_t sound_tokens(std::uint64_t bytes) {
  constexpr std::uint64_t kBytesMax = std::uint64_t{1} << 50;
  return static_cast<std::int64_t>(std::min(bytes, kBytesMax) * 10 / 16000 + 1);
}

bool is_absent(const json::Field& field) {
  return field.kind == json::Field::Kind::absent || field.kind == json::Field::Kind::null;
}

}  // namespace

std::string Relay::lines_of(flow::Call& call) const {
  std::string lines;
  for (std::string_view name : fields_) {
    if (std::string_view value = call.exchange.request().field(name); !value.empty())
      http::append_field(lines, name, value);
  }
  return lines;
}

Result<std::shared_ptr<const Route>> Relay::speaking(std::shared_ptr<const Route> route) const {
  auto kept = narrowed(route, [this](const Target& target) { return target.provider->family() == family_; });
  if (kept) return kept;
  return fail(Errc::invalid_argument,
              fmt::format("no provider of '{}' speaks the {} API, which this call needs: it passes through as it is",
                          route->name.view(), to_string(family_)));
}

rt::Task<std::shared_ptr<const Route>> Relay::route_for(flow::Call& call, Passage passage) const {
  auto route = plan_of(call, lane_)->find(call.model);
  if (route) route = askable(*route, call.event.at);
  if (route) prepare_passage(call, **route, passage);
  // Whether a model exists is nobody's business whose key does not cover it: permission first.
  auto admitted = co_await flow::admit(call);
  if (admitted && route) route = speaking(*route);
  if (admitted && !route) admitted = std::unexpected(route.error());
  if (!admitted) {
    co_await flow::refuse(call, admitted.error());
    co_return nullptr;
  }
  call.event.model = (*route)->name;
  co_return *route;
}

rt::Task<std::shared_ptr<const Route>> Relay::route_to_provider(flow::Call& call, std::string_view service,
                                                                Passage passage) const {
  std::shared_ptr<const Plan> plan = lane_.plan(core_of(call));
  std::string provider(call.exchange.request().field("x-penstock-provider"));
  if (provider.empty()) {
    auto speaks = [this](const auto& entry) { return entry.second->family() == family_; };
    auto first = std::find_if(plan->providers().begin(), plan->providers().end(), speaks);
    if (first != plan->providers().end()) provider = first->first;
  }
  call.model = provider + "/" + std::string(service);
  if (plan->providers().contains(provider)) co_return co_await route_for(call, passage);
  // A name with a slash in it would be read as another provider's, under the permission for some other name.
  auto admitted = co_await flow::admit(call);
  if (admitted && provider.empty()) {
    admitted = fail(Errc::not_found, fmt::format("no provider of this gateway speaks the {} API", to_string(family_)));
  } else if (admitted) {
    admitted = fail(Errc::not_found, fmt::format("the provider '{}' does not exist in this gateway",
                                                 std::string_view(provider).substr(0, 100)));
  }
  co_await flow::refuse(call, admitted.error());
  co_return nullptr;
}

rt::Task<void> Relay::send(flow::Call& call, std::shared_ptr<const Route> route, PassHead head,
                           PassThrough::BodyFor body_for, std::optional<Passage> charged) const {
  std::string lines = lines_of(call);
  head.lines = lines;
  head.accept = call.exchange.request().field("accept");
  PassThrough passage(lane_.pool(core_of(call)), call, std::move(route), head);
  call.exchange.on_client_gone([&passage] { passage.cancel(); });
  auto outcome = co_await passage.send(std::move(body_for));
  co_await conclude(call, passage, std::move(outcome), charged, family_);
}

rt::Task<void> Relay::upload(flow::Call& call, Upload& body, std::shared_ptr<const Route> route, PassHead head,
                             std::optional<Passage> charged) const {
  std::string lines = lines_of(call);
  head.lines = lines;
  head.accept = call.exchange.request().field("accept");
  PassThrough passage(lane_.pool(core_of(call)), call, std::move(route), head);
  call.exchange.on_client_gone([&passage] { passage.cancel(); });
  auto outcome = co_await body.send(passage, call.model);
  if (body.client_failed()) {
    call.exchange.on_client_gone({});
    co_await refuse_body(call, body.client_error());
    co_return;
  }
  co_await conclude(call, passage, std::move(outcome), charged, family_);
}

rt::Task<void> Relay::send_json(flow::Call& call, JsonCall what) const {
  auto body = co_await flow::identify_and_read(call, what.bytes_max);
  if (!body) co_return;
  std::array<std::string_view, 3> names{"model", what.text, "n"};
  std::array<json::Field, 3> fields;
  auto peeked = json::peek(*body, names, fields);
  const json::Field& model = fields[0];
  const json::Field& text = fields[1];
  Result<void> readable = peeked ? Result<void>{} : std::unexpected(peeked.error());
  bool named = what.service.empty() || !is_absent(model);
  if (readable && named) readable = take_model(call, model);
  OutputWish wish;
  if (readable && what.images) readable = wish.take_answers(fields[2], "n");
  if (!readable) {
    co_await flow::refuse(call, readable.error());
    co_return;
  }
  call.input_tokens = static_cast<std::int64_t>((text.end - text.begin) / 4);
  Passage passage{
      .images = what.images ? wish.answers : 0, .answers = what.answers ? wish.answers : 0, .needs = {what.needs}};
  auto route = named ? co_await route_for(call, passage) : co_await route_to_provider(call, what.service, passage);
  if (!route) co_return;
  PassHead head{.method = "POST",
                .path = what.path,
                .content_type = "application/json",
                .accept = {},
                .has_body = true,
                .body_bytes = {}};
  auto renamed = [whole = *body, &model, named](std::string_view name) {
    if (!named) return std::string(whole);
    std::string bytes(whole.substr(0, model.begin));
    json::append_quoted(bytes, name);
    bytes += whole.substr(model.end);
    return bytes;
  };
  co_await send(call, std::move(route), head, renamed, passage);
}

rt::Task<void> Relay::send_form(flow::Call& call, std::string_view path) const {
  if (!co_await identified(call)) co_return;
  std::string boundary = co_await boundary_of(call);
  if (boundary.empty()) co_return;
  call.model = call.exchange.request().field("x-penstock-model");
  if (!call.model.empty() && !is_model_name(call.model)) {
    Error error{Errc::invalid_argument, "the header x-penstock-model has control characters in it"};
    call.model.clear();
    co_await flow::refuse(call, std::move(error));
    co_return;
  }
  FormModel form(boundary, call.model);
  Upload body(call, &form);
  if (call.model.empty()) {
    auto read = co_await body.read_model();
    if (!read) {
      co_await refuse_body(call, read.error());
      co_return;
    }
    call.model = form.name();
  }
  // How many pictures a form wants stands somewhere in it. OpenAI makes ten at most.
  constexpr std::int64_t kPicturesMax = 10;
  bool pictures = path.starts_with("/images");
  std::uint64_t bytes = body.declared();
  bool unknown = pictures || bytes == 0;
  if (!pictures) call.input_tokens = sound_tokens(bytes == 0 ? kSoundBytesMax : bytes);
  Passage passage{.kind = unknown ? Passage::Kind::unknown : Passage::Kind::paid,
                  .answers = pictures ? kPicturesMax : 1,
                  .needs = {pictures ? flow::Capability::images : flow::Capability::chat}};
  auto route = co_await route_for(call, passage);
  if (!route) co_return;
  std::string content_type = wire::form_content_type(boundary);
  PassHead head{
      .method = "POST", .path = path, .content_type = content_type, .accept = {}, .has_body = true, .body_bytes = {}};
  co_await upload(call, body, std::move(route), head, passage);
}

rt::Task<void> Relay::pass_to(flow::Call& call, std::string_view provider) const {
  auto route = plan_of(call, lane_)->find(fmt::format("{}/{}", provider, call.exchange.request().path));
  auto path = provider_path(call.exchange.request().path);
  if (!route || !path) {
    Error error{Errc::not_found, fmt::format("it is kept by the provider '{}', which is not there any more", provider)};
    co_await flow::refuse(call, std::move(error));
    co_return;
  }
  *path += query_without_key(call.exchange.request().query);
  PassHead head{.method = call.exchange.request().method,
                .path = *path,
                .content_type = {},
                .accept = {},
                .has_body = false,
                .body_bytes = {}};
  co_await send(call, std::move(*route), head, [](std::string_view) { return std::string(); }, std::nullopt);
}

rt::Task<void> Relay::ask(flow::Call& call, std::string_view service, Body kind) const {
  if (!co_await identified(call)) co_return;
  const http::Request& request = call.exchange.request();
  // A batch costs, some time later, what is in a file that nobody reads here.
  bool makes_batch = kind == Body::json && !request.path.ends_with("/cancel");
  Passage passage{.kind = makes_batch ? Passage::Kind::unknown : Passage::Kind::free};
  using flow::Capability;
  if (makes_batch) passage.needs = {Capability::chat, Capability::tools, Capability::vision, Capability::embeddings};
  auto route = co_await route_to_provider(call, service, passage);
  if (!route) co_return;
  auto path = provider_path(request.path);
  if (!path) {
    Error error{Errc::not_found,
                fmt::format("'{}' is no path of a provider: an id in it has letters, digits and . _ - only",
                            request.path.substr(0, 200))};
    co_await flow::refuse(call, std::move(error));
    co_return;
  }
  *path += query_without_key(request.query);
  std::string content_type = kind == Body::json ? "application/json" : "";
  if (kind == Body::form) {
    std::string boundary = co_await boundary_of(call);
    if (boundary.empty()) co_return;
    content_type = wire::form_content_type(boundary);
  }
  PassHead head{.method = request.method,
                .path = *path,
                .content_type = content_type,
                .accept = {},
                .has_body = kind != Body::none,
                .body_bytes = {}};
  if (kind == Body::none) {
    co_await send(call, std::move(route), head, [](std::string_view) { return std::string(); }, std::nullopt);
    co_return;
  }
  Upload body(call, nullptr);
  co_await upload(call, body, std::move(route), head, std::nullopt);
}

}  // namespace penstock::llm
