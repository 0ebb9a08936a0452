// One strict pass over JSON text, pulled value by value: for bodies that are mostly one large array of numbers, which
// go straight from the text into the caller's memory with no index and no document between.
//
//   Cursor in(text);
//   if (in.open_object()) {
//     std::string_view key;
//     while (in.next_member(key)) {
//       if (key == "shape") in.read_array(shape.data(), shape.size()); else in.skip();
//     }
//   }
//   if (!in.finish()) return fail(Errc::invalid_argument, in.error());
//
// Strict is RFC 8259: no trailing commas, no NaN, valid UTF-8, kDepthMax levels. The first mistake is remembered and
// every later call returns false, so that checking once at the end is enough. Allocates only to unescape. Not
// thread-safe; `text` must outlive it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace penstock::json {

class Cursor {
 public:
  enum class Kind { object, array, string, number, boolean, null, none };

  explicit Cursor(std::string_view text);

  // What stands next, by its first byte; none at the end, before a closing bracket, or on what begins no value.
  Kind peek();

  // Whether what stands next is an array whose first element is an array.
  bool at_nested_array();

  // After open_*: next_* is true once per entry, then false at the closing bracket, which it takes. Every entry's value
  // must be read or skipped before the next call. `key` is valid until the next call of anything.
  bool open_object();
  bool next_member(std::string_view& key);
  bool open_array();
  bool next_element();

  bool read_string(std::string& out);
  bool read_bool(bool& out);
  bool read_null();
  // Float types take any number whose magnitude fits; whole types take whole numbers without fraction or exponent that
  // fit. Correctly rounded. T: float double int8..64 uint8..64.
  template <class T>
  bool read_number(T& out);
  // A flat array of exactly `count` numbers (bool: of true and false).
  template <class T>
  bool read_array(T* out, std::size_t count);
  // Checks and passes over one value of any kind.
  bool skip();
  // Only white space may be left.
  bool finish();

  // To come back to a value passed over: offset() before skip(), seek() later; and on again in the same way.
  std::size_t offset();
  void seek(std::size_t offset);

  bool failed() const { return failed_; }
  // "byte 17: expected ..."; empty while nothing is wrong.
  const std::string& error() const { return error_; }
  // Records a mistake of the caller's own about the value that begins at `offset`.
  bool fault(std::size_t offset, std::string_view what);

 private:
  void blanks();
  bool expect(char byte, std::string_view what);
  bool enter(char open, std::string_view what);
  bool literal(std::string_view word);
  bool scan_string(std::string_view& raw, bool& escaped);
  bool unescape(std::string_view raw, std::string& out);
  bool skip_number();
  template <class T>
  std::size_t take_numbers(T* out, std::size_t count, bool& comma);

  const char* begin_;
  const char* end_;
  const char* at_;
  std::size_t depth_ = 0;
  bool fresh_ = false;  // just after an opening bracket: no comma expected
  bool failed_ = false;
  std::string error_;
  std::string scratch_;
};

}  // namespace penstock::json
