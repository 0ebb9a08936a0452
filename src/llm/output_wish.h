// How much of an answer a request allows, and where its body says so.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <string_view>

#include "json/peek.h"
#include "llm/splice.h"

namespace penstock::llm {

struct OutputWish {
  // A number of the body. Of some APIs two mean the same.
  struct Number {
    std::size_t begin = 0;  // the value's bytes: [begin, end); none: the client did not write it
    std::size_t end = 0;
    std::int64_t value = 0;  // kBoundless: null, not above 0, or no number
  };
  static constexpr std::int64_t kBoundless = std::numeric_limits<std::int64_t>::max();

  std::array<Number, 2> numbers{};
  std::int64_t tokens = 0;   // of one answer; 0: not said
  std::int64_t answers = 1;  // wanted at once
  // How a member is put in where there is none: `before`, the number and `after`, in the place of these bytes (mostly
  // none). Without `after` it is not.
  std::size_t insert_at = 0;
  std::size_t insert_end = 0;
  std::string_view before = {};
  std::string_view after = {};

  // What the field says, and where; `offset` is added to its place.
  void take(const json::Field& field, std::size_t offset = 0);
  // Several answers at once. invalid_argument: neither absent, null nor an integer from 1 on; `name` is the field's.
  Result<void> take_answers(const json::Field& field, std::string_view name);
  // Where and how a member is put in; begin and end as in Number.
  void insert(std::size_t begin, std::size_t end, std::string_view before_it, std::string_view after_it);
};

// Lets the body say that no answer has more than `most` tokens: numbers above it are replaced, and when there is none
// one is put in, behind `before` (of the wish when empty). 0: nothing is done.
void lower_output(const OutputWish& wish, std::int64_t most, Splice& splice, std::string_view before = {});

}  // namespace penstock::llm
