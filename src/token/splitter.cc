#include "token/splitter.h"

#include "token/classes.h"

namespace penstock::token {
namespace {

struct Char {
  CharClass kind;
  unsigned size;
};

// Text with an end that may not be the last word: whoever looks past it sets open().
class Text {
 public:
  Text(const char* end, bool& open) : end_(end), open_(open) {}

  [[gnu::always_inline]] Char look(const char* at) {
    if (at == end_) {
      open_ = true;
      return {CharClass::none, 0};
    }
    auto byte = static_cast<unsigned char>(*at);
    return byte < 0x80 ? Char{classes_.of(byte), 1} : look_far(at);
  }

  bool is(const char* at, char lower) {
    if (at != end_) return (*at | 0x20) == lower;
    open_ = true;
    return false;
  }
  bool is_byte(const char* at, char byte) {
    if (at != end_) return *at == byte;
    open_ = true;
    return false;
  }

 private:
  // A code point of more than one byte (RFC 3629: no overlong forms, no surrogates).
  Char look_far(const char* at) {
    auto lead = static_cast<unsigned char>(*at);
    unsigned size = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    if (lead < 0xC2 || lead > 0xF4) return {CharClass::other, 1};
    char32_t point = lead & (0x7FU >> size);
    for (unsigned i = 1; i < size; ++i) {
      if (at + i == end_) {
        open_ = true;
        return {CharClass::other, 1};
      }
      auto next = static_cast<unsigned char>(at[i]);
      if ((next & 0xC0) != 0x80) return {CharClass::other, 1};
      point = point << 6 | (next & 0x3F);
    }
    constexpr char32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
    if (point < kLeast[size] || point > 0x10FFFF || (point >> 11) == 0x1B) return {CharClass::other, 1};
    return {classes_.of(point), size};
  }

  const char* end_;
  bool& open_;
  const ClassTable& classes_ = ClassTable::get();
};

template <class Wanted>
const char* run(Text& in, const char* at, Wanted wanted) {
  for (;;) {
    Char next = in.look(at);
    if (next.kind == CharClass::none || !wanted(next.kind)) return at;
    at += next.size;
  }
}

const char* letters(Text& in, const char* at) { return run(in, at, is_letter); }

bool is_symbol(CharClass kind) { return kind == CharClass::other || kind == CharClass::mark; }

const char* symbols(Text& in, const char* at) { return run(in, at, is_symbol); }

const char* digits(Text& in, const char* at, int most) {
  for (; most > 0; --most) {
    Char next = in.look(at);
    if (next.kind != CharClass::number) break;
    at += next.size;
  }
  return at;
}

// What stands behind the apostrophe at `at`, in either case: s t d m re ve ll, and the long s, which is an s without
// case. `at` when it is none of these.
const char* contraction(Text& in, const char* at) {
  const char* word = at + 1;
  for (char one : {'s', 't', 'd', 'm'}) {
    if (in.is(word, one)) return word + 1;
  }
  if (in.is_byte(word, '\xC5')) return in.is_byte(word + 1, '\xBF') ? word + 2 : at;
  if (in.is(word, 'l')) return in.is(word + 1, 'l') ? word + 2 : at;
  if (in.is(word, 'r') || in.is(word, 'v')) return in.is(word + 1, 'e') ? word + 2 : at;
  return at;
}

const char* with_contraction(Text& in, const char* at) { return in.is_byte(at, '\'') ? contraction(in, at) : at; }

struct Blanks {
  const char* end;                 // of the run
  const char* last;                // where its last character begins
  const char* newlines = nullptr;  // behind its last CR or LF
  bool at_end;                     // the text ends with it
};

Blanks blanks(Text& in, const char* at) {
  Blanks found{.end = at, .last = at, .at_end = false};
  for (;;) {
    Char next = in.look(found.end);
    if (!is_blank(next.kind)) {
      found.at_end = next.kind == CharClass::none;
      return found;
    }
    found.last = found.end;
    found.end += next.size;
    if (next.kind == CharClass::newline) found.newlines = found.end;
  }
}

// \s+(?!\S)|\s: the last blank before a word belongs to the word.
const char* before_word(const Blanks& found, const char* at) { return found.last == at ? found.end : found.last; }

// '(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s
const char* next_r50k(const char* at, const char* end, bool& open) {
  Text in(end, open);
  if (*at == '\'') {
    const char* behind = contraction(in, at);
    bool plain = true;
    for (const char* byte = at + 1; byte < behind; ++byte) plain = plain && *byte >= 'a' && *byte <= 'z';
    if (behind != at && plain) return behind;
  }
  const char* word = *at == ' ' ? at + 1 : at;
  Char first = in.look(word);
  if (is_letter(first.kind)) return letters(in, word + first.size);
  if (first.kind == CharClass::number) {
    return run(in, word + first.size, [](CharClass kind) { return kind == CharClass::number; });
  }
  if (is_symbol(first.kind)) return symbols(in, word + first.size);
  Blanks found = blanks(in, at);
  return found.at_end ? found.end : before_word(found, at);
}

// '(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s
const char* next_cl100k(const char* at, const char* end, bool& open) {
  Text in(end, open);
  Char first = in.look(at);
  const char* second_at = at + first.size;
  if (is_letter(first.kind)) return letters(in, second_at);
  if (first.kind == CharClass::number) return digits(in, second_at, 2);
  if (*at == '\'') {
    const char* behind = contraction(in, at);
    if (behind != at) return behind;
  }
  if (first.kind != CharClass::newline) {
    Char second = in.look(second_at);
    if (is_letter(second.kind)) return letters(in, second_at + second.size);
    if (is_symbol(first.kind) || (*at == ' ' && is_symbol(second.kind))) {
      return run(in, symbols(in, second_at), [](CharClass kind) { return kind == CharClass::newline; });
    }
  }
  Blanks found = blanks(in, at);
  if (found.at_end) return found.end;
  return found.newlines != nullptr ? found.newlines : before_word(found, at);
}

// A word of o200k: capitals, then small letters; letters without case and marks count as both.
struct Word {
  const char* mixed = nullptr;     // the end of [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+
  const char* capitals = nullptr;  // where there is no such: the end of the capitals
};

Word word_at(Text& in, const char* at) {
  const char* start = at;
  const char* both = nullptr;  // behind the last character that may end the word
  Char next = in.look(at);
  for (; next.kind == CharClass::upper || next.kind == CharClass::letter || next.kind == CharClass::mark;
       next = in.look(at)) {
    at += next.size;
    if (next.kind != CharClass::upper) both = at;
  }
  if (next.kind == CharClass::lower) {
    return {.mixed = run(in, at + next.size, [](CharClass kind) {
              return kind == CharClass::lower || kind == CharClass::letter || kind == CharClass::mark;
            })};
  }
  if (both != nullptr) return {.mixed = both};
  return {.capitals = at == start ? nullptr : at};
}

// The two alternatives for words, each with and without one character before them; null when it is no word.
const char* word_o200k(Text& in, const char* at, Char first) {
  Word behind, here;
  if (!is_letter(first.kind)) behind = word_at(in, at + first.size);
  if (behind.mixed != nullptr) return behind.mixed;
  if (is_letter(first.kind) || first.kind == CharClass::mark) here = word_at(in, at);
  if (here.mixed != nullptr) return here.mixed;
  return behind.capitals != nullptr ? behind.capitals : here.capitals;
}

// The seven alternatives stand in openai_public.py, one a line.
const char* next_o200k(const char* at, const char* end, bool& open) {
  Text in(end, open);
  Char first = in.look(at);
  if (first.kind == CharClass::number) return digits(in, at + first.size, 2);
  if (first.kind != CharClass::newline) {
    if (const char* word = word_o200k(in, at, first)) return with_contraction(in, word);
    const char* symbol = *at == ' ' ? at + 1 : at;
    if (is_symbol(in.look(symbol).kind)) {
      const char* behind = symbols(in, symbol);
      while (in.is_byte(behind, '\r') || in.is_byte(behind, '\n') || in.is_byte(behind, '/')) ++behind;
      return behind;
    }
  }
  Blanks found = blanks(in, at);
  if (found.newlines != nullptr) return found.newlines;
  return found.at_end ? found.end : before_word(found, at);
}

}  // namespace

NextPiece next_piece(Pattern pattern) {
  switch (pattern) {
    case Pattern::r50k: return next_r50k;
    case Pattern::cl100k: return next_cl100k;
    case Pattern::o200k: return next_o200k;
  }
  return next_o200k;
}

}  // namespace penstock::token
