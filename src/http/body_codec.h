// Codes and decodes whole bodies: small ones where they are, larger ones on two threads of their own, so that a core
// goes on serving meanwhile.
#pragma once

#include <mutex>
#include <string>

#include "codec/body_decoder.h"
#include "rt/pool.h"
#include "rt/task.h"

namespace penstock::http {

// Any thread may call any member; a result comes back on the loop that asked. Must not outlive the loops it serves.
class BodyCodec {
 public:
  // Decoded or encoded bytes up to here are worked on where they are asked for.
  static constexpr std::size_t kInlineBytesMax = 64 * 1024;

  // The body without its codings. `body` must stay until it returns.
  // Errors: those of codec::BodyDecoder; backpressure when the threads have too much to do.
  rt::Task<Result<std::string>> decode(rt::Loop& loop, std::vector<codec::Coding> codings, std::string_view body,
                                       std::uint64_t bytes_max);
  // The body in a coding. Errors: those of codec::encode_body, and backpressure.
  rt::Task<Result<std::string>> encode(rt::Loop& loop, codec::Coding coding, std::string_view body);

 private:
  using Work = std::function<Result<std::string>()>;
  rt::Task<Result<std::string>> offload(rt::Loop& loop, Work work);
  rt::Pool& pool();

  std::once_flag started_;
  std::unique_ptr<rt::Pool> pool_;  // made with the first large body
};

}  // namespace penstock::http
