#include <charconv>
#include <cmath>

#include "infer/classify.h"
#include "infer/oip.h"
#include "infer/raw_tensor.h"
#include "json/value.h"

namespace penstock::infer::oip {
namespace {

// Longest text of one element, with its comma: "-2.2250738585072014e-308,"
constexpr std::size_t kNumberBytesMax = 32;

template <class T>
char* write_number(char* at, T value) {
  if constexpr (std::is_same_v<T, bool>) {
    std::string_view word = value ? "true" : "false";
    return std::copy(word.begin(), word.end(), at);
  } else if constexpr (std::is_floating_point_v<T>) {
    if (!std::isfinite(value)) return std::copy_n("null", 4, at);
    char* end = std::to_chars(at, at + kNumberBytesMax, value).ptr;
    // "1" would come back as a whole number in languages that tell the two apart.
    if (std::find_if(at, end, [](char byte) { return byte == '.' || byte == 'e'; }) == end)
      end = std::copy_n(".0", 2, end);
    return end;
  } else {
    return std::to_chars(at, at + kNumberBytesMax, value).ptr;
  }
}

// Writes in blocks, so that the string grows a few times and not once per element.
template <class T, class Get>
void append_numbers(std::string& out, std::span<const T> values, Get get) {
  std::array<char, 4096> block;
  char* at = block.data();
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (static_cast<std::size_t>(block.data() + block.size() - at) < 2 * kNumberBytesMax) {
      out.append(block.data(), at);
      at = block.data();
    }
    if (i > 0) *at++ = ',';
    at = write_number(at, get(values[i]));
  }
  out.append(block.data(), at);
}

template <class T>
void append_plain(std::string& out, const Tensor& tensor) {
  append_numbers(out, tensor.values<T>(), [](T value) { return value; });
}

void append_data(std::string& out, const Tensor& tensor) {
  switch (tensor.datatype) {
    case Datatype::boolean: return append_plain<bool>(out, tensor);
    case Datatype::uint8: return append_plain<std::uint8_t>(out, tensor);
    case Datatype::uint16: return append_plain<std::uint16_t>(out, tensor);
    case Datatype::uint32: return append_plain<std::uint32_t>(out, tensor);
    case Datatype::uint64: return append_plain<std::uint64_t>(out, tensor);
    case Datatype::int8: return append_plain<std::int8_t>(out, tensor);
    case Datatype::int16: return append_plain<std::int16_t>(out, tensor);
    case Datatype::int32: return append_plain<std::int32_t>(out, tensor);
    case Datatype::int64: return append_plain<std::int64_t>(out, tensor);
    case Datatype::fp32: return append_plain<float>(out, tensor);
    case Datatype::fp64: return append_plain<double>(out, tensor);
    case Datatype::fp16: return append_numbers(out, tensor.values<std::uint16_t>(), from_half);
    case Datatype::bf16: return append_numbers(out, tensor.values<std::uint16_t>(), from_bfloat);
    case Datatype::bytes:
      for (std::size_t i = 0; i < tensor.strings.size(); ++i) {
        if (i > 0) out += ',';
        json::append_quoted(out, tensor.strings[i]);
      }
      return;
  }
}

}  // namespace

Result<void> classify_outputs(const InferCall& call, Response& response, bool rows_first) {
  for (std::size_t i = 0; i < std::min(call.classes.size(), response.outputs.size()); ++i) {
    if (call.classes[i] == 0) continue;
    auto classes = classify(response.outputs[i], call.classes[i], rows_first);
    if (!classes) return std::unexpected(classes.error());
    response.outputs[i] = std::move(*classes);
  }
  return {};
}

Answer encode_infer(const InferCall& call, const Response& response) {
  auto is_binary = [&](std::size_t i) { return i < call.binary.size() ? call.binary[i] : call.binary_by_default; };
  std::string json = "{\"model_name\":";
  json::append_quoted(json, response.model);
  json += ",\"model_version\":";
  json::append_quoted(json, response.version);
  if (call.id) {
    json += ",\"id\":";
    json::append_quoted(json, *call.id);
  }
  json += ",\"outputs\":[";
  std::size_t raw_bytes = 0;
  bool any_binary = false;
  for (std::size_t i = 0; i < response.outputs.size(); ++i) {
    const Tensor& tensor = response.outputs[i];
    json += i > 0 ? ",{\"name\":" : "{\"name\":";
    json::append_quoted(json, tensor.name);
    fmt::format_to(std::back_inserter(json), ",\"datatype\":\"{}\",\"shape\":[{}],", to_string(tensor.datatype),
                   fmt::join(tensor.shape, ","));
    if (is_binary(i)) {
      any_binary = true;
      raw_bytes += raw_size(tensor);
      fmt::format_to(std::back_inserter(json), "\"parameters\":{{\"binary_data_size\":{}}}}}", raw_size(tensor));
    } else {
      json += "\"data\":[";
      append_data(json, tensor);
      json += "]}";
    }
  }
  json += "]}";
  if (!any_binary) return {.body = std::move(json), .header_length = std::nullopt};
  std::size_t header_length = json.size();
  json.reserve(header_length + raw_bytes);
  for (std::size_t i = 0; i < response.outputs.size(); ++i) {
    if (is_binary(i)) append_raw(json, response.outputs[i]);
  }
  return {.body = std::move(json), .header_length = header_length};
}

}  // namespace penstock::infer::oip
