// What devices prove themselves with, beside certificates (authority.h): secrets, and codes that are good once.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/secret.h"
#include "store/device_store.h"

namespace penstock::device {

struct FreshCredential {
  store::StoredCredential stored;
  base::Secret secret;  // shown once
};

// For HTTP (`Authorization: Bearer`) and as the password at a broker. `expires` 0: never.
FreshCredential make_secret(const std::string& device, const base::Secret& installation, base::WallMicros now,
                            base::WallMicros expires = 0);
// For onboarding: sixteen letters and digits in groups of four, as people can type them; 80 bits.
FreshCredential make_code(const std::string& device, const base::Secret& installation, base::WallMicros now,
                          base::WallMicros expires);
// What a code is known by: small letters, spaces and hyphens do not matter.
std::string hash_of_code(std::string_view code, const base::Secret& installation);

// A line's second half in Mosquitto's password file: "$7$<iterations>$<salt>$<PBKDF2-HMAC-SHA-512>", both in base64.
// Iterations as few as mosquitto_passwd takes: these secrets are random and long, nobody can try them all.
std::string broker_hash(std::string_view secret);

// What a certificate of our authority says whose it is (its URI), and what callers are looked up by.
std::string identity_of(std::string_view device, std::string_view serial);
// The subject of such a certificate in the form of RFC 2253, by which a broker knows whoever shows it.
std::string subject_of(std::string_view device, std::string_view serial);

}  // namespace penstock::device
