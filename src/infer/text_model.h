// One loaded version that turns text into vectors: its tokenizer, what it takes, and which of its outputs is pooled.
// Immutable; any thread. Does not keep the version in memory.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "infer/served.h"
#include "token/tokenizer.h"

namespace penstock::infer {

// The tokens of one text, with those around it.
struct TokenRow {
  std::vector<std::uint32_t> ids = {};
  std::size_t before = 0;  // special tokens in front, and behind
  std::size_t after = 0;
};

class TextModel {
 public:
  // Reads the tokenizer: tokenizer.json beside the version's file, or what `embed.tokenizer` names. Blocks. Errors:
  // failed_precondition when the model is declared for something else, or its inputs or outputs do not fit; those of
  // token::Tokenizer::load().
  static Result<std::shared_ptr<const TextModel>> open(const Served& served);

  // invalid_argument for what is empty, too long, or no token of this model; `name` is the input's in the message.
  Result<TokenRow> read(std::string_view text, std::string_view name) const;
  Result<TokenRow> read(const std::vector<std::int64_t>& tokens, std::string_view name) const;

  // How many rows of this many tokens go into one run.
  std::size_t rows_max(std::size_t width) const;
  // The inputs for these rows, filled up to the longest. 1 to rows_max() rows.
  std::vector<Tensor> inputs(std::span<const TokenRow* const> rows) const;
  const std::string& output() const { return output_; }
  // What the run gave, as a vector for each row. internal when the model gives what it did not declare, or numbers that
  // are none. `dimensions`: of each vector, 0 for all; invalid_argument when the model has fewer.
  Result<std::vector<std::vector<float>>> pool(const Tensor& output, std::span<const TokenRow* const> rows,
                                               std::size_t dimensions) const;

 private:
  enum class Feed { ids, mask, types, positions };
  struct Input {
    std::string name;
    Datatype datatype;
    Feed feed;
  };

  Result<void> take_inputs(const ModelInfo& info);
  Result<void> take_output(const ModelInfo& info);
  Result<void> check_length(std::size_t tokens, std::string_view name) const;
  template <class T>
  void fill(Tensor& tensor, Feed feed, std::span<const TokenRow* const> rows) const;
  std::int64_t value(Feed feed, const TokenRow& row, std::size_t place) const;
  std::vector<float> pooled(std::span<const float> numbers, std::size_t tokens, std::size_t size) const;

  std::string model_;
  EmbedConfig config_;
  std::shared_ptr<const token::Tokenizer> tokenizer_;
  std::vector<Input> inputs_;
  std::string output_;
  std::size_t tokens_max_ = 0;   // of a row
  std::size_t rows_fixed_ = 0;   // the model takes so many; 0: any number
  std::size_t width_fixed_ = 0;  // the same of tokens
  std::size_t rows_bound_ = 0;   // by its batching
};

}  // namespace penstock::infer
