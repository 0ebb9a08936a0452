// The tokenizer of a model as its maker publishes it: a tokenizer.json of the Hugging Face tokenizers library, read and
// done as that library (0.23) does it. What is not supported is refused by name when the file is read, so that a text
// never becomes other tokens than those the model was trained on.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "token/added_tokens.h"
#include "token/frame.h"
#include "token/normalizer.h"
#include "token/piece_model.h"
#include "token/pre_tokenizer.h"

namespace penstock::token {

// Immutable; any thread.
class Tokenizer {
 public:
  static constexpr std::size_t kFileBytesMax = 64U << 20;
  // 1 MiB: some 200,000 tokens, more than any model takes.
  static constexpr std::size_t kTextBytesMax = 1U << 20;

  // not_found, out_of_range for a file that is too large, data_loss for what is no tokenizer.json, unimplemented for
  // what it needs and is not here; the message names the place.
  static Result<std::shared_ptr<const Tokenizer>> load(const std::string& path);
  static Result<std::shared_ptr<const Tokenizer>> read(std::string_view json);

  // Appends the text's tokens, without those around it. Bytes that are no UTF-8 count as U+FFFD each. out_of_range: it
  // is longer than kTextBytesMax, or becomes too long.
  Result<void> encode(std::string_view text, std::vector<std::uint32_t>& out) const;

  const Frame& frame() const { return frame_; }
  std::uint32_t padding() const { return padding_; }  // the token that fills up
  std::uint32_t end_id() const { return end_id_; }    // the highest number of a token, and one

 private:
  Tokenizer() = default;
  void take(std::string_view json, std::string& defect);
  void take_added(const JsonNode& list);
  bool encode_stretch(std::string_view raw, bool first, std::vector<std::uint32_t>& out) const;
  void encode_normalized(std::string_view text, bool first, std::vector<std::uint32_t>& out) const;
  void encode_pieces(Piece piece, std::vector<std::uint32_t>& out) const;

  std::unique_ptr<const Normalizer> normalizer_;       // null: none
  std::unique_ptr<const PreTokenizer> pre_tokenizer_;  // null: none
  std::unique_ptr<const PieceModel> model_;
  AddedTokens raw_;         // found in the text as it comes
  AddedTokens normalized_;  // found once it is normalised
  Frame frame_;
  std::uint32_t padding_ = 0;
  std::uint32_t end_id_ = 0;
};

}  // namespace penstock::token
