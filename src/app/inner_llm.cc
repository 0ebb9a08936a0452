#include "app/inner_llm.h"

#include <fmt/format.h>

#include "http/inner_exchange.h"
#include "json/value.h"

namespace penstock::app {
namespace {

std::string chat_body(const ingest::LlmQuestion& question) {
  std::string body = "{\"model\":";
  json::append_quoted(body, question.model);
  fmt::format_to(std::back_inserter(body), ",\"max_tokens\":{},\"messages\":[", question.max_tokens);
  if (!question.system.empty()) {
    body += R"({"role":"system","content":)";
    json::append_quoted(body, question.system);
    body += "},";
  }
  body += R"({"role":"user","content":)";
  json::append_quoted(body, question.prompt);
  return body + "}]}";
}

// As OpenAI writes a chat completion and an error.
Result<std::string> text_of(int status, const std::string& answer) {
  auto parsed = json::parse(answer);
  const json::Object* object = parsed ? parsed->if_object() : nullptr;
  if (status != 200) {
    const json::Value* error = object == nullptr ? nullptr : object->if_contains("error");
    const json::Value* message =
        error != nullptr && error->is_object() ? error->get_object().if_contains("message") : nullptr;
    const bool said = message != nullptr && message->is_string();
    return fail(status == 429 ? Errc::resource_exhausted : Errc::unavailable,
                said ? std::string(message->get_string()) : fmt::format("the gateway answered {}", status));
  }
  const json::Value* choices = object == nullptr ? nullptr : object->if_contains("choices");
  if (choices != nullptr && choices->is_array() && !choices->get_array().empty()) {
    const json::Value& first = choices->get_array().front();
    const json::Value* message = first.is_object() ? first.get_object().if_contains("message") : nullptr;
    const json::Value* content =
        message != nullptr && message->is_object() ? message->get_object().if_contains("content") : nullptr;
    if (content != nullptr && content->is_string()) return std::string(content->get_string());
  }
  return fail(Errc::protocol_error, "the model answered without a text");
}

rt::Task<void> run(flow::Front& front, std::shared_ptr<http::InnerExchange> exchange) {
  co_await front.handle(*exchange);
}

}  // namespace

void InnerLlm::ask(rt::Loop& loop, ingest::LlmQuestion question, std::function<void(Result<std::string>)> done) {
  if (front_ == nullptr) return done(fail(Errc::unavailable, "the gateway takes no calls yet"));
  auto exchange = std::make_shared<http::InnerExchange>(loop, "POST", "/v1/chat/completions", chat_body(question));
  exchange->field("content-type", "application/json");
  if (!question.key.empty()) exchange->field("authorization", fmt::format("Bearer {}", question.key.reveal()));
  auto patience = std::make_shared<rt::Timer>(loop);
  auto late = std::make_shared<bool>(false);
  patience->arm_in(question.timeout, [exchange, late] {
    *late = true;
    exchange->leave();
  });
  rt::spawn(run(*front_, exchange), [exchange, patience, late, timeout = question.timeout, done = std::move(done)] {
    patience->cancel();
    if (*late) {
      const auto millis = std::chrono::duration_cast<std::chrono::milliseconds>(timeout).count();
      return done(fail(Errc::deadline_exceeded, fmt::format("no answer within {} ms", millis)));
    }
    done(text_of(exchange->status(), exchange->answer()));
  });
}

}  // namespace penstock::app
