#include "flow/keys.h"

#include <openssl/rand.h>

namespace penstock::flow {
namespace {

// Secrets of one key table that were verified on this thread. Direct-mapped under a random seed, so that nobody can aim
// at a slot. 256 slots: the keys busy on one core.
struct VerifiedSecrets {
  struct Slot {
    std::string secret;
    std::shared_ptr<const Key> key;
  };
  std::uint64_t version = 0;
  std::uint64_t seed = 0;
  std::array<Slot, 256> slots;

  VerifiedSecrets() { RAND_bytes(reinterpret_cast<unsigned char*>(&seed), sizeof seed); }

  Slot& slot_of(std::string_view secret) {
    std::uint64_t hash = seed;
    for (char c : secret) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
    return slots[(hash ^ (hash >> 29U)) % slots.size()];
  }
};

VerifiedSecrets& verified(std::uint64_t version) {
  thread_local VerifiedSecrets cache;
  if (cache.version != version) {
    cache.version = version;
    for (auto& slot : cache.slots) slot = {};
  }
  return cache;
}

std::atomic<std::uint64_t> next_version{1};

}  // namespace

bool glob_matches(std::string_view pattern, std::string_view text) {
  // The classic two-pointer walk: on a mismatch go back to the last star and let it take one character more.
  std::size_t p = 0;
  std::size_t t = 0;
  std::size_t star = std::string_view::npos;
  std::size_t resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = t;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

bool Key::allows(std::string_view model) const {
  return models.empty() ||
         std::any_of(models.begin(), models.end(), [&](const auto& glob) { return glob_matches(glob, model); });
}

namespace {

void read_credential(config::Map& map, DeclaredKey& declared) {
  config::Node identity = map.get("identity");
  if (!identity.present()) {
    config::Node secret = map.required("secret");
    declared.secret = secret.secret();
    if (secret.kind() == config::Node::Kind::scalar && declared.secret.empty()) secret.problem("the secret is empty");
    return;
  }
  declared.identity = identity.text();
  if (declared.identity.empty()) identity.problem("the identity is empty");
  // Whoever has one of two would get in with the weaker.
  if (map.has("secret"))
    identity.problem("a key is known either by its `secret` or by the `identity` of a client's certificate");
}

}  // namespace

std::vector<DeclaredKey> parse_keys(const config::Node& node) {
  std::vector<DeclaredKey> keys;
  constexpr std::int64_t kLimitMax = 1'000'000'000'000;
  for (const config::Node& item : node.items()) {
    config::Map map = item.map();
    DeclaredKey declared;
    std::string name = map.required_text("name");
    declared.key.name = obs::intern(name);
    read_credential(map, declared);
    declared.key.models = map.texts("models");
    std::string priority = map.choice("priority", {"critical", "high", "normal", "low"}, "normal");
    declared.key.priority = static_cast<Priority>(std::find(kPriorityNames.begin(), kPriorityNames.end(), priority) -
                                                  kPriorityNames.begin());
    if (config::Node limits = map.get("limits"); limits.present()) {
      config::Map limit_map = limits.map();
      declared.key.rpm = limit_map.integer("rpm", 0, 1, kLimitMax);
      declared.key.tpm = limit_map.integer("tpm", 0, 1, kLimitMax);
      limit_map.done();
    }
    map.done();
    for (const DeclaredKey& other : keys) {
      if (!declared.identity.empty() && other.identity == declared.identity) {
        item.problem(fmt::format("the keys '{}' and '{}' have the same identity", other.key.name.view(), name));
      }
      if (other.key.name.data == declared.key.name.data)
        item.problem(fmt::format("'{}' appears twice; names must be unique", name));
      if (!declared.secret.empty() && base::constant_time_equal(other.secret.reveal(), declared.secret.reveal())) {
        item.problem(fmt::format("the keys '{}' and '{}' have the same secret", other.key.name.view(), name));
      }
    }
    keys.push_back(std::move(declared));
  }
  return keys;
}

KeyTable::KeyTable(std::vector<DeclaredKey> declared, std::unordered_map<std::string, Key> stored,
                   base::Secret hash_key)
    : version_(next_version.fetch_add(1)), hash_key_(std::move(hash_key)) {
  // Other words than a secret alone: nothing that is kept can be looked up by, or tells a stored hash.
  auto owner_of = [&](std::string_view kind, std::string_view what) {
    return base::hmac_sha256_hex(hash_key_.reveal(), fmt::format("owner\n{}\n{}", kind, what)).substr(0, 32);
  };
  for (DeclaredKey& entry : declared) {
    bool named = !entry.identity.empty();
    entry.key.owner = owner_of(named ? "identity" : "secret", named ? entry.identity : entry.secret.reveal());
    if (named) {
      identities_.emplace(std::move(entry.identity), std::make_shared<const Key>(std::move(entry.key)));
      continue;
    }
    declared_.emplace(base::hmac_sha256_hex(hash_key_.reveal(), entry.secret.reveal()),
                      std::make_shared<const Key>(std::move(entry.key)));
  }
  for (auto& [hash, key] : stored) {
    key.owner = owner_of("id", key.id);
    stored_.emplace(hash, std::make_shared<const Key>(std::move(key)));
  }
}

std::shared_ptr<const Key> KeyTable::look_up(std::string_view secret) const {
  // Looking up a keyed hash tells a caller nothing: it cannot choose what the hash will be.
  std::string hash = base::hmac_sha256_hex(hash_key_.reveal(), secret);
  if (auto found = declared_.find(hash); found != declared_.end()) return found->second;
  if (auto found = stored_.find(hash); found != stored_.end()) return found->second;
  return nullptr;
}

std::shared_ptr<const Key> KeyTable::find(std::string_view secret) const {
  auto& slot = verified(version_).slot_of(secret);
  if (slot.key && base::constant_time_equal(slot.secret, secret)) return slot.key;
  auto key = look_up(secret);
  if (key) slot = {std::string(secret), key};
  return key;
}

std::shared_ptr<const Key> KeyTable::find_identity(std::string_view identity) const {
  auto found = identities_.find(identity);
  return found == identities_.end() ? nullptr : found->second;
}

std::vector<std::shared_ptr<const Key>> KeyTable::list() const {
  std::vector<std::shared_ptr<const Key>> keys;
  for (const auto& [hash, key] : declared_) keys.push_back(key);
  for (const auto& [hash, key] : stored_) keys.push_back(key);
  for (const auto& [identity, key] : identities_) keys.push_back(key);
  std::sort(keys.begin(), keys.end(), [](const auto& a, const auto& b) { return a->name.view() < b->name.view(); });
  return keys;
}

}  // namespace penstock::flow
