#include "base/registry.h"
#include "ext/apis/anthropic/anthropic_codec.h"

namespace penstock::ext {

void register_apis_anthropic(base::Registry& registry) {
  for (auto operation : {chat::Operation::chat, chat::Operation::count_tokens}) {
    registry.add(fmt::format("anthropic.{}", chat::to_string(operation)),
                 chat::ClientCodecFactory{[operation] { return std::make_shared<const AnthropicCodec>(operation); }});
  }
}

}  // namespace penstock::ext
