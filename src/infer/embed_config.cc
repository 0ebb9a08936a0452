#include "infer/embed_config.h"

namespace penstock::infer {

std::optional<EmbedConfig> parse_embed(config::Map& model) {
  config::Node node = model.get("embed");
  if (!node.present()) return std::nullopt;
  using Pooling = EmbedConfig::Pooling;
  EmbedConfig embed;
  config::Map map = node.map();
  embed.tokenizer = map.text("tokenizer");
  std::string pooling = map.choice("pooling", {"mean", "cls", "max", "last", "none"}, "mean");
  embed.pooling = pooling == "mean"   ? Pooling::mean
                  : pooling == "cls"  ? Pooling::cls
                  : pooling == "max"  ? Pooling::max
                  : pooling == "last" ? Pooling::last
                                      : Pooling::none;
  embed.normalize = map.boolean("normalize", true);
  embed.max_tokens = static_cast<std::size_t>(map.integer("max_tokens", 512, 1, 1 << 20));
  embed.truncate = map.boolean("truncate", false);
  embed.output = map.text("output");
  embed.prefix = map.text("prefix");
  map.done();
  return embed;
}

}  // namespace penstock::infer
