// Twins and commands as JSON, and their bounds.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "json/value.h"
#include "store/device_store.h"

namespace penstock::device {

constexpr std::size_t kTwinBytesMax = 32 * 1024;                       // of each half, as text
constexpr std::size_t kPayloadBytesMax = 16 * 1024;                    // of a command, and of its result
constexpr std::size_t kMessageBytesMax = 64 * 1024;                    // of a device at the broker
constexpr base::Duration kCommandLifetime = std::chrono::minutes(10);  // unless told
constexpr base::Duration kCommandLifetimeMax = std::chrono::days(30);

// A twin's half in one canonical text: a JSON object within kTwinBytesMax. Errors: invalid_argument.
Result<std::string> read_twin(std::string_view text);
Result<std::string> twin_text(const json::Object& twin);
// RFC 7396: members of `changes` replace those of `twin`, null takes away. Errors: invalid_argument.
Result<std::string> patch_twin(const std::string& twin, const json::Object& changes);

// A command to be stored. `payload` may be null. `lifetime` zero: kCommandLifetime. Errors: invalid_argument.
Result<store::StoredCommand> make_command(const std::string& device, const std::string& name,
                                          const json::Value& payload, base::Duration lifetime, base::WallMicros now);

// What a device says about a command: {"state": "done" | "failed", "result": anything}. No state is "done". Errors:
// invalid_argument.
struct CommandAnswer {
  std::string state;
  std::string result;  // JSON; empty: none
};
Result<CommandAnswer> read_answer(const json::Value& message);

// As devices see them.
json::Object desired_json(const store::StoredTwin& twin);
json::Object command_json(const store::StoredCommand& command);
// As people see them.
json::Object twin_json(const store::StoredTwin& twin);
json::Object shown_command(const store::StoredCommand& command);

}  // namespace penstock::device
