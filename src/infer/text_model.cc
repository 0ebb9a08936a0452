#include "infer/text_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>

#include "infer/oip.h"

namespace penstock::infer {
namespace {

namespace fs = std::filesystem;

// Of one run, filled up: some 50 ms of a small model on a slow core.
constexpr std::size_t kRunTokens = 8192;
constexpr std::size_t kRunRows = 64;
// Of an input whose shape the model fixes.
constexpr std::size_t kElementsMax = oip::kTensorBytesMax / sizeof(std::int64_t);

// The version's own, the model's, or the one beside a model that is a single file.
std::string find_tokenizer(const Served& served) {
  const EmbedConfig& embed = *served.config->embed;
  if (!embed.tokenizer.empty()) return embed.tokenizer;
  fs::path path = served.config->path;
  constexpr std::string_view kName = "tokenizer.json";
  std::error_code ignored;
  for (const fs::path& folder : {path / served.version, path, path.parent_path()}) {
    if (fs::is_regular_file(folder / kName, ignored)) return (folder / kName).string();
  }
  return (path / served.version / kName).string();
}

std::string list_of(const std::vector<TensorSpec>& specs) {
  std::string text;
  for (const TensorSpec& spec : specs)
    text += fmt::format("{}{} {}{}", text.empty() ? "" : ", ", spec.name, to_string(spec.datatype),
                        format_shape(spec.shape));
  return text;
}

bool is_float(Datatype datatype) {
  return datatype == Datatype::fp32 || datatype == Datatype::fp16 || datatype == Datatype::bf16 ||
         datatype == Datatype::fp64;
}

std::size_t fixed(std::int64_t dimension) { return dimension > 0 ? static_cast<std::size_t>(dimension) : 0; }

std::vector<float> floats_of(const Tensor& tensor) {
  std::vector<float> numbers;
  numbers.reserve(tensor.elements());
  if (tensor.datatype == Datatype::fp16) {
    for (std::uint16_t bits : tensor.values<std::uint16_t>()) numbers.push_back(from_half(bits));
  } else if (tensor.datatype == Datatype::bf16) {
    for (std::uint16_t bits : tensor.values<std::uint16_t>()) numbers.push_back(from_bfloat(bits));
  } else if (tensor.datatype == Datatype::fp64) {
    for (double value : tensor.values<double>()) numbers.push_back(static_cast<float>(value));
  }
  return numbers;
}

// To length 1; false when there is no such direction.
bool normalize(std::vector<float>& vector) {
  double sum = 0;
  for (float value : vector) sum += double{value} * value;
  if (!std::isfinite(sum)) return false;
  if (sum == 0) return true;
  auto scale = 1 / std::sqrt(sum);
  for (float& value : vector) value = static_cast<float>(value * scale);
  return true;
}

}  // namespace

Result<void> TextModel::take_inputs(const ModelInfo& info) {
  struct Known {
    std::string_view name;
    Feed feed;
  };
  constexpr std::array kKnown{Known{"input_ids", Feed::ids}, Known{"attention_mask", Feed::mask},
                              Known{"token_type_ids", Feed::types}, Known{"position_ids", Feed::positions}};
  bool ids = false;
  for (const TensorSpec& spec : info.inputs) {
    auto known = std::ranges::find(kKnown, spec.name, &Known::name);
    bool whole = spec.datatype == Datatype::int64 || spec.datatype == Datatype::int32;
    if (known == kKnown.end() || !whole || spec.shape.size() != 2)
      return fail(
          Errc::failed_precondition,
          fmt::format("the model '{}' cannot embed text: its input '{}' is {}{}; what is filled here are input_ids, "
                      "attention_mask, token_type_ids and position_ids, INT64 or INT32 of two dimensions",
                      model_, spec.name, to_string(spec.datatype), format_shape(spec.shape)));
    ids = ids || known->feed == Feed::ids;
    rows_fixed_ = std::max(rows_fixed_, fixed(spec.shape[0]));
    width_fixed_ = std::max(width_fixed_, fixed(spec.shape[1]));
    inputs_.push_back({spec.name, spec.datatype, known->feed});
  }
  std::size_t rows = std::max<std::size_t>(rows_fixed_, 1);
  std::size_t width = width_fixed_ > 0 ? width_fixed_ : std::max<std::size_t>(config_.max_tokens, 1);
  if (width > kElementsMax || rows > kElementsMax / width)
    return fail(Errc::failed_precondition,
                fmt::format("the model '{}' cannot embed text: it takes {} rows of {} tokens, and at most {} tokens go "
                            "into one run",
                            model_, rows, width, kElementsMax));
  if (ids) return {};
  return fail(Errc::failed_precondition,
              fmt::format("the model '{}' cannot embed text: it has no input 'input_ids'; it takes {}", model_,
                          list_of(info.inputs)));
}

Result<void> TextModel::take_output(const ModelInfo& info) {
  std::size_t rank = config_.pooling == EmbedConfig::Pooling::none ? 2 : 3;
  for (const TensorSpec& spec : info.outputs) {
    if (!config_.output.empty() ? spec.name != config_.output : spec.shape.size() != rank || !is_float(spec.datatype))
      continue;
    if (spec.shape.size() == rank && is_float(spec.datatype)) {
      output_ = spec.name;
      return {};
    }
  }
  return fail(
      Errc::failed_precondition,
      fmt::format("the model '{}' cannot embed text: `pooling` needs {} of numbers with {} dimensions; it gives {}",
                  model_, config_.output.empty() ? "an output" : fmt::format("the output '{}'", config_.output), rank,
                  list_of(info.outputs)));
}

Result<std::shared_ptr<const TextModel>> TextModel::open(const Served& served) {
  if (!served.config->embed)
    return fail(Errc::failed_precondition,
                fmt::format("the model '{}' is not for embeddings: it has no `embed:`", served.name));
  auto made = std::make_shared<TextModel>();
  made->model_ = served.name;
  made->config_ = *served.config->embed;
  if (auto taken = made->take_inputs(served.model->info()); !taken) return std::unexpected(taken.error());
  if (auto taken = made->take_output(served.model->info()); !taken) return std::unexpected(taken.error());
  auto tokenizer = token::Tokenizer::load(find_tokenizer(served));
  if (!tokenizer)
    return fail(tokenizer.error().code, fmt::format("the tokenizer of the model '{}' cannot be used: {}", served.name,
                                                    tokenizer.error().detail));
  made->tokenizer_ = *tokenizer;
  made->tokens_max_ = made->config_.max_tokens;
  if (made->width_fixed_ > 0) made->tokens_max_ = std::min(made->tokens_max_, made->width_fixed_);
  if (made->tokens_max_ <= made->tokenizer_->frame().size())
    return fail(Errc::failed_precondition,
                fmt::format("the model '{}' has no room for text: it takes {} tokens, and {} stand around each text",
                            served.name, made->tokens_max_, made->tokenizer_->frame().size()));
  made->rows_bound_ =
      served.config->batch.max > 1 ? std::min<std::size_t>(kRunRows, served.config->batch.max) : kRunRows;
  return made;
}

Result<void> TextModel::check_length(std::size_t tokens, std::string_view name) const {
  if (tokens <= tokens_max_) return {};
  return fail(Errc::invalid_argument,
              fmt::format("{} has {} tokens, and the model '{}' takes at most {}: shorten or split it", name, tokens,
                          model_, tokens_max_));
}

Result<TokenRow> TextModel::read(std::string_view text, std::string_view name) const {
  if (text.empty()) return fail(Errc::invalid_argument, fmt::format("{} is empty", name));
  const token::Frame& frame = tokenizer_->frame();
  TokenRow row{.before = frame.before.size(), .after = frame.after.size()};
  for (const auto& special : frame.before) row.ids.push_back(special.id);
  auto encoded = config_.prefix.empty() ? tokenizer_->encode(text, row.ids)
                                        : tokenizer_->encode(config_.prefix + std::string(text), row.ids);
  if (!encoded) return fail(Errc::invalid_argument, fmt::format("{}: {}", name, encoded.error().detail));
  std::size_t room = tokens_max_ - row.after;
  if (config_.truncate && row.ids.size() > room) row.ids.resize(room);
  for (const auto& special : frame.after) row.ids.push_back(special.id);
  if (auto fits = check_length(row.ids.size(), name); !fits) return std::unexpected(fits.error());
  // Nothing but white space, and nothing around it: the model has to see something.
  if (row.ids.empty()) return fail(Errc::invalid_argument, fmt::format("{} has no tokens", name));
  return row;
}

Result<TokenRow> TextModel::read(const std::vector<std::int64_t>& tokens, std::string_view name) const {
  if (tokens.empty()) return fail(Errc::invalid_argument, fmt::format("{} is empty", name));
  TokenRow row;
  for (std::int64_t token : tokens) {
    if (token < 0 || token >= static_cast<std::int64_t>(tokenizer_->end_id()))
      return fail(Errc::invalid_argument, fmt::format("{} has the token {}, and those of the model '{}' are 0 to {}",
                                                      name, token, model_, tokenizer_->end_id() - 1));
    row.ids.push_back(static_cast<std::uint32_t>(token));
  }
  if (config_.truncate && row.ids.size() > tokens_max_) row.ids.resize(tokens_max_);
  if (auto fits = check_length(row.ids.size(), name); !fits) return std::unexpected(fits.error());
  return row;
}

std::size_t TextModel::rows_max(std::size_t width) const {
  if (rows_fixed_ > 0) return rows_fixed_;
  if (width_fixed_ > 0) width = width_fixed_;
  return std::clamp<std::size_t>(kRunTokens / std::max<std::size_t>(width, 1), 1, rows_bound_);
}

std::int64_t TextModel::value(Feed feed, const TokenRow& row, std::size_t place) const {
  bool inside = place < row.ids.size();
  if (feed == Feed::ids) return inside ? row.ids[place] : tokenizer_->padding();
  if (feed == Feed::mask) return inside ? 1 : 0;
  if (feed == Feed::positions) return static_cast<std::int64_t>(place);
  if (!inside || row.before + row.after == 0) return 0;
  const token::Frame& frame = tokenizer_->frame();
  if (place < row.before) return frame.before[place].type;
  std::size_t behind = row.ids.size() - place;
  return behind <= row.after ? frame.after[row.after - behind].type : frame.type;
}

template <class T>
void TextModel::fill(Tensor& tensor, Feed feed, std::span<const TokenRow* const> rows) const {
  // A row that only fills up has one token, so that no mean is of nothing.
  static const TokenRow kFiller{.ids = {0}};
  auto height = static_cast<std::size_t>(tensor.shape[0]), width = static_cast<std::size_t>(tensor.shape[1]);
  auto out = tensor.values<T>();
  for (std::size_t i = 0; i < height; ++i) {
    const TokenRow& row = i < rows.size() ? *rows[i] : kFiller;
    for (std::size_t k = 0; k < width; ++k) out[i * width + k] = static_cast<T>(value(feed, row, k));
  }
}

std::vector<Tensor> TextModel::inputs(std::span<const TokenRow* const> rows) const {
  std::size_t width = width_fixed_;
  for (const TokenRow* row : rows) width = std::max(width, row->ids.size());
  std::size_t height = std::max(rows.size(), rows_fixed_);
  std::vector<Tensor> tensors;
  for (const Input& input : inputs_) {
    Tensor tensor{.name = input.name,
                  .datatype = input.datatype,
                  .shape = {static_cast<std::int64_t>(height), static_cast<std::int64_t>(width)},
                  .bytes = Buffer(height * width * element_bytes(input.datatype)),
                  .strings = {}};
    if (input.datatype == Datatype::int64) {
      fill<std::int64_t>(tensor, input.feed, rows);
    } else {
      fill<std::int32_t>(tensor, input.feed, rows);
    }
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

// Of one row: `tokens` vectors of `size` numbers that count; fill-up is not among them.
std::vector<float> TextModel::pooled(std::span<const float> numbers, std::size_t tokens, std::size_t size) const {
  using Pooling = EmbedConfig::Pooling;
  auto at = [&](std::size_t token) { return numbers.subspan(token * size, size); };
  if (config_.pooling == Pooling::none || config_.pooling == Pooling::cls) return {at(0).begin(), at(0).end()};
  if (config_.pooling == Pooling::last) return {at(tokens - 1).begin(), at(tokens - 1).end()};
  std::vector<float> vector(at(0).begin(), at(0).end());
  bool mean = config_.pooling == Pooling::mean;
  for (std::size_t token = 1; token < tokens; ++token) {
    auto next = at(token);
    if (mean) {
      for (std::size_t i = 0; i < size; ++i) vector[i] += next[i];
    } else {
      for (std::size_t i = 0; i < size; ++i) vector[i] = std::max(vector[i], next[i]);
    }
  }
  if (mean) {
    for (float& value : vector) value /= static_cast<float>(tokens);
  }
  return vector;
}

Result<std::vector<std::vector<float>>> TextModel::pool(const Tensor& output, std::span<const TokenRow* const> rows,
                                                        std::size_t dimensions) const {
  bool none = config_.pooling == EmbedConfig::Pooling::none;
  std::size_t longest = 0;
  for (const TokenRow* row : rows) longest = std::max(longest, row->ids.size());
  const auto& shape = output.shape;
  bool fits = shape.size() == (none ? 2U : 3U) && is_float(output.datatype) && shape.back() > 0 &&
              std::cmp_greater_equal(shape[0], rows.size()) && (none || std::cmp_greater_equal(shape[1], longest));
  if (!fits)
    return fail(Errc::internal, fmt::format("the model '{}' gave {}{} for {} texts of up to {} tokens", model_,
                                            to_string(output.datatype), format_shape(shape), rows.size(), longest));
  auto size = static_cast<std::size_t>(shape.back());
  if (dimensions > size)
    return fail(Errc::invalid_argument,
                fmt::format("the vectors of the model '{}' have {} dimensions, and {} are asked for", model_, size,
                            dimensions));
  std::vector<float> converted = floats_of(output);
  std::span<const float> numbers =
      output.datatype == Datatype::fp32 ? output.values<float>() : std::span<const float>(converted);
  auto elements = element_count(shape);
  if (!elements || *elements != numbers.size())
    return fail(Errc::internal,
                fmt::format("the model '{}' gave {} numbers as {}", model_, numbers.size(), format_shape(shape)));
  std::size_t stride = none ? size : size * static_cast<std::size_t>(shape[1]);
  std::vector<std::vector<float>> vectors;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    std::vector<float> vector = pooled(numbers.subspan(i * stride, stride), rows[i]->ids.size(), size);
    if (dimensions > 0) vector.resize(dimensions);
    bool finite = std::ranges::all_of(vector, [](float value) { return std::isfinite(value); });
    if (!finite || (config_.normalize && !normalize(vector)))
      return fail(Errc::internal, fmt::format("the model '{}' gave numbers that are not finite", model_));
    vectors.push_back(std::move(vector));
  }
  return vectors;
}

}  // namespace penstock::infer
