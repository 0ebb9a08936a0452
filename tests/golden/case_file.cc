#include "case_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <sstream>

namespace penstock::golden {
namespace {

constexpr std::string_view kMark = "--- ";
constexpr std::array<std::string_view, 10> kSections{"request", "upstream", "head",   "dropped", "error",
                                                     "answer",  "reply",    "stream", "events",  "failure"};

Result<void> fits_together(const CaseFile& found) {
  auto wrong = [](std::string what) { return fail(Errc::invalid_argument, std::move(what)); };
  if (found.about.empty()) return wrong("line 1: says nothing about the case: \"# what it shows\"");
  if (!found.has("request")) return wrong("has no --- request");
  if (found.has("reply") != found.has("answer")) return wrong("--- answer and --- reply belong together");
  if (!found.has("stream") && (found.has("events") || found.has("failure"))) return wrong("has no --- stream");
  if (found.has("stream") && !found.has("events") && !found.has("failure")) return wrong("has no --- events");
  if (!found.has("upstream") && !found.has("error") && !found.has("reply") && !found.has("stream"))
    return wrong("checks nothing");
  if (found.has("error") && (found.has("upstream") || found.has("answer") || found.has("stream")))
    return wrong("a refused request has no more than --- error");
  return {};
}

Result<void> begin_section(CaseFile& found, std::string_view title, std::size_t line, Section*& section) {
  std::size_t space = title.find(' ');
  std::string name(title.substr(0, space));
  if (std::ranges::find(kSections, name) == kSections.end())
    return fail(Errc::invalid_argument, fmt::format("line {}: no section is called '{}'", line, name));
  auto [at, added] = found.sections.try_emplace(name);
  if (!added) return fail(Errc::invalid_argument, fmt::format("line {}: a second --- {}", line, name));
  if (space != title.npos) at->second.argument = title.substr(space + 1);
  section = &at->second;
  return {};
}

}  // namespace

const std::string* CaseFile::find(std::string_view section) const {
  auto found = sections.find(section);
  return found == sections.end() ? nullptr : &found->second.text;
}

Result<CaseFile> read_case(const std::filesystem::path& path) {
  CaseFile found;
  found.name = path.stem().string();
  std::string folder = path.parent_path().filename().string();
  found.client = folder.substr(0, folder.find('-'));
  found.provider = folder.substr(std::min(folder.size(), folder.find('-') + 1));
  std::ifstream file(path, std::ios::binary);
  Section* section = nullptr;
  std::string line;
  for (std::size_t number = 1; std::getline(file, line); ++number) {
    if (line.starts_with(kMark)) {
      if (auto begun = begin_section(found, std::string_view(line).substr(kMark.size()), number, section); !begun)
        return std::unexpected(begun.error());
    } else if (section != nullptr) {
      section->text += line + "\n";
    } else if (number == 1 && line.starts_with("# ")) {
      found.about = line.substr(2);
    } else if (!line.empty() && !line.starts_with('#')) {
      return fail(Errc::invalid_argument, fmt::format("line {}: stands before the first section", number));
    }
  }
  if (auto fits = fits_together(found); !fits) return std::unexpected(fits.error());
  return found;
}

std::string with_end(std::string_view text, std::string_view end) {
  while (text.ends_with('\n')) text.remove_suffix(1);
  return std::string(text) += end;
}

}  // namespace penstock::golden
