#include "token/pre_tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "token/byte_alphabet.h"
#include "token/known_pattern.h"
#include "token/unicode.h"

namespace penstock::token {
namespace {

// A stretch of a piece, which is a delimiter or stands between such.
struct Stretch {
  std::size_t begin;
  std::size_t end;
  bool match;
};

enum class Behavior { removed, isolated, merged_with_previous, merged_with_next, contiguous };

void put(Piece piece, std::size_t begin, std::size_t end, const TakePiece& take) {
  if (begin < end) take({piece.text.substr(begin, end - begin), piece.first && begin == 0});
}

void merge_with_previous(Piece piece, const std::vector<Stretch>& stretches, const TakePiece& take) {
  std::size_t begin = 0, end = 0;
  bool previous = false;
  for (const Stretch& stretch : stretches) {
    if (!(stretch.match && !previous)) {
      put(piece, begin, end, take);
      begin = stretch.begin;
    }
    end = stretch.end;
    previous = stretch.match;
  }
  put(piece, begin, end, take);
}

// Told from behind, where it is the same as with the previous one.
void merge_with_next(Piece piece, const std::vector<Stretch>& stretches, const TakePiece& take) {
  std::vector<std::size_t> begins;
  bool previous = false;
  for (auto stretch = stretches.rbegin(); stretch != stretches.rend(); ++stretch) {
    if (stretch->match && !previous && !begins.empty()) {
      begins.back() = stretch->begin;
    } else {
      begins.push_back(stretch->begin);
    }
    previous = stretch->match;
  }
  for (auto begin = begins.rbegin(); begin != begins.rend(); ++begin)
    put(piece, *begin, begin + 1 == begins.rend() ? piece.text.size() : *(begin + 1), take);
}

void hand_out(Piece piece, const std::vector<Stretch>& stretches, Behavior behavior, const TakePiece& take) {
  if (behavior == Behavior::merged_with_previous) return merge_with_previous(piece, stretches, take);
  if (behavior == Behavior::merged_with_next) return merge_with_next(piece, stretches, take);
  for (std::size_t i = 0; i < stretches.size(); ++i) {
    if (behavior == Behavior::removed && stretches[i].match) continue;
    std::size_t begin = stretches[i].begin;
    if (behavior == Behavior::contiguous) {
      while (i + 1 < stretches.size() && stretches[i + 1].match == stretches[i].match) ++i;
    }
    put(piece, begin, stretches[i].end, take);
  }
}

// Runs of at most `run` characters for which `is` holds match.
void find_points(std::string_view text, bool (*is)(char32_t), std::size_t run, std::vector<Stretch>& out) {
  const char *begin = text.data(), *end = begin + text.size();
  std::size_t between = 0;
  for (const char* at = begin; at != end;) {
    const char* from = at;
    if (!is(take_point(at, end))) continue;
    for (std::size_t taken = 1; taken < run && at != end; ++taken) {
      const char* next = at;
      if (!is(take_point(next, end))) break;
      at = next;
    }
    auto first = static_cast<std::size_t>(from - begin), last = static_cast<std::size_t>(at - begin);
    if (between < first) out.push_back({between, first, false});
    out.push_back({first, last, true});
    between = last;
  }
  if (between < text.size()) out.push_back({between, text.size(), false});
}

void find_text(std::string_view text, std::string_view what, std::vector<Stretch>& out) {
  std::size_t between = 0;
  for (std::size_t at = text.find(what); at != std::string_view::npos; at = text.find(what, between)) {
    if (between < at) out.push_back({between, at, false});
    between = at + what.size();
    out.push_back({at, between, true});
  }
  if (between < text.size()) out.push_back({between, text.size(), false});
}

class Sequence : public PreTokenizer {
 public:
  explicit Sequence(std::vector<std::unique_ptr<const PreTokenizer>> steps) : steps_(std::move(steps)) {}
  void split(Piece piece, const TakePiece& take) const override { step(0, piece, take); }
  std::size_t doublings() const override {
    std::size_t sum = 0;
    for (const auto& step : steps_) sum += step->doublings();
    return sum;
  }

 private:
  void step(std::size_t index, Piece piece, const TakePiece& take) const {
    if (index == steps_.size()) return take(piece);
    steps_[index]->split(piece, [&, index](Piece part) { step(index + 1, part, take); });
  }
  std::vector<std::unique_ptr<const PreTokenizer>> steps_;
};

// Words between white space, and every sign of punctuation for itself.
class Bert : public PreTokenizer {
 public:
  void split(Piece piece, const TakePiece& take) const override {
    const char *begin = piece.text.data(), *end = begin + piece.text.size();
    std::size_t word = 0;
    for (const char* at = begin; at != end;) {
      auto from = static_cast<std::size_t>(at - begin);
      char32_t point = take_point(at, end);
      bool white = is_white(point);
      if (!white && !is_punctuation(point)) continue;
      put(piece, word, from, take);
      word = static_cast<std::size_t>(at - begin);
      if (!white) put(piece, from, word, take);
    }
    put(piece, word, piece.text.size(), take);
  }
};

// Every run of word characters, and every run of others but white space.
class Whitespace : public PreTokenizer {
 public:
  void split(Piece piece, const TakePiece& take) const override {
    enum Kind { white, word, other };
    const char *begin = piece.text.data(), *end = begin + piece.text.size();
    std::size_t run = 0;
    Kind kind = white;
    for (const char* at = begin; at != end;) {
      auto from = static_cast<std::size_t>(at - begin);
      char32_t point = take_point(at, end);
      Kind now = is_white(point) ? white : is_word(point) ? word : other;
      if (now == kind) continue;
      if (kind != white) put(piece, run, from, take);
      run = from;
      kind = now;
    }
    if (kind != white) put(piece, run, piece.text.size(), take);
  }
};

class Points : public PreTokenizer {
 public:
  Points(bool (*is)(char32_t), std::size_t run, Behavior behavior, bool invert = false)
      : is_(is), run_(run), behavior_(behavior), invert_(invert) {}
  void split(Piece piece, const TakePiece& take) const override {
    std::vector<Stretch> stretches;
    find_points(piece.text, is_, run_, stretches);
    if (invert_) {
      for (Stretch& stretch : stretches) stretch.match = !stretch.match;
    }
    hand_out(piece, stretches, behavior_, take);
  }

 private:
  bool (*is_)(char32_t);
  std::size_t run_;
  Behavior behavior_;
  bool invert_;
};

class Literal : public PreTokenizer {
 public:
  Literal(std::string what, Behavior behavior, bool invert)
      : what_(std::move(what)), behavior_(behavior), invert_(invert) {}
  void split(Piece piece, const TakePiece& take) const override {
    std::vector<Stretch> stretches;
    find_text(piece.text, what_, stretches);
    if (invert_) {
      for (Stretch& stretch : stretches) stretch.match = !stretch.match;
    }
    hand_out(piece, stretches, behavior_, take);
  }

 private:
  std::string what_;
  Behavior behavior_;
  bool invert_;
};

// One of the patterns that cut the whole text into matches.
class Known : public PreTokenizer {
 public:
  explicit Known(KnownPattern pattern) : pattern_(pattern) {}
  void split(Piece piece, const TakePiece& take) const override {
    each_match(pattern_, piece.text, [&](std::size_t begin, std::size_t end) { put(piece, begin, end, take); });
  }

 private:
  KnownPattern pattern_;
};

class ByteLevel : public PreTokenizer {
 public:
  ByteLevel(bool prefix, bool cut) : prefix_(prefix), cut_(cut) {}
  std::size_t doublings() const override { return 1; }
  void split(Piece piece, const TakePiece& take) const override {
    std::string spaced;
    if (prefix_ && !piece.text.starts_with(' ')) {
      spaced.reserve(piece.text.size() + 1);
      spaced.append(" ").append(piece.text);
      piece.text = spaced;
    }
    std::string visible;
    auto give = [&](std::size_t begin, std::size_t end) {
      visible.clear();
      append_visible(visible, piece.text.substr(begin, end - begin));
      take({visible, piece.first && begin == 0});
    };
    if (cut_) {
      each_match({Pattern::r50k, 0}, piece.text, give);
    } else {
      give(0, piece.text.size());
    }
  }

 private:
  bool prefix_;
  bool cut_;
};

class Metaspace : public PreTokenizer {
 public:
  enum class Prefix { always, first, never };
  Metaspace(std::string mark, Prefix prefix, bool cut) : mark_(std::move(mark)), prefix_(prefix), cut_(cut) {}
  void split(Piece piece, const TakePiece& take) const override {
    std::string text;
    text.reserve(piece.text.size() + piece.text.size() / 2);
    bool wanted = prefix_ == Prefix::always || (prefix_ == Prefix::first && piece.first);
    if (wanted && !piece.text.starts_with(' ') && !piece.text.starts_with(mark_)) text += mark_;
    for (char c : piece.text) {
      if (c == ' ') {
        text += mark_;
      } else {
        text += c;
      }
    }
    Piece marked{text, piece.first};
    if (!cut_) return take(marked);
    std::vector<Stretch> stretches;
    find_text(text, mark_, stretches);
    hand_out(marked, stretches, Behavior::merged_with_next, take);
  }

 private:
  std::string mark_;
  Prefix prefix_;
  bool cut_;
};

Behavior read_behavior(const JsonNode& node, std::string_view otherwise) {
  std::string name = node.text("behavior", otherwise);
  if (name == "Removed") return Behavior::removed;
  if (name == "Isolated") return Behavior::isolated;
  if (name == "MergedWithPrevious") return Behavior::merged_with_previous;
  if (name == "MergedWithNext") return Behavior::merged_with_next;
  if (name == "Contiguous") return Behavior::contiguous;
  node.wrong(fmt::format("the behavior '{}' is not supported here", name.substr(0, 100)));
  return Behavior::removed;
}

constexpr std::size_t kEndless = static_cast<std::size_t>(-1);

std::unique_ptr<const PreTokenizer> read_sequence(const JsonNode& node) {
  constexpr std::size_t kStepsMax = 16;
  std::vector<std::unique_ptr<const PreTokenizer>> steps;
  auto items = node.child("pretokenizers").items();
  if (items.size() > kStepsMax) node.wrong("has more than 16 steps");
  for (const JsonNode& item : items) {
    if (!node.sound()) return nullptr;
    if (auto step = read_pre_tokenizer(item)) steps.push_back(std::move(step));
  }
  auto sequence = std::make_unique<Sequence>(std::move(steps));
  if (sequence->doublings() > 1) node.wrong("has more than one ByteLevel");
  return sequence;
}

std::unique_ptr<const PreTokenizer> read_byte_level(const JsonNode& node) {
  return std::make_unique<ByteLevel>(node.flag("add_prefix_space", true), node.flag("use_regex", true));
}

std::unique_ptr<const PreTokenizer> read_metaspace(const JsonNode& node) {
  std::string mark = node.text("replacement", "\xE2\x96\x81");
  std::string scheme = node.text("prepend_scheme", node.flag("add_prefix_space", true) ? "always" : "never");
  const char* at = mark.data();
  if (mark.empty() || (take_point(at, at + mark.size()), at != mark.data() + mark.size()))
    node.wrong("replacement must be one character");
  using Prefix = Metaspace::Prefix;
  if (scheme != "always" && scheme != "first" && scheme != "never") node.wrong("prepend_scheme is none that is known");
  Prefix prefix = scheme == "always" ? Prefix::always : scheme == "first" ? Prefix::first : Prefix::never;
  return std::make_unique<Metaspace>(std::move(mark), prefix, node.flag("split", true));
}

std::unique_ptr<const PreTokenizer> read_digits(const JsonNode& node) {
  bool each = node.flag("individual_digits", false);
  return std::make_unique<Points>(is_number, each ? 1 : kEndless, each ? Behavior::isolated : Behavior::contiguous);
}

std::unique_ptr<const PreTokenizer> read_punctuation(const JsonNode& node) {
  return std::make_unique<Points>(is_punctuation, 1, read_behavior(node, "Isolated"));
}

std::unique_ptr<const PreTokenizer> read_delimiter(const JsonNode& node) {
  std::string delimiter = node.text("delimiter");
  if (delimiter.empty()) node.wrong("delimiter must be one character");
  return std::make_unique<Literal>(std::move(delimiter), Behavior::removed, false);
}

struct PointPattern {
  std::string_view regex;
  bool (*is)(char32_t);
  std::size_t run;
};
constexpr std::array kPointPatterns{
    PointPattern{"\\s+", is_white, kEndless},   PointPattern{"\\s", is_white, 1},
    PointPattern{"\\p{N}", is_number, 1},       PointPattern{"\\p{N}+", is_number, kEndless},
    PointPattern{"\\p{N}{1,3}", is_number, 3},  PointPattern{"\\d", is_decimal, 1},
    PointPattern{"\\d+", is_decimal, kEndless},
};

std::unique_ptr<const PreTokenizer> read_regex(const JsonNode& node, const std::string& regex) {
  Behavior behavior = read_behavior(node, "Removed");
  bool invert = node.flag("invert", false);
  for (const PointPattern& pattern : kPointPatterns) {
    if (pattern.regex == regex) return std::make_unique<Points>(pattern.is, pattern.run, behavior, invert);
  }
  auto known = known_pattern(regex);
  if (!known) {
    node.wrong(fmt::format("the regular expression '{}' is not supported here", regex.substr(0, 300)));
    return nullptr;
  }
  // It matches everywhere: what is kept are the matches.
  if (behavior == Behavior::isolated || (behavior == Behavior::removed && invert))
    return std::make_unique<Known>(*known);
  node.wrong("this pattern is supported with the behavior Isolated only, or Removed and invert");
  return nullptr;
}

std::unique_ptr<const PreTokenizer> read_split(const JsonNode& node) {
  JsonNode pattern = node.child("pattern");
  if (std::string regex = pattern.text("Regex"); !regex.empty()) return read_regex(node, regex);
  std::string what = pattern.text("String");
  if (what.empty()) pattern.wrong("must be a text that is not empty");
  return std::make_unique<Literal>(std::move(what), read_behavior(node, "Removed"), node.flag("invert", false));
}

struct Kind {
  std::string_view name;
  std::unique_ptr<const PreTokenizer> (*read)(const JsonNode& node);
};
constexpr std::array kKinds{
    Kind{"BertPreTokenizer",
         [](const JsonNode&) -> std::unique_ptr<const PreTokenizer> { return std::make_unique<Bert>(); }},
    Kind{"Whitespace",
         [](const JsonNode&) -> std::unique_ptr<const PreTokenizer> { return std::make_unique<Whitespace>(); }},
    Kind{"WhitespaceSplit",
         [](const JsonNode&) -> std::unique_ptr<const PreTokenizer> {
           return std::make_unique<Points>(is_white, kEndless, Behavior::removed);
         }},
    Kind{"ByteLevel", read_byte_level},
    Kind{"Metaspace", read_metaspace},
    Kind{"Punctuation", read_punctuation},
    Kind{"Digits", read_digits},
    Kind{"CharDelimiterSplit", read_delimiter},
    Kind{"Split", read_split},
    Kind{"Sequence", read_sequence},
};

}  // namespace

std::unique_ptr<const PreTokenizer> read_pre_tokenizer(const JsonNode& node) {
  if (!node.present()) return nullptr;
  std::string type = node.type();
  for (const Kind& kind : kKinds) {
    if (kind.name == type) return kind.read(node);
  }
  node.wrong(fmt::format("the pre-tokenizer '{}' is not supported here", type.substr(0, 100)));
  return nullptr;
}

}  // namespace penstock::token
