// One golden case: a text file of sections, each begun by a line "--- NAME". README.md has the format.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "base/result.h"

namespace penstock::golden {

struct Section {
  std::string text;
  std::string argument;  // behind the name: the status in "--- answer 429"
};

struct CaseFile {
  std::string client;    // openai_chat
  std::string provider;  // anthropic
  std::string name;      // tool_loop
  std::string about;     // the first line, without its mark
  std::map<std::string, Section, std::less<>> sections;

  // Null when the case has none of that name.
  const std::string* find(std::string_view section) const;
  bool has(std::string_view section) const { return find(section) != nullptr; }
};

// An error names the line and what is wrong with it.
Result<CaseFile> read_case(const std::filesystem::path& path);

// The text with exactly `end` behind its last line: how many empty lines close a section means nothing.
std::string with_end(std::string_view text, std::string_view end);

}  // namespace penstock::golden
