#include "wire/authority.h"

#include <algorithm>

#include "wire/chars.h"
#include "wire/fields.h"

namespace penstock::wire {
namespace {

constexpr std::string_view kForm = "a request target that is neither a path nor http://host/path";

bool is_port(std::string_view text) {
  if (text.size() > 5 || !std::all_of(text.begin(), text.end(), is_digit)) return false;
  unsigned port = 0;
  for (char c : text) port = port * 10 + static_cast<unsigned>(c - '0');
  return port <= 65535;
}

bool is_address6(std::string_view text) {
  auto allowed = [](char c) { return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'f') || c == ':' || c == '.'; };
  return text.size() >= 2 && std::all_of(text.begin(), text.end(), allowed);
}

}  // namespace

bool is_authority(std::string_view text) {
  std::string_view port;
  if (text.starts_with('[')) {
    std::size_t end = text.find(']');
    if (end == std::string_view::npos || !is_address6(text.substr(1, end - 1))) return false;
    port = text.substr(end + 1);
  } else {
    std::size_t colon = std::min(text.find(':'), text.size());
    if (colon == 0 || !std::all_of(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(colon), is_host))
      return false;
    port = text.substr(colon);
  }
  if (port.empty()) return true;
  return port.front() == ':' && is_port(port.substr(1));
}

const char* target_defect(std::string_view method, std::string_view target, std::string_view& authority) {
  if (method == "CONNECT") {
    authority = target;
    return is_authority(target) && !target.ends_with(':') && target.find(':') != std::string_view::npos
               ? nullptr
               : "a CONNECT without host:port";
  }
  if (target.starts_with('/')) return nullptr;
  if (target == "*") return method == "OPTIONS" ? nullptr : "the request target * with another method than OPTIONS";
  std::size_t mark = target.find("://");
  if (mark == std::string_view::npos) return kForm.data();
  std::string_view scheme = target.substr(0, mark);
  if (!equal_ignoring_case(scheme, "http") && !equal_ignoring_case(scheme, "https")) return kForm.data();
  std::string_view rest = target.substr(mark + 3);
  authority = rest.substr(0, rest.find_first_of("/?"));
  return is_authority(authority) ? nullptr : "a request target with an invalid host";
}

}  // namespace penstock::wire
