#include "ext/providers/anthropic/anthropic_provider.h"

#include "ext/providers/anthropic/answer_reader.h"
#include "ext/providers/anthropic/foreign_thoughts.h"
#include "ext/providers/anthropic/stream_reader.h"
#include "json/integers.h"
#include "llm/reported.h"
#include "wire/fields.h"

namespace penstock::ext::anthropic {
namespace {

constexpr std::string_view kVersionLine = "anthropic-version: 2023-06-01\r\n";

std::string_view path_of(llm::Operation operation) {
  return operation == llm::Operation::count_tokens ? "/messages/count_tokens" : "/messages";
}

// The client may speak another version of the API than ours.
bool says_version(std::string_view lines) {
  constexpr std::string_view kName = "anthropic-version:";
  while (!lines.empty()) {
    if (lines.size() >= kName.size() && wire::equal_ignoring_case(lines.substr(0, kName.size()), kName)) return true;
    std::size_t end = lines.find('\n');
    lines.remove_prefix(end == std::string_view::npos ? lines.size() : end + 1);
  }
  return false;
}

// Thoughts are part of the output, and their budget has to be below its maximum.
Result<void> lower(const llm::Request& request, llm::Splice& splice) {
  constexpr std::int64_t kBudgetLeast = 1024;  // the provider's own
  llm::lower_output(request.output, request.output_most, splice);
  if (splice.empty()) return {};
  constexpr std::array<std::string_view, 1> kThinking{"thinking"};
  constexpr std::array<std::string_view, 1> kBudget{"budget_tokens"};
  std::array<json::Field, 1> thinking;
  std::array<json::Field, 1> budget;
  if (!json::peek(request.body, kThinking, thinking) || thinking[0].kind != json::Field::Kind::object) return {};
  std::size_t begin = thinking[0].begin;
  if (!json::peek(request.body.substr(begin, thinking[0].end - begin), kBudget, budget)) return {};
  if (budget[0].kind != json::Field::Kind::integer || budget[0].integer < request.output_most) return {};
  if (request.output_most <= kBudgetLeast) {
    return fail(Errc::invalid_argument,
                fmt::format("thinking: needs an answer of more than {} tokens, and at most {} are allowed here",
                            kBudgetLeast, request.output_most));
  }
  base::append(splice.replace(begin + budget[0].begin, begin + budget[0].end), base::Digits(request.output_most - 1));
  return {};
}

}  // namespace

AnthropicProvider::AnthropicProvider(Options options)
    : origin_(std::move(options.origin)), timeouts_(options.timeouts), messages_(options.messages) {
  std::string fields = fmt::format("host: {}\r\nuser-agent: penstock\r\n", origin_->url.authority());
  if (!options.api_key.empty()) fields += fmt::format("x-api-key: {}\r\n", options.api_key.reveal());
  for (const std::string& beta : options.betas) {
    fields += &beta == options.betas.data() ? "anthropic-beta: " : ",";
    fields += beta;
  }
  if (!options.betas.empty()) fields += "\r\n";
  common_fields_ = base::Secret(std::move(fields));
}

std::string AnthropicProvider::probe_head() const {
  return fmt::format("GET {}/models HTTP/1.1\r\n{}{}", origin_->url.path, common_fields_.reveal(), kVersionLine);
}

Result<std::string> AnthropicProvider::pass_through(const llm::PassHead& head, std::string_view request_id) const {
  std::string lines =
      fmt::format("{} {}{} HTTP/1.1\r\n{}accept: {}\r\nx-request-id: {}\r\n", head.method, origin_->url.path, head.path,
                  common_fields_.reveal(), head.accept.empty() ? "*/*" : head.accept, request_id);
  if (!says_version(head.lines)) lines += kVersionLine;
  auto out = std::back_inserter(lines);
  if (!head.content_type.empty()) fmt::format_to(out, "content-type: {}\r\n", head.content_type);
  if (head.has_body && head.body_bytes) fmt::format_to(out, "content-length: {}\r\n", *head.body_bytes);
  lines += head.lines;
  if (head.has_body && !head.body_bytes) lines += "transfer-encoding: chunked\r\n";
  return lines;
}

bool AnthropicProvider::speaks(llm::Operation operation) const {
  return operation == llm::Operation::chat || operation == llm::Operation::count_tokens;
}

// All of the head but content-length, which the caller adds.
llm::UpstreamRequest AnthropicProvider::upstream(llm::Operation operation, bool stream, std::string_view lines,
                                                 std::string_view request_id) const {
  llm::UpstreamRequest out;
  base::append(*out.head, "POST ", origin_->url.path, path_of(operation), " HTTP/1.1\r\n", common_fields_.reveal(),
               "content-type: application/json\r\naccept: ", stream ? "text/event-stream" : "application/json",
               "\r\nx-request-id: ", request_id, "\r\n", says_version(lines) ? std::string_view{} : kVersionLine,
               lines);
  return out;
}

llm::UpstreamRequest AnthropicProvider::upstream(llm::Operation operation, bool stream, std::string body,
                                                 std::string_view request_id) const {
  llm::UpstreamRequest out = upstream(operation, stream, std::string_view{}, request_id);
  *out.inserted = std::move(body);
  out.body.add(std::string_view(*out.inserted));
  base::append(*out.head, "content-length: ", base::Digits(out.body.bytes()), "\r\n");
  return out;
}

Result<llm::UpstreamRequest> AnthropicProvider::encode(const llm::Request& request, std::string_view model,
                                                       std::string_view request_id) const {
  llm::UpstreamRequest out = upstream(request.operation, request.stream, request.lines, request_id);
  llm::Splice splice(request.body, *out.inserted);
  if (auto lowered = lower(request, splice); !lowered) return std::unexpected(lowered.error());
  auto own = without_foreign_thoughts(request.body, model);
  // Positions are those of the client's body.
  if (own && !splice.empty()) own = without_foreign_thoughts(splice.pieces().joined(), model);
  if (own) {
    *out.inserted = std::move(*own);
    out.body.add(std::string_view(*out.inserted));
  } else {
    if (request.model.string != model)
      json::append_quoted(splice.replace(request.model.begin, request.model.end), model);
    out.body = splice.pieces();
  }
  base::append(*out.head, "content-length: ", base::Digits(out.body.bytes()), "\r\n");
  return out;
}

Result<llm::Usage> AnthropicProvider::read_answer(llm::Operation operation, std::string_view body) const {
  constexpr std::int64_t kTokensMax = llm::kReportedMax;
  std::array<json::IntegerAt, 6> counts{{{.path = {"usage", "input_tokens"}},
                                         {.path = {"usage", "output_tokens"}},
                                         {.path = {"usage", "cache_read_input_tokens"}},
                                         {.path = {"usage", "cache_creation_input_tokens"}},
                                         {.path = {"usage", "cache_creation", "ephemeral_1h_input_tokens"}},
                                         {.path = {"usage", "output_tokens_details", "thinking_tokens"}}}};
  if (auto read = json::read_integers(body, counts); !read) return std::unexpected(read.error());
  llm::Usage usage;
  if (operation == llm::Operation::count_tokens) return usage;  // a count costs nothing
  if (!llm::are_sane(counts)) return usage;
  usage.known = counts[0].parent;
  usage.output = counts[1].up_to(kTokensMax);
  usage.cached = counts[2].up_to(kTokensMax);
  usage.cache_write = counts[3].up_to(kTokensMax);
  usage.cache_write_hour = counts[4].up_to(usage.cache_write);
  usage.reasoning = counts[5].up_to(usage.output);
  usage.input = counts[0].up_to(kTokensMax) + usage.cached + usage.cache_write;
  return usage;
}

llm::EventVerdict AnthropicProvider::read_event(const llm::Request&, const wire::SseEvent& event,
                                                llm::Usage& usage) const {
  // Most events, and all that a model's words are in, say by their name that nothing is to be seen.
  if (event.name == "content_block_delta" || event.name == "ping") return {};
  auto parsed = json::parse(event.data);
  if (!parsed) return {.error = event.name == "error"};
  std::string_view type = json::string_or(*parsed, "type", event.name);
  const json::Value* holder = &*parsed;
  if (type == "message_start") holder = json::find(*parsed, "message");
  const json::Value* reported = holder == nullptr ? nullptr : json::find(*holder, "usage");
  if (reported != nullptr) read_usage(*reported, usage);
  return {.error = type == "error", .last = type == "message_stop"};
}

bool AnthropicProvider::is_opening(const llm::Request&, const wire::SseEvent& event) const {
  return event.name == "message_start" || event.name == "ping";
}

Result<llm::UpstreamRequest> AnthropicProvider::encode(const chat::Request& request, std::string_view model,
                                                       std::string_view request_id, chat::Dropped& dropped) const {
  auto body = write_messages_request(request, model, messages_, dropped);
  if (!body) return std::unexpected(body.error());
  return upstream(llm::Operation::chat, request.stream, std::move(*body), request_id);
}

Result<chat::Answer> AnthropicProvider::read_chat(const chat::Request& request, std::string_view body) const {
  return read_message(body, answer_tool(request, messages_));
}

std::unique_ptr<chat::StreamReader> AnthropicProvider::stream_reader(const chat::Request& request) const {
  return std::make_unique<MessagesStreamReader>(answer_tool(request, messages_));
}

Result<llm::UpstreamRequest> AnthropicProvider::encode_count(const chat::Request& request, std::string_view model,
                                                             std::string_view request_id) const {
  auto body = write_count_request(request, model, messages_);
  if (!body) return std::unexpected(body.error());
  return upstream(llm::Operation::count_tokens, false, std::move(*body), request_id);
}

Result<std::int64_t> AnthropicProvider::read_count(std::string_view body) const {
  auto parsed = json::parse(body);
  std::int64_t tokens = parsed ? json::int_or(*parsed, "input_tokens", -1) : -1;
  if (tokens < 0) return fail(Errc::protocol_error, "the answer has no count 'input_tokens'");
  return tokens;
}

chat::ProviderError AnthropicProvider::read_error(int status, std::string_view body) const {
  auto parsed = json::parse(body);
  return read_messages_error(status, parsed ? *parsed : json::Value());
}

}  // namespace penstock::ext::anthropic
