// How fast text is counted in tokens: this repository's pages and sources, a made-up Chinese text, and words without
// end. One core.
//   tokenize                  a table of megabytes a second of processor time, the best of five rounds, and nanoseconds
//   for a small chat tokenize ENCODING TEXT N  only that, N times, so that `valgrind --tool=callgrind` can count
//   instructions tokenize --write FOLDER   also writes the texts there, for tokenize.py, which holds other tokenizers
//   against it
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "token/chat_count.h"
#include "token/encoding.h"
#include "token/openai_chat.h"

namespace {

using namespace penstock;
namespace fs = std::filesystem;

constexpr std::size_t kBytes = 1'000'000;

std::string files_of(const fs::path& folder, std::string_view ending) {
  std::vector<fs::path> paths;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.path().extension() == ending) paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  std::string text;
  for (const fs::path& path : paths) {
    if (text.size() >= kBytes) break;
    std::ifstream in(path, std::ios::binary);
    text.append(std::istreambuf_iterator<char>(in), {});
  }
  return text;
}

// Characters as uneven as in a language, a comma every dozen.
std::string chinese() {
  std::mt19937 random(7);
  std::string text;
  while (text.size() < kBytes) {
    double draw = static_cast<double>(random() % 10000) / 10000;
    auto point = static_cast<unsigned>(0x4E00 + draw * draw * draw * 6000);
    if (random() % 12 == 0) point = random() % 3 == 0 ? 0x3002 : 0xFF0C;
    text += static_cast<char>(0xE0 | point >> 12);
    text += static_cast<char>(0x80 | (point >> 6 & 0x3F));
    text += static_cast<char>(0x80 | (point & 0x3F));
  }
  return text;
}

std::string letters() {
  std::mt19937 random(7);
  std::string text;
  while (text.size() < kBytes) text += static_cast<char>('a' + random() % 26);
  return text;
}

std::string repeated(std::string_view piece) {
  std::string out;
  while (out.size() < kBytes) out += piece;
  return out;
}

struct Case {
  std::string name;
  std::string text;
};

std::vector<Case> cases() {
  fs::path root(PENSTOCK_SOURCE_DIR);
  return {{"prose", files_of(root / "docs", ".md")},
          {"code", files_of(root / "src", ".cc")},
          {"chinese", chinese()},
          {"one_word", letters()},
          {"a", repeated("a")},
          {"blanks", repeated(" ")},
          {"emoji", repeated("\U0001F44D")}};
}

// Of this thread: others on the machine do not count.
double cpu_nanos() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

double best_nanos(std::size_t calls, const std::function<std::int64_t()>& call) {
  double best = 1e18;
  for (int round = 0; round < 5; ++round) {
    double start = cpu_nanos();
    std::int64_t seen = 0;
    for (std::size_t i = 0; i < calls; ++i) seen += call();
    if (seen == 0) fmt::print(stderr, "nothing was counted\n");
    best = std::min(best, (cpu_nanos() - start) / static_cast<double>(calls));
  }
  return best;
}

void write(const fs::path& folder) {
  fs::create_directories(folder);
  for (const Case& one : cases()) std::ofstream(folder / one.name, std::ios::binary) << one.text;
}

int count_one(std::string_view encoding, std::string_view name, long rounds) {
  const token::Encoding* by = token::Encoding::find(encoding);
  std::size_t seen = 0;
  for (const Case& one : cases()) {
    for (long i = rounds; by != nullptr && one.name == name && i > 0; --i) seen += by->count(one.text);
  }
  return seen == 0 ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3 && std::string_view(argv[1]) == "--write") {
    write(argv[2]);
    return 0;
  }
  if (argc == 4) return count_one(argv[1], argv[2], std::atol(argv[3]));
  for (std::string_view name : {"o200k_base", "cl100k_base"}) {
    const auto& encoding = token::Encoding::load(name);
    if (!encoding) {
      fmt::print(stderr, "{}\n", encoding.error().detail);
      return 1;
    }
    fmt::print("{:<14}{:<10}{:>10}{:>10}{:>9}\n", name, "text", "bytes", "tokens", "MB/s");
    for (const Case& one : cases()) {
      double nanos = best_nanos(2, [&] { return static_cast<std::int64_t>((*encoding)->count(one.text)); });
      fmt::print("{:<14}{:<10}{:>10}{:>10}{:>9.1f}\n", "", one.name, one.text.size(), (*encoding)->count(one.text),
                 static_cast<double>(one.text.size()) * 1000 / nanos);
    }
    const std::string chat =
        R"({"model":"gpt-4o","messages":[{"role":"system","content":"You are a careful assistant for maintenance crews. Keep answers short."},{"role":"user","content":"Why does bearing 4 on press two hum at 60 Hz?"}],"max_tokens":64,"temperature":0.2})";
    double nanos = best_nanos(20000, [&] { return *token::count_openai_chat(chat, **encoding, "gpt-4o"); });
    fmt::print("{:<14}{:<10}{:>10}{:>10}{:>9.0f} ns\n", "", "chat", chat.size(),
               *token::count_openai_chat(chat, **encoding, "gpt-4o"), nanos);
  }
  return 0;
}
