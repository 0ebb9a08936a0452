// `broker:` of the configuration: the MQTT broker that the gateway runs itself.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "broker/broker_user.h"
#include "config/document.h"
#include "net/address.h"

namespace penstock::broker {

struct BrokerTls {
  std::string cert;
  std::string key;
  // Devices show a certificate of this authority, and no password is asked for. Its common name is their user name;
  // with the gateway's own authority for devices the registry says whose it is.
  std::string client_ca;
  bool operator==(const BrokerTls&) const = default;
};

struct DeclaredUser {
  BrokerUser user;        // without the hash
  base::Secret password;  // empty: a certificate only
};

struct BrokerConfig {
  std::string host = "127.0.0.1";
  std::uint16_t port = 1883;
  std::optional<BrokerTls> tls;
  bool allow_anonymous = false;
  bool persistence = true;
  std::chrono::seconds save_every{30};
  std::uint64_t message_bytes_max = 1 << 20;
  std::int64_t connections_max = 10'000;
  std::int64_t queued_max = 100'000;             // messages that wait for one client, above QoS 0
  std::uint64_t queued_bytes_max = 64ULL << 20;  // bytes that wait for one client; beyond either the newest are dropped
  // What the broker takes for messages and sessions. Beyond it messages and connections are refused that need more.
  std::uint64_t memory_max = 512ULL << 20;
  std::string program;  // empty: `mosquitto` where programs are
  std::vector<DeclaredUser> users;
  // Topic filters of users that have none of their own, and of devices of the registry beside devices/NAME/#; {device}
  // is the name.
  std::vector<std::string> acl;

  std::string address() const;
};

// What a filter of `acl` is for one device.
std::vector<std::string> filters_for(const std::vector<std::string>& acl, const std::string& device);

// Nothing when there is no `broker:` and nobody says `mqtt: embedded`. Mistakes are reported at their places.
// `insecure`: devices may connect from outside without TLS and without a name.
std::optional<BrokerConfig> read_broker(config::Map& root, bool insecure);

// Where the program is: `program`, or `mosquitto` on PATH or in the folders it is installed to; not_found with what to
// do.
Result<std::string> find_program(const std::string& program);

}  // namespace penstock::broker
