// What an answer used, told to whoever keeps count of it.
#include "llm/ask.h"
#include "llm/dispatch.h"
#include "llm/estimate.h"
#include "llm/served_tier.h"

namespace penstock::llm {

// A chunk of a native stream is about 150 bytes of envelope around one token.
std::int64_t Answer::estimate_output() const {
  constexpr std::uint64_t kChunkBytes = 150;
  std::int64_t by_bytes = translation_ ? estimate_tokens(translation_->content_bytes())
                                       : static_cast<std::int64_t>(event_bytes_ / kChunkBytes);
  return std::max<std::int64_t>(events(), by_bytes);
}

// Of a whole answer in the client's dialect, what its words say; of one that cannot be read, its bytes.
std::int64_t Answer::estimate_body() const {
  if (request_.operation == Operation::embeddings) return 0;
  Result<chat::Answer> read = fail(Errc::unimplemented, "");
  if (request_.operation == Operation::chat) read = target_.provider->read_chat(chat::Request{}, body_);
  return read ? estimate_tokens(*read) : estimate_tokens(body_.size());
}

// Usage comes at the end of a stream. Whoever leaves before it, and whatever provider does not report it, is settled by
// what went out. Some report at the start, too, when there was little to count.
Spent Answer::spent(bool whole) const {
  Spent out;
  if (!is_absurd(usage_)) out.usage = usage_;
  Usage& usage = out.usage;
  std::string_view tier = tier_;
  if (translation_ && tier.empty()) tier = translation_->service_tier();
  out.extras.service = charged_tier(target_.price_at(context_.event.at), request_.service_tier, tier, native());
  bool counted = usage.known && (whole || !streaming_);
  if (counted && usage.input_known) return out;
  out.estimated = true;
  if (!usage.known || !usage.input_known) usage.input = context_.input_tokens;
  usage.input_known = true;
  if (!counted) usage.output = std::max(usage.output, streaming_ ? estimate_output() : estimate_body());
  usage.known = true;
  return out;
}

void Answer::note_tier(std::string_view json) {
  if (!has_tiers(request_, target_.price_at(context_.event.at))) return;
  if (std::string_view tier = served_tier(json); !tier.empty()) tier_ = tier;
}

void Answer::bill(bool whole) {
  if (std::exchange(billed_, true)) return;
  // Counts cost nothing, and what needed nobody even less.
  if (request_.operation == Operation::count_tokens || !was_asked()) return;
  Spent spent = this->spent(whole);
  if (!spent.estimated) learn(target_, request_, spent.usage);
  settle_hold(spent);
}

void Answer::settle_hold(const Spent& spent) {
  auto cost = charge(context_, target_, spent);
  settle_hold({spent.usage.input + spent.usage.output, cost});
}

void Answer::settle_hold(const quota::Used& used) {
  quota::Now now{context_.exchange.loop().now(), base::system_clock().wall()};
  hold_.settle(used, now);
}

void Answer::bill_failure(obs::ErrorType why) {
  if (request_.operation == Operation::count_tokens || !was_asked()) return;
  bool left = context_.exchange.client_gone();
  Spent spent;
  if (!is_absurd(usage_)) spent.usage = usage_;
  if (request_.bounded && !spent.usage.known && (left || why == obs::ErrorType::provider_timeout)) {
    // The provider may have written all of it by now, and will want to be paid.
    auto cost = charge_held(context_, target_, request_.asked_input, dearest(target_, context_, request_));
    settle_hold(quota::Used{context_.ask.tokens, cost});
    return;
  }
  if (left && !spent.usage.known) {
    // It was asked, and has read the question at least.
    spent.estimated = true;
    spent.usage.known = true;
    spent.usage.input = context_.input_tokens;
  }
  if (!spent.usage.known) return;
  settle_hold(spent);
}

}  // namespace penstock::llm
