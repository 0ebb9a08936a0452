// How clients of OpenAI's embeddings API speak, for providers of other dialects.
#pragma once

#include "chat/codec.h"

namespace penstock::ext {

class OpenAiEmbeddingsCodec : public chat::EmbeddingsCodec {
 public:
  chat::Family family() const override { return chat::Family::openai; }
  Result<chat::EmbeddingsRequest> read_request(std::string_view body) const override;
  std::string write_answer(const chat::EmbeddingsRequest& request, const chat::EmbeddingsAnswer& answer) const override;
  std::string_view field_name(chat::Field field) const override;
  std::string write_error(const chat::ProviderError& error) const override;
};

}  // namespace penstock::ext
