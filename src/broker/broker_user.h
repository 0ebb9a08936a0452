// Who may connect to the embedded broker, and what for. Declared in the configuration, or supplied by whoever keeps the
// devices (Supervisor::set_devices()).
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace penstock::broker {

struct BrokerUser {
  // The MQTT user name; with a listener that asks for certificates of somebody else's authority their common name.
  std::string name;
  // Of hash_password(). Empty: no password is right, so that only a certificate gets in.
  std::string password_hash;
  std::vector<std::string> publish;    // topic filters
  std::vector<std::string> subscribe;  // topic filters
  // Subjects of certificates of the gateway's own authority that it may show, each as RFC 2253 writes it.
  std::vector<std::string> certificates = {};
  bool operator==(const BrokerUser&) const = default;
};

// Whether the broker's files can carry it. The error says what is wrong.
Result<void> check_user(const BrokerUser& user);

}  // namespace penstock::broker
