#include "mock/answer.h"

#include "mock/embeddings.h"
#include "mock/render.h"

namespace penstock::mock {

std::expected<Answer, Refusal> prepare(std::string_view path, std::string_view body, const Options& options,
                                       bool usage) {
  Answer answer;
  if (path == "/v1/embeddings") {
    auto embedded = embed(body, options, usage, answer.model);
    if (!embedded) return std::unexpected(embedded.error());
    answer.bytes = std::move(*embedded);
    return answer;
  }
  auto completion = path == "/v1/completions" ? complete_text(body, options) : complete_chat(body, options);
  if (!completion) return std::unexpected(completion.error());
  answer.model = completion->model;
  answer.stream = completion->stream;
  answer.tokens = static_cast<std::size_t>(completion->completion_tokens);
  if (!answer.stream) {
    answer.bytes = render_plain(*completion, usage);
    return answer;
  }
  StreamRenderer renderer(*completion, usage);
  for (std::string_view event = renderer.next(); !event.empty(); event = renderer.next()) {
    answer.bytes += event;
    answer.events.push_back({answer.bytes.size(), renderer.token()});
  }
  return answer;
}

}  // namespace penstock::mock
