#include "token/tally.h"

#include "token/media_tokens.h"

namespace penstock::token {

void Tally::media(const chat::Media& media) {
  if (media.kind == chat::Media::Kind::document && media.type == "text/plain") return text(media.data);
  tokens(media_tokens(media, model_));
}

}  // namespace penstock::token
