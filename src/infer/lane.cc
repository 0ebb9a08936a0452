#include "infer/lane.h"

#include <algorithm>

#include "infer/task.h"

namespace penstock::infer {

Lane::Lane(const BatchConfig& batch, const InstanceConfig& instances)
    : batch_(batch), limits_(instances), instances_(instances.min) {}

void Lane::push(std::shared_ptr<Task> task) {
  Group& group = groups_[task->signature];
  group.rows += task->job.rows;
  group.hold = std::min(group.hold, task->hold);
  Turn turn = task->turn;
  group.tasks.emplace(turn, std::move(task));
  ++waiting_;
  grow();
}

void Lane::grow() {
  if (instances_ < limits_.max && waiting_ > instances_ * batch_.max) ++instances_;
}

void Lane::shrink() {
  if (empty() && instances_ > limits_.min) --instances_;
}

std::shared_ptr<Task> Lane::remove(const Task& task) {
  auto group = groups_.find(task.signature);
  auto node = group->second.tasks.extract(task.turn);
  group->second.rows -= task.job.rows;
  --waiting_;
  if (group->second.tasks.empty()) groups_.erase(group);
  return std::move(node.mapped());
}

void Lane::delay(Task& task) {
  auto& tasks = groups_.find(task.signature)->second.tasks;
  auto node = tasks.extract(task.turn);
  task.turn.rank = Turn::Rank::delayed;
  node.key() = task.turn;
  tasks.insert(std::move(node));
}

std::size_t Lane::preferred_within(std::size_t rows) const {
  std::size_t most = 0;
  for (std::size_t size : batch_.preferred) {
    if (size <= rows) most = size;
  }
  return most;
}

base::SteadyTime Lane::ready_at(const Groups::value_type& named) const {
  const auto& [signature, group] = named;
  bool enough = signature.empty() || group.rows >= batch_.max || preferred_within(group.rows) > 0;
  return enough ? base::SteadyTime::min() : group.hold;
}

base::SteadyTime Lane::ready_at() const {
  base::SteadyTime earliest = base::SteadyTime::max();
  for (const auto& named : groups_) earliest = std::min(earliest, ready_at(named));
  return earliest;
}

Lane::Groups::const_iterator Lane::best(base::SteadyTime now) const {
  auto found = groups_.end();
  for (auto named = groups_.begin(); named != groups_.end(); ++named) {
    if (ready_at(*named) > now) continue;
    if (found == groups_.end() || named->second.tasks.begin()->first < found->second.tasks.begin()->first)
      found = named;
  }
  return found;
}

const Turn& Lane::first(base::SteadyTime now) const { return best(now)->second.tasks.begin()->first; }

std::size_t Lane::rows_to_take(const Groups::value_type& named, base::SteadyTime now) const {
  const auto& [signature, group] = named;
  if (signature.empty()) return 0;  // the first alone
  if (group.rows >= batch_.max || group.hold <= now) return batch_.max;
  return preferred_within(group.rows);
}

std::vector<std::shared_ptr<Task>> Lane::take(base::SteadyTime now) {
  auto found = groups_.find(best(now)->first);
  Group& group = found->second;
  std::size_t limit = rows_to_take(*found, now);
  std::vector<std::shared_ptr<Task>> taken;
  std::size_t rows = 0;
  while (!group.tasks.empty()) {
    auto next = group.tasks.begin();
    std::size_t more = next->second->job.rows;
    if (!taken.empty() && rows + more > limit) break;
    rows += more;
    taken.push_back(std::move(next->second));
    group.tasks.erase(next);
  }
  waiting_ -= taken.size();
  group.rows -= rows;
  if (group.tasks.empty()) {
    groups_.erase(found);
    return taken;
  }
  group.hold = base::SteadyTime::max();
  if (!found->first.empty()) {
    for (const auto& [turn, task] : group.tasks) group.hold = std::min(group.hold, task->hold);
  }
  return taken;
}

}  // namespace penstock::infer
