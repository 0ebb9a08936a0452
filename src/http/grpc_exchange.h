// One gRPC call over an exchange of an HTTP/2 connection: messages in, messages out, a status at the end. Lives on the
// exchange's loop.
// Protocol: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
#pragma once

#include <span>

#include "http/body_codec.h"
#include "http/exchange.h"
#include "http/grpc_frame.h"
#include "http/grpc_head.h"
#include "http/grpc_status.h"

namespace penstock::http {

class GrpcExchange {
 public:
  // A message of a stream that has begun has so long to come, and longer at kMessageRateMin bytes a second.
  static constexpr base::Duration kMessageTime = std::chrono::seconds(60);
  static constexpr std::uint64_t kMessageRateMin = 4096;

  // Bytes of one message, in either direction, beside what `codec` makes of compressed ones. Both outlive this.
  GrpcExchange(Exchange& exchange, BodyCodec& codec, std::uint64_t message_bytes_max,
               base::Duration message_time = kMessageTime)
      : exchange_(exchange),
        codec_(codec),
        bytes_max_(message_bytes_max),
        message_time_(message_time),
        frames_(message_bytes_max) {}

  // What gRPC cannot be spoken over; the answer to it is HTTP's own.
  struct Unfit {
    int status = 0;  // 505, 415
    std::string detail;
  };
  std::optional<Unfit> unfit() const;
  // Reads the fields of the request: before everything below. Errors: read_grpc_head()'s.
  Result<void> open();
  // When the client stops waiting; max() when it did not say.
  base::SteadyTime deadline() const;

  // The message of a call that has one. Valid until the next read. Errors: those of only_grpc_frame() and of
  // Exchange::read_body(), with resource_exhausted for whatever is too large: as it came, or without its coding, larger
  // than `bytes_max` or the bound of all messages.
  rt::Task<Result<std::string_view>> read_one(std::uint64_t bytes_max = UINT64_MAX);
  // The next message of a stream, nothing at its end. The client may take its time between two of them, not within one:
  // deadline_exceeded.
  rt::Task<Result<std::optional<std::string_view>>> read_next();

  // The head of an answer, to which callers may add fields. It goes out with begin().
  ResponseHead head() const;
  void begin(ResponseHead head) { exchange_.begin(std::move(head)); }
  bool begun() const { return exchange_.begun(); }
  // A message out of pieces that stay until it returns; what is large goes out from where it is. Small messages wait
  // for flush() or finish().
  rt::Task<Result<void>> write(std::span<const std::string_view> pieces);
  rt::Task<Result<void>> flush() { return exchange_.flush(); }
  // The end of a call that has begun.
  rt::Task<Result<void>> finish(GrpcStatus status, std::string_view message = {});
  // The end of one that has not: nothing but a head where the request has been read, else a head and trailers.
  rt::Task<Result<void>> refuse(ResponseHead head, GrpcStatus status, std::string_view message);

 private:
  rt::Task<Result<std::string_view>> read_piece();
  rt::Task<Result<std::string_view>> decoded(GrpcFrame frame, std::uint64_t bytes_max);
  rt::Task<Result<void>> write_compressed(std::span<const std::string_view> pieces);

  Exchange& exchange_;
  BodyCodec& codec_;
  const std::uint64_t bytes_max_;
  const base::Duration message_time_;
  GrpcHead head_;
  GrpcFrames frames_;
  base::Duration waited_{};  // for the rest of the message that has begun
  std::string decoded_;
  bool all_read_ = false;
};

}  // namespace penstock::http
