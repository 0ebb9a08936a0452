#include "http/grpc_head.h"

#include <charconv>

namespace penstock::http {
namespace {

std::string_view trimmed(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

std::optional<codec::Coding> coding_of(std::string_view name) {
  if (name.empty() || name == "identity") return codec::Coding::identity;
  for (codec::Coding coding : {codec::Coding::gzip, codec::Coding::deflate}) {
    if (name == codec::name_of(coding)) return coding;
  }
  return std::nullopt;
}

bool lists(std::string_view list, std::string_view name) {
  while (!list.empty()) {
    std::string_view one = list.substr(0, list.find(','));
    list.remove_prefix(std::min(one.size() + 1, list.size()));
    if (trimmed(one) == name) return true;
  }
  return false;
}

std::optional<base::Duration> unit_of(char letter) {
  switch (letter) {
    case 'H': return std::chrono::hours(1);
    case 'M': return std::chrono::minutes(1);
    case 'S': return std::chrono::seconds(1);
    case 'm': return std::chrono::milliseconds(1);
    case 'u': return std::chrono::microseconds(1);
    case 'n': return std::chrono::nanoseconds(1);
    default: return std::nullopt;
  }
}

}  // namespace

bool is_grpc(std::string_view content_type) {
  std::string_view type = trimmed(content_type.substr(0, content_type.find(';')));
  return wire::equal_ignoring_case(type, "application/grpc") ||
         wire::equal_ignoring_case(type, "application/grpc+proto");
}

std::optional<base::Duration> parse_grpc_timeout(std::string_view text) {
  constexpr std::size_t kDigitsMax = 8;
  if (text.size() < 2 || text.size() > kDigitsMax + 1) return std::nullopt;
  auto unit = unit_of(text.back());
  std::string_view digits = text.substr(0, text.size() - 1);
  std::uint32_t count = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), count);
  if (!unit || error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  // 99999999 hours do not fit into a duration of nanoseconds; a hundred years are as good as for ever.
  constexpr base::Duration kLongest = std::chrono::hours(24 * 36525);
  if (count > 0 && *unit > kLongest / count) return kLongest;
  return *unit * count;
}

Result<GrpcHead> read_grpc_head(const Request& request) {
  GrpcHead head;
  if (std::string_view text = request.field("grpc-timeout"); !text.empty()) {
    head.timeout = parse_grpc_timeout(text);
    if (!head.timeout) {
      return fail(Errc::invalid_argument, "grpc-timeout must be up to eight digits and one of H, M, S, m, u, n");
    }
  }
  std::string_view encoding = request.field("grpc-encoding");
  auto coding = coding_of(encoding);
  if (!coding) {
    return fail(Errc::unimplemented, fmt::format("messages compressed with '{}' cannot be read; use gzip, deflate or "
                                                 "identity",
                                                 encoding.substr(0, 50)));
  }
  head.encoding = *coding;
  if (*coding != codec::Coding::identity && lists(request.field("grpc-accept-encoding"), codec::name_of(*coding)))
    head.answer_encoding = *coding;
  return head;
}

}  // namespace penstock::http
