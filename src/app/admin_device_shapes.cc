// Shapes of devices.
#include "app/admin_shape.h"

namespace penstock::app {
namespace {

constexpr std::string_view kStates = "new active quarantined retired";

Field words(std::string_view name, Kind kind, std::string_view about, std::string_view of = {}) {
  return {name, kind, about, of};
}

Field nullable(std::string_view name, Kind kind, std::string_view about, std::string_view of = {}) {
  return {name, kind, about, of, false, true};
}

std::vector<Field> settings() {
  return {words("profile", Kind::text, "What kind of device it is."),
          words("groups", Kind::texts, "Names it is found and told by."),
          {"tags", Kind::labels, "Names of your own.", {}, false, true}};
}

std::vector<Field> with(std::vector<Field> first, const std::vector<Field>& rest) {
  first.insert(first.end(), rest.begin(), rest.end());
  return first;
}

std::vector<Field> shown_device() {
  return with({words("name", Kind::text, "Unique, for ever."),
               words("state", Kind::text, "What it may: new ones were never seen.", kStates),
               words("health", Kind::text, "", "ok silent never_seen quarantined retired"),
               words("why", Kind::text, "It is in quarantine."), nullable("created", Kind::time, "When."),
               nullable("last_seen", Kind::time, "Null: never."),
               words("samples", Kind::integer, "Taken since the start of the gateway."),
               words("refused", Kind::integer, "Samples not taken since then."),
               words("malformed", Kind::integer, "Requests nobody could understand since then.")},
              settings());
}

}  // namespace

std::vector<Shape> shapes_of_devices() {
  return {
      {"NewDevice", "A device.",
       with({{"name", Kind::text, "1 to 64 letters, digits, '.', '_' and '-'.", {}, true}}, settings())},
      {"DeviceChange", "Absent fields stay.", settings()},
      {"Device", "A device.", shown_device()},
      {"DeviceCredential",
       "What it is known by; never the secret.",
       {words("kind", Kind::text, "", "secret certificate code"),
        words("id", Kind::text, "Of a certificate its serial number."), words("created", Kind::time, ""),
        nullable("expires", Kind::time, "Null: never."),
        words("fingerprint", Kind::text, "Of a certificate: SHA-256.")}},
      {"DeviceInFull", "A device and what it is known by.",
       with(shown_device(), {words("credentials", Kind::list, "In force.", "DeviceCredential")})},
      {"SeenDevice",
       "A device that sent something and is not in the registry.",
       {words("device", Kind::text, ""), nullable("last_seen", Kind::time, ""), words("samples", Kind::integer, ""),
        words("pipelines", Kind::texts, "Where it appeared.")}},
      {"Devices",
       "Devices of the registry by name, and others.",
       {words("devices", Kind::list, "At most `limit` of them.", "Device"),
        words("total", Kind::integer, "On all pages."),
        nullable("next", Kind::integer, "The `offset` of what follows; null at the end."),
        words("unregistered", Kind::list, "Those that sent something.", "SeenDevice")}},
      {"QuarantineOrder", "Why.", {words("why", Kind::text, "For people.")}},
      {"OnboardOrder", "A code that is good once.", {words("expires", Kind::text, "Its lifetime, 24h unless told.")}},
      {"OnboardCode",
       "The one time a code is shown.",
       {words("code", Kind::text, "For POST /devices/onboard."), words("expires", Kind::time, "")}},
      {"SecretOrder", "A secret.", {words("replace", Kind::boolean, "Those it has are good no more.")}},
      {"DeviceSecret",
       "The one time a secret is shown.",
       {words("secret", Kind::text, "What it sends, and its password at a broker."),
        words("credential", Kind::object, "", "DeviceCredential")}},
      {"CertificateOrder",
       "A certificate.",
       {{"days", Kind::integer, "How long it is good, 365 unless told.", {}, false, false, 1, 3650},
        words("csr", Kind::text, "A certificate signing request in PEM, for a key made by the device.")}},
      {"DeviceCertificate",
       "A certificate, and the one time its key is shown.",
       {words("certificate", Kind::text, "PEM."), nullable("key", Kind::text, "PEM; null for a request's."),
        words("authority", Kind::text, "Who signed it, PEM."), words("serial", Kind::text, "Hex."),
        words("fingerprint", Kind::text, "SHA-256, hex."), words("expires", Kind::time, "")}},
      {"Revoked", "How many.", {words("revoked", Kind::integer, "Credentials taken back.")}},
      {"Twin",
       "What a device should be, and what it says it is.",
       {words("desired", Kind::any, "An object."), words("desired_version", Kind::integer, "Goes up with each change."),
        nullable("desired_at", Kind::time, "Null: never."), words("reported", Kind::any, "An object."),
        words("reported_version", Kind::integer, "Goes up with each change."),
        nullable("reported_at", Kind::time, "Null: never.")}},
      {"TwinChange",
       "Changes what is desired (RFC 7396: members replace, null takes away).",
       {{"desired", Kind::any, "An object.", {}, true},
        {"version", Kind::integer, "The version that is changed; another one is a 409. Absent: whatever it is."}}},
      {"NewDeviceCommand",
       "Something to do.",
       {{"name", Kind::text, "What.", {}, true},
        {"payload", Kind::any, "With what.", {}, false, true},
        words("expires", Kind::text, "How long it may take: 10m unless told.")}},
      {"DeviceCommand",
       "A command and what became of it.",
       {words("id", Kind::text, ""), words("device", Kind::text, ""), words("name", Kind::text, ""),
        nullable("payload", Kind::any, ""),
        words("state", Kind::text, "", "pending delivered done failed expired cancelled"),
        words("actor", Kind::text, "Who gave it."), words("created", Kind::time, ""), words("expires", Kind::time, ""),
        nullable("delivered", Kind::time, "Last; null: not yet."), nullable("ended", Kind::time, "Null: not yet."),
        nullable("result", Kind::any, "What the device said.")}},
      {"DeviceCommands", "Commands, newest first.", {words("commands", Kind::list, "", "DeviceCommand")}},
  };
}

}  // namespace penstock::app
