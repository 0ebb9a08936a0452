// Any text is refused with a column or compiles to something that evaluates without harm.
#include "ingest/expr.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock::ingest;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  Sample sample;
  sample.device = "d";
  sample.set("temp", 81.5, "degC");
  sample.set("x", std::int64_t{3});
  sample.set("s", std::string("text"), "odd");
  sample.set("b", true);
  sample.set("vib[]", std::vector<double>{1, 2, 3});
  sample.set("y", std::vector<double>{});
  sample.tags = {{"line", "A"}};
  for (auto wants : {Expression::Wants::any, Expression::Wants::condition, Expression::Wants::array}) {
    auto compiled = Expression::compile(text, wants);
    if (!compiled && !compiled.error().detail.starts_with("column ")) __builtin_trap();
    if (compiled) {
      (void)to_text(compiled->evaluate(sample));
      (void)compiled->explain(sample);
      (void)compiled->concerns(sample);
    }
  }
  if (auto condition = Condition::compile(text)) (void)condition->when.test(sample);
  return 0;
}
