// Whose certificates a file of authorities stands for. An authority is known by its key: a copy of its certificate, or
// another certificate for the same key, is the same authority.
#pragma once

#include <set>
#include <string>

namespace penstock::broker {

// SHA-256 of the public keys of the certificates in a PEM text. Those that have ended, with which nobody gets in, only
// with `ended`. Empty when there are none.
std::set<std::string> authorities_in(const std::string& pem, bool ended = false);

}  // namespace penstock::broker
