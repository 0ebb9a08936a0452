// Any bytes as the head of an image, plain and as base64: the same size, never one of 0.
#include <cstdlib>

#include "chat/base64.h"
#include "token/image_size.h"
#include "token/media_tokens.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock::token;
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  auto plain = read_image_size(bytes);
  auto coded = image_size_of_base64(penstock::chat::write_base64(bytes));
  image_size_of_base64(bytes);
  if (plain && (plain->width == 0 || plain->height == 0)) std::abort();
  if (coded && (!plain || plain->width != coded->width || plain->height != coded->height)) std::abort();
  for (std::string_view model : {"gpt-4o", "gpt-4.1-mini", "other"}) {
    std::int64_t tokens = image_tokens(plain, "", model);
    if (tokens <= 0 || tokens > 10000) std::abort();
  }
  return 0;
}
