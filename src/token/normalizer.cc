#include "token/normalizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "token/byte_alphabet.h"
#include "token/precompiled.h"
#include "token/unicode.h"

namespace penstock::token {
namespace {

// Rewrites a text point by point.
template <class Write>
void rewrite(std::string& text, Write write) {
  std::string out;
  out.reserve(text.size() + text.size() / 8);
  for (const char *at = text.data(), *end = at + text.size(); at != end;) write(out, take_point(at, end));
  text = std::move(out);
}

class Sequence : public Normalizer {
 public:
  explicit Sequence(std::vector<std::unique_ptr<const Normalizer>> steps) : steps_(std::move(steps)) {}
  bool apply(std::string& text) const override {
    return std::ranges::all_of(steps_, [&text](const auto& step) { return step->apply(text); });
  }

 private:
  std::vector<std::unique_ptr<const Normalizer>> steps_;
};

class Composed : public Normalizer {
 public:
  explicit Composed(Form form) : form_(form) {}
  bool apply(std::string& text) const override {
    if (!is_ascii(text)) text = normalized(text, form_);
    return text.size() <= kBytesMax;
  }

 private:
  Form form_;
};

class Lowercase : public Normalizer {
 public:
  bool apply(std::string& text) const override {
    rewrite(text, append_lower);
    return true;
  }
};

class StripAccents : public Normalizer {
 public:
  bool apply(std::string& text) const override {
    if (is_ascii(text)) return true;
    rewrite(text, [](std::string& out, char32_t point) {
      if (!is_mark(point)) append_point(out, point);
    });
    return true;
  }
};

class Strip : public Normalizer {
 public:
  Strip(bool left, bool right) : left_(left), right_(right) {}
  bool apply(std::string& text) const override {
    const char *begin = text.data(), *end = begin + text.size();
    const char *first = nullptr, *last = nullptr;
    for (const char* at = begin; at != end;) {
      const char* before = at;
      if (is_white(take_point(at, end))) continue;
      if (first == nullptr) first = before;
      last = at;
    }
    if (first == nullptr) {
      if (left_ || right_) text.clear();
      return true;
    }
    if (right_) text.erase(static_cast<std::size_t>(last - begin));
    if (left_) text.erase(0, static_cast<std::size_t>(first - begin));
    return true;
  }

 private:
  bool left_;
  bool right_;
};

class Prepend : public Normalizer {
 public:
  explicit Prepend(std::string text) : text_(std::move(text)) {}
  bool apply(std::string& text) const override {
    if (!text.empty()) text.insert(0, text_);
    return text.size() <= kBytesMax;
  }

 private:
  std::string text_;
};

class Replace : public Normalizer {
 public:
  Replace(std::string what, std::string by) : what_(std::move(what)), by_(std::move(by)) {}
  bool apply(std::string& text) const override {
    std::size_t found = text.find(what_);
    if (found == std::string::npos) return true;
    std::string out;
    out.reserve(text.size() + text.size() / 4);
    std::size_t from = 0;
    for (; found != std::string::npos; found = text.find(what_, from)) {
      out.append(text, from, found - from).append(by_);
      from = found + what_.size();
      if (out.size() > kBytesMax) return false;
    }
    out.append(text, from);
    text = std::move(out);
    return text.size() <= kBytesMax;
  }

 private:
  std::string what_;
  std::string by_;
};

// " {2,}", the one pattern that published files replace by.
class ReplaceBlanks : public Normalizer {
 public:
  explicit ReplaceBlanks(std::string by) : by_(std::move(by)) {}
  bool apply(std::string& text) const override {
    std::string out;
    for (std::size_t i = 0; i < text.size();) {
      std::size_t end = std::min(text.find_first_not_of(' ', i), text.size());
      if (end - i >= 2) {
        out += by_;
        i = end;
      } else {
        out += text[i++];
      }
      if (out.size() > kBytesMax) return false;
    }
    text = std::move(out);
    return true;
  }

 private:
  std::string by_;
};

class ByteLevel : public Normalizer {
 public:
  bool apply(std::string& text) const override {
    std::string out;
    append_visible(out, text);
    text = std::move(out);
    return text.size() <= kBytesMax;
  }
};

// The blocks that BERT's own code sets apart, with the gap that the library has in the last but two.
bool is_chinese(char32_t point) {
  struct Block {
    char32_t first, last;
  };
  constexpr std::array<Block, 8> kBlocks{{{0x4E00, 0x9FFF},
                                          {0x3400, 0x4DBF},
                                          {0x20000, 0x2A6DF},
                                          {0x2A700, 0x2B73F},
                                          {0x2B740, 0x2B81F},
                                          {0x2B920, 0x2CEAF},
                                          {0xF900, 0xFAFF},
                                          {0x2F800, 0x2FA1F}}};
  return std::ranges::any_of(kBlocks, [point](Block block) { return point >= block.first && point <= block.last; });
}

class Bert : public Normalizer {
 public:
  Bert(bool clean, bool chinese, bool accents, bool lower)
      : clean_(clean), chinese_(chinese), strip_accents_(accents), lower_(lower) {}

  bool apply(std::string& text) const override {
    if (is_ascii(text)) {
      apply_ascii(text);
      return true;
    }
    if (clean_ || chinese_) rewrite(text, [this](std::string& out, char32_t point) { cleaned(out, point); });
    if (strip_accents_) {
      text = normalized(text, Form::nfd);
      rewrite(text, [](std::string& out, char32_t point) {
        if (!is_nonspacing_mark(point)) append_point(out, point);
      });
    }
    if (lower_) rewrite(text, append_lower);
    return text.size() <= kBytesMax;
  }

 private:
  void apply_ascii(std::string& text) const {
    std::size_t kept = 0;
    for (char c : text) {
      bool white = c == ' ' || c == '\t' || c == '\n' || c == '\r';
      if (clean_ && !white && is_other(static_cast<unsigned char>(c))) continue;
      if (clean_ && white) c = ' ';
      if (lower_ && c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
      text[kept++] = c;
    }
    text.resize(kept);
  }
  void cleaned(std::string& out, char32_t point) const {
    if (clean_) {
      bool white = point == '\t' || point == '\n' || point == '\r';
      if (!white && (point == 0 || point == 0xFFFD || is_other(point))) return;
      if (white || is_white(point)) point = ' ';
    }
    bool apart = chinese_ && is_chinese(point);
    if (apart) out += ' ';
    append_point(out, point);
    if (apart) out += ' ';
  }

  bool clean_;
  bool chinese_;
  bool strip_accents_;
  bool lower_;
};

template <class Made>
std::unique_ptr<const Normalizer> just(const JsonNode&) {
  return std::make_unique<Made>();
}
template <Form form>
std::unique_ptr<const Normalizer> composed(const JsonNode&) {
  return std::make_unique<Composed>(form);
}

std::unique_ptr<const Normalizer> read_sequence(const JsonNode& node) {
  constexpr std::size_t kStepsMax = 64;
  std::vector<std::unique_ptr<const Normalizer>> steps;
  auto items = node.child("normalizers").items();
  if (items.size() > kStepsMax) node.wrong("has more than 64 steps");
  for (const JsonNode& item : items) {
    if (!node.sound()) return nullptr;
    if (auto step = read_normalizer(item)) steps.push_back(std::move(step));
  }
  return std::make_unique<Sequence>(std::move(steps));
}

std::unique_ptr<const Normalizer> read_bert(const JsonNode& node) {
  bool lower = node.flag("lowercase", true);
  return std::make_unique<Bert>(node.flag("clean_text", true), node.flag("handle_chinese_chars", true),
                                node.flag("strip_accents", lower), lower);
}

std::unique_ptr<const Normalizer> read_strip(const JsonNode& node) {
  return std::make_unique<Strip>(node.flag("strip_left", true), node.flag("strip_right", true));
}

std::unique_ptr<const Normalizer> read_prepend(const JsonNode& node) {
  return std::make_unique<Prepend>(node.text("prepend"));
}

std::unique_ptr<const Normalizer> read_replace(const JsonNode& node) {
  JsonNode pattern = node.child("pattern");
  std::string by = node.text("content");
  if (pattern.child("Regex").present()) {
    std::string regex = pattern.text("Regex");
    if (regex == " {2,}") return std::make_unique<ReplaceBlanks>(std::move(by));
    pattern.wrong(fmt::format("the regular expression '{}' is not supported here", regex.substr(0, 100)));
    return nullptr;
  }
  std::string what = pattern.text("String");
  if (what.empty()) {
    pattern.wrong("must be a text that is not empty");
    return nullptr;
  }
  return std::make_unique<Replace>(std::move(what), std::move(by));
}

struct Kind {
  std::string_view name;
  std::unique_ptr<const Normalizer> (*read)(const JsonNode& node);
};
constexpr std::array kKinds{
    Kind{"BertNormalizer", read_bert},     Kind{"NFC", composed<Form::nfc>},         Kind{"NFD", composed<Form::nfd>},
    Kind{"NFKC", composed<Form::nfkc>},    Kind{"NFKD", composed<Form::nfkd>},       Kind{"Lowercase", just<Lowercase>},
    Kind{"Replace", read_replace},         Kind{"StripAccents", just<StripAccents>}, Kind{"Strip", read_strip},
    Kind{"Prepend", read_prepend},         Kind{"ByteLevel", just<ByteLevel>},       Kind{"Sequence", read_sequence},
    Kind{"Precompiled", read_precompiled},
};

}  // namespace

std::unique_ptr<const Normalizer> read_normalizer(const JsonNode& node) {
  if (!node.present()) return nullptr;
  std::string type = node.type();
  for (const Kind& kind : kKinds) {
    if (kind.name == type) return kind.read(node);
  }
  node.wrong(fmt::format("the normalizer '{}' is not supported here", type.substr(0, 100)));
  return nullptr;
}

}  // namespace penstock::token
