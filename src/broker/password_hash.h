// Passwords as Mosquitto keeps them: $7$ITERATIONS$SALT$HASH, PBKDF2 (RFC 8018) with HMAC-SHA-512, base64.
#pragma once

#include <string>

#include "base/secret.h"

namespace penstock::broker {

// The broker computes as many with every connection, on its one thread: about half a millisecond.
constexpr int kHashIterations = 1000;

// With a fresh salt. Takes about half a millisecond. Any thread.
std::string hash_password(const base::Secret& password, int iterations = kHashIterations);

}  // namespace penstock::broker
