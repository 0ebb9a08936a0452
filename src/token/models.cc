#include "token/models.h"

#include <array>

namespace penstock::token {
namespace {

struct Row {
  std::string_view start;
  std::string_view encoding;
};

constexpr std::string_view kNewer = "o200k_base", kOlder = "cl100k_base";

// tiktoken/model.py; the first that fits counts.
constexpr auto kRows = std::to_array<Row>({
    {"gpt-4o", kNewer},
    {"gpt-4.1", kNewer},
    {"gpt-4.5", kNewer},
    {"gpt-5", kNewer},
    {"gpt-oss", kNewer},  // o200k_harmony differs only in special tokens
    {"gpt-audio", kNewer},
    {"gpt-realtime", kNewer},
    {"chatgpt-4o", kNewer},
    {"codex-mini", kNewer},
    {"computer-use-preview", kNewer},
    {"o1", kNewer},
    {"o3", kNewer},
    {"o4", kNewer},
    {"gpt-4", kOlder},
    {"gpt-3.5", kOlder},
    {"gpt-35", kOlder},
    {"text-embedding-3", kOlder},
    {"text-embedding-ada-002", kOlder},
    {"davinci-002", kOlder},
    {"babbage-002", kOlder},
});

}  // namespace

std::string_view bare_model(std::string_view model) {
  if (std::size_t slash = model.rfind('/'); slash != std::string_view::npos) model.remove_prefix(slash + 1);
  for (std::string_view before : {"openai.", "ft:"}) {
    if (model.starts_with(before)) model.remove_prefix(before.size());
  }
  return model;
}

bool is_of(std::string_view model, std::string_view name) {
  if (!model.starts_with(name)) return false;
  model.remove_prefix(name.size());
  return model.empty() || std::string_view("-.:@").find(model.front()) != std::string_view::npos;
}

std::string_view encoding_name(std::string_view model) {
  model = bare_model(model);
  for (const Row& row : kRows) {
    if (is_of(model, row.start)) return row.encoding;
  }
  return {};
}

}  // namespace penstock::token
