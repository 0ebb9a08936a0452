#include "infer/runtime_options.h"

namespace penstock::infer {

RuntimeOptions parse_runtime_options(config::Map& model) {
  using Optimize = RuntimeOptions::Optimize;
  RuntimeOptions options;
  options.accelerators = model.texts("accelerators");
  options.threads = static_cast<std::size_t>(model.integer("threads", 1, 1, 1024));
  std::string optimize = model.choice("optimize", {"none", "basic", "extended", "all"}, "all");
  options.optimize = optimize == "none"    ? Optimize::none
                     : optimize == "basic" ? Optimize::basic
                     : optimize == "all"   ? Optimize::all
                                           : Optimize::extended;
  config::Node memory = model.get("memory");
  if (memory.present()) {
    config::Map map = memory.map();
    options.memory_max = map.size("max", 0);
    options.shrink = map.boolean("shrink", false);
    map.done();
  }
  options.isolate = model.boolean("isolate", false);
  return options;
}

}  // namespace penstock::infer
