// All codings of one body undone, within limits that keep small bytes from becoming a large memory.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "codec/decoder.h"

namespace penstock::codec {

struct DecodeLimits {
  std::uint64_t bytes_max = UINT64_MAX;        // of the decoded body
  std::uint64_t ratio_max = 200;               // decoded bytes for each encoded one...
  std::uint64_t ratio_floor_bytes = 1U << 20;  // ...once there are more than this
  std::uint64_t encoded_bytes = 0;  // of the whole body when known: the ratio is taken over it from the start
};

class BodyDecoder {
 public:
  // `codings` in the order they were applied (parse_content_encoding); not empty.
  BodyDecoder(std::span<const Coding> codings, DecodeLimits limits);

  // Appends what `bytes` decode to. The ratio is taken over all bytes fed so far (or all there
  // will be), and holds between layers too.
  // Errors: out_of_range (a limit), invalid_argument (malformed, or bytes behind the end). No use after one.
  Result<void> feed(std::string_view bytes, std::string& out);
  // The same, but stops once `out` holds `out_max` bytes or more (a piece of 16 KiB at most): takes what it used from
  // the front of `bytes`. True when it stopped so: there may be more to give, even without further bytes.
  Result<bool> feed_some(std::string_view& bytes, std::string& out, std::size_t out_max);
  // The body ended: data_loss when it ended too early. An empty body is fine in any coding.
  Result<void> finish() const;

 private:
  struct Layer {
    std::unique_ptr<Decoder> decoder;
    std::uint64_t decoded = 0;
    bool dry = true;     // nothing more comes of it without more bytes
    std::string passed;  // decoded, and not yet taken by the layer within
  };
  Result<bool> run(std::size_t index, std::string_view& bytes, std::string& out, std::size_t out_max);
  Result<bool> pass_on(std::size_t index, std::string& out, std::size_t out_max);
  Result<void> within_limits(std::size_t index) const;

  std::vector<Layer> layers_;  // the outermost coding first
  DecodeLimits limits_;
  std::uint64_t encoded_ = 0;
};

// A body that is there as a whole. At most one allocation more than its size.
Result<std::string> decode_body(std::span<const Coding> codings, std::string_view body, DecodeLimits limits);

}  // namespace penstock::codec
