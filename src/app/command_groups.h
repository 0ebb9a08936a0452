// The subcommands that have subcommands of their own. Each sets `chosen` to what is to be run after the command line
// was read; it returns the exit status: 0 fine, 1 failed, 2 bad usage.
#pragma once

#include <functional>

#include "base/registry.h"

namespace CLI {
class App;
}

namespace penstock::app {

using Command = std::function<int()>;

void add_key_commands(CLI::App& cli, Command& chosen);         // penstock key ...
void add_team_commands(CLI::App& cli, Command& chosen);        // penstock team ...
void add_usage_command(CLI::App& cli, Command& chosen);        // penstock usage
void add_budget_commands(CLI::App& cli, Command& chosen);      // penstock budget ...
void add_price_commands(CLI::App& cli, Command& chosen);       // penstock price ...
void add_audit_commands(CLI::App& cli, Command& chosen);       // penstock audit ...
void add_alarm_commands(CLI::App& cli, Command& chosen);       // penstock alarm ...
void add_action_commands(CLI::App& cli, Command& chosen);      // penstock action ...
void add_device_commands(CLI::App& cli, Command& chosen);      // penstock device ...
CLI::App* add_model_commands(CLI::App& cli, Command& chosen);  // penstock model ...: the group
void add_artifact_commands(CLI::App& cli, Command& chosen);    // penstock artifact ...

// Hidden: the gateway starts it for models with `isolate: true`. Serves the socket that is descriptor 3.
void add_model_worker(CLI::App& cli, const base::Registry& registry, Command& chosen);
void add_broker_keeper(CLI::App& cli, Command& chosen);
void add_tune(CLI::App& model_group, const base::Registry& registry, Command& chosen);  // penstock model tune

}  // namespace penstock::app
