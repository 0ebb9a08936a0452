#include "quota/queue.h"

namespace penstock::quota {

void Queue::add(Waiter* waiter) {
  Class& own = classes_[class_of(waiter->ask)];
  Payer& payer = own.payers[waiter->ask.payer];
  if (payer.waiters.empty()) {
    payer.time = std::max(payer.time, own.time);
  } else {
    own.order.erase({payer.time, payer.waiters.begin()->first, waiter->ask.payer});
  }
  payer.waiters.emplace(waiter->number, waiter);
  own.order.emplace(payer.time, payer.waiters.begin()->first, waiter->ask.payer);
  all_.emplace(waiter->number, waiter);
}

void Queue::remove(Waiter* waiter) {
  Class& own = classes_[class_of(waiter->ask)];
  Payer& payer = own.payers[waiter->ask.payer];
  own.order.erase({payer.time, payer.waiters.begin()->first, waiter->ask.payer});
  payer.waiters.erase(waiter->number);
  if (!payer.waiters.empty()) own.order.emplace(payer.time, payer.waiters.begin()->first, waiter->ask.payer);
  all_.erase(waiter->number);
}

void Queue::count(const Waiter& waiter) {
  Class& own = classes_[class_of(waiter.ask)];
  Payer& payer = own.payers[waiter.ask.payer];
  own.time = std::max(own.time, payer.time);
  if (!payer.waiters.empty()) own.order.erase({payer.time, payer.waiters.begin()->first, waiter.ask.payer});
  payer.time += std::clamp<std::int64_t>(waiter.ask.tokens, 1, INT32_MAX);
  if (!payer.waiters.empty()) own.order.emplace(payer.time, payer.waiters.begin()->first, waiter.ask.payer);
  forget_old(own);
}

// Payers that nobody waits for and that have had no more than their share.
void Queue::forget_old(Class& of) {
  if (of.payers.size() < 2 * of.order.size() + 64) return;
  std::erase_if(of.payers,
                [&](const auto& entry) { return entry.second.waiters.empty() && entry.second.time <= of.time; });
}

Waiter* Queue::head(bool longest) const {
  if (all_.empty()) return nullptr;
  if (longest) return all_.begin()->second;
  for (const Class& own : classes_) {
    if (own.order.empty()) continue;
    return own.payers.at(std::get<2>(*own.order.begin())).waiters.begin()->second;
  }
  return nullptr;
}

std::vector<Waiter*> Queue::behind(const Waiter& head, std::size_t most) const {
  std::vector<Waiter*> all;
  for (const Class& own : classes_) {
    for (const Place& place : own.order) {
      if (all.size() == most) return all;
      Waiter* first = own.payers.at(std::get<2>(place)).waiters.begin()->second;
      if (first != &head) all.push_back(first);
    }
  }
  return all;
}

std::uint8_t Queue::first_class() const {
  for (std::size_t i = 0; i < kClasses; ++i) {
    if (!classes_[i].order.empty()) return static_cast<std::uint8_t>(i);
  }
  return kClasses;
}

}  // namespace penstock::quota
