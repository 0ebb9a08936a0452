// A stranger's tokenizer.json, used for a few texts: it is refused, or every token has a number below end_id().
#include <cstdlib>

#include "token/tokenizer.h"

using namespace penstock::token;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto tokenizer = Tokenizer::read({reinterpret_cast<const char*>(data), size});
  if (!tokenizer) {
    if (tokenizer.error().detail.empty()) std::abort();
    return 0;
  }
  for (std::string_view text : {"", "Hello,  world's 12345 [MASK]", "\xE4\xBD\xA0\xE5\xA5\xBD \xC3\xA9\xCC\x81\xFF<s>",
                                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}) {
    std::vector<std::uint32_t> tokens;
    if (!(*tokenizer)->encode(text, tokens)) continue;
    for (std::uint32_t token : tokens) {
      if (token >= (*tokenizer)->end_id()) std::abort();
    }
  }
  return 0;
}
