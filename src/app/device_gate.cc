#include "app/device_gate.h"

#include "device/credential.h"
#include "flow/device_caller.h"
#include "obs/log.h"

namespace penstock::app {

store::DeviceStore::Visitor keep_device_keys(flow::KeyTable& keys, base::Secret installation) {
  return [&keys, installation = std::move(installation)](const store::StoredDevice& device,
                                                         const std::vector<store::StoredCredential>& credentials) {
    std::vector<std::pair<std::string, base::WallMicros>> hashes;
    for (const store::StoredCredential& one : credentials) {
      if (one.kind == "secret") hashes.emplace_back(one.hash, one.expires);
      if (one.kind != "certificate") continue;
      std::string secret = flow::stored_identity(installation, device::identity_of(device.name, one.id));
      // When it ends is checked by whoever accepts the connection.
      hashes.emplace_back(base::hmac_sha256_hex(installation.reveal(), secret), 0);
    }
    std::vector<flow::KeyRecord::Secret> secrets;
    for (const auto& [hash, expires] : hashes) secrets.push_back({hash, expires});
    std::string name = fmt::format("{}{}", flow::kDeviceKeyPrefix, device.name);
    flow::KeyRecord record;
    record.id = name;
    record.name = name;
    record.scopes = R"({"apis":["ingest","devices"],"can":["ingest"]})";
    record.priority = "normal";
    record.revoked = device.state == "retired";
    record.secrets = secrets;
    if (auto put = keys.put(record); !put)
      obs::log(obs::Level::error, "a device's credentials cannot be used", {{"why", put.error().detail}});
  };
}

std::vector<broker::BrokerUser> broker_users(const std::vector<device::BrokerIdentity>& identities) {
  std::vector<broker::BrokerUser> users;
  for (const device::BrokerIdentity& one : identities)
    users.push_back(
        {one.name, one.passwords.empty() ? "" : one.passwords.front(), one.publish, one.subscribe, one.certificates});
  return users;
}

}  // namespace penstock::app
