// The expression language of filters, maps, alarms and routing. docs/expressions.md is its definition.
//
// An expression is compiled once into a tree of at most kExprNodesMax nodes. It has no loops, no assignment and no side
// effects, so that evaluating it takes a bounded number of steps; nothing in it throws. A missing field is null.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "config/document.h"
#include "ingest/sample.h"
#include "ingest/unit.h"

namespace penstock::ingest {

constexpr std::size_t kExprBytesMax = 4096;
constexpr std::size_t kExprNodesMax = 1024;
constexpr int kExprDepthMax = 64;                // of parentheses, calls and prefix operators in the text
constexpr std::size_t kExprArrayMax = 65536;     // elements of an array an expression builds
constexpr std::size_t kExprTextMax = 64 * 1024;  // bytes of a text an expression builds

// The result of evaluating: a small tagged view. Text and array point into the sample, the expression or its scratch
// space, so they are valid until the sample changes or the expression is evaluated again.
struct Term {
  enum class Kind : std::uint8_t { null, boolean, number, text, array };
  Kind kind = Kind::null;
  bool boolean = false;
  double number = 0;
  std::string_view text;
  std::span<const double> array;
  const Unit* unit = nullptr;  // known unit of a number or of an array's elements
  std::string_view unit_name;  // as written, also for units that are not in the table

  bool is_null() const { return kind == Kind::null; }
  // What a condition makes of it: true, or a number other than 0. Null, text and arrays are false.
  bool truth() const { return kind == Kind::boolean ? boolean : kind == Kind::number && number != 0; }
};

Term term_of(bool value);
Term term_of(double value, const Unit* unit = nullptr);
Term term_of(std::string_view value);
Term term_of(std::span<const double> value);

// For storing a result in a sample; nothing for null.
std::optional<Value> to_value(const Term& term);
// As people read it: 81.5degC, "line 1", [3 numbers].
std::string to_text(const Term& term);
// At most `bytes` of it, whole characters.
std::string to_text(const Term& term, std::size_t bytes);

struct FieldType;
struct Shape;
struct StepPlan;

namespace detail {
struct Program;
}

// Not thread-safe: an expression belongs to one pipeline's loop.
class Expression {
 public:
  // What the place wants; `any` takes everything. Refused at load when it is certain that the result is something else.
  enum class Wants : std::uint8_t { any, condition, number, array };

  // The error's detail begins with "column N: " (1-based, within `text`) and ends with a hint.
  static Result<Expression> compile(std::string_view text, Wants wants = Wants::any);
  // Reports the mistake at `node` with its file, line and column; nothing then.
  static std::optional<Expression> compile(const config::Node& node, Wants wants = Wants::any);

  Expression(Expression&&) noexcept;
  Expression& operator=(Expression&&) noexcept;
  ~Expression();

  Term evaluate(const Sample& sample) const;
  bool test(const Sample& sample) const { return evaluate(sample).truth(); }
  // The same where nothing may be concluded from what is not known: nothing when it depends on a value that is null.
  // `not open` is false for a sample without `open` here, and so is `x != 1` without x; `has`, `is_null` and `coalesce`
  // say what null means to them.
  std::optional<bool> certain(const Sample& sample) const;

  const std::string& text() const;
  // Fields, tags and other names it reads, each once, as written.
  const std::vector<std::string>& names() const;
  // False when the sample has none of the fields that the expression names: it says nothing about this sample.
  bool concerns(const Sample& sample) const;
  // What it gives for samples of this shape, for Step::plan(). What can never work (a field that cannot be there, a
  // text in arithmetic, units that do not fit) is added to plan.problems; what it gives is unknown then.
  FieldType gives(const Shape& in, StepPlan& plan) const;
  // "score = 0.93, temp = 81degC": the values behind a decision. Of each at most 200 bytes, of all about 2,000.
  std::string explain(const Sample& sample) const;
  // A sample of the same device with only the fields and tags that the expression reads: all that explain() tells of.
  Sample grounds(const Sample& sample) const;

 private:
  friend struct Condition;
  explicit Expression(std::unique_ptr<detail::Program> program);
  std::unique_ptr<detail::Program> program_;
};

// "score > 0.8 for 3s": an expression that has to hold for a while. Without `for` the first sample decides. Here a time
// is written as everywhere in the configuration (500ms, 3s, 5m, 2h).
struct Condition {
  Expression when;
  base::Duration hold{};

  static Result<Condition> compile(std::string_view text);
  static std::optional<Condition> compile(const config::Node& node);
  std::string text() const;
};

}  // namespace penstock::ingest
