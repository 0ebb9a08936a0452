// Devices in the gateway's state file: who they are, what they are known by, their twins and commands. Every change
// that somebody decided goes with its line in the audit log, or not at all; what devices say of themselves has none.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "store/state.h"

namespace penstock::store {

struct StoredDevice {
  std::string name;  // unique, for ever
  std::string profile;
  std::string state = "new";  // new, active (it was seen), quarantined, retired
  std::string why;            // it is quarantined or retired
  std::string groups;         // a JSON array of texts; empty: none
  std::string tags;           // a JSON object of texts; empty: none
  base::WallMicros created = 0;
  base::WallMicros last_seen = 0;  // 0: never
  std::int64_t revision = 0;       // of the change that made it what it is; set by the store
};

// What a device proves itself with. Never the secret itself.
struct StoredCredential {
  std::string device;
  std::string kind;    // secret, certificate, code (good once, for onboarding)
  std::string id;      // public: of a certificate its serial number in hex
  std::string hash;    // of a secret or code HMAC-SHA-256 under the installation's secret, of a certificate SHA-256
  std::string broker;  // of a secret: as Mosquitto's password file has it ($7$...)
  base::WallMicros created = 0;
  base::WallMicros expires = 0;  // 0: never
};

// What a device should be and what it says it is: JSON objects, each with the number of its last change.
struct StoredTwin {
  std::string desired = "{}";
  std::int64_t desired_version = 0;
  base::WallMicros desired_at = 0;
  std::string reported = "{}";
  std::int64_t reported_version = 0;
  base::WallMicros reported_at = 0;
};

struct StoredCommand {
  std::string id;
  std::string device;
  std::string name;
  std::string payload;            // JSON; empty: none
  std::string state = "pending";  // pending, delivered, done, failed, expired, cancelled
  std::string actor;
  base::WallMicros created = 0;
  base::WallMicros expires = 0;
  base::WallMicros delivered = 0;  // last; 0: not yet
  base::WallMicros ended = 0;      // 0: not yet
  std::string result;              // JSON; empty: none
};

struct DeviceQuery {
  std::string prefix;
  std::string state;
  std::string group;
  std::int64_t limit = 100;
  std::int64_t offset = 0;
};

// Works on a State, which outlives it; one thread at a time, as the State.
class DeviceStore {
 public:
  // Commands of one device that have not ended, and ended ones that are kept of it.
  static constexpr std::int64_t kOpenCommandsMax = 100;
  static constexpr std::int64_t kEndedCommandsMax = 100;
  // A delivered command that was not answered is delivered again after this.
  static constexpr base::WallMicros kDeliverAgainAfter = 30'000'000;

  explicit DeviceStore(State& state) : state_(state), database_(state.database_) {}

  // Goes up with every change of devices, twins and commands, by any process.
  Result<std::int64_t> revision();
  // What goes with the devices changed, and none of them: the revision goes up.
  Result<void> note_change();
  // Every device changed after `since` (0: all), with its credentials.
  using Visitor = std::function<void(const StoredDevice&, const std::vector<StoredCredential>&)>;
  Result<void> read(std::int64_t since, const Visitor& visit);

  Result<void> add(const StoredDevice& device, const Actor& actor);  // already_exists
  // Reads a device, has `make` change it (all of it but name, creation and last seen) and writes it, in one piece: of
  // two who change it at once the second sees what the first made. The device after it. Errors: not_found, and those of
  // `make`, after which nothing has changed.
  using Change = std::function<Result<void>(StoredDevice&)>;
  Result<StoredDevice> change(std::string_view name, std::string_view action, const Actor& actor, const Change& make);
  // As change(), and its credentials are taken back with it.
  Result<StoredDevice> change_and_revoke(std::string_view name, std::string_view action, const Actor& actor,
                                         const Change& make);
  Result<std::optional<StoredDevice>> device(std::string_view name);
  Result<std::vector<StoredDevice>> devices(const DeviceQuery& query);  // by name
  Result<std::int64_t> count(const DeviceQuery& query);
  // Neither for the audit log nor a change, but that a new device becomes an active one.
  Result<void> note_seen(const std::vector<std::pair<std::string, base::WallMicros>>& seen);

  // Errors: not_found (no such device), failed_precondition (it is retired).
  Result<void> add_credential(const StoredCredential& credential, std::string_view action, const Actor& actor);
  Result<std::vector<StoredCredential>> credentials(std::string_view device);
  // Every certificate that was taken back before its time, with when: for a revocation list.
  Result<std::vector<std::pair<std::string, base::WallMicros>>> revoked_certificates(base::WallMicros now);
  // Those of a kind (empty: all), or one by id (empty: all). The number taken back.
  Result<int> revoke(std::string_view device, std::string_view kind, std::string_view id, const Actor& actor);
  // Uses up the code with this hash, with a credential for it. `make` is told whose it is. Errors: not_found (nobody's,
  // used or too old), and those of `make`.
  Result<void> use_code(std::string_view hash, base::WallMicros now,
                        const std::function<Result<StoredCredential>(const StoredDevice&)>& make);

  // Errors: not_found (no such device).
  Result<StoredTwin> twin(std::string_view device);
  // `expected`: the version that is to be changed; nothing: whatever it is. Errors: not_found, failed_precondition
  // (another version stands there). The twin after it.
  Result<StoredTwin> set_desired(std::string_view device, std::string_view desired,
                                 std::optional<std::int64_t> expected, const Actor& actor);
  Result<StoredTwin> set_reported(std::string_view device, std::string_view reported,
                                  std::optional<std::int64_t> expected, base::WallMicros now);

  // Errors: not_found, resource_exhausted (kOpenCommandsMax).
  Result<void> add_command(const StoredCommand& command, const Actor& actor);
  Result<std::optional<StoredCommand>> command(std::string_view device, std::string_view id);
  Result<std::vector<StoredCommand>> commands(std::string_view device, std::int64_t limit);  // newest first
  // Those to be delivered now, oldest first; they count as delivered from then on.
  Result<std::vector<StoredCommand>> deliver(std::string_view device, base::WallMicros now);
  // Those that have neither ended nor expired, oldest first; they stay as they are.
  Result<std::vector<StoredCommand>> open_commands(std::string_view device, base::WallMicros now);
  // A command was published; whether the device heard of it only its answer says, so its state stays.
  Result<void> note_told(std::string_view id, base::WallMicros now);
  // Who has such.
  Result<std::vector<std::string>> told_devices(base::WallMicros now);
  // `state`: done, failed or cancelled. The same again changes nothing. Errors: not_found, failed_precondition (it has
  // ended otherwise).
  Result<StoredCommand> end_command(std::string_view device, std::string_view id, std::string_view state,
                                    std::string_view result, const Actor& actor);
  // The number that expired.
  Result<int> expire_commands(base::WallMicros now);

 private:
  Result<std::int64_t> bump(std::string_view device);
  Result<void> write(StoredDevice& device);
  Result<StoredDevice> rewrite(std::string_view name, std::string_view action, const Actor& actor, const Change& make);
  Result<int> take_back(std::string_view device, std::string_view kind, std::string_view id, const Actor& actor);
  Result<void> insert(const StoredCredential& credential, std::string_view action, const Actor& actor);
  Result<std::vector<StoredCommand>> read_commands(std::string_view where, std::string_view device,
                                                   const std::function<void(Statement&)>& bind);
  Result<StoredTwin> set_twin(std::string_view device, bool desired, std::string_view text,
                              std::optional<std::int64_t> expected, const Actor& actor);
  Result<void> transact(const std::function<Result<void>()>& body) { return database_.transaction(body); }

  State& state_;
  Database& database_;
};

}  // namespace penstock::store
