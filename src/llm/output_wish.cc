#include "llm/output_wish.h"

#include <algorithm>
#include <cmath>

#include "base/text.h"

namespace penstock::llm {

void OutputWish::take(const json::Field& field, std::size_t offset) {
  using Kind = json::Field::Kind;
  if (field.kind == Kind::absent) return;
  std::int64_t value = kBoundless;
  if (field.kind == Kind::integer && field.integer > 0) value = field.integer;
  // 1e3 is a number to many.
  if (field.kind == Kind::number && field.number >= 1 && field.number < 1e15)
    value = static_cast<std::int64_t>(std::ceil(field.number));
  Number& number = numbers[numbers[0].end == 0 ? 0 : 1];
  number = {field.begin + offset, field.end + offset, value};
  if (value != kBoundless) tokens = std::max(tokens, value);
}

Result<void> OutputWish::take_answers(const json::Field& field, std::string_view name) {
  using Kind = json::Field::Kind;
  constexpr std::int64_t kAnswersMax = 1'000'000;
  if (field.kind == Kind::absent || field.kind == Kind::null) return {};
  // A provider may read 3.0 or "3" as 3: what is not understood here cannot be reserved.
  if (field.kind != Kind::integer || field.integer < 1)
    return fail(Errc::invalid_argument, fmt::format("the field '{}' must be an integer of 1 or more", name));
  answers = std::max(answers, std::min(field.integer, kAnswersMax));
  return {};
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
