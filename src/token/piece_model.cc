#include "token/piece_model.h"

#include <fmt/format.h>

#include <array>

#include "json/cursor.h"
#include "json/peek.h"
#include "token/byte_pair.h"
#include "token/unigram.h"
#include "token/word_piece.h"

namespace penstock::token {
namespace {

using Kind = json::Field::Kind;

// 2 million: eight times the largest that is published.
constexpr std::uint32_t kTokensMax = 2'000'000;

enum Name : std::size_t {
  kType,
  kVocab,
  kMerges,
  kUnkToken,
  kUnkId,
  kPrefix,
  kSuffix,
  kFuseUnk,
  kByteFallback,
  kIgnoreMerges,
  kDropout,
  kCharsMax,
  kNames
};
constexpr std::array<std::string_view, kNames> kFieldNames{"type",
                                                           "vocab",
                                                           "merges",
                                                           "unk_token",
                                                           "unk_id",
                                                           "continuing_subword_prefix",
                                                           "end_of_word_suffix",
                                                           "fuse_unk",
                                                           "byte_fallback",
                                                           "ignore_merges",
                                                           "dropout",
                                                           "max_input_chars_per_word"};

class ModelReader {
 public:
  ModelReader(std::string_view json, std::string& defect) : json_(json), defect_(defect) {}

  std::unique_ptr<const PieceModel> read() {
    auto peeked = json::peek(json_, kFieldNames, fields_);
    if (!peeked) return wrong("", peeked.error().detail);
    std::string type = text(kType, fields_[kMerges].kind == Kind::array  ? "BPE"
                                   : fields_[kVocab].kind == Kind::array ? "Unigram"
                                                                         : "WordPiece");
    if (type == "WordPiece") return read_word_piece();
    if (type == "BPE") return read_byte_pair();
    if (type == "Unigram") return read_unigram();
    return wrong("type", fmt::format("the model '{}' is not supported here", type.substr(0, 100)));
  }

 private:
  std::nullptr_t wrong(std::string_view field, std::string_view what) {
    if (defect_.empty()) defect_ = fmt::format("model{}{}: {}", field.empty() ? "" : ".", field, what);
    return nullptr;
  }
  std::string text(Name name, std::string_view otherwise) {
    const json::Field& field = fields_[name];
    if (field.kind == Kind::string) return std::string(field.string.view());
    if (field.kind != Kind::absent && field.kind != Kind::null) wrong(kFieldNames[name], "must be a string");
    return std::string(otherwise);
  }
  bool flag(Name name, bool otherwise) {
    const json::Field& field = fields_[name];
    if (field.kind == Kind::boolean) return field.boolean;
    if (field.kind != Kind::absent && field.kind != Kind::null) wrong(kFieldNames[name], "must be true or false");
    return otherwise;
  }
  std::string_view json_of(Name name) const {
    return json_.substr(fields_[name].begin, fields_[name].end - fields_[name].begin);
  }

  Vocabulary read_vocabulary() {
    Vocabulary vocabulary;
    if (fields_[kVocab].kind != Kind::object) {
      wrong("vocab", "must be an object of tokens and their numbers");
      return vocabulary;
    }
    json::Cursor in(json_of(kVocab));
    std::string_view key;
    in.open_object();
    while (defect_.empty() && in.next_member(key)) {
      std::string token(key);
      std::uint32_t id = 0;
      if (!in.read_number(id)) break;
      if (id >= kTokensMax) wrong("vocab", "a token's number is 2,000,000 or more");
      if (!vocabulary.add(token, id)) wrong("vocab", fmt::format("'{}' is there twice", token.substr(0, 100)));
    }
    if (in.failed()) wrong("vocab", in.error());
    if (vocabulary.size() == 0) wrong("vocab", "is empty");
    return vocabulary;
  }

  std::unique_ptr<const PieceModel> read_word_piece() {
    Vocabulary vocabulary = read_vocabulary();
    WordPiece::Settings settings;
    std::string unknown = text(kUnkToken, "[UNK]");
    settings.unknown = vocabulary.find(unknown);
    if (settings.unknown == Vocabulary::kNone)
      wrong("unk_token", fmt::format("'{}' is not in the vocabulary", unknown));
    settings.prefix = text(kPrefix, "##");
    std::int64_t most = fields_[kCharsMax].kind == Kind::integer ? fields_[kCharsMax].integer : 100;
    constexpr std::int64_t kMost = 1000;
    if (most < 1 || most > kMost) wrong("max_input_chars_per_word", "must be 1 to 1,000");
    settings.characters_max = static_cast<std::size_t>(most);
    if (!defect_.empty()) return nullptr;
    return std::make_unique<WordPiece>(std::move(vocabulary), std::move(settings));
  }

  // "a b" or ["a", "b"].
  bool read_merge(json::Cursor& in, std::string& left, std::string& right) {
    if (in.peek() == json::Cursor::Kind::string) {
      if (!in.read_string(left)) return false;
      std::size_t blank = left.find(' ');
      if (blank == std::string::npos || left.find(' ', blank + 1) != std::string::npos) return false;
      right = left.substr(blank + 1);
      left.resize(blank);
      return true;
    }
    bool pair = in.open_array() && in.next_element() && in.read_string(left) && in.next_element() &&
                in.read_string(right) && !in.next_element();
    return pair && !in.failed();
  }

  MergeTable read_merges(const Vocabulary& vocabulary, std::size_t prefix) {
    MergeTable merges(fields_[kMerges].elements);
    if (fields_[kMerges].kind != Kind::array) {
      wrong("merges", "must be a list");
      return merges;
    }
    json::Cursor in(json_of(kMerges));
    std::string left, right;
    in.open_array();
    for (std::uint32_t rank = 0; defect_.empty() && in.next_element(); ++rank) {
      if (!read_merge(in, left, right)) {
        wrong(fmt::format("merges[{}]", rank), "must be two tokens");
        break;
      }
      std::uint32_t first = vocabulary.find(left), second = vocabulary.find(right);
      std::uint32_t made = right.size() < prefix ? Vocabulary::kNone : vocabulary.find(left + right.substr(prefix));
      if (first == Vocabulary::kNone || second == Vocabulary::kNone || made == Vocabulary::kNone) {
        wrong(fmt::format("merges[{}]", rank), fmt::format("'{}' and '{}', or what they make, is not in the vocabulary",
                                                           left.substr(0, 60), right.substr(0, 60)));
      } else {
        merges.add(first, second, {rank, made});
      }
    }
    if (in.failed()) wrong("merges", in.error());
    return merges;
  }

  std::unique_ptr<const PieceModel> read_byte_pair() {
    Vocabulary vocabulary = read_vocabulary();
    BytePair::Settings settings;
    if (const json::Field& field = fields_[kDropout]; field.kind != Kind::absent && field.kind != Kind::null) {
      bool none =
          (field.kind == Kind::integer && field.integer == 0) || (field.kind == Kind::number && field.number == 0);
      if (!none) wrong("dropout", "makes tokens random, which is for training");
    }
    if (std::string unknown = text(kUnkToken, ""); !unknown.empty()) {
      settings.unknown = vocabulary.find(unknown);
      if (settings.unknown == Vocabulary::kNone)
        wrong("unk_token", fmt::format("'{}' is not in the vocabulary", unknown.substr(0, 100)));
    }
    settings.prefix = text(kPrefix, "");
    settings.suffix = text(kSuffix, "");
    settings.fuse_unknown = flag(kFuseUnk, false);
    settings.byte_fallback = flag(kByteFallback, false);
    settings.ignore_merges = flag(kIgnoreMerges, false);
    MergeTable merges = read_merges(vocabulary, settings.prefix.size());
    if (!defect_.empty()) return nullptr;
    return std::make_unique<BytePair>(std::move(vocabulary), std::move(merges), std::move(settings));
  }

  std::unique_ptr<const PieceModel> read_unigram() {
    if (fields_[kVocab].kind != Kind::array || fields_[kVocab].elements == 0)
      return wrong("vocab", "must be a list of tokens and their scores");
    if (fields_[kVocab].elements > kTokensMax) return wrong("vocab", "has more than 2,000,000 tokens");
    Vocabulary vocabulary;
    std::vector<double> scores;
    json::Cursor in(json_of(kVocab));
    std::string token;
    in.open_array();
    while (defect_.empty() && in.next_element()) {
      double score = 0;
      bool pair = in.open_array() && in.next_element() && in.read_string(token) && in.next_element() &&
                  in.read_number(score) && !in.next_element();
      if (!pair || in.failed()) return wrong(fmt::format("vocab[{}]", scores.size()), "must be a token and its score");
      if (token.size() > Unigram::kTokenBytesMax) wrong("vocab", "has a token of more than 256 bytes");
      if (!vocabulary.add(token, static_cast<std::uint32_t>(scores.size())))
        wrong("vocab", fmt::format("'{}' is there twice", token));
      scores.push_back(score);
    }
    if (in.failed()) wrong("vocab", in.error());
    const json::Field& unknown = fields_[kUnkId];
    bool known = unknown.kind == Kind::integer && unknown.integer >= 0 &&
                 static_cast<std::size_t>(unknown.integer) < scores.size();
    if (!known) wrong("unk_id", "must be the number of the unknown token");
    bool fallback = flag(kByteFallback, false);
    if (!defect_.empty()) return nullptr;
    return std::make_unique<Unigram>(std::move(vocabulary), std::move(scores),
                                     static_cast<std::uint32_t>(unknown.integer), fallback);
  }

  std::string_view json_;
  std::string& defect_;
  std::array<json::Field, kNames> fields_;
};

}  // namespace

std::unique_ptr<const PieceModel> read_piece_model(std::string_view json, std::string& defect) {
  return ModelReader(json, defect).read();
}

}  // namespace penstock::token
