#include "llm/usage_reader.h"

#include <array>

#include "json/cursor.h"
#include "json/integers.h"
#include "json/peek.h"
#include "llm/reported.h"

namespace penstock::llm {
namespace {

constexpr std::size_t kHeldBytesMax = 256 * 1024;
// More than any report with what stands behind it.
constexpr std::size_t kTailBytes = 8 * 1024;
// A name that leads to no object may be anything; then the one before it counts.
constexpr int kReportsMax = 16;

// What the object `usage` of the document says. Nonsense counts as nothing.
chat::Usage usage_in(std::string_view document) {
  constexpr std::int64_t kTokensMax = kReportedMax;
  enum : std::size_t {
    kInput,
    kPrompt,
    kOutput,
    kCompletion,
    kTotal,
    kInputCached,
    kPromptCached,
    kReasoning,
    kCompletionReasoning,
    kCounts
  };
  std::array<json::IntegerAt, kCounts> counts{{{.path = {"usage", "input_tokens"}},
                                               {.path = {"usage", "prompt_tokens"}},
                                               {.path = {"usage", "output_tokens"}},
                                               {.path = {"usage", "completion_tokens"}},
                                               {.path = {"usage", "total_tokens"}},
                                               {.path = {"usage", "input_tokens_details", "cached_tokens"}},
                                               {.path = {"usage", "prompt_tokens_details", "cached_tokens"}},
                                               {.path = {"usage", "output_tokens_details", "reasoning_tokens"}},
                                               {.path = {"usage", "completion_tokens_details", "reasoning_tokens"}}}};
  chat::Usage usage;
  if (!json::read_integers(document, counts)) return usage;
  if (!are_sane(counts)) return usage;
  auto either = [&counts](std::size_t a, std::size_t b) {
    return std::max(counts[a].up_to(kTokensMax), counts[b].up_to(kTokensMax));
  };
  usage.input = either(kInput, kPrompt);
  usage.output = either(kOutput, kCompletion);
  usage.cached = either(kInputCached, kPromptCached);
  usage.reasoning = either(kReasoning, kCompletionReasoning);
  // Who ranks documents or embeds them often says only the sum.
  if (usage.input == 0) usage.input = std::max<std::int64_t>(0, counts[kTotal].up_to(kTokensMax) - usage.output);
  for (std::size_t i : {kInput, kPrompt, kOutput, kCompletion, kTotal}) usage.known = usage.known || counts[i].value;
  return usage;
}

// The last object under the name `usage`. Within a string the quotes of the name would be escaped.
std::string_view last_report(std::string_view text) {
  constexpr std::string_view kName = R"("usage")";
  std::size_t at = std::string_view::npos;
  for (int i = 0; i < kReportsMax; ++i) {
    at = text.substr(0, at).rfind(kName);
    if (at == std::string_view::npos) break;
    std::size_t value = text.find_first_not_of(" \t\r\n:", at + kName.size());
    if (value == std::string_view::npos || text[value] != '{') continue;
    json::Cursor cursor(text.substr(value));
    if (cursor.skip()) return text.substr(value, cursor.offset());
  }
  return {};
}

}  // namespace

UsageReader::UsageReader(std::string_view content_type)
    : json_(content_type.find("json") != std::string_view::npos),
      events_(content_type.starts_with("text/event-stream")) {}

void UsageReader::feed(std::string_view bytes) {
  if (!json_ && !events_) return;
  held_ += bytes;
  if (held_.size() <= kHeldBytesMax) return;
  cut_ = true;
  held_.erase(0, held_.size() - kTailBytes);
}

chat::Usage UsageReader::read() const {
  if (json_ && !cut_) return usage_in(held_);
  std::string_view report = last_report(held_);
  if (report.empty()) return {};
  return usage_in(R"({"usage":)" + std::string(report) + "}");
}

std::int64_t UsageReader::pictures() const {
  constexpr std::array<std::string_view, 1> kName{"data"};
  std::array<json::Field, 1> fields;
  if (!json_ || cut_ || !json::peek(held_, kName, fields)) return 0;
  return static_cast<std::int64_t>(fields[0].elements);
}

}  // namespace penstock::llm
