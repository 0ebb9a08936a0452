#include "ingest/sequence_set.h"

#include <algorithm>

namespace penstock::ingest {

std::vector<Run> runs_of(const std::vector<Sample>& samples) {
  std::vector<Run> runs;
  for (const Sample& sample : samples) {
    if (sample.position == 0) continue;
    if (!runs.empty() && runs.back().last + 1 == sample.position) {
      runs.back().last = sample.position;
    } else {
      runs.push_back({sample.position, sample.position});
    }
  }
  return runs;
}

void SequenceSet::add(Run run) {
  if (run.first > run.last) return;
  auto next = runs_.empty() || runs_.rbegin()->first <= run.first ? runs_.end() : runs_.upper_bound(run.first);
  if (next != runs_.begin()) {
    auto before = std::prev(next);
    if (before->second + 1 >= run.first) {
      run.first = before->first;
      run.last = std::max(run.last, before->second);
      next = runs_.erase(before);
    }
  }
  while (next != runs_.end() && next->first <= run.last + 1) {
    run.last = std::max(run.last, next->second);
    next = runs_.erase(next);
  }
  runs_.emplace_hint(next, run.first, run.last);
}

void SequenceSet::remove(Run run) {
  if (run.first > run.last) return;
  auto at = runs_.upper_bound(run.first);
  if (at != runs_.begin()) --at;
  while (at != runs_.end() && at->first <= run.last) {
    const Run had{at->first, at->second};
    if (had.last < run.first) {
      ++at;
      continue;
    }
    at = runs_.erase(at);
    if (had.first < run.first) runs_.emplace(had.first, run.first - 1);
    if (had.last > run.last) runs_.emplace(run.last + 1, had.last);
  }
}

std::uint64_t SequenceSet::end_of_run(std::uint64_t sequence) const {
  auto after = runs_.upper_bound(sequence);
  if (after == runs_.begin()) return 0;
  const auto run = std::prev(after);
  return run->second >= sequence ? run->second : 0;
}

bool SequenceSet::contains(std::uint64_t sequence) const { return end_of_run(sequence) != 0; }

std::vector<Run> SequenceSet::all() const {
  std::vector<Run> result;
  for (const auto& [first, last] : runs_) result.push_back({first, last});
  return result;
}

}  // namespace penstock::ingest
