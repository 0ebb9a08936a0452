// Accounts of client addresses.
#pragma once

#include <array>
#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "quota/meters.h"

namespace penstock::quota {

// An IPv4 address, or the /64 an IPv6 address lies in: the least that one customer of a provider gets.
struct AddressKey {
  bool v6 = false;
  std::uint64_t bits = 0;
  bool operator==(const AddressKey&) const = default;
  // False: that is no address.
  static std::optional<AddressKey> parse(std::string_view address);
  std::string text() const;
};

// Strangers choose their addresses: only with the seed could they tell which fall into one bucket.
struct AddressHash {
  std::uint64_t seed = 0;
  std::size_t operator()(const AddressKey& key) const;
};

// Bounded: of the addresses known, those whose limits are untouched make room for new ones; where none is, new ones
// share one account. Any thread.
class Addresses {
 public:
  explicit Addresses(std::size_t max);

  // Null plan: no rules any more.
  void set_plan(std::shared_ptr<const Plan> plan);
  // Null when there are no rules. Valid for a minute at least, and as long as it holds something.
  Account* find(std::string_view address, base::SteadyTime now);
  void list(std::string_view prefix, std::vector<std::shared_ptr<Account>>& into) const;

 private:
  static constexpr std::size_t kShards = 16;
  using Known = std::unordered_map<AddressKey, std::shared_ptr<Account>, AddressHash>;
  struct Retired {
    base::SteadyTime at;
    std::shared_ptr<Account> account;
  };
  struct alignas(64) Shard {
    mutable std::mutex mutex;
    Known known;
    std::vector<AddressKey> order;  // those known
    std::size_t looked_at = 0;      // in `order`: where the search for somebody idle goes on
    std::deque<Retired> retired;    // not yet gone: somebody may be about to reserve
  };
  void apply_plan(Account& account) const;  // with plan_mutex_ held
  static bool make_room(Shard& shard, base::SteadyTime now);

  const std::size_t per_shard_max_;
  const AddressHash hash_;
  std::atomic<bool> on_ = false;
  std::mutex plan_mutex_;  // before those of shards
  std::shared_ptr<const Plan> plan_;
  std::shared_ptr<Account> others_;
  std::array<Shard, kShards> shards_;
};

}  // namespace penstock::quota
