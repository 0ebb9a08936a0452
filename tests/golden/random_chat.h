// Conversations, parameters and answers of all kinds, always the same ones for a seed.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <random>
#include <string>
#include <string_view>

#include "chat/answer.h"
#include "chat/request.h"

namespace penstock::golden {

class RandomChat {
 public:
  // `family`: who sealed the signatures.
  RandomChat(std::uint64_t seed, chat::Family family) : random_(seed), family_(family) {}

  // One that every provider can be asked: turns in order, results for all calls, tools that are declared.
  chat::Request request();
  chat::Answer answer();
  // Below `count`.
  std::size_t pick(std::size_t count) { return static_cast<std::size_t>(random_() % count); }

 private:
  bool sometimes(std::size_t one_in = 3) { return pick(one_in) == 0; }
  template <class T>
  T one_of(std::initializer_list<T> values) {
    return values.begin()[pick(values.size())];
  }
  std::string text();
  std::string word();
  json::Value schema();
  json::Value arguments();
  chat::Media media();
  chat::Part thinking();
  chat::Part call();
  chat::Message user();
  chat::Message assistant(bool with_calls);
  chat::Message results(const chat::Message& calls);
  void add_tools(chat::Request& request);
  void add_sampling(chat::Request& request);
  void add_parameters(chat::Request& request);
  chat::Choice choice();

  std::mt19937_64 random_;
  chat::Family family_;
  int calls_ = 0;
};

}  // namespace penstock::golden
