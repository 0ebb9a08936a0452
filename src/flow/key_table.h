// All keys: found by their secrets, changed while calls go on.
#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "base/secret.h"
#include "base/text_arena.h"
#include "flow/keys.h"
#include "flow/secret_hasher.h"
#include "quota/book.h"

namespace penstock::flow {

// One of the secrets of a key. Stays where it is for as long as the table lives.
struct KnownSecret {
  SecretHash hash;
  std::atomic<base::WallMicros> expires{0};
  std::atomic<Key*> key{nullptr};  // null: nobody's any more
  KnownSecret* sibling = nullptr;  // of the same key; under the table's lock
};

// A stored key as it is now. The texts are copied.
struct KeyRecord {
  struct Secret {
    std::string_view hash;         // HMAC-SHA-256 under the table's key, lower-case hex
    base::WallMicros expires = 0;  // 0: as long as the key
  };
  std::string_view id;
  std::string_view name;
  std::string_view team;
  std::string_view scopes;    // parse_scopes()
  std::string_view rules;     // quota::parse_rules()
  std::string_view priority;  // kPriorityNames
  base::WallMicros expires = 0;
  bool revoked = false;
  std::span<const Secret> secrets;
};

// One for the whole process, beside the policies: a change of one key costs the same however many there are. Those who
// look up take no lock. What is taken out stays in memory (some 150 bytes a key) as long as the table, for calls that
// refer to it may stand for days.
class KeyTable {
 public:
  // `hash_key` is the installation's secret under which secrets are hashed. Null `book`: nothing is limited. It
  // outlives the table.
  explicit KeyTable(const base::Secret& hash_key = {}, quota::Book* book = nullptr);
  ~KeyTable();

  // --- any thread, one after the other ---
  // Takes these for all declared keys there are: those declared before and not named any more are revoked.
  void declare(const std::vector<DeclaredKey>& keys);
  // Room for so many stored keys: without it the table grows step by step.
  void reserve(std::size_t keys);
  // Adds or changes a stored key. Errors: invalid_argument, when it cannot be understood: nothing is allowed to it
  // then.
  Result<void> put(const KeyRecord& record);

  // --- any thread ---
  // Null for a secret no key has, or whose time is over, or whose key is revoked. The last word is a comparison in
  // constant time. A secret seen lately on this thread costs no hash.
  const Key* find(std::string_view secret, base::WallMicros now) const;
  // The key of whoever proved to be `identity` when the connection was made; null for nobody's.
  const Key* find_identity(std::string_view identity) const;
  // Null: it has no limits of its own.
  quota::Account* account_of(const Key& key) const;
  // The same, but never null where there is a book: whose turn it is among those who wait.
  quota::Account* payer_of(const Key& key) const;
  // What is kept for its callers is kept under this, not under the name, which somebody else may get later: of a
  // declared key it changes with its first secret, or its identity.
  std::string owner_of(const Key& key) const;
  // Notes a call, once a minute and key.
  void note_use(const Key& key, base::WallMicros now) const;

  bool empty() const { return size() == 0; }
  std::size_t size() const;    // in force
  std::size_t stored() const;  // of these, those not declared
  // Those in force; under the lock that changes wait for.
  void visit(const std::function<void(const Key&)>& each) const;
  // Ids of stored keys with new times of use since the last call.
  std::vector<std::pair<std::string, base::WallMicros>> take_used() const;
  std::map<std::string, std::string> labels_of(const Key& declared) const;

 private:
  struct Index;
  struct Declared {
    Key* key = nullptr;
    std::map<std::string, std::string> labels;
  };
  using Identities = std::unordered_map<std::string, const Key*>;

  static constexpr std::size_t kOwnerSize = 32;
  using Wanted = std::pair<SecretHash, base::WallMicros>;

  KnownSecret* find_hash(const SecretHash& hash) const;
  KnownSecret& secret_of(const SecretHash& hash);
  void make_index(std::size_t secrets);
  void make_ids(std::size_t keys);
  Key*& slot_of(std::string_view id);
  Key& make_key(std::string_view name, std::string_view id, const Profile& profile);
  static void unlink(KnownSecret& secret);
  void set_secrets(Key& key, std::span<const Wanted> wanted);
  void set_revoked(Key& key, bool revoked);
  void count(const Key& key, std::size_t by);
  void set_identities(Identities identities);
  void declare_one(const DeclaredKey& declared);
  const Profile& intern(std::string_view team, std::string_view scopes, std::string_view rules,
                        std::string_view priority, const std::function<Profile()>& make);
  const Profile& profile_of(const KeyRecord& record);
  const Profile& profile_of(const DeclaredKey& key);
  std::string owner_text(std::string_view kind, std::string_view what) const;
  quota::Account* renew_account(const Key& key) const;

  const std::uint64_t version_;
  const base::Secret hash_key_;
  const SecretHasher hasher_;
  quota::Book* const book_;

  mutable std::mutex mutex_;  // of all that follows but the atomics
  std::atomic<Index*> index_{nullptr};
  std::vector<std::unique_ptr<Index>> indexes_;  // the last one is in use
  std::deque<KnownSecret> secrets_;
  std::size_t indexed_ = 0;
  std::deque<Key> keys_;
  std::vector<Key*> ids_;  // stored keys, open addressing
  std::size_t ids_taken_ = 0;
  base::TextArena texts_;
  std::unordered_map<std::string, Profile> profiles_;
  std::map<std::string, Declared, std::less<>> declared_;
  std::atomic<const Identities*> identities_{nullptr};
  std::vector<std::unique_ptr<const Identities>> known_identities_;  // the last one is in use
  std::atomic<std::size_t> in_force_{0};
  std::atomic<std::size_t> stored_{0};
  mutable std::unordered_map<const Key*, std::shared_ptr<quota::Account>> accounts_;
  mutable std::atomic<const Key*> used_{nullptr};
};

}  // namespace penstock::flow
