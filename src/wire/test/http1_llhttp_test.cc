// Against the parser Node runs on: whatever ours accepts, llhttp must accept as the same message, ending at the same
// byte. Skips without node.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "wire/test/accepted.h"
#include "wire/test/messages.h"
#include "wire/test/mutate.h"

namespace penstock::wire {
namespace {

using Kind = Http1Parser::Kind;

std::string hex(std::string_view bytes) {
  std::string out;
  for (char c : bytes) fmt::format_to(std::back_inserter(out), "{:02x}", static_cast<unsigned char>(c));
  return out;
}

std::string output_of(const std::string& command) {
  std::string out;
  FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return out;
  std::array<char, 4096> part{};
  while (std::size_t got = std::fread(part.data(), 1, part.size(), pipe)) out.append(part.data(), got);
  ::pclose(pipe);
  return out;
}

// Writes what we accept of `rounds` mutations; returns how many.
int write_accepted(std::ofstream& out, Kind kind, unsigned seed, int rounds) {
  Mutator mutator(kind == Kind::request ? request_corpus() : response_corpus(), seed);
  int accepted = 0;
  for (int round = 0; round < rounds; ++round) {
    std::string bytes = mutator.next();
    Accepted message = accept(kind, bytes);
    if (!message.accepted) continue;
    ++accepted;
    out << (kind == Kind::request ? "request " : "response ") << hex(std::string_view(bytes).substr(0, message.used))
        << ' ' << hex(message.text) << '\n';
  }
  return accepted;
}

TEST(Http1Llhttp, AcceptsWhateverWeAccept) {
  if (output_of("node --version 2>/dev/null").empty()) GTEST_SKIP() << "node is not installed";
  auto path = std::filesystem::temp_directory_path() / fmt::format("penstock-llhttp-{}", ::getpid());
  std::ofstream out(path);
  int accepted = write_accepted(out, Kind::request, 3, 60'000) + write_accepted(out, Kind::response, 4, 40'000);
  out.close();
  EXPECT_GT(accepted, 5'000) << "too few to say anything";
  std::string said =
      output_of(fmt::format("node {}/src/wire/test/llhttp.mjs {} 2>&1", PENSTOCK_SOURCE_DIR, path.string()));
  std::filesystem::remove(path);
  fmt::print("{}", said);
  int agreed = 0;
  int upgrade = 0;
  int method = 0;
  int tab = 0;
  int wrong = -1;
  std::size_t at = said.rfind("agreed ");
  ASSERT_NE(at, std::string::npos) << said;
  ASSERT_EQ(std::sscanf(said.c_str() + at, "agreed %d upgrade %d method %d tab %d wrong %d", &agreed, &upgrade, &method,
                        &tab, &wrong),
            5);
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(agreed + upgrade + method + tab, accepted);
  EXPECT_GT(agreed, accepted / 2);
}

}  // namespace
}  // namespace penstock::wire
