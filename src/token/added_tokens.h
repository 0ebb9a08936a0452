// Tokens that are found in a text before it is cut: the `added_tokens` of a tokenizer.json, as the tokenizers library
// (0.23) finds them. Immutable; any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::token {

struct AddedToken {
  std::uint32_t id = 0;
  std::string content = {};
  bool single_word = false;  // not within a word
  bool lstrip = false;       // takes the white space before it along
  bool rstrip = false;       // and behind it
};

class AddedTokens {
 public:
  // 512 bytes: what bounds the search at each place.
  static constexpr std::size_t kContentBytesMax = 512;

  void add(AddedToken token);
  bool empty() const { return tokens_.empty(); }

  // Gives the text's stretches in order: `token` null for those between, never empty.
  using Take = std::function<void(std::size_t begin, std::size_t end, const AddedToken* token)>;
  void split(std::string_view text, const Take& take) const;

 private:
  struct Node {
    unsigned char byte;
    std::int32_t token = -1;  // that ends here
    std::int32_t child = -1;
    std::int32_t sibling = -1;
  };
  const AddedToken* longest(std::string_view text) const;
  std::int32_t step(std::int32_t node, unsigned char byte) const;

  std::vector<AddedToken> tokens_;
  std::vector<Node> nodes_;
  std::int32_t roots_[256] = {};  // one more than the node's place; 0: none
};

}  // namespace penstock::token
