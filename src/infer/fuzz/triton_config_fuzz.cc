// config.pbtxt as strangers ship it beside their models, in text or, when it begins with '{', in JSON. What is taken
// must be within the bounds that our own configuration has; what is not has a message.
#include <cstdlib>

#include "infer/triton_config.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto config = text.starts_with('{') ? infer::parse_triton_json(text, "m", "config")
                                      : infer::parse_triton_text(text, "m", "config.pbtxt");
  if (!config) {
    if (config.error().detail.empty()) std::abort();
    return 0;
  }
  if (config->batch.max < 1 || config->batch.max > 65536 || config->instances.max > 1024) std::abort();
  if (config->queue.default_priority > config->queue.priorities || config->queue.max < 1) std::abort();
  for (std::size_t size_wanted : config->batch.preferred) {
    if (size_wanted < 1 || size_wanted > config->batch.max) std::abort();
  }
  for (const infer::TensorSpec& spec : config->inputs) {
    if (spec.name.empty()) std::abort();
  }
  return 0;
}
