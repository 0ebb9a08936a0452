#include <charconv>
#include <cmath>

#include "infer/oip_parameters.h"
#include "infer/raw_tensor.h"
#include "json/cursor.h"

namespace penstock::infer::oip {
namespace {

using Kind = json::Cursor::Kind;

// The tensor members that are not tensor content.
struct InputExtras {
  std::optional<std::uint64_t> binary_size;
};

class RequestReader {
 public:
  RequestReader(std::string_view text, std::string_view sticky, InferCall& call)
      : in_(text), text_(text), sticky_(sticky), call_(call) {}

  bool read();
  const std::string& error() const { return error_.empty() ? in_.error() : error_; }
  // One per input.
  const std::vector<InputExtras>& extras() const { return extras_; }
  // Of the tensors whose data stands in the JSON.
  std::size_t tensor_bytes() const { return tensor_bytes_; }

 private:
  // Calls `set(name, value)` for each member that is no array, object or null.
  template <class Set>
  bool read_parameters(Set set);
  bool read_parameter(Parameter& value);
  bool read_input();
  bool read_input_members(Tensor& tensor, InputExtras& extras, std::optional<std::size_t>& data_at);
  bool read_output();
  bool read_datatype(Tensor& tensor);
  bool read_shape(std::vector<std::int64_t>& shape);
  bool read_data(Tensor& tensor);
  bool once(unsigned& seen, unsigned bit, std::string_view key);
  template <class T>
  bool read_into(const Tensor& tensor, T* out, std::size_t count);
  template <class T>
  bool read_level(const Tensor& tensor, std::size_t dimension, T*& out, std::size_t count);
  bool read_strings(std::string* out, std::size_t count);
  bool read_halves(Tensor& tensor, std::size_t count);

  json::Cursor in_;
  std::string_view text_;
  std::string_view sticky_;
  InferCall& call_;
  std::vector<InputExtras> extras_;
  std::vector<OutputWish> wishes_;  // per output
  std::size_t tensor_bytes_ = 0;
  std::string error_;
};

// A member that appears twice could mean two things to two readers.
bool RequestReader::once(unsigned& seen, unsigned bit, std::string_view key) {
  if ((seen & bit) != 0) return in_.fault(in_.offset(), fmt::format("'{}' appears twice", key));
  seen |= bit;
  return true;
}

bool RequestReader::read() {
  unsigned seen = 0;
  std::string_view key;
  if (!in_.open_object()) return false;
  while (in_.next_member(key)) {
    if (key == "id") {
      if (!once(seen, 1, key) || !in_.read_string(call_.id.emplace())) return false;
    } else if (key == "inputs") {
      if (!once(seen, 2, key) || !in_.open_array()) return false;
      while (in_.next_element()) {
        if (!read_input()) return false;
      }
    } else if (key == "outputs") {
      if (!once(seen, 4, key) || !in_.open_array()) return false;
      while (in_.next_element()) {
        if (!read_output()) return false;
      }
    } else if (key == "parameters") {
      if (!once(seen, 8, key)) return false;
      auto set = [&](std::string_view name, const Parameter& value) {
        return set_request_parameter(call_, sticky_, name, value);
      };
      if (!read_parameters(set)) return false;
    } else {
      in_.skip();
    }
  }
  if (!in_.finish()) return false;
  if ((seen & 2) == 0) return in_.fault(0, "'inputs' is missing");
  // An output that said nothing follows the request's own wish, which may stand behind it in the text.
  for (const OutputWish& wish : wishes_) {
    call_.binary.push_back(wish.binary.value_or(call_.binary_by_default));
    call_.classes.push_back(wish.classes);
  }
  return true;
}

bool RequestReader::read_parameter(Parameter& value) {
  switch (in_.peek()) {
    case Kind::boolean: return in_.read_bool(value.emplace<bool>());
    case Kind::string: return in_.read_string(value.emplace<std::string>());
    case Kind::number: {
      std::size_t begin = in_.offset();
      if (!in_.skip()) return false;
      std::string_view digits = text_.substr(begin);
      std::int64_t whole = 0;
      auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), whole);
      bool fits = error == std::errc{};
      if (fits && (end == digits.data() + digits.size() || (*end != '.' && *end != 'e' && *end != 'E'))) {
        value = whole;
        return true;
      }
      in_.seek(begin);
      return in_.read_number(value.emplace<double>());
    }
    default: return in_.skip() && false;
  }
}

template <class Set>
bool RequestReader::read_parameters(Set set) {
  std::string_view key;
  std::string name;
  Parameter value;
  if (!in_.open_object()) return false;
  while (in_.next_member(key)) {
    std::size_t at = in_.offset();
    name = key;
    if (!read_parameter(value)) continue;
    if (auto taken = set(name, value); !taken) return in_.fault(at, taken.error().detail);
  }
  return !in_.failed();
}

bool RequestReader::read_datatype(Tensor& tensor) {
  std::size_t at = in_.offset();
  std::string name;
  if (!in_.read_string(name)) return false;
  auto datatype = parse_datatype(name);
  if (!datatype) {
    return in_.fault(at,
                     fmt::format("unknown datatype '{}'; known are BOOL, UINT8 to UINT64, INT8 to INT64, FP16, FP32, "
                                 "FP64, BF16 and BYTES",
                                 name));
  }
  tensor.datatype = *datatype;
  return true;
}

bool RequestReader::read_shape(std::vector<std::int64_t>& shape) {
  if (!in_.open_array()) return false;
  while (in_.next_element()) {
    std::size_t at = in_.offset();
    std::int64_t dimension = 0;
    if (!in_.read_number(dimension)) return false;
    if (dimension < 0) return in_.fault(at, fmt::format("a dimension is negative: {}", dimension));
    if (shape.size() == kRankMax) return in_.fault(at, fmt::format("more than {} dimensions", kRankMax));
    shape.push_back(dimension);
  }
  return !in_.failed();
}

// Data that stands before shape or datatype is checked and passed over; `data_at` then says where it is.
bool RequestReader::read_input_members(Tensor& tensor, InputExtras& extras, std::optional<std::size_t>& data_at) {
  constexpr unsigned kName = 1, kShape = 2, kDatatype = 4, kParameters = 8, kData = 16;
  unsigned seen = 0;
  std::string_view key;
  if (!in_.open_object()) return false;
  while (in_.next_member(key)) {
    if (key == "name") {
      if (!once(seen, kName, key) || !in_.read_string(tensor.name)) return false;
    } else if (key == "shape") {
      if (!once(seen, kShape, key) || !read_shape(tensor.shape)) return false;
    } else if (key == "datatype") {
      if (!once(seen, kDatatype, key) || !read_datatype(tensor)) return false;
    } else if (key == "parameters") {
      if (!once(seen, kParameters, key)) return false;
      auto set = [&](std::string_view named, const Parameter& value) {
        return set_input_parameter(extras.binary_size, named, value);
      };
      if (!read_parameters(set)) return false;
    } else if (key == "data") {
      if (!once(seen, kData, key)) return false;
      if ((seen & (kShape | kDatatype)) == (kShape | kDatatype)) {
        if (!read_data(tensor)) return false;
      } else {
        data_at = in_.offset();
        if (!in_.skip()) return false;
      }
    } else {
      in_.skip();
    }
  }
  if (in_.failed()) return false;
  for (auto [bit, name] : {std::pair(kName, "name"), std::pair(kShape, "shape"), std::pair(kDatatype, "datatype")}) {
    if ((seen & bit) == 0) return in_.fault(in_.offset(), fmt::format("'{}' is missing", name));
  }
  bool has_data = (seen & kData) != 0;
  if (has_data && extras.binary_size) return in_.fault(in_.offset(), "has both data and binary_data_size");
  if (!has_data && !extras.binary_size) return in_.fault(in_.offset(), "'data' is missing");
  return true;
}

bool RequestReader::read_input() {
  if (extras_.size() == kTensorsMax) return in_.fault(in_.offset(), fmt::format("more than {} inputs", kTensorsMax));
  Tensor tensor;
  InputExtras extras;
  std::optional<std::size_t> data_at;
  bool ok = read_input_members(tensor, extras, data_at);
  if (ok && data_at) {
    std::size_t after = in_.offset();
    in_.seek(*data_at);
    ok = read_data(tensor);
    in_.seek(after);
  }
  if (!ok) {
    error_ = fmt::format("inputs[{}]{}: {}", extras_.size(), tensor.name.empty() ? "" : " '" + tensor.name + "'",
                         in_.error());
    return false;
  }
  call_.request.inputs.push_back(std::move(tensor));
  extras_.push_back(extras);
  return true;
}

template <class T>
bool RequestReader::read_level(const Tensor& tensor, std::size_t dimension, T*& out, std::size_t count) {
  if (dimension + 1 >= tensor.shape.size()) {
    bool ok = false;
    if constexpr (std::is_same_v<T, std::string>) {
      ok = read_strings(out, count);
    } else {
      ok = in_.read_array(out, count);
    }
    out += count;
    return ok;
  }
  std::size_t taken = 0;
  if (!in_.open_array()) return false;
  while (in_.next_element()) {
    if (taken++ == count)
      return in_.fault(in_.offset(), fmt::format("dimension {} has more than {} entries", dimension, count));
    if (!read_level(tensor, dimension + 1, out, static_cast<std::size_t>(tensor.shape[dimension + 1]))) return false;
  }
  if (in_.failed() || taken == count) return !in_.failed();
  return in_.fault(in_.offset(),
                   fmt::format("dimension {} has {} entries, the shape says {}", dimension, taken, count));
}

bool RequestReader::read_strings(std::string* out, std::size_t count) {
  std::size_t taken = 0;
  if (!in_.open_array()) return false;
  while (in_.next_element()) {
    if (taken == count) return in_.fault(in_.offset(), fmt::format("more than {} elements in the array", count));
    if (!in_.read_string(out[taken++])) return false;
  }
  if (in_.failed() || taken == count) return !in_.failed();
  return in_.fault(in_.offset(), fmt::format("{} elements in the array, expected {}", taken, count));
}

template <class T>
bool RequestReader::read_into(const Tensor& tensor, T* out, std::size_t count) {
  if (tensor.shape.size() > 1 && in_.at_nested_array()) {
    return read_level(tensor, 0, out, static_cast<std::size_t>(tensor.shape[0]));
  }
  if constexpr (std::is_same_v<T, std::string>) {
    return read_strings(out, count);
  } else {
    return in_.read_array(out, count);
  }
}

bool RequestReader::read_halves(Tensor& tensor, std::size_t count) {
  std::size_t at = in_.offset();
  std::vector<float> wide(count);
  if (!read_into(tensor, wide.data(), count)) return false;
  auto out = tensor.values<std::uint16_t>();
  bool half = tensor.datatype == Datatype::fp16;
  for (std::size_t i = 0; i < count; ++i) {
    out[i] = half ? to_half(wide[i]) : to_bfloat(wide[i]);
    if (!std::isfinite(half ? from_half(out[i]) : from_bfloat(out[i]))) {
      return in_.fault(at,
                       fmt::format("element {} is out of the range of {}: {}", i, to_string(tensor.datatype), wide[i]));
    }
  }
  return true;
}

bool RequestReader::read_data(Tensor& tensor) {
  std::size_t at = in_.offset();
  auto count = element_count(tensor.shape);
  if (!count) return in_.fault(at, count.error().detail);
  // Every element takes a byte of text at least, so this also bounds what is allocated below.
  if (*count > text_.size()) {
    return in_.fault(
        at, fmt::format("shape {} means {} elements, more than the request holds", format_shape(tensor.shape), *count));
  }
  std::size_t size = tensor.datatype == Datatype::bytes ? sizeof(std::string) : element_bytes(tensor.datatype);
  tensor_bytes_ += *count * size;
  if (tensor_bytes_ > kTensorBytesMax)
    return in_.fault(at, fmt::format("more than {} bytes of tensors", kTensorBytesMax));
  if (in_.peek() != Kind::array) return in_.fault(at, "expected an array");
  if (tensor.datatype == Datatype::bytes) {
    tensor.strings.resize(*count);
    return read_into(tensor, tensor.strings.data(), *count);
  }
  tensor.bytes = Buffer(*count * size);
  switch (tensor.datatype) {
    case Datatype::boolean: return read_into(tensor, tensor.values<bool>().data(), *count);
    case Datatype::uint8: return read_into(tensor, tensor.values<std::uint8_t>().data(), *count);
    case Datatype::uint16: return read_into(tensor, tensor.values<std::uint16_t>().data(), *count);
    case Datatype::uint32: return read_into(tensor, tensor.values<std::uint32_t>().data(), *count);
    case Datatype::uint64: return read_into(tensor, tensor.values<std::uint64_t>().data(), *count);
    case Datatype::int8: return read_into(tensor, tensor.values<std::int8_t>().data(), *count);
    case Datatype::int16: return read_into(tensor, tensor.values<std::int16_t>().data(), *count);
    case Datatype::int32: return read_into(tensor, tensor.values<std::int32_t>().data(), *count);
    case Datatype::int64: return read_into(tensor, tensor.values<std::int64_t>().data(), *count);
    case Datatype::fp32: return read_into(tensor, tensor.values<float>().data(), *count);
    case Datatype::fp64: return read_into(tensor, tensor.values<double>().data(), *count);
    case Datatype::fp16:
    case Datatype::bf16: return read_halves(tensor, *count);
    case Datatype::bytes: break;
  }
  return true;
}

bool RequestReader::read_output() {
  if (wishes_.size() == kTensorsMax) return in_.fault(in_.offset(), fmt::format("more than {} outputs", kTensorsMax));
  std::string name;
  OutputWish wish;
  bool named = false;
  std::string_view key;
  if (!in_.open_object()) return false;
  while (in_.next_member(key)) {
    if (key == "name") {
      if (named) return in_.fault(in_.offset(), "'name' appears twice");
      named = in_.read_string(name);
    } else if (key == "parameters") {
      auto set = [&](std::string_view parameter, const Parameter& value) {
        return set_output_parameter(wish, parameter, value);
      };
      if (!read_parameters(set)) return false;
    } else {
      in_.skip();
    }
  }
  if (in_.failed()) return false;
  if (!named) return in_.fault(in_.offset(), "an output has no 'name'");
  call_.request.outputs.push_back(std::move(name));
  wishes_.push_back(wish);
  return true;
}

// --- raw tensors -----------------------------------------------------------------------------------------------------

// `bytes`: of tensors so far.
Result<void> take_raw(InferCall& call, const std::vector<InputExtras>& extras, std::string_view raw,
                      std::size_t bytes) {
  std::size_t used = 0;
  for (std::size_t i = 0; i < extras.size(); ++i) {
    if (!extras[i].binary_size) continue;
    Tensor& tensor = call.request.inputs[i];
    if (*extras[i].binary_size > raw.size() - used) {
      return fail(Errc::invalid_argument, fmt::format("input '{}': binary_data_size is {}, but only {} bytes are left",
                                                      tensor.name, *extras[i].binary_size, raw.size() - used));
    }
    auto size = static_cast<std::size_t>(*extras[i].binary_size);
    auto count = element_count(tensor.shape);
    if (!count) return fail(Errc::invalid_argument, fmt::format("input '{}': {}", tensor.name, count.error().detail));
    // An element of BYTES is a string, however short it is; more of them than four bytes each allow are refused below.
    bool strings = tensor.datatype == Datatype::bytes;
    bytes += strings ? std::min(*count, size / sizeof(std::uint32_t)) * sizeof(std::string) : size;
    if (bytes > kTensorBytesMax)
      return fail(Errc::invalid_argument, fmt::format("more than {} bytes of tensors", kTensorBytesMax));
    if (auto bad = fill_raw(tensor, raw.substr(used, size)); !bad) {
      return fail(Errc::invalid_argument, fmt::format("input '{}': {}", tensor.name, bad.error().detail));
    }
    used += size;
  }
  if (used != raw.size()) {
    return fail(Errc::invalid_argument, fmt::format("{} raw bytes belong to no input", raw.size() - used));
  }
  return {};
}

Result<InferCall> parse_raw(std::string_view body, const ModelInfo* model) {
  if (model == nullptr)
    return fail(Errc::invalid_argument,
                "Inference-Header-Content-Length is 0, and the model is not known here; describe the tensors in a JSON "
                "header");
  if (body.size() > kTensorBytesMax)
    return fail(Errc::invalid_argument, fmt::format("more than {} bytes of tensors", kTensorBytesMax));
  auto tensor = deduce_raw(*model, body);
  if (!tensor) return std::unexpected(tensor.error());
  InferCall call;
  call.request.inputs.push_back(std::move(*tensor));
  call.binary_by_default = true;
  return call;
}

}  // namespace

Result<InferCall> parse_infer(std::string_view body, const InferHead& head) {
  if (head.json_bytes && *head.json_bytes == 0) return parse_raw(body, head.model);
  if (body.empty()) return fail(Errc::invalid_argument, "the request body is empty; expected a JSON inference request");
  if (head.json_bytes && *head.json_bytes > body.size()) {
    return fail(Errc::invalid_argument, fmt::format("Inference-Header-Content-Length is {}, but the body has {} bytes",
                                                    *head.json_bytes, body.size()));
  }
  std::string_view text = body.substr(0, head.json_bytes.value_or(body.size()));
  InferCall call;
  RequestReader reader(text, head.sticky, call);
  if (!reader.read()) return fail(Errc::invalid_argument, fmt::format("invalid inference request: {}", reader.error()));
  if (auto bad = take_raw(call, reader.extras(), body.substr(text.size()), reader.tensor_bytes()); !bad)
    return std::unexpected(bad.error());
  return call;
}

}  // namespace penstock::infer::oip
