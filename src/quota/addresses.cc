#include "quota/addresses.h"

#include <arpa/inet.h>

#include <random>

namespace penstock::quota {
namespace {

// Far longer than a call takes from finding its account to reserving on it.
constexpr base::Duration kRetiredFor = std::chrono::minutes(1);
constexpr std::size_t kLookedAt = 16;

bool idle(const Account& account, base::SteadyTime now) {
  Meters& meters = Meters::of(account);
  std::scoped_lock lock(meters.lock);
  return meters.untouched(now);
}

}  // namespace

std::optional<AddressKey> AddressKey::parse(std::string_view address) {
  char text[INET6_ADDRSTRLEN] = {};
  address = address.substr(0, address.find('%'));
  if (address.size() >= sizeof text) return std::nullopt;
  address.copy(text, address.size());
  in_addr v4{};
  if (inet_pton(AF_INET, text, &v4) == 1) return AddressKey{false, v4.s_addr};
  in6_addr v6{};
  if (inet_pton(AF_INET6, text, &v6) != 1) return std::nullopt;
  if (IN6_IS_ADDR_V4MAPPED(&v6)) {
    std::memcpy(&v4, v6.s6_addr + 12, sizeof v4);
    return AddressKey{false, v4.s_addr};
  }
  AddressKey key{true, 0};
  std::memcpy(&key.bits, v6.s6_addr, sizeof key.bits);
  return key;
}

std::string AddressKey::text() const {
  char text[INET6_ADDRSTRLEN] = {};
  if (!v6) {
    in_addr address{static_cast<in_addr_t>(bits)};
    return inet_ntop(AF_INET, &address, text, sizeof text);
  }
  in6_addr address{};
  std::memcpy(address.s6_addr, &bits, sizeof bits);
  return std::string(inet_ntop(AF_INET6, &address, text, sizeof text)) + "/64";
}

Addresses::Addresses(std::size_t max)
    : per_shard_max_(std::max<std::size_t>(max / kShards, 1)), hash_{std::random_device()()} {
  for (Shard& shard : shards_) shard.known = Known(0, hash_);
}

std::size_t AddressHash::operator()(const AddressKey& key) const {
  std::uint64_t mixed = (key.bits ^ seed ^ (key.v6 ? 0x9e3779b97f4a7c15 : 0)) * 0xbf58476d1ce4e5b9;
  mixed = (mixed ^ (mixed >> 29)) * 0x94d049bb133111eb;
  return mixed ^ (mixed >> 32);
}

void Addresses::set_plan(std::shared_ptr<const Plan> plan) {
  std::scoped_lock plan_lock(plan_mutex_);
  if (plan_ == plan) return;
  plan_ = std::move(plan);
  on_ = plan_ != nullptr;
  if (!plan_) return;
  if (!others_) others_ = Meters::make_account("address:all others", "all further addresses");
  apply_plan(*others_);
  for (Shard& shard : shards_) {
    std::scoped_lock lock(shard.mutex);
    for (auto& [key, account] : shard.known) apply_plan(*account);
  }
}

void Addresses::apply_plan(Account& account) const {
  Meters& meters = Meters::of(account);
  std::scoped_lock lock(meters.lock);
  if (meters.plan != plan_) meters.set_plan(plan_);
}

Account* Addresses::find(std::string_view address, base::SteadyTime now) {
  if (!on_.load(std::memory_order_relaxed)) return nullptr;
  auto key = AddressKey::parse(address);
  if (!key) return nullptr;
  // The upper bits: the lower ones choose the bucket.
  Shard& shard = shards_[(hash_(*key) >> 28) % kShards];
  {
    std::scoped_lock lock(shard.mutex);
    auto found = shard.known.find(*key);
    if (found != shard.known.end()) return found->second.get();
  }
  std::scoped_lock plan_lock(plan_mutex_);
  if (!plan_) return nullptr;
  std::scoped_lock lock(shard.mutex);
  if (auto found = shard.known.find(*key); found != shard.known.end()) return found->second.get();
  if (shard.known.size() >= per_shard_max_ && !make_room(shard, now)) return others_.get();
  std::string text = key->text();
  auto account = Meters::make_account("address:" + text, "the address " + text);
  apply_plan(*account);
  shard.order.push_back(*key);
  return shard.known.emplace(*key, std::move(account)).first->second.get();
}

// Looks at a few, so that no call pays for many: the next one goes on where this one stopped.
bool Addresses::make_room(Shard& shard, base::SteadyTime now) {
  for (std::size_t i = 0; i < kLookedAt && !shard.retired.empty(); ++i) {
    Retired& oldest = shard.retired.front();
    if (now - oldest.at < kRetiredFor) break;
    Retired again{now, std::move(oldest.account)};
    shard.retired.pop_front();
    if (!idle(*again.account, now)) shard.retired.push_back(std::move(again));
  }
  for (std::size_t i = 0; i < std::min(kLookedAt, shard.order.size()); ++i) {
    shard.looked_at = (shard.looked_at + 1) % shard.order.size();
    auto found = shard.known.find(shard.order[shard.looked_at]);
    if (!idle(*found->second, now)) continue;
    shard.retired.push_back({now, std::move(found->second)});
    shard.known.erase(found);
    shard.order[shard.looked_at] = shard.order.back();
    shard.order.pop_back();
    return true;
  }
  return false;
}

void Addresses::list(std::string_view prefix, std::vector<std::shared_ptr<Account>>& into) const {
  for (const Shard& shard : shards_) {
    std::scoped_lock lock(shard.mutex);
    for (const auto& [key, account] : shard.known) {
      if (account->id().starts_with(prefix)) into.push_back(account);
    }
  }
}

}  // namespace penstock::quota
