#include "broker/broker_user.h"

#include <fmt/format.h>

#include <algorithm>

#include "mqtt/topic.h"

namespace penstock::broker {
namespace {

constexpr std::size_t kNameMax = 128;
constexpr std::size_t kSubjectMax = 512;

// One line of a file, one level of a topic.
bool plain(std::string_view name, std::size_t size_max) {
  if (name.empty() || name.size() > size_max || name.front() == ' ' || name.back() == ' ') return false;
  return std::none_of(name.begin(), name.end(), [](unsigned char c) {
    return c < 0x20 || c == 0x7f || std::string_view(":/+#").find(static_cast<char>(c)) != std::string_view::npos;
  });
}

bool one_line(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

}  // namespace

Result<void> check_user(const BrokerUser& user) {
  if (!plain(user.name, kNameMax)) {
    return fail(Errc::invalid_argument,
                fmt::format("'{}' is no name of a broker's user: up to {} characters, none of : / + # and no control "
                            "characters",
                            user.name, kNameMax));
  }
  if (!one_line(user.password_hash)) return fail(Errc::invalid_argument, "the password's hash is none");
  for (const std::string& subject : user.certificates) {
    if (!plain(subject, kSubjectMax)) return fail(Errc::invalid_argument, "the subject of a certificate is none");
  }
  for (const auto* filters : {&user.publish, &user.subscribe}) {
    for (const std::string& filter : *filters) {
      if (auto checked = mqtt::check_filter(filter); !checked) return checked;
      if (!one_line(filter)) return fail(Errc::invalid_argument, "a topic filter has no control characters");
    }
  }
  return {};
}

}  // namespace penstock::broker
