// What limits and budgets cost a call: reserve and settle on three accounts, alone, by two threads on the same
// accounts, at a million accounts, and what an account takes of memory.
//   quota_cost       a table
#include <fmt/format.h>
#include <malloc.h>

#include <chrono>
#include <random>
#include <thread>
#include <vector>

#include "quota/book.h"

namespace {

using namespace penstock;

constexpr std::size_t kAccounts = 1'000'000;
constexpr int kCalls = 300'000;
constexpr int kRounds = 5;

quota::Now now() { return {base::system_clock().steady(), base::system_clock().wall()}; }

quota::Rules rules(std::string_view text) { return *quota::parse_rules(text); }

// Nanoseconds per call, the best of some rounds. The clocks are read once for each call, as the gateway does.
template <class Body>
double best(int calls, Body body) {
  double best = 1e18;
  for (int round = 0; round < kRounds; ++round) {
    auto began = std::chrono::steady_clock::now();
    for (int i = 0; i < calls; ++i) body(i);
    std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - began;
    best = std::min(best, took.count() / calls);
  }
  return best;
}

bool call(quota::Book& book, std::span<quota::Account* const> accounts) {
  quota::Now at = now();
  auto granted = book.reserve(accounts, {.tokens = 500, .cost = 100, .payer = accounts[0]}, at);
  if (!granted) return false;
  granted->settle({300, 60}, at);
  return true;
}

void three_accounts() {
  quota::Book book;
  std::vector<std::shared_ptr<quota::Account>> held;
  std::vector<quota::Account*> accounts;
  for (int i = 0; i < 3; ++i) {
    held.push_back(book.account(fmt::format("account{}", i), "an account",
                                rules("{ limits: { requests: 100000000/s, tokens: 1000000000000/min, concurrent: 1000 "
                                      "}, budget: 900000000USD/day }")));
    accounts.push_back(held.back().get());
  }
  fmt::print("clocks read                                 {:6.0f} ns\n", best(kCalls, [](int) { (void)now(); }));
  fmt::print("reserve and settle, 3 accounts              {:6.0f} ns\n",
             best(kCalls, [&](int) { call(book, accounts); }));
  std::vector<std::jthread> threads;
  auto began = std::chrono::steady_clock::now();
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < kCalls; ++n) call(book, accounts);
    });
  }
  threads.clear();
  std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - began;
  fmt::print("the same by 2 threads on the same accounts  {:6.0f} ns a call\n", took.count() / (2.0 * kCalls));
}

void million_accounts() {
  quota::Book book;
  auto plan = rules("{ limits: { rpm: 1000000, tpm: 1000000000 }, budget: 1000USD/day }");
  std::vector<std::shared_ptr<quota::Account>> held(kAccounts);
  std::size_t before = mallinfo2().uordblks;
  for (std::size_t i = 0; i < kAccounts; ++i) {
    held[i] = book.account(fmt::format("key:{:08}", i), fmt::format("the API key '{:08}'", i), plan);
  }
  fmt::print("memory of an account, 2 rates and 1 budget  {:6} bytes\n", (mallinfo2().uordblks - before) / kAccounts);
  std::mt19937 random(1);
  std::vector<std::array<quota::Account*, 1>> order(kCalls);
  for (auto& entry : order) entry[0] = held[random() % kAccounts].get();
  fmt::print("reserve and settle, 1 of a million accounts {:6.0f} ns\n",
             best(kCalls, [&](int i) { call(book, order[static_cast<std::size_t>(i)]); }));
}

}  // namespace

int main() {
  three_accounts();
  million_accounts();
}
