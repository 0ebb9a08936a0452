#include "llm/provider.h"

namespace penstock::llm {
namespace {

std::unexpected<Error> absent(std::string_view what) {
  return fail(Errc::unimplemented, fmt::format("this type of provider has no {}", what));
}

}  // namespace

Result<UpstreamRequest> Provider::encode(const chat::EmbeddingsRequest&, std::string_view, std::string_view,
                                         chat::Dropped&) const {
  return absent("embeddings");
}

Result<chat::EmbeddingsAnswer> Provider::read_embeddings(const chat::EmbeddingsRequest&, std::string_view) const {
  return absent("embeddings");
}

Result<UpstreamRequest> Provider::encode_count(const chat::Request&, std::string_view, std::string_view) const {
  return absent("counting of tokens");
}

Result<std::int64_t> Provider::read_count(std::string_view) const { return absent("counting of tokens"); }

}  // namespace penstock::llm
