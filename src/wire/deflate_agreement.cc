// The negotiation of permessage-deflate (RFC 7692 section 7.1) in Sec-WebSocket-Extensions (RFC 6455 section 9.1).
#include <fmt/format.h>

#include <vector>

#include "wire/chars.h"
#include "wire/fields.h"
#include "wire/message_deflate.h"

namespace penstock::wire {
namespace {

struct Parameter {
  std::string_view name;
  std::optional<std::string> value;
};

struct Extension {
  std::string_view name;
  std::vector<Parameter> parameters;
};

class ExtensionReader {
 public:
  explicit ExtensionReader(std::string_view text) : text_(text) {}

  // All of a list; nothing when it is malformed.
  std::optional<std::vector<Extension>> read() {
    std::vector<Extension> all;
    while (true) {
      skip_blank();
      if (take(',')) continue;  // empty elements (RFC 9110 section 5.6.1)
      if (text_.empty()) return all;
      Extension extension;
      if (!read_one(extension)) return std::nullopt;
      all.push_back(std::move(extension));
      if (!text_.empty() && !take(',')) return std::nullopt;
    }
  }

 private:
  bool read_one(Extension& extension) {
    extension.name = token();
    if (extension.name.empty()) return false;
    skip_blank();
    while (take(';')) {
      skip_blank();
      Parameter parameter{token(), std::nullopt};
      if (parameter.name.empty()) return false;
      skip_blank();
      if (take('=')) {
        skip_blank();
        parameter.value = value();
        if (parameter.value->empty()) return false;
        skip_blank();
      }
      extension.parameters.push_back(std::move(parameter));
    }
    return true;
  }
  void skip_blank() {
    while (!text_.empty() && is_blank(text_.front())) text_.remove_prefix(1);
  }
  bool take(char c) {
    if (!text_.starts_with(c)) return false;
    text_.remove_prefix(1);
    return true;
  }
  std::string_view token() {
    std::size_t size = 0;
    while (size < text_.size() && is_token(text_[size])) ++size;
    std::string_view found = text_.substr(0, size);
    text_.remove_prefix(size);
    return found;
  }
  // A token, plain or quoted; empty when it is neither.
  std::string value() {
    if (!take('"')) return std::string(token());
    std::string unquoted;
    while (!text_.empty() && text_.front() != '"') {
      if (take('\\') && text_.empty()) return {};
      if (!is_token(text_.front())) return {};
      unquoted += text_.front();
      text_.remove_prefix(1);
    }
    return take('"') ? unquoted : std::string();
  }

  std::string_view text_;
};

// 8 to 15 without a leading zero; 0 for anything else.
int window_bits(std::string_view text) {
  if (text == "8" || text == "9") return text.front() - '0';
  if (text.size() == 2 && text[0] == '1' && text[1] >= '0' && text[1] <= '5') return 10 + text[1] - '0';
  return 0;
}

// The parameters of one offer or answer; `client_bits_named` also for one without a value.
struct Terms {
  DeflateAgreement agreement;
  bool client_bits_named = false;
  bool server_bits_named = false;
};

// Nothing for what RFC 7692 does not allow: unknown or repeated parameters, values where none belong or outside of
// their range.
std::optional<Terms> read_terms(const Extension& extension, bool offer) {
  Terms terms;
  auto flag = [](bool& seen, const Parameter& parameter) { return !std::exchange(seen, true) && !parameter.value; };
  auto bits = [](bool& seen, int& to, const Parameter& parameter) {
    to = window_bits(*parameter.value);
    return !std::exchange(seen, true) && to != 0;
  };
  DeflateAgreement& agreement = terms.agreement;
  for (const Parameter& parameter : extension.parameters) {
    bool fine = false;
    if (parameter.name == "server_no_context_takeover") {
      fine = flag(agreement.server_no_context_takeover, parameter);
    } else if (parameter.name == "client_no_context_takeover") {
      fine = flag(agreement.client_no_context_takeover, parameter);
    } else if (parameter.name == "server_max_window_bits") {
      fine = parameter.value && bits(terms.server_bits_named, agreement.server_window_bits, parameter);
    } else if (parameter.name == "client_max_window_bits") {
      fine = parameter.value ? bits(terms.client_bits_named, agreement.client_window_bits, parameter)
                             : offer && flag(terms.client_bits_named, parameter);
    }
    if (!fine) return std::nullopt;
  }
  return terms;
}

constexpr std::string_view kName = "permessage-deflate";

}  // namespace

std::optional<DeflateAgreement> accept_deflate(std::string_view offers, const DeflatePolicy& policy) {
  if (!policy.enabled || offers.empty()) return std::nullopt;
  auto extensions = ExtensionReader(offers).read();
  if (!extensions) return std::nullopt;
  for (const Extension& extension : *extensions) {
    if (!equal_ignoring_case(extension.name, kName)) continue;
    auto terms = read_terms(extension, true);
    if (!terms) continue;
    DeflateAgreement agreement = terms->agreement;
    // A server may ask for both whatever was offered (sections 7.1.1.1 and 7.1.1.2).
    agreement.server_no_context_takeover = agreement.server_no_context_takeover || !policy.context_takeover;
    agreement.client_no_context_takeover = agreement.client_no_context_takeover || !policy.context_takeover;
    return agreement;
  }
  return std::nullopt;
}

std::string deflate_answer(const DeflateAgreement& agreement) {
  std::string answer(kName);
  if (agreement.server_no_context_takeover) answer += "; server_no_context_takeover";
  if (agreement.client_no_context_takeover) answer += "; client_no_context_takeover";
  // Below 15 only where the client named the parameter, which is when it may stand in the answer.
  if (agreement.server_window_bits < 15)
    answer += fmt::format("; server_max_window_bits={}", agreement.server_window_bits);
  if (agreement.client_window_bits < 15)
    answer += fmt::format("; client_max_window_bits={}", agreement.client_window_bits);
  return answer;
}

std::string deflate_offer(const DeflatePolicy& policy) {
  if (!policy.enabled) return {};
  std::string offer(kName);
  if (!policy.context_takeover) offer += "; server_no_context_takeover; client_no_context_takeover";
  return offer + "; client_max_window_bits";
}

Result<std::optional<DeflateAgreement>> read_deflate_answer(std::string_view answer) {
  if (answer.empty()) return std::nullopt;
  auto extensions = ExtensionReader(answer).read();
  bool ours = extensions && extensions->size() == 1 && equal_ignoring_case(extensions->front().name, kName);
  auto terms = ours ? read_terms(extensions->front(), false) : std::nullopt;
  if (!terms) return fail(Errc::protocol_error, "the other side chose an extension that was not offered to it");
  return terms->agreement;
}

}  // namespace penstock::wire
