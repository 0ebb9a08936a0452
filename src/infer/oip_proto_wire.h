// Protobuf's wire format for the messages of oip_proto.h, over protozero, which throws: nothing thrown leaves
// read_message().
#pragma once

#include <protozero/exception.hpp>
#include <protozero/pbf_reader.hpp>
#include <protozero/pbf_writer.hpp>

#include "infer/oip_parameters.h"
#include "wire/utf8.h"

namespace penstock::infer::oip {

// Fields by number and wire type, for `switch (reader.tag_and_type())`.
constexpr std::uint32_t bytes_field(std::uint32_t tag) {
  return protozero::tag_and_type(tag, protozero::pbf_wire_type::length_delimited);
}
constexpr std::uint32_t varint_field(std::uint32_t tag) {
  return protozero::tag_and_type(tag, protozero::pbf_wire_type::varint);
}

inline std::string_view bytes_of(protozero::pbf_reader& field) {
  protozero::data_view view = field.get_view();
  return {view.data(), view.size()};
}

// The field must be a `string`: its bytes are UTF-8.
inline Result<std::string_view> text_of(protozero::pbf_reader& field, std::string_view what) {
  std::string_view text = bytes_of(field);
  wire::Utf8Validator validator;
  if (!validator.feed(text) || !validator.complete())
    return fail(Errc::invalid_argument, fmt::format("{} is not UTF-8", what));
  return text;
}

// Runs `read`, which returns a Result, and makes a Result of what protozero throws, too.
template <class Read>
auto read_message(Read read) -> decltype(read()) {
  try {
    return read();
  } catch (const protozero::exception& error) {
    return fail(Errc::invalid_argument, fmt::format("the message is not valid protobuf: {}", error.what()));
  }
}

// One entry of a map<string, InferParameter>: nothing where no value is set.
struct NamedParameter {
  std::string_view name;
  std::optional<Parameter> value;
};
Result<NamedParameter> read_parameter(protozero::pbf_reader entry);

// Fills a tensor whose datatype and shape are set from InferTensorContents, which may come in several parts.
Result<void> fill_contents(Tensor& tensor, std::span<const std::string_view> parts);

}  // namespace penstock::infer::oip
