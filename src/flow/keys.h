// Virtual keys: who may call, which models, how much.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/secret.h"
#include "config/document.h"
#include "flow/priority.h"
#include "flow/rate_bucket.h"
#include "obs/event.h"

namespace penstock::flow {

// What a key has used up. Outlives reloads: the same name keeps its state.
struct KeyState {
  RateBucket requests;
  RateBucket tokens;
  std::atomic<std::int64_t> websockets{0};  // open now
};

struct Key {
  obs::Label name{};
  std::string id;                   // stored keys; empty for declared ones
  std::vector<std::string> models;  // globs with *; empty: all
  std::int64_t rpm = 0;             // requests per minute; 0: no limit
  std::int64_t tpm = 0;             // tokens per minute; 0: no limit
  base::WallMicros expires = 0;     // 0: never
  Priority priority = Priority::normal;
  std::shared_ptr<KeyState> state;
  // What is kept for its callers is kept under this, not under the name, which somebody else may get later. KeyTable
  // sets it: of a declared key it changes with the secret, or the identity.
  std::string owner;

  bool allows(std::string_view model) const;
};

// Declared in the configuration: known by a secret, or by the identity in a client's certificate (net::TlsFacts).
struct DeclaredKey {
  // Shorter secrets can be guessed over a network; they are taken, with a warning.
  static constexpr std::size_t kStrongBytesMin = 16;
  bool weak() const { return identity.empty() && secret.reveal().size() < kStrongBytesMin; }

  Key key;
  base::Secret secret;  // one of the two
  std::string identity = {};
};

// Reads `keys:`. Mistakes are reported on the nodes.
std::vector<DeclaredKey> parse_keys(const config::Node& node);

// Matches `text` against `pattern`, in which * stands for any run of characters.
bool glob_matches(std::string_view pattern, std::string_view text);

// All keys at one moment; immutable.
class KeyTable {
 public:
  // `hash_key` is the installation's secret under which stored keys are hashed. `stored` maps hashes to keys.
  KeyTable(std::vector<DeclaredKey> declared, std::unordered_map<std::string, Key> stored, base::Secret hash_key);

  bool empty() const { return size() == 0; }
  std::size_t size() const { return declared_.size() + stored_.size() + identities_.size(); }
  // Null for a secret no key has. Any thread; the secret is compared in constant time. A secret seen lately on this
  // thread costs no hash.
  std::shared_ptr<const Key> find(std::string_view secret) const;
  // The key of whoever proved to be `identity` when the connection was made; null for nobody's.
  std::shared_ptr<const Key> find_identity(std::string_view identity) const;
  std::vector<std::shared_ptr<const Key>> list() const;

 private:
  std::shared_ptr<const Key> look_up(std::string_view secret) const;
  std::uint64_t version_;
  base::Secret hash_key_;
  std::unordered_map<std::string, std::shared_ptr<const Key>> declared_;  // by hash, as the stored ones
  std::unordered_map<std::string, std::shared_ptr<const Key>> stored_;
  std::map<std::string, std::shared_ptr<const Key>, std::less<>> identities_;
};

}  // namespace penstock::flow
