// Who may connect to the embedded broker, and what for. Declared in the configuration, or supplied by whoever keeps the
// devices (Supervisor::set_devices()).
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace penstock::broker {

struct BrokerUser {
  // The MQTT user name; with a listener that asks for client certificates their common name.
  std::string name;
  // Of hash_password(). Empty: no password is right, so that only a certificate gets in.
  std::string password_hash;
  std::vector<std::string> publish;    // topic filters
  std::vector<std::string> subscribe;  // topic filters
  bool operator==(const BrokerUser&) const = default;
};

// Whether the broker's files can carry it. The error says what is wrong.
Result<void> check_user(const BrokerUser& user);

}  // namespace penstock::broker
