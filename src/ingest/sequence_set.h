// Which of a buffer's samples: sets of sequence numbers that are mostly long runs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "ingest/sample.h"

namespace penstock::ingest {

// From first to last, both included.
struct Run {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  bool operator==(const Run&) const = default;
};

// The positions of samples as runs of numbers that follow each other; those without one are left out.
std::vector<Run> runs_of(const std::vector<Sample>& samples);

// Adding at the end of what is there costs no search.
class SequenceSet {
 public:
  void add(Run run);
  void remove(Run run);
  bool contains(std::uint64_t sequence) const;
  // Takes out everything up to `last`.
  void remove_to(std::uint64_t last) {
    if (!runs_.empty() && runs_.begin()->first <= last) remove({0, last});
  }
  // The end of the run that `sequence` is in; 0 when it is not there.
  std::uint64_t end_of_run(std::uint64_t sequence) const;
  void clear() { runs_.clear(); }
  bool empty() const { return runs_.empty(); }
  std::size_t runs() const { return runs_.size(); }
  std::vector<Run> all() const;

 private:
  std::map<std::uint64_t, std::uint64_t> runs_;  // first to last; apart from each other by at least one
};

}  // namespace penstock::ingest
