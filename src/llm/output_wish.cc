#include "llm/output_wish.h"

#include <algorithm>

#include "base/text.h"

namespace penstock::llm {

void OutputWish::take(const json::Field& field, std::size_t offset) {
  using Kind = json::Field::Kind;
  if (field.kind == Kind::absent) return;
  std::int64_t value = kBoundless;
  if (field.kind == Kind::integer && field.integer > 0) value = field.integer;
  // 1e3 is a number to many.
  if (field.kind == Kind::number && field.number >= 1 && field.number < 1e15)
    value = static_cast<std::int64_t>(field.number);
  Number& number = numbers[numbers[0].end == 0 ? 0 : 1];
  number = {field.begin + offset, field.end + offset, value};
  if (value != kBoundless) tokens = std::max(tokens, value);
}

void OutputWish::take_answers(const json::Field& field) {
  constexpr std::int64_t kAnswersMax = 1'000'000;
  if (field.kind == json::Field::Kind::integer) answers = std::max(answers, std::min(field.integer, kAnswersMax));
}

void OutputWish::insert(std::size_t begin, std::size_t end, std::string_view before_it, std::string_view after_it) {
  insert_at = begin;
  insert_end = end;
  before = before_it;
  after = after_it;
}

void lower_output(const OutputWish& wish, std::int64_t most, Splice& splice, std::string_view before) {
  if (most <= 0) return;
  bool said = false;
  for (const OutputWish::Number& number : wish.numbers) {
    if (number.end == 0) continue;
    said = true;
    if (number.value > most) base::append(splice.replace(number.begin, number.end), base::Digits(most));
  }
  if (said || wish.after.empty()) return;
  base::append(splice.replace(wish.insert_at, wish.insert_end), before.empty() ? wish.before : before,
               base::Digits(most), wish.after);
}

}  // namespace penstock::llm
