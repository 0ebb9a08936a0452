// How Dispatch says a request in another dialect, and reads its answer.
#include "chat/unshown.h"
#include "llm/dispatch.h"
#include "llm/estimate.h"

namespace penstock::llm {
namespace {

// Names come from strangers and end up in a field of the answer's head.
std::string plain(std::string_view name) {
  constexpr std::size_t kNameBytesMax = 80;
  std::string text(name.substr(0, kNameBytesMax));
  for (char& c : text) {
    bool allowed = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
                   c == '.' || c == '[' || c == ']' || c == '$';
    if (!allowed) c = '?';
  }
  return text;
}

// "seed, options.num_ctx": each once, sorted.
template <class Codec>
std::string names_of(const chat::Dropped& dropped, const std::vector<std::string>& unread, const Codec& codec) {
  constexpr std::size_t kNamesMax = 20;
  std::vector<std::string> names;
  for (chat::Field field : dropped.list()) names.push_back(plain(codec.field_name(field)));
  for (const std::string& name : unread) names.push_back(plain(name));
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  bool more = names.size() > kNamesMax;
  if (more) names.resize(kNamesMax);
  return fmt::format("{}{}", fmt::join(names, ", "), more ? ", ..." : "");
}

Failure unspoken(const Target& target, std::string_view what) {
  Failure failure = target_failure(target, obs::ErrorType::caller_bad_request, Errc::unimplemented, what);
  failure.another_may = true;
  return failure;
}

Failure not_strict_enough(const Target& target, const std::string& dropped) {
  Failure failure = target_failure(
      target, obs::ErrorType::caller_bad_request, Errc::invalid_argument,
      fmt::format("speaks another dialect, which cannot carry: {}. This route is strict; leave these out", dropped));
  failure.another_may = true;
  return failure;
}

// What this target cannot be told another may: one that speaks the client's own dialect above all.
Failure refused(const Target& target, const Error& error) {
  if (error.code == Errc::unimplemented) return unspoken(target, "cannot do this: " + error.detail);
  Failure failure(error, obs::ErrorType::caller_bad_request);
  failure.another_may = true;
  return failure;
}

}  // namespace

std::expected<UpstreamRequest, Failure> Dispatch::encode(const Target& target, Answer& answer) {
  if (!native(target)) return translate(target, answer);
  auto encoded = target.provider->encode(request_, target.model, call_.event.id.view());
  if (!encoded) return std::unexpected(Failure(encoded.error(), obs::ErrorType::caller_bad_request));
  return std::move(*encoded);
}

Result<void> Dispatch::read_canonical() {
  if (canonical_ || canonical_embeddings_) return {};
  if (request_.operation == Operation::embeddings) {
    auto read = request_.embeddings->read_request(request_.body);
    if (!read) return std::unexpected(read.error());
    canonical_embeddings_ = std::make_unique<const chat::EmbeddingsRequest>(std::move(*read));
    return {};
  }
  canonical_ = request_.canonical;
  if (!canonical_) {
    auto read = request_.codec->read_request(request_.body);
    if (!read) return std::unexpected(read.error());
    canonical_ = std::make_shared<chat::Request>(std::move(*read));
  }
  canonical_->model = call_.model;
  canonical_->stream = request_.stream;
  canonical_->id = call_.event.id.view();
  canonical_->created = call_.event.at / 1'000'000;
  wished_output_ = canonical_->max_output_tokens;
  wished_reasoning_ = canonical_->reasoning;
  return {};
}

std::expected<UpstreamRequest, Failure> Dispatch::translate(const Target& target, Answer& answer) {
  bool embeddings = request_.operation == Operation::embeddings;
  if (embeddings ? request_.embeddings == nullptr : request_.codec == nullptr)
    return std::unexpected(unspoken(target, "speaks another dialect, and this API cannot be translated"));
  if (auto read = read_canonical(); !read) return std::unexpected(refused(target, read.error()));
  auto encoded = embeddings                                      ? translate_embeddings(target, answer)
                 : request_.operation == Operation::count_tokens ? translate_count(target, answer)
                                                                 : translate_chat(target, answer);
  if (encoded && route_->strict && !answer.dropped_.empty())
    return std::unexpected(not_strict_enough(target, answer.dropped_));
  return encoded;
}

std::expected<UpstreamRequest, Failure> Dispatch::translate_chat(const Target& target, Answer& answer) {
  canonical_->max_output_tokens = wished_output_;
  canonical_->reasoning = wished_reasoning_;
  bound_output(*canonical_, request_.output_most, target.provider->family() == Family::anthropic);
  chat::Dropped dropped;
  auto encoded = target.provider->encode(*canonical_, target.model, call_.event.id.view(), dropped);
  if (!encoded) return std::unexpected(refused(target, encoded.error()));
  answer.dropped_ = names_of(dropped, canonical_->unread, *request_.codec);
  if (request_.stream)
    answer.translation_ = std::make_unique<Translation>(*target.provider, *request_.codec, *canonical_);
  return std::move(*encoded);
}

std::expected<UpstreamRequest, Failure> Dispatch::translate_count(const Target& target, Answer& answer) {
  auto encoded = target.provider->encode_count(*canonical_, target.model, call_.event.id.view());
  if (encoded) return std::move(*encoded);
  if (encoded.error().code != Errc::unimplemented) return std::unexpected(refused(target, encoded.error()));
  answer.translated_body_ = request_.codec->write_count(estimate_tokens(*canonical_));
  return UpstreamRequest{};
}

std::expected<UpstreamRequest, Failure> Dispatch::translate_embeddings(const Target& target, Answer& answer) {
  chat::Dropped dropped;
  auto encoded = target.provider->encode(*canonical_embeddings_, target.model, call_.event.id.view(), dropped);
  if (!encoded) return std::unexpected(refused(target, encoded.error()));
  answer.dropped_ = names_of(dropped, canonical_embeddings_->unread, *request_.embeddings);
  return std::move(*encoded);
}

namespace {

// What went wrong in this process, and who is to blame.
Failure local_failure(const Target& target, Error error) {
  switch (error.code) {
    case Errc::invalid_argument:
    case Errc::out_of_range: {
      Failure failure({Errc::invalid_argument, std::move(error.detail)}, obs::ErrorType::caller_bad_request);
      failure.another_may = true;  // others take longer texts
      return failure;
    }
    case Errc::cancelled: return Failure(std::move(error), obs::ErrorType::caller_cancelled);
    case Errc::deadline_exceeded:
    case Errc::backpressure:
    case Errc::resource_exhausted: return Failure(std::move(error), obs::ErrorType::penstock_overload);
    default:
      return Failure({Errc::unavailable, fmt::format("'{}' cannot embed now: {}", target.label.view(), error.detail)},
                     obs::ErrorType::penstock_internal);
  }
}

}  // namespace

rt::Task<std::expected<void, Failure>> Dispatch::attempt_local(Answer& answer) {
  const Target& target = answer.target_;
  if (request_.operation != Operation::embeddings || request_.embeddings == nullptr || local_ == nullptr)
    co_return std::unexpected(unspoken(target, "turns texts into vectors and does nothing else: ask for embeddings"));
  if (auto read = read_canonical(); !read) co_return std::unexpected(refused(target, read.error()));
  chat::Dropped dropped;
  if (!canonical_embeddings_->task.empty()) dropped.add(chat::Field::task);
  if (!canonical_embeddings_->title.empty()) dropped.add(chat::Field::title);
  answer.dropped_ = names_of(dropped, canonical_embeddings_->unread, *request_.embeddings);
  if (route_->strict && !answer.dropped_.empty()) co_return std::unexpected(not_strict_enough(target, answer.dropped_));
  stop_ = std::stop_source();
  Result<chat::EmbeddingsAnswer> embedded;
  {
    Waiting waiting(call_);
    embedded = co_await local_->embed(pool_.loop(), target.model, *canonical_embeddings_, deadline_, stop_.get_token());
  }
  if (!embedded) co_return std::unexpected(local_failure(target, std::move(embedded.error())));
  answer.asked_here_ = true;
  answer.usage_ = embedded->usage;
  embedded->model = call_.model;
  answer.translated_body_ = request_.embeddings->write_answer(*canonical_embeddings_, *embedded);
  co_return std::expected<void, Failure>{};
}

namespace {

Failure model_failure(const Target& target, const chat::ProviderError& error) {
  Failure failure = target_failure(target, obs::ErrorType::provider_5xx, Errc::protocol_error,
                                   "reported an error instead of an answer: " + error.message);
  failure.provider = error;
  return failure;
}

}  // namespace

std::expected<void, Failure> Dispatch::translate_whole(Answer& answer, std::string_view body) {
  const Target& target = answer.target_;
  if (request_.operation == Operation::count_tokens) {
    auto count = target.provider->read_count(body);
    if (!count) return std::unexpected(malformed_answer(target, count.error()));
    answer.translated_body_ = request_.codec->write_count(*count);
    return {};
  }
  if (request_.operation == Operation::embeddings) {
    auto read = target.provider->read_embeddings(*canonical_embeddings_, body);
    if (!read) return std::unexpected(malformed_answer(target, read.error()));
    if (read->model.empty()) read->model = call_.model;
    answer.usage_ = read->usage;
    answer.translated_body_ = request_.embeddings->write_answer(*canonical_embeddings_, *read);
    return {};
  }
  auto read = target.provider->read_chat(*canonical_, body);
  if (!read) return std::unexpected(malformed_answer(target, read.error()));
  answer.usage_ = read->usage;
  answer.tier_ = read->service_tier;
  for (const chat::Choice& choice : read->choices) {
    if (auto failure = failure_of(choice.finish)) return std::unexpected(model_failure(target, *failure));
  }
  if (read->id.empty()) read->id = canonical_->id;
  if (read->created == 0) read->created = canonical_->created;
  if (read->model.empty()) read->model = canonical_->model;
  if (!answer.translation_) {
    for (std::string_view name : chat::unshown(*read, *request_.codec))
      base::append(answer.dropped_, answer.dropped_.empty() ? "" : ", ", name);
    answer.translated_body_ = request_.codec->write_answer(*canonical_, *read);
    return {};
  }
  // It was asked for a stream and gave a whole answer.
  answer.streaming_ = answer.done_ = true;
  answer.translation_->replay(*read);
  return {};
}

// Reads until something of the answer was said: until then the next target may still be asked.
rt::Task<std::expected<void, Failure>> Dispatch::accept_translated(Answer& answer) {
  // 256 KiB: what may come before the first word; more is never held back.
  constexpr std::size_t kHeldBytesMax = 256 * 1024;
  const Target& target = answer.target_;
  Translation& translation = *answer.translation_;
  answer.streaming_ = true;
  while (!translation.begun() && translation.output().size() < kHeldBytesMax) {
    if (translation.failure()) co_return std::unexpected(model_failure(target, *translation.failure()));
    if (answer.done_) {
      constexpr std::string_view kWhat = "promised a stream and ended it before the first word";
      co_return std::unexpected(
          target_failure(target, obs::ErrorType::provider_malformed, Errc::protocol_error, kWhat));
    }
    auto taken = answer.translate_available();
    if (!taken) co_return std::unexpected(transport_failure(target, taken.error()));
    if (*taken) continue;
    auto waited = co_await answer.wait();
    if (!waited) co_return std::unexpected(transport_failure(target, waited.error()));
  }
  co_return std::expected<void, Failure>{};
}

}  // namespace penstock::llm
