// Virtual keys: who may call, for what, how much.
#pragma once

#include <atomic>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/secret.h"
#include "config/document.h"
#include "flow/priority.h"
#include "flow/scopes.h"
#include "flow/teams.h"
#include "obs/event.h"
#include "quota/rules.h"

namespace penstock::quota {
class Account;
}

namespace penstock::flow {

struct KnownSecret;

// What many keys have in common; immutable.
struct Profile {
  obs::Label team{};  // empty: none
  Scopes scopes;
  quota::Rules rules;
  Priority priority = Priority::normal;
  std::string broken;  // what was stored cannot be read, and nothing is allowed; empty: fine
};

// One key. A KeyTable makes it and keeps it in its place for as long as the table lives, revoked or not: calls refer to
// it without counting. Any thread; what changes is seen by all cores at once. Small: there may be a million.
class Key {
 public:
  // `name`, `id` and `profile` outlive the key. `id`: of a stored key, at most 64 KiB; empty for declared ones.
  Key(obs::Label name, std::string_view id, const Profile& profile, base::WallMicros expires = 0)
      : name_(name.data),
        id_(id.data()),
        profile_(&profile),
        expires_(expires),
        name_size_(name.size),
        id_size_(static_cast<std::uint16_t>(id.size())) {}

  obs::Label name() const { return {name_, name_size_}; }
  std::string_view id() const { return {id_, id_size_}; }
  bool stored() const { return id_size_ > 0; }
  const Profile& profile() const { return *profile_.load(std::memory_order_acquire); }
  base::WallMicros expires() const { return expires_.load(std::memory_order_relaxed); }  // 0: never
  bool expired(base::WallMicros now) const { return expires() != 0 && now >= expires(); }
  bool revoked() const { return revoked_.load(std::memory_order_relaxed); }
  base::WallMicros last_used() const;                                    // 0: not since the start; as exact as a minute
  std::atomic<std::int32_t>& websockets() const { return websockets_; }  // open now

 private:
  friend class KeyTable;
  const char* const name_;
  const char* const id_;
  std::atomic<const Profile*> profile_;
  std::atomic<base::WallMicros> expires_;
  mutable std::atomic<quota::Account*> account_{nullptr};
  mutable std::atomic<const Key*> next_used_{nullptr};  // in KeyTable's list of keys used lately
  std::atomic<const char*> owner_{nullptr};             // of a declared key: KeyTable::kOwnerSize characters
  KnownSecret* secrets_ = nullptr;                      // KeyTable's, under its lock
  const std::uint32_t name_size_;
  const std::uint16_t id_size_;
  std::atomic<bool> revoked_{false};
  mutable std::atomic<bool> listed_{false};
  mutable std::atomic<std::uint32_t> used_minute_{0};
  mutable std::atomic<std::int32_t> websockets_{0};
};

// Declared in the configuration: known by one of its secrets, or by the identity in a client's certificate
// (net::TlsFacts).
struct DeclaredKey {
  // Shorter secrets can be guessed over a network; they are taken, with a warning.
  static constexpr std::size_t kStrongBytesMin = 16;
  bool weak() const;

  std::string name;
  std::string team;
  Scopes scopes;
  quota::Rules rules;
  Priority priority = Priority::normal;
  base::WallMicros expires = 0;  // 0: never
  std::map<std::string, std::string> labels;
  std::vector<base::Secret> secrets;  // or
  std::string identity;
};

// Reads `keys:`. `apis`: those there are, by name. `teams`: those declared. Mistakes are reported on the nodes.
std::vector<DeclaredKey> parse_keys(const config::Node& node, const std::vector<std::string>& apis,
                                    const std::vector<TeamSpec>& teams = {});

// kPriorityNames; nothing for another text.
std::optional<Priority> parse_priority(std::string_view text);

}  // namespace penstock::flow
