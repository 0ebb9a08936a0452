#include "ingest/succession.h"

#include <algorithm>

namespace penstock::ingest {

// A longest common subsequence; lists of steps are short.
std::vector<std::optional<std::size_t>> successors(const std::vector<std::string>& before,
                                                   const std::vector<std::string>& after) {
  const std::size_t rows = before.size();
  const std::size_t columns = after.size();
  std::vector<std::vector<std::size_t>> longest(rows + 1, std::vector<std::size_t>(columns + 1));
  for (std::size_t i = rows; i-- > 0;) {
    for (std::size_t j = columns; j-- > 0;) {
      longest[i][j] =
          before[i] == after[j] ? longest[i + 1][j + 1] + 1 : std::max(longest[i + 1][j], longest[i][j + 1]);
    }
  }
  std::vector<std::optional<std::size_t>> found(rows);
  for (std::size_t i = 0, j = 0; i < rows && j < columns;) {
    if (before[i] == after[j]) {
      found[i++] = j++;
    } else if (longest[i + 1][j] >= longest[i][j + 1]) {
      ++i;
    } else {
      ++j;
    }
  }
  return found;
}

}  // namespace penstock::ingest
