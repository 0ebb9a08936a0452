// What one look at a body costs: peek() and read_integers() beside simdjson's document parser over the same bytes.
//   json_peek                 a table of nanoseconds per call, the best of five rounds
//   json_peek CASE CALLS      only that case, only our side, so that `valgrind --tool=callgrind` can count instructions
#include <fmt/format.h>
#include <simdjson.h>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "json/integers.h"
#include "json/peek.h"

namespace {

using namespace penstock;

constexpr std::array<std::string_view, 6> kNames{
    "model", "stream", "stream_options", "max_tokens", "max_completion_tokens", "messages"};

struct Case {
  std::string name;
  std::string text;
  bool answer = false;
};

std::string request_of(std::string_view prompt) {
  return fmt::format(
      R"({{"model":"chat","messages":[{{"role":"system","content":"You are a careful assistant for maintenance crews. Keep answers short."}},{{"role":"user","content":"{}"}}],"max_tokens":64,"temperature":0.2}})",
      prompt);
}

std::string answer_of(std::string_view content) {
  return fmt::format(
      R"({{"id":"chatcmpl-9f86d081884c7d65","object":"chat.completion","created":1700000000,"model":"gpt-4o-mini-2024-07-18","choices":[{{"index":0,"message":{{"role":"assistant","content":"{}","refusal":null}},"logprobs":null,"finish_reason":"stop"}}],"usage":{{"prompt_tokens":42,"completion_tokens":87,"total_tokens":129,"prompt_tokens_details":{{"cached_tokens":0,"audio_tokens":0}},"completion_tokens_details":{{"reasoning_tokens":0}}}},"system_fingerprint":"fp_44709d6fcb"}})",
      content);
}

std::string repeated(std::string_view piece, std::size_t bytes) {
  std::string out;
  while (out.size() < bytes) out += piece;
  return out;
}

std::vector<Case> cases() {
  constexpr std::string_view kPlain = "The bearing on press four runs hot and hums at sixty hertz. ";
  constexpr std::string_view kCode = R"(if (x > 0) {\n  print(\"x\");\n}\n)";
  constexpr std::string_view kGreek = "Το ρουλεμάν της πρέσας ζεσταίνεται. ";
  return {
      {"request_234", request_of("Why does bearing 4 hum at 60 Hz?")},
      {"answer_700", answer_of(repeated(kPlain, 250)), true},
      {"prompt_4k", request_of(repeated(kPlain, 4096))},
      {"prompt_64k", request_of(repeated(kPlain, 65536))},
      {"prompt_64k_escapes", request_of(repeated(kCode, 65536))},
      {"prompt_64k_utf8", request_of(repeated(kGreek, 65536))},
      {"prompt_1m", request_of(repeated(kPlain, 1U << 20))},
      {"list_64k_blanks", fmt::format(R"({{"model":"m","messages":[{}1]}})", repeated("12.5,\n        ", 65536))},
  };
}

std::size_t look(const Case& one) {
  if (one.answer) {
    std::array<json::IntegerAt, 3> wanted{{{.path = {"usage", "prompt_tokens"}},
                                           {.path = {"usage", "completion_tokens"}},
                                           {.path = {"usage", "prompt_tokens_details", "cached_tokens"}}}};
    return json::read_integers(one.text, wanted) ? static_cast<std::size_t>(wanted[1].up_to(1000)) : 0;
  }
  std::array<json::Field, kNames.size()> fields;
  return json::peek(one.text, kNames, fields) ? fields[5].end : 0;
}

double best_nanos(std::size_t calls, const std::function<std::size_t()>& call) {
  double best = 1e18;
  for (int round = 0; round < 5; ++round) {
    auto start = std::chrono::steady_clock::now();
    std::size_t seen = 0;
    for (std::size_t i = 0; i < calls; ++i) seen += call();
    std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
    if (seen == 0) fmt::print(stderr, "nothing was found\n");
    best = std::min(best, took.count() / static_cast<double>(calls));
  }
  return best;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3) {
    std::size_t seen = 0;
    for (const Case& one : cases()) {
      if (one.name != argv[1]) continue;
      for (long i = std::atol(argv[2]); i > 0; --i) seen += look(one);
    }
    return seen == 0 ? 1 : 0;
  }
  simdjson::dom::parser parser;
  fmt::print("{:<20}{:>9}{:>12}{:>14}{:>8}\n", "case", "bytes", "ns", "simdjson ns", "ratio");
  for (const Case& one : cases()) {
    std::size_t calls = 20'000'000 / (one.text.size() + 200);
    double ours = best_nanos(calls, [&] { return look(one); });
    double theirs = best_nanos(calls, [&] {
      return static_cast<std::size_t>(parser.parse(one.text.data(), one.text.size(), true).error() ==
                                      simdjson::SUCCESS);
    });
    fmt::print("{:<20}{:>9}{:>12.0f}{:>14.0f}{:>8.2f}\n", one.name, one.text.size(), ours, theirs, ours / theirs);
  }
  return 0;
}
