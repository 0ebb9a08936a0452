#include "ext/apis/openai/pass_through_api.h"

#include <charconv>

#include "ext/apis/openai/upload.h"
#include "json/value.h"
#include "llm/report.h"
#include "rt/await.h"

namespace penstock::ext {
namespace {

// 4 MiB: a text to be spoken, and then some.
constexpr std::uint64_t kSpeechBytesMax = 4U << 20;
// An answer that says it is no longer goes out as a whole.
constexpr std::uint64_t kWholeAnswerBytesMax = 256 * 1024;

void cancelled_by_client(flow::Call& call) {
  call.event.status = 499;
  call.event.error_type = obs::ErrorType::caller_cancelled;
  call.event.error.assign("the client left before the answer came");
}

// The client's side of the body failed: too large, too slow, malformed, or gone.
rt::Task<void> refuse_body(flow::Call& call, Error error) {
  call.codings = "identity";
  if (call.exchange.client_gone()) {
    cancelled_by_client(call);
    co_return;
  }
  int status = error.code == Errc::out_of_range        ? 413
               : error.code == Errc::deadline_exceeded ? 408
               : error.code == Errc::unimplemented     ? 415
                                                       : 0;
  co_await flow::refuse(call, std::move(error), obs::ErrorType::none, status);
}

http::ResponseHead answer_head(flow::Call& call, http::ClientCall& upstream) {
  call.event.status = static_cast<std::uint16_t>(upstream.status());
  http::ResponseHead head(upstream.status());
  for (std::string_view name : {"content-type", "content-disposition", "cache-control"}) {
    if (std::string_view value = upstream.fields().get(name); !value.empty()) head.add(name, value);
  }
  flow::add_common_fields(call, head);
  return head;
}

rt::Task<Result<std::string_view>> next_piece(flow::Call& call, http::ClientCall& upstream) {
  llm::Waiting waiting(call);
  co_return co_await upstream.read();
}

// The answer has a length, and no large one. A coded answer's says nothing about what it decodes to.
bool is_small(http::ClientCall& upstream) {
  if (upstream.status() == 204 || upstream.status() == 304) return true;  // no body at all
  if (!upstream.fields().get(wire::FieldId::content_encoding).empty()) return false;
  std::string_view text = upstream.fields().get("content-length");
  std::uint64_t length = 0;
  auto [end, defect] = std::from_chars(text.data(), text.data() + text.size(), length);
  return !text.empty() && defect == std::errc{} && length <= kWholeAnswerBytesMax;
}

rt::Task<void> relay_whole(flow::Call& call, llm::PassThrough& passage) {
  http::ClientCall& upstream = passage.answer();
  Result<std::string_view> body;
  {
    llm::Waiting waiting(call);
    body = co_await upstream.read_all(kWholeAnswerBytesMax);
  }
  passage.ended(body ? nullptr : &body.error());
  if (!body) {
    co_await llm::report(call, llm::transport_failure(passage.target(), body.error()));
    co_return;
  }
  http::ResponseHead head = answer_head(call, upstream);
  co_await call.exchange.respond(std::move(head), *body);
}

// About a megabyte.
constexpr std::uint32_t kPiecesPerTurn = 16;

rt::Task<void> relay_pieces(flow::Call& call, llm::PassThrough& passage) {
  http::ClientCall& upstream = passage.answer();
  http::ResponseHead head = answer_head(call, upstream);
  call.event.streamed = true;
  call.exchange.begin(std::move(head));
  auto sent = co_await call.exchange.flush();
  Error broken{Errc::cancelled, "the client left before the end of the answer"};
  while (sent) {
    auto piece = co_await next_piece(call, upstream);
    if (!piece) {
      broken = piece.error();
      passage.ended(&broken);
      break;
    }
    if (call.event.events++ == 0)
      call.event.first_token_nanos = (std::chrono::steady_clock::now() - call.exchange.started()).count();
    if (piece->empty()) {
      passage.ended(nullptr);
      const wire::Fields& trailers = upstream.trailers();
      for (std::size_t i = 0; i < trailers.size(); ++i)
        call.exchange.trailer(trailers.at(i).name, trailers.at(i).value);
      co_await call.exchange.finish();
      co_return;
    }
    sent = co_await call.exchange.write(*piece);
    // Neither side need ever be slower than this core.
    if (call.event.events % kPiecesPerTurn == 0) co_await rt::Yield(call.exchange.loop());
  }
  bool left = call.exchange.client_gone();
  call.event.error_type = left ? obs::ErrorType::caller_cancelled : llm::type_of_transport(broken.code);
  call.event.error.assign(broken.detail);
  call.exchange.abort();
}

// The provider's answer of any size and type.
rt::Task<void> relay(flow::Call& call, llm::PassThrough& passage) {
  return is_small(passage.answer()) ? relay_whole(call, passage) : relay_pieces(call, passage);
}

rt::Task<void> conclude(flow::Call& call, llm::PassThrough& passage, llm::PassThrough::Outcome outcome) {
  if (outcome) {
    co_await relay(call, passage);
  } else if (call.exchange.client_gone()) {
    cancelled_by_client(call);
  } else {
    co_await llm::report(call, std::move(outcome.error()));
  }
  call.exchange.on_client_gone({});
}

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

bool is_file_id(std::string_view text) {
  auto allowed = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '_' ||
           c == '-';
  };
  return std::all_of(text.begin(), text.end(), allowed) && text.find_first_not_of('.') != std::string_view::npos;
}

// The path at the provider, of /v1/files and what is below it. Built of plain words only: with dots, separators or
// escapes in it, it could name something else there.
std::optional<std::string> provider_path(std::string_view path) {
  path.remove_prefix(std::string_view("/v1").size());
  std::string plain;
  while (!path.empty()) {
    path.remove_prefix(1);
    std::string_view segment = path.substr(0, path.find('/'));
    path.remove_prefix(segment.size());
    std::string word = http::percent_decode(segment);
    if (!is_file_id(word)) return std::nullopt;
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

}  // namespace

std::size_t PassThroughApi::core_of(flow::Call& call) const {
  return static_cast<std::size_t>(call.exchange.loop().index());
}

rt::Task<std::shared_ptr<const llm::Route>> PassThroughApi::route_for(flow::Call& call) const {
  auto route = lane_.plan(core_of(call))->find(call.model);
  // Whether a model exists is nobody's business whose key does not cover it: permission first.
  auto admitted = flow::admit(call);
  if (admitted && !route) admitted = std::unexpected(route.error());
  if (!admitted) {
    co_await flow::refuse(call, admitted.error());
    co_return nullptr;
  }
  call.event.model = (*route)->name;
  co_return *route;
}

// Files belong to a provider, not to a model. For keys they are the model PROVIDER/files.
rt::Task<std::shared_ptr<const llm::Route>> PassThroughApi::route_to_files(flow::Call& call) const {
  std::shared_ptr<const llm::Plan> plan = lane_.plan(core_of(call));
  std::string provider(call.exchange.request().field("x-penstock-provider"));
  if (provider.empty() && !plan->providers().empty()) provider = plan->providers().begin()->first;
  call.model = provider + "/files";
  if (plan->providers().contains(provider)) co_return co_await route_for(call);
  // A name with a slash in it would be read as another provider's, under the permission for some other name.
  auto admitted = flow::admit(call);
  if (admitted) {
    admitted = fail(Errc::not_found, fmt::format("the provider '{}' does not exist in this gateway",
                                                 std::string_view(provider).substr(0, 100)));
  }
  co_await flow::refuse(call, admitted.error());
  co_return nullptr;
}

rt::Task<void> PassThroughApi::speech(flow::Call& call) const {
  auto body = co_await flow::identify_and_read(call, kSpeechBytesMax);
  if (!body) co_return;
  constexpr std::array<std::string_view, 2> kNames{"model", "input"};
  auto peeked = json::peek(*body, kNames);
  if (peeked && (peeked->fields[0].kind != json::Field::Kind::string || peeked->fields[0].string.empty()))
    peeked = fail(Errc::invalid_argument, "the field 'model' must be the name of a model");
  if (peeked && !is_model_name(peeked->fields[0].string))
    peeked = fail(Errc::invalid_argument, "the field 'model' has control characters in it");
  if (!peeked) {
    co_await flow::refuse(call, peeked.error());
    co_return;
  }
  const json::Field& model = peeked->fields[0];
  call.model = model.string;
  call.estimated_input_tokens = static_cast<std::int64_t>((peeked->fields[1].end - peeked->fields[1].begin) / 4);
  call.estimated_tokens = call.estimated_input_tokens;
  auto route = co_await route_for(call);
  if (!route) co_return;
  llm::PassThrough passage(lane_.pool(core_of(call)), call, route,
                           {.method = "POST",
                            .path = "/audio/speech",
                            .content_type = "application/json",
                            .accept = call.exchange.request().field("accept"),
                            .has_body = true,
                            .body_bytes = {}});
  call.exchange.on_client_gone([&passage] { passage.cancel(); });
  auto renamed = [text = *body, &model](std::string_view name) {
    std::string bytes(text.substr(0, model.begin));
    json::append_quoted(bytes, name);
    return bytes + std::string(text.substr(model.end));
  };
  auto outcome = co_await passage.send(renamed);
  co_await conclude(call, passage, std::move(outcome));
}

rt::Task<void> PassThroughApi::transcribe(flow::Call& call, std::string_view path) const {
  if (!co_await identified(call)) co_return;
  const http::Request& request = call.exchange.request();
  std::string boundary = co_await boundary_of(call);
  if (boundary.empty()) co_return;
  call.model = request.field("x-penstock-model");
  if (!call.model.empty() && !is_model_name(call.model)) {
    Error error{Errc::invalid_argument, "the header x-penstock-model has control characters in it"};
    call.model.clear();
    co_await flow::refuse(call, std::move(error));
    co_return;
  }
  FormModel form(boundary, call.model);
  Upload upload(call, &form);
  if (call.model.empty()) {
    auto read = co_await upload.read_model();
    if (!read) {
      co_await refuse_body(call, read.error());
      co_return;
    }
    call.model = form.name();
  }
  auto route = co_await route_for(call);
  if (!route) co_return;
  co_await pass_on(call, upload, std::move(route), path, wire::form_content_type(boundary));
}

rt::Task<void> PassThroughApi::pass_on(flow::Call& call, Upload& upload, std::shared_ptr<const llm::Route> route,
                                       std::string_view path, std::string content_type) const {
  llm::PassThrough passage(lane_.pool(core_of(call)), call, std::move(route),
                           {.method = "POST",
                            .path = path,
                            .content_type = content_type,
                            .accept = call.exchange.request().field("accept"),
                            .has_body = true,
                            .body_bytes = {}});
  call.exchange.on_client_gone([&passage] { passage.cancel(); });
  auto outcome = co_await upload.send(passage, call.model);
  if (upload.client_failed()) {
    call.exchange.on_client_gone({});
    co_await refuse_body(call, upload.client_error());
    co_return;
  }
  co_await conclude(call, passage, std::move(outcome));
}

rt::Task<void> PassThroughApi::upload_file(flow::Call& call) const {
  if (!co_await identified(call)) co_return;
  auto route = co_await route_to_files(call);
  if (!route) co_return;
  std::string boundary = co_await boundary_of(call);
  if (boundary.empty()) co_return;
  Upload upload(call, nullptr);
  co_await pass_on(call, upload, std::move(route), "/files", wire::form_content_type(boundary));
}

rt::Task<void> PassThroughApi::look_at_files(flow::Call& call) const {
  if (!co_await identified(call)) co_return;
  auto route = co_await route_to_files(call);
  if (!route) co_return;
  const http::Request& request = call.exchange.request();
  auto path = provider_path(request.path);
  if (!path) {
    Error error{Errc::not_found, "that is no id of a file"};
    co_await flow::refuse(call, std::move(error));
    co_return;
  }
  *path += query_without_key(request.query);
  llm::PassThrough passage(lane_.pool(core_of(call)), call, route,
                           {.method = request.method,
                            .path = *path,
                            .content_type = {},
                            .accept = request.field("accept"),
                            .has_body = false,
                            .body_bytes = {}});
  call.exchange.on_client_gone([&passage] { passage.cancel(); });
  auto outcome = co_await passage.send([](std::string_view) { return std::string(); });
  co_await conclude(call, passage, std::move(outcome));
}

void add_pass_through(flow::ApiBuilder& builder, const llm::Lane& lane) {
  auto api = std::make_shared<PassThroughApi>(lane);
  auto add = [&](const std::string& method, const std::string& path,
                 rt::Task<void> (PassThroughApi::*handle)(flow::Call&) const) {
    builder.route(method, path, "openai",
                  [api, handle](flow::Call& call, http::Params) { return (*api.*handle)(call); });
  };
  add("POST", "/v1/audio/speech", &PassThroughApi::speech);
  for (std::string_view path : {"/audio/transcriptions", "/audio/translations"}) {
    builder.route("POST", "/v1" + std::string(path), "openai",
                  [api, path](flow::Call& call, http::Params) { return api->transcribe(call, path); });
  }
  add("POST", "/v1/files", &PassThroughApi::upload_file);
  add("GET", "/v1/files", &PassThroughApi::look_at_files);
  add("GET", "/v1/files/{id}", &PassThroughApi::look_at_files);
  add("DELETE", "/v1/files/{id}", &PassThroughApi::look_at_files);
  add("GET", "/v1/files/{id}/content", &PassThroughApi::look_at_files);
}

}  // namespace penstock::ext
