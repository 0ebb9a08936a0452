#include "mock/answer.h"

namespace penstock::mock {
namespace {

// White space may stand behind the opening brace: there the data breaks in two lines.
std::vector<std::string_view> data_lines(std::string_view data, bool broken) {
  if (!broken || !data.starts_with('{')) return {data};
  return {data.substr(0, 1), data.substr(1)};
}

void append_sse(std::string& out, const Frame& frame, const Traits& traits) {
  std::string_view end = traits.has(Trait::crlf) ? "\r\n" : "\n";
  std::string_view space = traits.has(Trait::no_space) ? "" : " ";
  if (traits.has(Trait::comments)) out += fmt::format(": a comment{0}{0}:{0}", end);
  if (!frame.name.empty()) out += fmt::format("event:{}{}{}", space, frame.name, end);
  for (std::string_view line : data_lines(frame.data, traits.has(Trait::multi_line)))
    out += fmt::format("data:{}{}{}", space, line, end);
  out += end;
}

// An unknown member nobody reads, to make a line longer than readers with 64 KiB of memory like.
std::string lengthened(std::string_view data) {
  constexpr std::size_t kPadding = 80'000;
  if (!data.starts_with("{\"")) return std::string(data);
  return fmt::format(R"({{"padding":"{}",{})", std::string(kPadding, 'x'), data.substr(1));
}

}  // namespace

void append_frames(Answer& answer, const std::vector<Frame>& frames, Framing framing) {
  const Traits& traits = answer.traits;
  answer.stream = true;
  std::string_view end = traits.has(Trait::crlf) ? "\r\n" : "\n";
  if (traits.has(Trait::bom)) answer.bytes += "\xEF\xBB\xBF";
  bool lengthen = traits.has(Trait::long_lines);
  for (std::size_t i = 0; i < frames.size(); ++i) {
    Frame frame = frames[i];
    if (lengthen && (frame.token || i == 0)) {
      frame.data = lengthened(frame.data);
      lengthen = i == 0;  // the first event and the first that carries a token
    }
    switch (framing) {
      case Framing::sse: append_sse(answer.bytes, frame, traits); break;
      case Framing::lines: answer.bytes += fmt::format("{}{}", frame.data, end); break;
      case Framing::array:
        answer.bytes += fmt::format("{}{}{}", i == 0 ? "[" : ",\r\n", frame.data, i + 1 == frames.size() ? "]" : "");
        break;
    }
    answer.events.push_back({answer.bytes.size(), frame.token});
    if (frame.token) ++answer.tokens;
  }
}

Answer document(const json::Value& value) {
  Answer answer;
  answer.bytes = json::dump(value);
  return answer;
}

std::unexpected<Refusal> refuse(std::string message, std::string_view param, int status) {
  return std::unexpected(Refusal{.message = std::move(message), .param = std::string(param), .status = status});
}

}  // namespace penstock::mock
