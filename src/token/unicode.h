// What Unicode says of code points and how text is normalised, for tokenizers that were published as tokenizer.json.
// By libutf8proc; the classes that GPT's patterns ask for are in classes.h. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

namespace penstock::token {

// The code point at `at`, which is before `end`; moves behind it. A byte that is no UTF-8 (RFC 3629) is U+FFFD.
char32_t take_point(const char*& at, const char* end);
void append_point(std::string& out, char32_t point);
bool is_ascii(std::string_view text);

bool is_white(char32_t point);            // White_Space
bool is_number(char32_t point);           // N
bool is_decimal(char32_t point);          // Nd
bool is_mark(char32_t point);             // M
bool is_nonspacing_mark(char32_t point);  // Mn
bool is_punctuation(char32_t point);      // P, and the ASCII symbols that BERT counts among them
bool is_other(char32_t point);            // Cc, Cf, Co, Cs
bool is_word(char32_t point);             // \w of UTS #18: letters, marks, decimals, connectors
// Full lower case of one character (U+0130 becomes two), without context.
void append_lower(std::string& out, char32_t point);

enum class Form { nfc, nfd, nfkc, nfkd };
// UAX #15. Time grows with n log n whatever is in the text.
std::string normalized(std::string_view text, Form form);

}  // namespace penstock::token
