#include "infer/oip_parameters.h"

namespace penstock::infer::oip {
namespace {

std::unexpected<Error> wrong(std::string_view name, std::string_view wanted) {
  return fail(Errc::invalid_argument, fmt::format("parameter '{}' must be {}", name, wanted));
}

// Numbers beyond 63 bits come as a double: as good as the largest.
Result<std::int64_t> count_of(std::string_view name, const Parameter& value, std::string_view wanted) {
  if (const auto* whole = std::get_if<std::int64_t>(&value); whole != nullptr && *whole >= 0) return *whole;
  if (const auto* large = std::get_if<double>(&value); large != nullptr && *large >= 0x1p63 && *large <= 0x1p64)
    return INT64_MAX;
  return wrong(name, wanted);
}

Result<bool> flag_of(std::string_view name, const Parameter& value) {
  if (const auto* flag = std::get_if<bool>(&value)) return *flag;
  return wrong(name, "true or false");
}

Result<void> refuse_shared_memory(std::string_view name) {
  if (!name.starts_with("shared_memory_")) return {};
  return fail(
      Errc::invalid_argument,
      fmt::format("parameter '{}': this server shares no memory with its clients; send the tensor in the request",
                  name));
}

struct Text {
  std::string operator()(bool value) const { return value ? "true" : "false"; }
  std::string operator()(std::int64_t value) const { return fmt::format("{}", value); }
  std::string operator()(double value) const { return fmt::format("{}", value); }
  std::string operator()(const std::string& value) const { return value; }
};

}  // namespace

Result<void> set_request_parameter(InferCall& call, std::string_view sticky, std::string_view name,
                                   const Parameter& value) {
  if (!sticky.empty() && name == sticky) call.request.sticky = std::visit(Text(), value);
  if (name == "binary_data_output") {
    auto flag = flag_of(name, value);
    if (!flag) return std::unexpected(flag.error());
    call.binary_by_default = *flag;
  } else if (name == "timeout") {
    auto micros = count_of(name, value, "a whole number of microseconds from 0 on");
    if (!micros) return std::unexpected(micros.error());
    constexpr std::int64_t kMost = std::chrono::duration_cast<std::chrono::microseconds>(kTimeoutMax).count();
    call.request.timeout = std::chrono::microseconds(std::min(*micros, kMost));
  } else if (name == "priority") {
    auto level = count_of(name, value, "a whole number from 0 on: 1 is served first, 0 is the model's default");
    if (!level) return std::unexpected(level.error());
    call.request.priority = static_cast<std::uint32_t>(std::min<std::int64_t>(*level, UINT32_MAX));
  }
  return {};
}

Result<void> set_input_parameter(std::optional<std::uint64_t>& size, std::string_view name, const Parameter& value) {
  if (name != "binary_data_size") return refuse_shared_memory(name);
  auto bytes = count_of(name, value, "the tensor's number of bytes");
  if (!bytes) return std::unexpected(bytes.error());
  size = static_cast<std::uint64_t>(*bytes);
  return {};
}

Result<void> set_output_parameter(OutputWish& wish, std::string_view name, const Parameter& value) {
  if (name == "binary_data") {
    auto flag = flag_of(name, value);
    if (!flag) return std::unexpected(flag.error());
    wish.binary = *flag;
    return {};
  }
  if (name == "classification") {
    auto count = count_of(name, value, "how many of the highest elements are wanted, from 0 on");
    if (!count) return std::unexpected(count.error());
    wish.classes = static_cast<std::uint32_t>(std::min<std::int64_t>(*count, UINT32_MAX));
    return {};
  }
  return refuse_shared_memory(name);
}

}  // namespace penstock::infer::oip
