// What the handlers of the admin API work with, and their routes. All on the admin thread, but for what says otherwise.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/admin_routes.h"
#include "app/alarm_keeper.h"
#include "device/clerk.h"
#include "infer/repository.h"
#include "ingest/lane.h"
#include "llm/lane.h"
#include "price/catalog.h"
#include "quota/book.h"
#include "store/state.h"

namespace penstock::app {

// Keys and teams of the configuration, as the shapes Key and Team say.
struct Declared {
  std::vector<json::Object> keys;
  std::vector<json::Object> teams;
};

struct AdminDesk {
  const base::Registry* registry = nullptr;
  infer::Repository* repository = nullptr;
  ingest::Lane* ingest = nullptr;
  infer::Journal* journal = nullptr;  // of local models; null: nothing is kept
  AlarmKeeper* alarms = nullptr;
  std::function<std::shared_ptr<const llm::Plan>()> plan;
  device::Clerk* devices = nullptr;
  store::State* state = nullptr;
  quota::Book* book = nullptr;
  std::string data_dir;
  std::function<std::shared_ptr<const Declared>()> declared;  // as last read
  std::function<std::shared_ptr<const price::Catalog>()> catalog;
  // Keys or teams were changed: returns when the change is in force.
  std::function<void()> keys_changed;
};

// They keep the reference.
std::vector<AdminRoute> key_routes(AdminDesk& desk);
std::vector<AdminRoute> team_routes(AdminDesk& desk);
std::vector<AdminRoute> budget_routes(AdminDesk& desk);
std::vector<AdminRoute> usage_routes(AdminDesk& desk);
std::vector<AdminRoute> price_routes(AdminDesk& desk);
std::vector<AdminRoute> audit_routes(AdminDesk& desk);
std::vector<AdminRoute> model_routes(AdminDesk& desk);
std::vector<AdminRoute> pipeline_routes(AdminDesk& desk);
std::vector<AdminRoute> alarm_routes(AdminDesk& desk);
std::vector<AdminRoute> action_routes(AdminDesk& desk);
std::vector<AdminRoute> device_routes(AdminDesk& desk);

// The declared key or team of that name; null when there is none.
const json::Object* declared(const std::vector<json::Object>& all, std::string_view name);
// The refusal of a change. `what`: "key", "team".
std::unexpected<Error> is_declared(std::string_view what, std::string_view name);
// Names of the declared teams.
std::vector<std::string> declared_teams(const AdminDesk& desk);

// Parameters of routes that list: `limit` and `offset`.
std::vector<Field> page_fields();

// How an account stands, as the shape Account says.
json::Object describe(const quota::Account& account, const quota::AccountState& state);
// The account of that id; nothing when it has no limits and no budgets.
std::optional<json::Object> describe_account(const quota::Book* book, const std::string& id);

}  // namespace penstock::app
