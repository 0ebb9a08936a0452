// A call of the gateway that speaks gRPC: who is it, its messages, and an end that the client, the access log and the
// metrics agree about.
#pragma once

#include "flow/call.h"
#include "http/grpc_exchange.h"
#include "infer/oip_proto.h"

namespace penstock::ext {

class GrpcCall {
 public:
  // Both outlive this.
  GrpcCall(flow::Call& call, http::BodyCodec& codec) : call_(call), grpc_(call.exchange, codec, kMessageBytesMax) {}

  // Whether gRPC is spoken at all, then, where `keyed`, who it is. False: the call was refused and is over.
  rt::Task<bool> open(bool keyed);
  http::GrpcExchange& grpc() { return grpc_; }

  // The end of a unary call.
  rt::Task<void> answer(Result<std::string> message);
  rt::Task<void> answer(const infer::oip::Message& message);
  rt::Task<void> refuse(Error error);

  // A stream: head, messages, end. The head goes out with the first message, or at once by flush().
  void begin();
  rt::Task<void> finish();
  rt::Task<void> finish(Error error);

 private:
  static constexpr std::uint64_t kMessageBytesMax = infer::oip::kTensorBytesMax;
  void note(const Error& error);

  flow::Call& call_;
  http::GrpcExchange grpc_;
};

}  // namespace penstock::ext
