// What a request can ask for and a provider's dialect may be unable to say.
#pragma once

#include <bitset>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::chat {

// Named after OpenAI's fields where it has one.
enum class Field : std::uint8_t {
  max_output_tokens,
  temperature,  // out of the provider's range: clamped
  top_p,
  top_k,
  min_p,
  frequency_penalty,
  presence_penalty,
  repeat_penalty,
  logit_bias,
  seed,
  n,
  stop,
  logprobs,
  service_tier,
  user,
  metadata,
  store,
  tools,  // tools that only another provider's servers have
  tool_choice,
  parallel_tool_calls,
  tool_strict,
  response_format,
  reasoning,
  verbosity,
  thinking,  // earlier thoughts that nobody but their provider can read
  cache_control,
  message_name,
  image,
  image_url,
  image_detail,
  audio,
  audio_output,
  document,
  document_url,
  video,
  file,  // an identifier at another provider
  tool_result_media,
  tool_result_error,
  refusal,
  citations,
  prediction,
  keep_alive,
  context,
  safety_settings,
  cached_content,
  task,   // what an embedding is for
  title,  // of the text to embed
};
constexpr std::size_t kFields = static_cast<std::size_t>(Field::title) + 1;

// What a translation could not carry.
class Dropped {
 public:
  void add(Field field) { fields_.set(static_cast<std::size_t>(field)); }
  bool has(Field field) const { return fields_.test(static_cast<std::size_t>(field)); }
  bool any() const { return fields_.any(); }
  std::vector<Field> list() const;

 private:
  std::bitset<kFields> fields_;
};

// The canonical name, for logs and tests: "max_output_tokens".
std::string_view to_string(Field field);

}  // namespace penstock::chat
