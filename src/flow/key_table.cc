#include "flow/key_table.h"

#include "flow/device_caller.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>

namespace penstock::flow {
namespace {

// Secrets of one key table that were verified on this thread. Direct-mapped under a random seed, so that nobody can aim
// at a slot. 256 slots: the keys busy on one core.
struct VerifiedSecrets {
  struct Slot {
    std::string secret;
    const KnownSecret* known = nullptr;
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

const Key* valid(const KnownSecret& secret, base::WallMicros now) {
  const Key* key = secret.key.load(std::memory_order_acquire);
  if (key == nullptr || key->revoked()) return nullptr;
  base::WallMicros expires = secret.expires.load(std::memory_order_relaxed);
  return expires != 0 && now >= expires ? nullptr : key;
}

std::size_t power_of_two(std::size_t least) {
  std::size_t size = 64;
  while (size < least) size *= 2;
  return size;
}

// No secret can be chosen by what its keyed hash will be: any bytes of it do.
std::size_t place_of(const SecretHash& hash) {
  std::size_t place = 0;
  std::memcpy(&place, hash.data(), sizeof place);
  return place;
}

}  // namespace

// Open addressing, at most half full. A larger one takes its place while somebody may be reading this one, which is
// therefore kept: all of them together are twice the last one.
struct KeyTable::Index {
  explicit Index(std::size_t size) : mask(size - 1), slots(size) {}
  std::atomic<KnownSecret*>& slot_of(const SecretHash& hash) {
    std::size_t at = place_of(hash) & mask;
    while (true) {
      const KnownSecret* secret = slots[at].load(std::memory_order_acquire);
      if (secret == nullptr || CRYPTO_memcmp(secret->hash.data(), hash.data(), hash.size()) == 0) return slots[at];
      at = (at + 1) & mask;
    }
  }
  const std::size_t mask;
  std::vector<std::atomic<KnownSecret*>> slots;
};

KeyTable::KeyTable(const base::Secret& hash_key, quota::Book* book)
    : version_(next_version.fetch_add(1)), hash_key_(hash_key), hasher_(hash_key.reveal()), book_(book) {
  make_index(0);
  make_ids(0);
  set_identities({});
}

KeyTable::~KeyTable() = default;

void KeyTable::make_index(std::size_t secrets) {
  auto fresh = std::make_unique<Index>(power_of_two(2 * secrets + 2));
  indexed_ = 0;
  for (KnownSecret& secret : secrets_) {
    if (secret.key.load(std::memory_order_relaxed) == nullptr) continue;
    fresh->slot_of(secret.hash).store(&secret, std::memory_order_relaxed);
    ++indexed_;
  }
  index_.store(fresh.get(), std::memory_order_release);
  indexes_.push_back(std::move(fresh));
}

void KeyTable::make_ids(std::size_t keys) {
  ids_.assign(64 + keys + keys / 2, nullptr);
  ids_taken_ = 0;
  for (Key& key : keys_) {
    if (!key.stored()) continue;
    slot_of(key.id()) = &key;
    ++ids_taken_;
  }
}

void KeyTable::reserve(std::size_t keys) {
  std::lock_guard lock(mutex_);
  if (2 * (indexed_ + keys) > indexes_.back()->slots.size()) make_index(indexed_ + keys);
  if (ids_taken_ + keys > ids_.size() / 4 * 3) make_ids(ids_taken_ + keys);
}

Key*& KeyTable::slot_of(std::string_view id) {
  std::size_t at = std::hash<std::string_view>()(id) % ids_.size();
  while (ids_[at] != nullptr && ids_[at]->id() != id) at = (at + 1) % ids_.size();
  return ids_[at];
}

KnownSecret* KeyTable::find_hash(const SecretHash& hash) const {
  return index_.load(std::memory_order_acquire)->slot_of(hash).load(std::memory_order_acquire);
}

KnownSecret& KeyTable::secret_of(const SecretHash& hash) {
  if (KnownSecret* known = find_hash(hash)) return *known;
  if (2 * (indexed_ + 1) > indexes_.back()->slots.size()) make_index(2 * indexed_);
  KnownSecret& fresh = secrets_.emplace_back();
  fresh.hash = hash;
  indexes_.back()->slot_of(hash).store(&fresh, std::memory_order_release);
  ++indexed_;
  return fresh;
}

void KeyTable::unlink(KnownSecret& secret) {
  Key* key = secret.key.exchange(nullptr, std::memory_order_acq_rel);
  if (key == nullptr) return;
  KnownSecret** at = &key->secrets_;
  while (*at != &secret) at = &(*at)->sibling;
  *at = secret.sibling;
}

void KeyTable::set_secrets(Key& key, std::span<const Wanted> wanted) {
  std::vector<KnownSecret*> gone;
  for (KnownSecret* secret = key.secrets_; secret != nullptr; secret = secret->sibling) {
    bool stays =
        std::any_of(wanted.begin(), wanted.end(), [&](const Wanted& one) { return one.first == secret->hash; });
    if (!stays) gone.push_back(secret);
  }
  for (KnownSecret* secret : gone) unlink(*secret);
  for (const auto& [hash, expires] : wanted) {
    KnownSecret& secret = secret_of(hash);
    secret.expires.store(expires, std::memory_order_relaxed);
    if (secret.key.load(std::memory_order_relaxed) == &key) continue;
    unlink(secret);
    secret.sibling = std::exchange(key.secrets_, &secret);
    secret.key.store(&key, std::memory_order_release);
  }
}

void KeyTable::set_revoked(Key& key, bool revoked) {
  if (key.revoked_.exchange(revoked) == revoked) return;
  count(key, revoked ? std::size_t(-1) : 1);
}

void KeyTable::count(const Key& key, std::size_t by) {
  in_force_.fetch_add(by, std::memory_order_relaxed);
  if (key.stored()) stored_.fetch_add(by, std::memory_order_relaxed);
}

Key& KeyTable::make_key(std::string_view name, std::string_view id, const Profile& profile) {
  Key& key = keys_.emplace_back(obs::intern(name), texts_.keep(id), profile);
  count(key, 1);
  return key;
}

const Profile& KeyTable::intern(std::string_view team, std::string_view scopes, std::string_view rules,
                                std::string_view priority, const std::function<Profile()>& make) {
  std::string text = fmt::format("{}\n{}\n{}\n{}", team, scopes, rules, priority);
  if (auto known = profiles_.find(text); known != profiles_.end()) return known->second;
  Profile profile = make();
  if (!team.empty()) profile.team = obs::intern(team);
  return profiles_.emplace(std::move(text), std::move(profile)).first->second;
}

const Profile& KeyTable::profile_of(const KeyRecord& record) {
  return intern(record.team, record.scopes, record.rules, record.priority, [&] {
    Profile profile;
    auto scopes = parse_scopes(record.scopes);
    auto rules = quota::parse_rules(record.rules);
    auto priority = parse_priority(record.priority);
    if (!scopes) profile.broken = "scopes: " + scopes.error().detail;
    if (!rules) profile.broken = "rules: " + rules.error().detail;
    if (!priority) profile.broken = fmt::format("there is no priority '{}'", record.priority);
    if (!profile.broken.empty()) return profile;
    profile.scopes = std::move(*scopes);
    profile.rules = std::move(*rules);
    profile.priority = *priority;
    return profile;
  });
}

const Profile& KeyTable::profile_of(const DeclaredKey& key) {
  auto priority = kPriorityNames[static_cast<std::size_t>(key.priority)];
  return intern(key.team, to_text(key.scopes), quota::to_text(key.rules), priority, [&] {
    Profile profile;
    profile.scopes = key.scopes;
    profile.rules = key.rules;
    profile.priority = key.priority;
    return profile;
  });
}

void KeyTable::set_identities(Identities identities) {
  if (!known_identities_.empty() && *known_identities_.back() == identities) return;
  known_identities_.push_back(std::make_unique<const Identities>(std::move(identities)));
  identities_.store(known_identities_.back().get(), std::memory_order_release);
}

// Other words than a secret alone: nothing that is kept can be looked up by, or tells a stored hash.
std::string KeyTable::owner_text(std::string_view kind, std::string_view what) const {
  return base::hmac_sha256_hex(hash_key_.reveal(), fmt::format("owner\n{}\n{}", kind, what)).substr(0, kOwnerSize);
}

void KeyTable::declare_one(const DeclaredKey& declared) {
  const Profile& profile = profile_of(declared);
  Declared& known = declared_[declared.name];
  if (known.key == nullptr) known.key = &make_key(declared.name, {}, profile);
  Key& key = *known.key;
  key.profile_.store(&profile, std::memory_order_release);
  key.expires_.store(declared.expires, std::memory_order_relaxed);
  known.labels = declared.labels;
  bool named = declared.secrets.empty();
  std::string owner =
      owner_text(named ? "identity" : "secret", named ? declared.identity : declared.secrets.front().reveal());
  const char* before = key.owner_.load(std::memory_order_relaxed);
  if (before == nullptr || std::string_view(before, kOwnerSize) != owner)
    key.owner_.store(texts_.keep(owner).data(), std::memory_order_release);
  std::vector<Wanted> wanted;
  for (const base::Secret& secret : declared.secrets) wanted.emplace_back(hasher_(secret.reveal()), 0);
  set_secrets(key, wanted);
  set_revoked(key, false);
  if (!profile.rules.empty() || key.account_.load(std::memory_order_relaxed) != nullptr) renew_account(key);
}

void KeyTable::declare(const std::vector<DeclaredKey>& keys) {
  std::lock_guard lock(mutex_);
  Identities identities;
  for (auto& [name, known] : declared_) {
    bool stays = std::any_of(keys.begin(), keys.end(), [&](const DeclaredKey& key) { return key.name == name; });
    if (stays) continue;
    set_revoked(*known.key, true);
    set_secrets(*known.key, {});
  }
  for (const DeclaredKey& key : keys) {
    declare_one(key);
    if (!key.identity.empty()) identities.emplace(key.identity, declared_[key.name].key);
  }
  set_identities(std::move(identities));
}

Result<void> KeyTable::put(const KeyRecord& record) {
  constexpr std::size_t kIdMax = 256;
  if (record.id.empty() || record.id.size() > kIdMax)
    return fail(Errc::invalid_argument, fmt::format("the id of the stored key '{}' is empty or too long", record.name));
  std::lock_guard lock(mutex_);
  if (ids_taken_ + 1 > ids_.size() / 4 * 3) make_ids(2 * ids_taken_);
  Key*& slot = slot_of(record.id);
  if (record.revoked) {
    if (slot == nullptr) return {};
    set_revoked(*slot, true);
    set_secrets(*slot, {});
    return {};
  }
  const Profile& profile = profile_of(record);
  if (slot == nullptr) {
    slot = &make_key(record.name, record.id, profile);
    ++ids_taken_;
  }
  Key& key = *slot;
  key.expires_.store(record.expires, std::memory_order_relaxed);
  if (key.profile_.exchange(&profile, std::memory_order_acq_rel) != &profile &&
      key.account_.load(std::memory_order_relaxed) != nullptr)
    renew_account(key);
  std::vector<Wanted> wanted;
  wanted.reserve(record.secrets.size());
  for (const KeyRecord::Secret& secret : record.secrets) {
    SecretHash hash;
    if (read_hex(secret.hash, hash)) wanted.emplace_back(hash, secret.expires);
  }
  set_secrets(key, wanted);
  set_revoked(key, false);
  if (profile.broken.empty()) return {};
  return fail(Errc::invalid_argument, fmt::format("the stored key '{}' cannot be understood and may do nothing: {}",
                                                  record.name, profile.broken));
}

const Key* KeyTable::find(std::string_view secret, base::WallMicros now) const {
  auto& slot = verified(version_).slot_of(secret);
  if (slot.known != nullptr && base::constant_time_equal(slot.secret, secret)) return valid(*slot.known, now);
  const KnownSecret* known = find_hash(hasher_(secret));
  if (known == nullptr) return nullptr;
  const Key* key = valid(*known, now);
  if (key != nullptr) slot = {std::string(secret), known};
  return key;
}

const Key* KeyTable::find_identity(std::string_view identity) const {
  const Identities& all = *identities_.load(std::memory_order_acquire);
  auto found = all.find(std::string(identity));
  if (found != all.end()) return found->second->revoked() ? nullptr : found->second;
  // A certificate's time was looked at when the connection was made.
  return stored() == 0 ? nullptr : find(stored_identity(hash_key_, identity), 1);
}

quota::Account* KeyTable::account_of(const Key& key) const {
  if (auto* account = key.account_.load(std::memory_order_acquire)) return account;
  if (book_ == nullptr || key.profile().rules.empty()) return nullptr;
  return payer_of(key);
}

quota::Account* KeyTable::payer_of(const Key& key) const {
  if (auto* account = key.account_.load(std::memory_order_acquire)) return account;
  std::lock_guard lock(mutex_);
  return renew_account(key);
}

quota::Account* KeyTable::renew_account(const Key& key) const {
  const quota::Rules& rules = key.profile().rules;
  if (book_ == nullptr) return nullptr;
  auto account = book_->account(fmt::format("key:{}", key.stored() ? key.id() : key.name().view()),
                                fmt::format("the API key '{}'", key.name().view()), rules);
  key.account_.store(account.get(), std::memory_order_release);
  accounts_[&key] = account;
  return account.get();
}

std::string KeyTable::owner_of(const Key& key) const {
  const char* declared = key.owner_.load(std::memory_order_acquire);
  return declared != nullptr ? std::string(declared, kOwnerSize) : owner_text("id", key.id());
}

void KeyTable::note_use(const Key& key, base::WallMicros now) const {
  auto minute = static_cast<std::uint32_t>(now / 60'000'000);
  if (key.used_minute_.load(std::memory_order_relaxed) == minute) return;
  key.used_minute_.store(minute, std::memory_order_relaxed);
  if (!key.stored() || key.listed_.exchange(true, std::memory_order_acq_rel)) return;
  const Key* head = used_.load(std::memory_order_relaxed);
  do {
    key.next_used_.store(head, std::memory_order_relaxed);
  } while (!used_.compare_exchange_weak(head, &key, std::memory_order_release, std::memory_order_relaxed));
}

std::vector<std::pair<std::string, base::WallMicros>> KeyTable::take_used() const {
  std::vector<std::pair<std::string, base::WallMicros>> used;
  const Key* key = used_.exchange(nullptr, std::memory_order_acquire);
  while (key != nullptr) {
    const Key* next = key->next_used_.load(std::memory_order_relaxed);
    key->listed_.store(false, std::memory_order_release);  // from here on it may be listed again
    used.emplace_back(key->id(), key->last_used());
    key = next;
  }
  return used;
}

std::size_t KeyTable::size() const { return in_force_.load(std::memory_order_relaxed); }

std::size_t KeyTable::stored() const { return stored_.load(std::memory_order_relaxed); }

void KeyTable::visit(const std::function<void(const Key&)>& each) const {
  std::lock_guard lock(mutex_);
  for (const Key& key : keys_) {
    if (!key.revoked()) each(key);
  }
}

std::map<std::string, std::string> KeyTable::labels_of(const Key& declared) const {
  std::lock_guard lock(mutex_);
  auto found = declared_.find(declared.name().view());
  return found == declared_.end() || found->second.key != &declared ? std::map<std::string, std::string>()
                                                                    : found->second.labels;
}

}  // namespace penstock::flow
