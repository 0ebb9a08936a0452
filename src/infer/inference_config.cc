#include "infer/inference_config.h"

namespace penstock::infer {

InferenceConfig parse_inference(config::Map& root) {
  InferenceConfig inference;
  config::Node node = root.get("inference");
  if (!node.present()) return inference;
  config::Map map = node.map();
  inference.threads = static_cast<std::size_t>(map.integer("threads", 0, 1, 1024));
  inference.queue_max = static_cast<std::size_t>(map.integer("queue", 1024, 1, 1 << 20));
  inference.memory_max = map.size("memory", 0);
  inference.power_saver = map.choice("power", {"normal", "saver"}, "normal") == "saver";
  inference.require_signature = map.boolean("require_signature", false);
  inference.file_bytes_max = map.size("file_max", inference.file_bytes_max);
  inference.triton_metrics = map.boolean("triton_metrics", false);
  inference.watch = map.duration("watch", inference.watch);
  if (inference.watch != base::Duration::zero() && inference.watch < std::chrono::milliseconds(100))
    map.get("watch").problem("at least 100ms, or 0 to look on reload only");
  map.done();
  return inference;
}

}  // namespace penstock::infer
