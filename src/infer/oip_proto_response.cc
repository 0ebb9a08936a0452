#include "infer/oip_proto.h"
#include "infer/oip_proto_wire.h"
#include "infer/raw_tensor.h"

namespace penstock::infer::oip {
namespace {

using protozero::pbf_writer;

// A tensor from here on goes out from where it is.
constexpr std::size_t kInsertedBytes = 4096;

void append_key(std::string& text, std::uint32_t field, std::size_t bytes) {
  protozero::add_varint_to_buffer(&text, bytes_field(field));
  protozero::add_varint_to_buffer(&text, bytes);
}

void add_output(pbf_writer& response, const Tensor& tensor) {
  pbf_writer output(response, 5);
  output.add_string(1, tensor.name);
  std::string_view datatype = to_string(tensor.datatype);
  output.add_string(2, datatype.data(), datatype.size());
  output.add_packed_int64(3, tensor.shape.begin(), tensor.shape.end());
}

void add_raw(Message& message, const Tensor& tensor) {
  append_key(message.text, 6, raw_size(tensor));
  if (tensor.datatype == Datatype::bytes || tensor.bytes.size() < kInsertedBytes) {
    append_raw(message.text, tensor);
    return;
  }
  message.inserts.push_back(
      {message.text.size(), {reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size()}});
}

void add_final_mark(pbf_writer& response) {
  pbf_writer parameter(response, 4);
  parameter.add_string(1, "triton_final_response");
  pbf_writer value(parameter, 2);
  value.add_bool(1, true);
}

Message encode(const InferCall& call, const Response& response, bool streamed) {
  Message message;
  pbf_writer writer(message.text);
  writer.add_string(1, response.model);
  writer.add_string(2, response.version);
  if (call.id && !call.id->empty()) writer.add_string(3, *call.id);
  if (streamed) add_final_mark(writer);
  for (const Tensor& tensor : response.outputs) add_output(writer, tensor);
  for (const Tensor& tensor : response.outputs) add_raw(message, tensor);
  return message;
}

// Makes a message a field of another one.
void wrap(Message& message, std::uint32_t field) {
  std::string key;
  append_key(key, field, message.size());
  for (Message::Insert& insert : message.inserts) insert.at += key.size();
  message.text.insert(0, key);
}

}  // namespace

std::size_t Message::size() const {
  std::size_t bytes = text.size();
  for (const Insert& insert : inserts) bytes += insert.bytes.size();
  return bytes;
}

std::vector<std::string_view> Message::pieces() const {
  std::vector<std::string_view> list;
  list.reserve(2 * inserts.size() + 1);
  std::string_view whole = text;
  std::size_t from = 0;
  for (const Insert& insert : inserts) {
    list.push_back(whole.substr(from, insert.at - from));
    list.push_back(insert.bytes);
    from = insert.at;
  }
  list.push_back(whole.substr(from));
  return list;
}

Message encode_infer_message(const InferCall& call, const Response& response) { return encode(call, response, false); }

Message encode_stream_message(const InferCall& call, const Response& response) {
  Message message = encode(call, response, true);
  wrap(message, 2);
  return message;
}

Message encode_stream_error(std::string_view id, std::string_view error) {
  Message message;
  pbf_writer writer(message.text);
  writer.add_string(1, error.data(), error.size());
  pbf_writer response(writer, 2);
  if (!id.empty()) response.add_string(3, id.data(), id.size());
  add_final_mark(response);
  response.commit();
  return message;
}

}  // namespace penstock::infer::oip
