#include "mock/text.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace penstock::mock {
namespace {

constexpr std::array<std::string_view, 64> kWords = {
    " the",    " water",  " flows",  " through", " a",       " gate",    " and",    " turns",  " every",  " wheel",
    " of",     " old",    " mill",   " slowly",  " while",   " river",   " keeps",  " its",    " steady", " pace",
    " in",     " spring", " rain",   " fills",   " pond",    " above",   " valley", " where",  " stone",  " walls",
    " hold",   " it",     " back",   " until",   " keeper",  " lifts",   " wooden", " boards", " one",    " by",
    " lets",   " just",   " enough", " pass",    " to",      " drive",   " wheels", " below",  " each",   " sensor",
    " counts", " drops",  " that",   " leave",   " channel", " morning", " light",  " falls",  " on",     " quiet",
    " engine", " house",  " model",  " answers"};

std::uint64_t mix(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

}  // namespace

std::uint64_t hash(std::string_view bytes, std::uint64_t seed) {
  std::uint64_t state = mix(seed + 0x9e3779b97f4a7c15ULL * (bytes.size() + 1));
  while (!bytes.empty()) {
    std::uint64_t block = 0;
    std::size_t size = std::min<std::size_t>(bytes.size(), sizeof block);
    std::memcpy(&block, bytes.data(), size);
    state = (state ^ block) * 0x9fb21c651e98df25ULL;
    state ^= state >> 32;
    bytes.remove_prefix(size);
  }
  return mix(state);
}

std::uint64_t Random::next() {
  state_ += 0x9e3779b97f4a7c15ULL;
  return mix(state_);
}

std::string_view Text::piece(std::size_t index) const {
  std::size_t begin = index == 0 ? 0 : ends[index - 1];
  return std::string_view(text).substr(begin, ends[index] - begin);
}

void Text::keep(std::size_t count) {
  if (count >= ends.size()) return;
  ends.resize(count);
  text.resize(ends.empty() ? 0 : ends.back());
}

void Text::cut(std::size_t at) {
  if (at >= text.size()) return;
  text.resize(at);
  while (!ends.empty() && (ends.size() > 1 ? ends[ends.size() - 2] : 0) >= at) ends.pop_back();
  if (!ends.empty()) ends.back() = static_cast<std::uint32_t>(at);
}

Text words(std::uint64_t seed, std::size_t count) {
  Random random(seed);
  Text result;
  result.text.reserve(count * 7);
  result.ends.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    std::string_view word = kWords[random.next() % kWords.size()];
    if (i == 0) word.remove_prefix(1);
    result.text += word;
    result.ends.push_back(static_cast<std::uint32_t>(result.text.size()));
  }
  return result;
}

Text tokenized(std::string text) {
  constexpr std::size_t kTokenBytes = 4;
  Text result;
  std::size_t at = 0;
  while (at < text.size()) {
    at = std::min(at + kTokenBytes, text.size());
    while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0U) == 0x80U) ++at;
    result.ends.push_back(static_cast<std::uint32_t>(at));
  }
  result.text = std::move(text);
  return result;
}

}  // namespace penstock::mock
