#include "token/tokenizer.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <array>
#include <fstream>

#include "json/peek.h"
#include "token/unicode.h"

namespace penstock::token {
namespace {

enum Part : std::size_t { kModel, kNormalizer, kPreTokenizer, kPostProcessor, kAddedTokens, kPadding, kParts };
constexpr std::array<std::string_view, kParts> kPartNames{"model",          "normalizer",   "pre_tokenizer",
                                                          "post_processor", "added_tokens", "padding"};

// 8 MiB: what is built as a document. The model, which is the bulk, is not.
constexpr std::size_t kPartBytesMax = 8U << 20;

std::string replace_defects(std::string_view text) {
  std::string out;
  for (const char *at = text.data(), *end = at + text.size(); at != end;) append_point(out, take_point(at, end));
  return out;
}

}  // namespace

void Tokenizer::take(std::string_view json, std::string& defect) {
  std::array<json::Field, kParts> fields;
  if (auto peeked = json::peek(json, kPartNames, fields); !peeked) {
    defect = peeked.error().detail;
    return;
  }
  std::array<json::Value, kParts> values;
  for (std::size_t i = 0; i < kParts && defect.empty(); ++i) {
    const json::Field& field = fields[i];
    if (field.kind == json::Field::Kind::absent || i == kModel) continue;
    if (field.end - field.begin > kPartBytesMax) {
      defect = fmt::format("{}: is larger than 8 MiB", kPartNames[i]);
      return;
    }
    auto parsed = json::parse(json.substr(field.begin, field.end - field.begin));
    if (!parsed) defect = fmt::format("{}: {}", kPartNames[i], parsed.error().detail);
    if (parsed) values[i] = std::move(*parsed);
  }
  if (!defect.empty()) return;
  if (fields[kModel].kind != json::Field::Kind::object) {
    defect = "model: is missing; this is no tokenizer.json";
    return;
  }
  auto node = [&](Part part) { return JsonNode(&values[part], std::string(kPartNames[part]), defect); };
  normalizer_ = read_normalizer(node(kNormalizer));
  pre_tokenizer_ = read_pre_tokenizer(node(kPreTokenizer));
  frame_ = read_frame(node(kPostProcessor));
  model_ = read_piece_model(json.substr(fields[kModel].begin, fields[kModel].end - fields[kModel].begin), defect);
  if (!defect.empty()) return;
  end_id_ = model_->vocabulary().end_id();
  padding_ = static_cast<std::uint32_t>(node(kPadding).integer("pad_id", 0));
  take_added(node(kAddedTokens));
  for (const auto* specials : {&frame_.before, &frame_.after}) {
    for (const Frame::Special& special : *specials) end_id_ = std::max(end_id_, special.id + 1);
  }
  if (padding_ >= end_id_) padding_ = 0;
}

void Tokenizer::take_added(const JsonNode& list) {
  constexpr std::int64_t kIdMax = 2'000'000;
  for (const JsonNode& item : list.items()) {
    AddedToken token;
    token.content = item.text("content");
    token.single_word = item.flag("single_word", false);
    token.lstrip = item.flag("lstrip", false);
    token.rstrip = item.flag("rstrip", false);
    std::int64_t id = item.integer("id", -1);
    if (id < 0 || id >= kIdMax) return item.wrong("id must be 0 to 1,999,999");
    if (token.content.size() > AddedTokens::kContentBytesMax) return item.wrong("content is longer than 512 bytes");
    // The vocabulary knows best.
    std::uint32_t own = model_->vocabulary().find(token.content);
    token.id = own != Vocabulary::kNone ? own : static_cast<std::uint32_t>(id);
    end_id_ = std::max(end_id_, token.id + 1);
    bool special = item.flag("special", false);
    if (special && token.content == "[PAD]") padding_ = token.id;
    if (!item.flag("normalized", !special)) {
      raw_.add(std::move(token));
      continue;
    }
    if (normalizer_ && !normalizer_->apply(token.content)) return item.wrong("content becomes too long");
    normalized_.add(std::move(token));
  }
}

Result<std::shared_ptr<const Tokenizer>> Tokenizer::read(std::string_view json) {
  if (json.size() > kFileBytesMax) return fail(Errc::out_of_range, "a tokenizer.json may have at most 64 MiB");
  std::shared_ptr<Tokenizer> tokenizer(new Tokenizer());
  std::string defect;
  tokenizer->take(json, defect);
  if (defect.empty()) return tokenizer;
  bool unknown = defect.find("not supported") != std::string::npos;
  return fail(unknown ? Errc::unimplemented : Errc::data_loss, std::move(defect));
}

Result<std::shared_ptr<const Tokenizer>> Tokenizer::load(const std::string& path) {
  struct stat about{};
  if (::stat(path.c_str(), &about) != 0 || !S_ISREG(about.st_mode))
    return fail(Errc::not_found, fmt::format("there is no file '{}'", path));
  if (static_cast<std::size_t>(about.st_size) > kFileBytesMax)
    return fail(Errc::out_of_range, fmt::format("'{}' is larger than 64 MiB", path));
  std::ifstream file(path, std::ios::binary);
  std::string bytes(static_cast<std::size_t>(about.st_size), '\0');
  file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (!file) return fail(Errc::data_loss, fmt::format("'{}' cannot be read", path));
  auto tokenizer = read(bytes);
  if (!tokenizer) tokenizer.error().detail = fmt::format("'{}': {}", path, tokenizer.error().detail);
  return tokenizer;
}

void Tokenizer::encode_pieces(Piece piece, std::vector<std::uint32_t>& out) const {
  if (!pre_tokenizer_) return model_->encode(piece.text, out);
  pre_tokenizer_->split(piece, [&](Piece part) { model_->encode(part.text, out); });
}

void Tokenizer::encode_normalized(std::string_view text, bool first, std::vector<std::uint32_t>& out) const {
  if (text.empty()) return;
  if (normalized_.empty()) return encode_pieces({text, first}, out);
  normalized_.split(text, [&](std::size_t begin, std::size_t end, const AddedToken* token) {
    if (token != nullptr) {
      out.push_back(token->id);
    } else {
      encode_pieces({text.substr(begin, end - begin), first && begin == 0}, out);
    }
  });
}

bool Tokenizer::encode_stretch(std::string_view raw, bool first, std::vector<std::uint32_t>& out) const {
  if (!normalizer_) {
    encode_normalized(raw, first, out);
    return true;
  }
  std::string text(raw);
  if (!normalizer_->apply(text)) return false;
  encode_normalized(text, first, out);
  return true;
}

Result<void> Tokenizer::encode(std::string_view text, std::vector<std::uint32_t>& out) const {
  if (text.size() > kTextBytesMax)
    return fail(Errc::out_of_range, fmt::format("a text has {} bytes; at most 1 MiB is taken", text.size()));
  std::string repaired;
  if (!json::is_valid_utf8(text)) {
    repaired = replace_defects(text);
    text = repaired;
  }
  bool fits = true;
  if (raw_.empty()) {
    fits = encode_stretch(text, true, out);
  } else {
    raw_.split(text, [&](std::size_t begin, std::size_t end, const AddedToken* token) {
      if (token != nullptr) {
        out.push_back(token->id);
      } else {
        fits = encode_stretch(text.substr(begin, end - begin), begin == 0, out) && fits;
      }
    });
  }
  if (fits) return {};
  return fail(Errc::out_of_range, "a text becomes longer than 32 MiB when it is normalised");
}

}  // namespace penstock::token
