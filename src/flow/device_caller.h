// Devices as callers: each has a key of its own in the key table, stored under "device:NAME".
#pragma once

#include <string>
#include <string_view>

#include "base/secret.h"
#include "flow/call.h"

namespace penstock::flow {

constexpr std::string_view kDeviceKeyPrefix = "device:";

// The device that has this key; empty: none. As long as the key.
inline std::string_view device_of(const Key* key) {
  if (key == nullptr || !key->stored() || !key->id().starts_with(kDeviceKeyPrefix)) return {};
  return key->id().substr(kDeviceKeyPrefix.size());
}

// How a stored key is known by a client's certificate instead of a secret: the text whose keyed hash stands among its
// secrets, for callers that proved to be `identity` (net::TlsFacts). It begins with a keyed hash of its own: nobody who
// only knows the identity can send it as a secret.
inline std::string stored_identity(const base::Secret& hash_key, std::string_view identity) {
  return base::hmac_sha256_hex(hash_key.reveal(), "identities of client certificates") + "/" + std::string(identity);
}

}  // namespace penstock::flow
