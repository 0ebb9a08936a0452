// Rows as people read them on a terminal: aligned columns.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace penstock::app {

class TextTable {
 public:
  // A name that begins with '>' is of a column of figures: aligned to the right, the sign left out.
  explicit TextTable(std::vector<std::string_view> columns);
  // One cell for each column; an empty one is shown as "-". Control characters become '?': nothing that a name holds
  // moves the cursor.
  void add(std::vector<std::string> cells);
  bool empty() const { return rows_.empty(); }
  // With a line of names above, each line ended.
  std::string text() const;

 private:
  std::vector<bool> right_;
  std::vector<std::string> names_;
  std::vector<std::vector<std::string>> rows_;
};

// 1234567 is 1,234,567.
std::string grouped(std::int64_t number);
// Micro-dollars as dollars: 1.25 USD, 0.000042 USD.
std::string dollars(std::int64_t micros);

}  // namespace penstock::app
