#include "obs/access_log.h"

#include <charconv>
#include <cstring>

#include "json/value.h"

namespace penstock::obs {
namespace {

// Everything in a line but names and words: its fixed text, an address, and some twenty numbers of at most 20 digits.
constexpr std::size_t kFixedBytes = 1200;
// What one byte of words becomes at most: \u001f.
constexpr std::size_t kEscapedBytes = 6;

char* put(char* at, std::string_view text) {
  std::memcpy(at, text.data(), text.size());
  return at + text.size();
}

template <class T>
char* put_number(char* at, T value) {
  return std::to_chars(at, at + 20, value).ptr;
}

char* put_bool(char* at, bool value) { return put(at, value ? std::string_view("true") : std::string_view("false")); }

// Three digits.
char* put_thousandths(char* at, std::int64_t value) {
  at[0] = static_cast<char>('0' + value / 100);
  at[1] = static_cast<char>('0' + value / 10 % 10);
  at[2] = static_cast<char>('0' + value % 10);
  return at + 3;
}

// Milliseconds with three decimals.
char* put_millis(char* at, std::int64_t nanos) {
  std::int64_t micros = (std::max<std::int64_t>(nanos, 0) + 500) / 1000;
  at = put_number(at, micros / 1000);
  *at++ = '.';
  return put_thousandths(at, micros % 1000);
}

// US dollars with six decimals; what is not all known is null.
char* put_cost(char* at, const RequestEvent& event) {
  if (!event.cost_known) return put(at, "null");
  std::int64_t micros = std::max<std::int64_t>(event.cost_micros, 0);
  at = put_number(at, micros / 1'000'000);
  *at++ = '.';
  at = put_thousandths(at, micros / 1000 % 1000);
  return put_thousandths(at, micros % 1000);
}

bool is_plain(std::string_view words) {
  return std::all_of(words.begin(), words.end(),
                     [](char byte) { return byte >= 0x20 && byte < 0x7F && byte != '"' && byte != '\\'; });
}

}  // namespace

std::string_view AccessLog::quoted(Label label) {
  auto address = reinterpret_cast<std::uintptr_t>(label.data);
  Quoted& slot = quoted_[((address >> 4) ^ (address >> 10)) % quoted_.size()];
  if (slot.label != label.data || slot.text.empty()) {
    slot.label = label.data;
    slot.text.clear();
    json::append_quoted(slot.text, label);
  }
  return slot.text;
}

char* AccessLog::put_quoted(char* at, std::string_view words) {
  if (is_plain(words)) {
    *at++ = '"';
    at = put(at, words);
    *at++ = '"';
    return at;
  }
  scratch_.clear();
  json::append_quoted(scratch_, words);
  return put(at, scratch_);
}

// Requests of one client come in rows.
std::string_view AccessLog::text_of(const ClientAddress& client) {
  if (client != client_) {
    client_ = client;
    client_text_ = client.text();
  }
  return client_text_;
}

char* AccessLog::put_time(char* at, base::WallMicros time) {
  constexpr std::int64_t kSecond = 1'000'000;
  time = std::max<base::WallMicros>(time, 0);
  if (time / kSecond != second_) {
    second_ = time / kSecond;
    base::to_rfc3339(second_ * kSecond).copy(stamp_.data(), stamp_.size());
  }
  at = put(at, {stamp_.data(), stamp_.size()});
  return put_thousandths(at, time % kSecond / 1000);
}

void AccessLog::append(std::string& out, const RequestEvent& event) {
  // Two names could share a slot, so that each is copied out before the next is looked up.
  std::size_t names = event.api.size + event.route.size + event.key.size + event.team.size + event.target.size;
  std::size_t words = event.id.size + event.asked.size + event.error.size + event.dropped.size;
  std::size_t before = out.size();
  auto write = [&](char* begin, std::size_t) {
    char* at = put(begin + before, R"({"ts":")");
    at = put_time(at, event.at);
    at = put(at, R"(Z","level":"info","msg":"request","id":)");
    at = put_quoted(at, event.id.view());
    at = put(put(put(at, R"(,"client":")"), text_of(event.client)), "\"");
    at = put(put(at, R"(,"api":)"), quoted(event.api));
    at = put(put(at, R"(,"route":)"), quoted(event.route));
    at = put(put(at, R"(,"key":)"), quoted(event.key));
    if (event.team.size > 0) at = put(put(at, R"(,"team":)"), quoted(event.team));
    at = put_quoted(put(at, R"(,"model":)"), event.asked.view());
    at = put(put(at, R"(,"target":)"), quoted(event.target));
    at = put_number(put(at, R"(,"status":)"), event.status);
    at = put_number(put(at, R"(,"attempts":)"), event.attempts);
    at = put_bool(put(at, R"(,"stream":)"), event.streamed);
    at = put_number(put(at, R"(,"input_tokens":)"), event.input_tokens);
    at = put_number(put(at, R"(,"output_tokens":)"), event.output_tokens);
    at = put_number(put(at, R"(,"cached_tokens":)"), event.cached_tokens);
    if (event.cache_write_tokens > 0) at = put_number(put(at, R"(,"cache_write_tokens":)"), event.cache_write_tokens);
    if (event.reasoning_tokens > 0) at = put_number(put(at, R"(,"reasoning_tokens":)"), event.reasoning_tokens);
    at = put_bool(put(at, R"(,"estimated":)"), event.usage_estimated);
    if (event.usage_known) at = put_cost(put(at, R"(,"cost_usd":)"), event);
    if (event.waited_nanos > 0) at = put_millis(put(at, R"(,"waited_ms":)"), event.waited_nanos);
    at = put_millis(put(at, R"(,"total_ms":)"), event.total_nanos);
    at = put_number(put(at, R"(,"overhead_us":)"), event.overhead_nanos / 1000);
    at = put_millis(put(at, R"(,"first_token_ms":)"), event.first_token_nanos);
    at = put_number(put(at, R"(,"bytes_in":)"), event.bytes_in);
    at = put_number(put(at, R"(,"bytes_out":)"), event.bytes_out);
    if (event.trimmed > 0) at = put_number(put(at, R"(,"trimmed":)"), event.trimmed);
    if (event.dropped.size > 0) at = put_quoted(put(at, R"(,"dropped":)"), event.dropped.view());
    if (event.error_type != ErrorType::none) {
      at = put(put(at, R"(,"error_type":")"), to_string(event.error_type));
      at = put_quoted(put(at, R"(","error":)"), event.error.view());
    }
    return static_cast<std::size_t>(put(at, "}\n") - begin);
  };
  out.resize_and_overwrite(before + kFixedBytes + (names + words) * kEscapedBytes, write);
}

}  // namespace penstock::obs
