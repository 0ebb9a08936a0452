#include "infer/batch_config.h"

namespace penstock::infer {
namespace {

constexpr std::int64_t kInstancesMax = 1024;
constexpr std::int64_t kBatchMax = 65536;
// Longer, and callers give up before the batch starts.
constexpr base::Duration kWaitMax = std::chrono::seconds(10);
constexpr double kWeightMin = 0.01;
constexpr double kWeightMax = 100;

void read_preferred(const config::Node& node, BatchConfig& batch) {
  for (const config::Node& item : node.items()) {
    auto size = static_cast<std::size_t>(item.integer(0, 1, kBatchMax));
    if (size > batch.max) item.problem(fmt::format("a preferred size of {} is more than `max`, {}", size, batch.max));
    batch.preferred.push_back(size);
  }
  std::sort(batch.preferred.begin(), batch.preferred.end());
  if (batch.wait.count() == 0) {
    node.problem("preferred sizes go without waiting for more, but nothing waits: give `wait`, such as 2ms, too");
  }
}

}  // namespace

BatchConfig parse_batch(config::Map& model) {
  BatchConfig batch;
  config::Node node = model.get("batch");
  if (!node.present()) return batch;
  config::Map map = node.map();
  batch.max = static_cast<std::size_t>(map.integer("max", 1, 1, kBatchMax));
  batch.wait = map.duration("wait", batch.wait);
  config::Node preferred = map.get("preferred");
  if (batch.wait > kWaitMax) map.get("wait").problem("a batch waits for at most 10s");
  if (batch.max == 1 && (batch.wait.count() > 0 || preferred.present())) {
    node.problem("nothing is put together with a `max` of 1: give the most rows of one run, such as `max: 32`");
  } else if (preferred.present()) {
    read_preferred(preferred, batch);
  }
  map.done();
  return batch;
}

QueueConfig parse_queue(config::Map& model) {
  QueueConfig queue;
  config::Node node = model.get("queue");
  if (!node.present()) return queue;
  config::Map map = node.map();
  queue.max = static_cast<std::size_t>(map.integer("max", static_cast<std::int64_t>(queue.max), 1, 1 << 20));
  queue.priorities = static_cast<std::uint32_t>(map.integer("priorities", 1, 1, 64));
  queue.default_priority = static_cast<std::uint32_t>(map.integer("default_priority", 1, 1, queue.priorities));
  queue.timeout = map.duration("timeout", queue.timeout);
  queue.delay = map.choice("on_timeout", {"refuse", "delay"}, "refuse") == "delay";
  queue.allow_timeout = map.boolean("allow_timeout", true);
  if (queue.delay && queue.timeout.count() == 0 && !queue.allow_timeout) {
    map.get("on_timeout").problem("nothing can time out: give `timeout`, or let requests name one (`allow_timeout`)");
  }
  map.done();
  return queue;
}

InstanceConfig parse_instances(config::Map& model) {
  InstanceConfig instances;
  config::Node node = model.get("instances");
  if (node.kind() == config::Node::Kind::map) {
    config::Map map = node.map();
    instances.min = static_cast<std::size_t>(map.integer("min", 1, 1, kInstancesMax));
    instances.max = static_cast<std::size_t>(map.integer("max", static_cast<std::int64_t>(instances.min),
                                                         static_cast<std::int64_t>(instances.min), kInstancesMax));
    map.done();
  } else if (node.present()) {
    instances.min = instances.max = static_cast<std::size_t>(node.integer(1, 1, kInstancesMax));
  }
  return instances;
}

double parse_weight(config::Map& model) {
  double weight = model.number("weight", 1);
  if (weight >= kWeightMin && weight <= kWeightMax) return weight;
  model.get("weight").problem(fmt::format("a weight is between {} and {}", kWeightMin, kWeightMax));
  return 1;
}

}  // namespace penstock::infer
