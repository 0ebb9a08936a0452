#include "llm/translation.h"

namespace penstock::llm {

std::optional<chat::ProviderError> failure_of(chat::Finish finish) {
  if (finish != chat::Finish::error) return std::nullopt;
  return chat::ProviderError{.status = 502,
                             .type = "server_error",
                             .message = "the model failed while it answered, and the provider gave no answer for it",
                             .code = "provider_error"};
}

Translation::Translation(const Provider& provider, const chat::ClientCodec& codec, const chat::Request& request)
    : request_(request), reader_(provider.stream_reader(request)), writer_(codec.stream_writer(request)) {}

void Translation::begin(const chat::StreamHead& head) {
  service_tier_ = head.service_tier;
  chat::StreamHead whole = head;
  if (whole.id.empty()) whole.id = request_.id;
  if (whole.created == 0) whole.created = request_.created;
  if (whole.model.empty()) whole.model = request_.model;
  writer_->begin(whole);
}

void Translation::text(int choice, std::string_view text) {
  if (text.empty()) return;
  note(text);
  writer_->text(choice, text);
}

void Translation::refusal(int choice, std::string_view text) {
  note(text);
  writer_->refusal(choice, text);
}

void Translation::thinking(int choice, std::string_view text) {
  if (text.empty()) return;
  note(text);
  writer_->thinking(choice, text);
}

void Translation::thinking_end(int choice, const chat::Signature& signature, bool redacted) {
  note({});
  writer_->thinking_end(choice, signature, redacted);
}

void Translation::media(int choice, const chat::Media& media) {
  note({});
  writer_->media(choice, media);
}

void Translation::call(int choice, int call, std::string_view id, std::string_view name,
                       const chat::Signature& signature) {
  note(name);
  writer_->call(choice, call, id, name, signature);
}

void Translation::arguments(int choice, int call, std::string_view fragment) {
  if (fragment.empty()) return;
  note(fragment);
  writer_->arguments(choice, call, fragment);
}

void Translation::finish(int choice, chat::Finish finish, std::string_view stop_sequence) {
  if (auto failure = failure_of(finish)) {
    error(*failure);
    return;
  }
  finished_ = true;
  writer_->finish(choice, finish, stop_sequence);
}

void Translation::usage(const Usage& usage) {
  usage_ = usage;
  writer_->usage(usage);
}

// The first one is what the client hears of; whatever comes behind it is no answer.
void Translation::error(const chat::ProviderError& error) {
  if (failure_) return;
  failure_ = error;
  if (begun()) writer_->error(error);
}

void Translation::end() {
  if (!std::exchange(ended_, true) && !failure_) writer_->end();
}

}  // namespace penstock::llm
