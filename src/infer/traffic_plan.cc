#include "infer/traffic_plan.h"

#include <algorithm>
#include <atomic>
#include <random>

namespace penstock::infer {
namespace {

// The finish of SplitMix64 (Steele, Lea and Flood 2014): every bit of the result depends on every bit of `bits`.
std::uint64_t mixed(std::uint64_t bits) {
  bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9ULL;
  bits = (bits ^ (bits >> 27)) * 0x94d049bb133111ebULL;
  return bits ^ (bits >> 31);
}

constexpr std::uint64_t kGolden = 0x9e3779b97f4a7c15ULL;

double place_of(std::uint64_t bits) { return static_cast<double>(bits >> 11) * 0x1.0p-53; }

// FNV-1a of both, mixed: FNV alone leaves similar texts close together.
std::uint64_t hash(std::string_view model, std::string_view text) {
  std::uint64_t bits = 0xcbf29ce484222325ULL;
  auto add = [&bits](unsigned char byte) { bits = (bits ^ byte) * 0x100000001b3ULL; };
  for (char c : model) add(static_cast<unsigned char>(c));
  add(0);
  for (char c : text) add(static_cast<unsigned char>(c));
  return mixed(bits);
}

std::uint64_t random_bits() {
  thread_local std::uint64_t state = [] {
    std::random_device device;
    return (std::uint64_t{device()} << 32) | device();
  }();
  return mixed(state += kGolden);
}

bool has(std::span<const std::int64_t> ready, std::int64_t version) {
  return version != 0 && std::binary_search(ready.begin(), ready.end(), version);
}

// Of the split's parts that are ready, the one at `place`; 0: none is.
std::int64_t part_at(const TrafficPlan& plan, double place, std::span<const std::int64_t> ready) {
  double whole = 0;
  for (std::uint32_t i = 0; i < plan.parts; ++i) whole += has(ready, plan.split[i].version) ? plan.split[i].share : 0;
  double rest = place * whole;
  std::int64_t found = 0;
  for (std::uint32_t i = 0; i < plan.parts; ++i) {
    const TrafficPlan::Part& part = plan.split[i];
    if (part.share <= 0 || !has(ready, part.version)) continue;
    found = part.version;
    if (rest < part.share) break;
    rest -= part.share;
  }
  return found;
}

std::int64_t beside_split(const TrafficPlan& plan, std::span<const std::int64_t> ready) {
  if (has(ready, plan.stable)) return plan.stable;
  for (auto version = ready.rbegin(); version != ready.rend(); ++version) {
    if (*version != plan.on_trial && *version != plan.shadow) return *version;
  }
  return ready.back();
}

std::int64_t without_canary(const TrafficPlan& plan, double place, std::span<const std::int64_t> ready) {
  if (has(ready, plan.promoted)) return plan.promoted;
  std::int64_t version = plan.parts == 0 ? 0 : part_at(plan, place, ready);
  return version != 0 ? version : beside_split(plan, ready);
}

}  // namespace

double sticky_place(std::string_view model, std::string_view text) { return place_of(hash(model, text)); }

Draw draw(std::string_view model, std::string_view sticky) {
  std::uint64_t bits = sticky.empty() ? random_bits() : hash(model, sticky);
  return {place_of(bits), place_of(mixed(bits + kGolden)),
          place_of(sticky.empty() ? mixed(bits + 2 * kGolden) : random_bits())};
}

Choice choose(const TrafficPlan& plan, const Draw& draw, std::span<const std::int64_t> ready) {
  std::int64_t usual = without_canary(plan, draw.split, ready);
  if (usual != plan.canary && draw.canary < plan.canary_share && has(ready, plan.canary)) {
    Choice choice{.version = plan.canary, .fallback = usual};
    if (draw.extra < plan.compare_share) choice.shadow = usual;
    return choice;
  }
  Choice choice{.version = usual};
  if (usual != plan.shadow && draw.extra < plan.shadow_share && has(ready, plan.shadow)) choice.shadow = plan.shadow;
  return choice;
}

std::int64_t usual(const TrafficPlan& plan, std::span<const std::int64_t> ready) {
  if (has(ready, plan.promoted)) return plan.promoted;
  TrafficPlan::Part most;
  for (std::uint32_t i = 0; i < plan.parts; ++i) {
    if (plan.split[i].share > most.share && has(ready, plan.split[i].version)) most = plan.split[i];
  }
  return most.version != 0 ? most.version : beside_split(plan, ready);
}

}  // namespace penstock::infer
