// InferTensorContents: the elements of a tensor in the one repeated field that its datatype has.
#include "infer/oip_proto_wire.h"

namespace penstock::infer::oip {
namespace {

using protozero::pbf_wire_type;

// By tag, from 1 on.
constexpr std::array<std::string_view, 9> kNames{"",
                                                 "bool_contents",
                                                 "int_contents",
                                                 "int64_contents",
                                                 "uint_contents",
                                                 "uint64_contents",
                                                 "fp32_contents",
                                                 "fp64_contents",
                                                 "bytes_contents"};

// 0: there is none.
std::uint32_t tag_of(Datatype datatype) {
  switch (datatype) {
    case Datatype::boolean: return 1;
    case Datatype::int8:
    case Datatype::int16:
    case Datatype::int32: return 2;
    case Datatype::int64: return 3;
    case Datatype::uint8:
    case Datatype::uint16:
    case Datatype::uint32: return 4;
    case Datatype::uint64: return 5;
    case Datatype::fp32: return 6;
    case Datatype::fp64: return 7;
    case Datatype::bytes: return 8;
    case Datatype::fp16:
    case Datatype::bf16: break;
  }
  return 0;
}

std::unexpected<Error> wrong(std::string detail) { return fail(Errc::invalid_argument, std::move(detail)); }

// The elements of one tensor, as they come.
class Contents {
 public:
  Contents(Tensor& tensor, std::size_t count) : tensor_(tensor), tag_(tag_of(tensor.datatype)), count_(count) {}

  Result<void> read(std::string_view part);
  Result<void> finish() const {
    if (taken_ == count_) return {};
    return wrong(fmt::format("shape {} means {} elements, {} has {}", format_shape(tensor_.shape), count_, kNames[tag_],
                             taken_));
  }

 private:
  Result<void> take(protozero::pbf_reader& field);
  Result<void> take_string(std::string_view bytes);
  template <class T>
  Result<void> take_integers(protozero::pbf_reader& field);
  template <class T>
  Result<void> put(std::uint64_t wire);
  template <class T>
  Result<void> take_floats(protozero::pbf_reader& field, pbf_wire_type single);
  std::unexpected<Error> too_many() const {
    return wrong(
        fmt::format("shape {} means {} elements, {} has more", format_shape(tensor_.shape), count_, kNames[tag_]));
  }

  Tensor& tensor_;
  const std::uint32_t tag_;
  const std::size_t count_;
  std::size_t taken_ = 0;
};

Result<void> Contents::read(std::string_view part) {
  protozero::pbf_reader field(part.data(), part.size());
  while (field.next()) {
    if (field.tag() == tag_) {
      if (auto taken = take(field); !taken) return taken;
      continue;
    }
    std::uint32_t other = field.tag();  // before its value is taken
    bool known = other < kNames.size();
    bool empty = field.wire_type() == pbf_wire_type::length_delimited && bytes_of(field).empty();
    if (known && !empty) {
      return wrong(
          fmt::format("{} goes into {}, not into {}", to_string(tensor_.datatype), kNames[tag_], kNames[other]));
    }
    if (field.wire_type() != pbf_wire_type::length_delimited) field.skip();
  }
  return {};
}

Result<void> Contents::take(protozero::pbf_reader& field) {
  switch (tensor_.datatype) {
    case Datatype::boolean: return take_integers<bool>(field);
    case Datatype::int8: return take_integers<std::int8_t>(field);
    case Datatype::int16: return take_integers<std::int16_t>(field);
    case Datatype::int32: return take_integers<std::int32_t>(field);
    case Datatype::int64: return take_integers<std::int64_t>(field);
    case Datatype::uint8: return take_integers<std::uint8_t>(field);
    case Datatype::uint16: return take_integers<std::uint16_t>(field);
    case Datatype::uint32: return take_integers<std::uint32_t>(field);
    case Datatype::uint64: return take_integers<std::uint64_t>(field);
    case Datatype::fp32: return take_floats<float>(field, pbf_wire_type::fixed32);
    case Datatype::fp64: return take_floats<double>(field, pbf_wire_type::fixed64);
    case Datatype::bytes:
      if (field.wire_type() != pbf_wire_type::length_delimited) break;
      return take_string(bytes_of(field));
    case Datatype::fp16:
    case Datatype::bf16: break;
  }
  return wrong(fmt::format("{} has a wire type it cannot have", kNames[tag_]));
}

Result<void> Contents::take_string(std::string_view bytes) {
  if (taken_ == count_) return too_many();
  ++taken_;
  tensor_.strings.emplace_back(bytes);
  return {};
}

template <class T>
Result<void> Contents::take_integers(protozero::pbf_reader& field) {
  if (field.wire_type() == pbf_wire_type::varint) return put<T>(field.get_uint64());
  if (field.wire_type() != pbf_wire_type::length_delimited)
    return wrong(fmt::format("{} has a wire type it cannot have", kNames[tag_]));
  std::string_view packed = bytes_of(field);
  const char* at = packed.data();
  const char* end = at + packed.size();
  while (at != end) {
    if (auto done = put<T>(protozero::decode_varint(&at, end)); !done) return done;
  }
  return {};
}

template <class T>
Result<void> Contents::put(std::uint64_t wire) {
  if (taken_ == count_) return too_many();
  // The field is of 32 bits, whatever its varint has above them; the tensor's elements may be smaller.
  using Wide =
      std::conditional_t<sizeof(T) == 8, T, std::conditional_t<std::is_signed_v<T>, std::int32_t, std::uint32_t>>;
  T value;
  if constexpr (std::is_same_v<T, bool>) {
    value = wire != 0;
  } else {
    auto wide = static_cast<Wide>(wire);
    value = static_cast<T>(wide);
    if (value != wide)
      return wrong(fmt::format("element {} is out of the range of {}: {}", taken_, to_string(tensor_.datatype), wide));
  }
  tensor_.values<T>()[taken_++] = value;
  return {};
}

template <class T>
Result<void> Contents::take_floats(protozero::pbf_reader& field, pbf_wire_type single) {
  if (field.wire_type() == single) {
    if (taken_ == count_) return too_many();
    if constexpr (sizeof(T) == 4) {
      tensor_.values<T>()[taken_++] = field.get_float();
    } else {
      tensor_.values<T>()[taken_++] = field.get_double();
    }
    return {};
  }
  if (field.wire_type() != pbf_wire_type::length_delimited)
    return wrong(fmt::format("{} has a wire type it cannot have", kNames[tag_]));
  std::string_view packed = bytes_of(field);
  if (packed.size() % sizeof(T) != 0)
    return wrong(fmt::format("{} has {} bytes, no multiple of {}", kNames[tag_], packed.size(), sizeof(T)));
  std::size_t elements = packed.size() / sizeof(T);
  if (elements > count_ - taken_) return too_many();
  if (elements > 0) std::memcpy(tensor_.values<T>().data() + taken_, packed.data(), packed.size());
  taken_ += elements;
  return {};
}

}  // namespace

Result<void> fill_contents(Tensor& tensor, std::span<const std::string_view> parts) {
  if (tag_of(tensor.datatype) == 0) {
    return wrong(fmt::format("{} has no typed contents: send it in raw_input_contents", to_string(tensor.datatype)));
  }
  auto count = element_count(tensor.shape);
  if (!count) return wrong(count.error().detail);
  std::size_t bytes = 0;
  for (std::string_view part : parts) bytes += part.size();
  // Every element takes a byte at least, so this bounds what a lying shape can make us allocate.
  if (*count > bytes) {
    return wrong(
        fmt::format("shape {} means {} elements, more than its contents hold", format_shape(tensor.shape), *count));
  }
  if (tensor.datatype == Datatype::bytes) {
    tensor.strings.reserve(*count);
  } else {
    tensor.bytes = Buffer(*count * element_bytes(tensor.datatype));
  }
  Contents contents(tensor, *count);
  for (std::string_view part : parts) {
    if (auto read = contents.read(part); !read) return read;
  }
  return contents.finish();
}

}  // namespace penstock::infer::oip
