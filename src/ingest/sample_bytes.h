// Samples as bytes, for buffers and journals on disk: everything a sample is comes back, but for its receipt and its
// position (the log's to give).
//
//   version (2), then: event time, ingest time less event time, device, quality | priority << 4, fields, tags, alarm,
//   sequence and, unless that is 0, origin
//
// Version 1 is the same without the name behind it, and is read.
//
// Whole numbers are variable-length, seven bits to a byte, the lowest first; signed ones are folded (zigzag); floating
// ones are eight bytes, little-endian, bit for bit; texts and arrays begin with their length.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "ingest/sample.h"

namespace penstock::ingest {

inline constexpr std::uint8_t kSampleBytesVersion = 2;

void append_bytes(std::string& out, const Sample& sample);
std::string to_bytes(const Sample& sample);

// Errors: unimplemented (a later version), data_loss. Any bytes may be given; memory stays in proportion to them.
Result<Sample> sample_from_bytes(std::string_view bytes);

}  // namespace penstock::ingest
