#include "device/command.h"

#include "base/secret.h"
#include "device/name.h"

namespace penstock::device {
namespace {

json::Value parsed(const std::string& text) {
  auto value = text.empty() ? Result<json::Value>(nullptr) : json::parse(text);
  return value ? std::move(*value) : json::Value(nullptr);
}

json::Value time_or_null(base::WallMicros at) {
  return at == 0 ? json::Value(nullptr) : json::Value(base::to_rfc3339(at));
}

void merge(json::Object& into, const json::Object& changes) {
  for (const auto& member : changes) {
    if (member.value().is_null()) {
      into.erase(member.key());
    } else if (member.value().is_object()) {
      json::Value& part = into[member.key()];
      if (!part.is_object()) part = json::Object();
      merge(part.get_object(), member.value().get_object());
    } else {
      into[member.key()] = member.value();
    }
  }
}

}  // namespace

Result<std::string> twin_text(const json::Object& twin) {
  std::string text = json::dump(twin);
  if (!json::parse(text)) return fail(Errc::invalid_argument, "a twin holds a number that is too large");
  if (text.size() <= kTwinBytesMax) return text;
  return fail(Errc::invalid_argument,
              fmt::format("half a twin has at most {} bytes; this one has {}", kTwinBytesMax, text.size()));
}

Result<std::string> read_twin(std::string_view text) {
  auto value = json::parse(text);
  if (!value) return fail(Errc::invalid_argument, "a twin is a JSON object: " + value.error().detail);
  if (!value->is_object()) return fail(Errc::invalid_argument, "a twin is a JSON object");
  return twin_text(value->get_object());
}

Result<std::string> patch_twin(const std::string& twin, const json::Object& changes) {
  json::Value value = parsed(twin);
  if (!value.is_object()) value = json::Object();
  merge(value.get_object(), changes);
  return twin_text(value.get_object());
}

Result<store::StoredCommand> make_command(const std::string& device, const std::string& name,
                                          const json::Value& payload, base::Duration lifetime, base::WallMicros now) {
  if (!is_name(name))
    return fail(Errc::invalid_argument, "a command's name has 1 to 64 letters, digits, '.', '_' and '-'");
  if (lifetime == base::Duration::zero()) lifetime = kCommandLifetime;
  if (lifetime < std::chrono::seconds(1) || lifetime > kCommandLifetimeMax)
    return fail(Errc::invalid_argument, "a command expires after 1s to 30d");
  store::StoredCommand command;
  command.payload = payload.is_null() ? "" : json::dump(payload);
  if (command.payload.size() > kPayloadBytesMax)
    return fail(Errc::invalid_argument, fmt::format("a command's payload has at most {} bytes", kPayloadBytesMax));
  command.id = base::random_token(12);
  command.device = device;
  command.name = name;
  command.created = now;
  command.expires = now + std::chrono::duration_cast<std::chrono::microseconds>(lifetime).count();
  return command;
}

Result<CommandAnswer> read_answer(const json::Value& message) {
  if (!message.is_object())
    return fail(Errc::invalid_argument, R"(an answer is a JSON object: {"state": "done", "result": ...})");
  CommandAnswer answer{std::string(json::string_or(message, "state", "done")), ""};
  if (answer.state != "done" && answer.state != "failed")
    return fail(Errc::invalid_argument, "'state': a command is `done` or `failed`");
  if (const json::Value* result = json::find(message, "result"); result != nullptr && !result->is_null())
    answer.result = json::dump(*result);
  if (!answer.result.empty() && !json::parse(answer.result))
    return fail(Errc::invalid_argument, "'result' holds a number that is too large");
  if (answer.result.size() > kPayloadBytesMax)
    return fail(Errc::invalid_argument, fmt::format("'result': at most {} bytes", kPayloadBytesMax));
  return answer;
}

json::Object desired_json(const store::StoredTwin& twin) {
  return {{"version", twin.desired_version}, {"desired", parsed(twin.desired)}};
}

json::Object command_json(const store::StoredCommand& command) {
  return {{"id", command.id},
          {"name", command.name},
          {"payload", parsed(command.payload)},
          {"expires", base::to_rfc3339(command.expires)}};
}

json::Object twin_json(const store::StoredTwin& twin) {
  return {{"desired", parsed(twin.desired)},
          {"desired_version", twin.desired_version},
          {"desired_at", time_or_null(twin.desired_at)},
          {"reported", parsed(twin.reported)},
          {"reported_version", twin.reported_version},
          {"reported_at", time_or_null(twin.reported_at)}};
}

json::Object shown_command(const store::StoredCommand& command) {
  return {{"id", command.id},
          {"device", command.device},
          {"name", command.name},
          {"payload", parsed(command.payload)},
          {"state", command.state},
          {"actor", command.actor},
          {"created", base::to_rfc3339(command.created)},
          {"expires", base::to_rfc3339(command.expires)},
          {"delivered", time_or_null(command.delivered)},
          {"ended", time_or_null(command.ended)},
          {"result", parsed(command.result)}};
}

}  // namespace penstock::device
