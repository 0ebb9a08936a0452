// The `parameters` of OIP's objects that mean something here, whichever transport they came over. All others are passed
// over, as the protocol wants it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "infer/oip.h"

namespace penstock::infer::oip {

using Parameter = std::variant<bool, std::int64_t, double, std::string>;

// A day: a longer wait in a queue is no wait.
constexpr base::Duration kTimeoutMax = std::chrono::hours(24);

// What an output is asked for as.
struct OutputWish {
  std::optional<bool> binary = {};  // nothing: as the request says
  std::uint32_t classes = 0;        // 0: the tensor itself; else the so many highest elements
};

// Of the request: `timeout` (microseconds in the queue), `priority` (1 is served first), `binary_data_output`, and the
// one named `sticky` unless that is empty. invalid_argument names the parameter and what it must be.
Result<void> set_request_parameter(InferCall& call, std::string_view sticky, std::string_view name,
                                   const Parameter& value);
// Of an input: `binary_data_size`, into `size`. Shared memory is refused: this is no extension offered here.
Result<void> set_input_parameter(std::optional<std::uint64_t>& size, std::string_view name, const Parameter& value);
// Of an output: `binary_data`, `classification`. Shared memory as above.
Result<void> set_output_parameter(OutputWish& wish, std::string_view name, const Parameter& value);

}  // namespace penstock::infer::oip
