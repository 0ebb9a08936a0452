// The table of shapes.
#include "app/admin_buffers.h"
#include "app/admin_shape.h"
#include "store/usage.h"

namespace penstock::app {
namespace {

constexpr std::int64_t kAny = INT64_MIN;
constexpr std::int64_t kFigureMax = 1'000'000'000'000'000;
constexpr std::string_view kApis = "openai anthropic gemini ollama oip oip_grpc ingest devices";
constexpr std::string_view kCapabilities = "chat tools vision embeddings images infer ingest admin";
constexpr std::string_view kPriorities = "critical high normal low";

Field figure(std::string_view name, std::string_view about, bool null = false) {
  return {name, Kind::integer, about, {}, false, null, kAny};
}

Field limit(std::string_view name, std::string_view about) {
  return {name, Kind::integer, about, {}, false, true, 1, kFigureMax};
}

Field words(std::string_view name, Kind kind, std::string_view about, std::string_view of = {}) {
  return {name, kind, about, of};
}

// What a key may be told at any time; null takes a thing away.
std::vector<Field> key_settings() {
  return {{"team", Kind::text, "The team it belongs to.", {}, false, true},
          {"models", Kind::texts, "Globs of models it may use; !glob denies. None: all.", {}, false, true},
          {"apis", Kind::texts, "Families of APIs it may use. None: all.", kApis, false, true},
          {"can", Kind::texts, "Capabilities. None: all but admin.", kCapabilities, false, true},
          {"from", Kind::texts, "Addresses or networks (10.0.0.0/8) it may be used from. None: all.", {}, false, true},
          {"expires", Kind::time, "A time, or a lifetime such as 30d. Null: never.", {}, false, true},
          {"labels", Kind::labels, "Names of your own, for example of who pays.", {}, false, true},
          {"priority", Kind::text, "Whose turn it is when calls wait.", kPriorities, false, true},
          {"limits", Kind::object, "Limits; null: none.", "Limits", false, true},
          {"budget", Kind::budgets, "Budgets; null: none.", {}, false, true}};
}

std::vector<Field> team_settings() {
  return {{"in", Kind::text, "The team above it.", {}, false, true},
          {"models", Kind::texts, "Globs of models its keys may use; !glob denies. None: all.", {}, false, true},
          {"apis", Kind::texts, "Families of APIs its keys may use. None: all.", kApis, false, true},
          {"can", Kind::texts, "Capabilities of its keys. None: all.", kCapabilities, false, true},
          {"from", Kind::texts, "Addresses or networks its keys may be used from. None: all.", {}, false, true},
          {"limits", Kind::object, "Limits of all its keys together; null: none.", "Limits", false, true},
          {"budget", Kind::budgets, "Budgets of all its keys together; null: none.", {}, false, true}};
}

std::vector<Field> with(std::vector<Field> first, const std::vector<Field>& rest) {
  first.insert(first.end(), rest.begin(), rest.end());
  return first;
}

std::vector<Field> shown_key() {
  return {words("id", Kind::text, "The public part of a stored key; empty for a declared one."),
          words("name", Kind::text, "Unique."),
          words("declared", Kind::boolean, "It stands in the configuration file and is changed there."),
          words("state", Kind::text, "Whether it can be used.", "active expired revoked"),
          words("team", Kind::text, "Empty: none."),
          words("models", Kind::texts, "Globs; [\"*\"]: all."),
          words("apis", Kind::texts, "Empty: all."),
          words("can", Kind::texts, "Capabilities; empty: all but admin."),
          words("from", Kind::texts, "Networks; empty: all."),
          words("labels", Kind::labels, "Names of your own."),
          words("priority", Kind::text, "Whose turn it is when calls wait.", kPriorities),
          words("limits", Kind::object, "Limits of its own.", "Limits"),
          words("budget", Kind::budgets, "Budgets of its own."),
          {"created", Kind::time, "Null for a declared key.", {}, false, true},
          {"expires", Kind::time, "Null: never.", {}, false, true},
          {"revoked", Kind::time, "Null: not.", {}, false, true},
          {"last_used", Kind::time, "Null: never, or not known.", {}, false, true}};
}

std::vector<Field> shown_team() {
  return {words("name", Kind::text, "Unique."),
          words("declared", Kind::boolean, "It stands in the configuration file and is changed there."),
          words("in", Kind::text, "The team above it; empty: none."),
          words("models", Kind::texts, "Globs; [\"*\"]: all."),
          words("apis", Kind::texts, "Empty: all."),
          words("can", Kind::texts, "Empty: all."),
          words("from", Kind::texts, "Empty: all."),
          words("limits", Kind::object, "Limits of all its keys together.", "Limits"),
          words("budget", Kind::budgets, "Budgets of all its keys together."),
          {"created", Kind::time, "Null for a declared team.", {}, false, true}};
}

// A page of a list that is counted, by `offset`.
std::vector<Field> page_of(std::string_view list, std::string_view of) {
  return {words(list, Kind::list, "At most `limit` of them.", of), figure("total", "On all pages."),
          figure("next", "The `offset` of what follows; null at the end.", true)};
}

// And of one that is not, by `after`.
std::vector<Field> stretch_of(std::string_view list, std::string_view of) {
  return {words(list, Kind::list, "Of at most `limit` accounts.", of),
          {"next", Kind::text, "Send it as `after` for what follows; null at the end.", {}, false, true}};
}

std::vector<Field> usage_row() {
  std::vector<Field> fields{words("time", Kind::time, "The begin of the minute, hour or day.")};
  for (const store::UsageDimension& dimension : store::kUsageDimensions)
    fields.push_back(words(dimension.name, Kind::text, "Empty: none."));
  for (const store::UsageColumn& column : store::kUsageColumns) {
    if (column.name == "cost_micros") {
      fields.push_back(words("cost_usd", Kind::number, "As far as prices are known."));
    } else if (column.name == "waited_micros") {
      fields.push_back(words("waited_seconds", Kind::number, "For their turn."));
    } else {
      fields.push_back(figure(column.name, ""));
    }
  }
  return fields;
}

std::vector<Shape> shapes_of_changes() {
  return {
      {"Error", "Why it was not done.", {{"error", Kind::text, "What is wrong, and what to do."}}},
      {"Nothing", "A body is not needed.", {}},
      {"Limits",
       "How much at once; a field that is absent is no limit.",
       {limit("rpm", "Requests per minute."),
        limit("tpm", "Tokens per minute."),
        {"requests", Kind::rates, "Requests per second, minute, hour or day.", {}, false, true},
        {"tokens", Kind::rates, "Tokens per second, minute, hour or day.", {}, false, true},
        limit("concurrent", "Requests under way."),
        limit("input", "Tokens of one request's input."),
        limit("output", "Tokens of one answer."),
        {"throttle", Kind::text, "How long a request may wait for its turn: 2s.", {}, false, true}}},
      {"NewKey", "A key to be made.",
       with({{"name", Kind::text, "What it is for; unique.", {}, true}}, key_settings())},
      {"KeyChange", "What is to change of a key; absent fields stay, null ones go back to what a new key has.",
       key_settings()},
      {"Rotation",
       "A new secret for a key.",
       {words("overlap", Kind::text, "How long the old secret is good for: 24h. Absent: not at all.")}},
      {"Key", "A key, without its secret.", shown_key()},
      {"KeyInFull", "A key and how it stands.",
       with(shown_key(), {{"account", Kind::object, "How it stands; null without limits.", "Account", false, true}})},
      {"NewSecret",
       "The one time a secret is shown.",
       {words("secret", Kind::text, "What callers send."), words("key", Kind::object, "What it is of.", "Key")}},
      {"Keys", "Keys by name.", page_of("keys", "Key")},
      {"NewTeam", "A team to be made.", with({{"name", Kind::text, "Unique.", {}, true}}, team_settings())},
      {"TeamChange", "What is to change of a team; absent fields stay, null ones are taken away.", team_settings()},
      {"Team", "A team.", shown_team()},
      {"TeamInFull", "A team and how it stands.",
       with(shown_team(), {{"account", Kind::object, "How it stands; null without limits.", "Account", false, true}})},
      {"Teams", "Teams by name.", page_of("teams", "Team")},
  };
}

std::vector<Shape> shapes_of_records() {
  return {
      {"Rate",
       "A limit as it stands.",
       {words("unit", Kind::text, "What is counted.", "requests tokens"), figure("limit", "For each window."),
        words("window", Kind::text, "1s, 1m, 1h or 1d."), figure("remaining", "Now."),
        words("reset_seconds", Kind::number, "Until all of it is there again.")}},
      {"Budget",
       "A budget as it stands. Money is in millionths of a US dollar.",
       {words("account", Kind::text, "Whose it is: key:ID, team:NAME, model:NAME, provider:NAME."),
        words("name", Kind::text, "As errors name it."),
        words("budget", Kind::text, "As written: 5USD/day."),
        words("unit", Kind::text, "", "micro_usd tokens"),
        figure("amount", "For the period, with what was given more."),
        figure("spent", "Settled."),
        figure("held", "Reserved by calls under way."),
        figure("remaining", "Amount without spent and held."),
        {"since", Kind::time, "The begin of the period.", {}, false, true},
        {"renews", Kind::time, "Its end, or when some of it is free again; null: never.", {}, false, true},
        words("hard", Kind::boolean, "Calls beyond it are refused.")}},
      {"Account",
       "What a key, a team, a model, a target or an address has used of its limits.",
       {words("id", Kind::text, "key:ID, team:NAME, model:NAME, target:NAME, provider:NAME."),
        words("name", Kind::text, "As errors name it."), words("rates", Kind::list, "", "Rate"),
        words("budgets", Kind::list, "", "Budget"), figure("concurrent", "Requests under way."),
        figure("waiting", "Requests that wait for their turn.")}},
      {"Accounts", "Accounts with limits or budgets.", stretch_of("limits", "Account")},
      {"Budgets", "Budgets of every account.", stretch_of("budgets", "Budget")},
      {"Adjustment",
       "More (or less) of a budget for the period that runs.",
       {{"account", Kind::text, "Whose it is: team:NAME, key:ID; or key:NAME.", {}, true},
        {"budget", Kind::text, "Which, when there are several: 5USD/day.", {}},
        {"amount", Kind::text, "How much more: 2USD, 100000tokens, -1USD.", {}, true}}},
      {"AuditEntry",
       "A change.",
       {figure("sequence", "1, 2, 3, ..."),
        words("at", Kind::time, "When."),
        words("actor", Kind::text, "Who: admin:ADDRESS, key:NAME, cli:USER."),
        words("action", Kind::text, "key.create, team.update, budget.adjust, ..."),
        words("object", Kind::text, "key:ID, team:NAME, ..."),
        {"before", Kind::any, "How it was; null: it was not.", {}, false, true},
        {"after", Kind::any, "How it is since; null: it is not.", {}, false, true},
        words("hash", Kind::text, "SHA-256 of this line and the hash of the one before.")}},
      {"Audit", "Changes.", {words("audit", Kind::list, "At most `limit` of them.", "AuditEntry")}},
      {"AuditVerdict",
       "Whether the audit log is whole.",
       {words("intact", Kind::boolean, ""),
        figure("lines", "Checked."),
        {"detail", Kind::text, "The first line that does not fit.", {}, false, true}}},
      {"Price",
       "What a model costs: micro-dollars per million tokens, and per call or image.",
       {words("vendor", Kind::text, "Or the provider of the configuration."),
        words("model", Kind::text, "Or a glob."),
        words("also", Kind::texts, "Other names of the same."),
        words("source", Kind::text, "Where that is known from.", "catalog file configuration"),
        {"price", Kind::any, "In force now; null: not known.", {}, false, true},
        words("prices", Kind::any, "All, when they change with time.")}},
      {"Prices", "Prices by vendor and model.", page_of("prices", "Price")},
      {"UsageRow", "What was used: the columns that rows are apart by, and sums.", usage_row()},
      {"Usage",
       "Usage since and until, which move outwards to what is kept.",
       {words("since", Kind::time, ""), words("until", Kind::time, ""), words("usage", Kind::list, "", "UsageRow")}},
  };
}

std::vector<Shape> shapes_of_views() {
  return {
      {"Status",
       "The gateway.",
       {words("version", Kind::text, ""), figure("uptime_seconds", ""), figure("requests_total", "Since the start."),
        figure("events_dropped", "Of the log of requests."), figure("resident_bytes", "Physical memory."),
        figure("threads", ""), words("listen", Kind::texts, "Addresses of the data listeners."),
        words("simulated", Kind::boolean, "The language model is a simulation."), words("ready", Kind::boolean, ""),
        words("obstacles", Kind::texts, "Why not.")}},
      {"Requests", "The latest requests.", {words("requests", Kind::any, "Newest first.")}},
      {"Models",
       "What can be asked for.",
       {words("language_models", Kind::any, "Routes with their targets."),
        words("local_models", Kind::list, "With their versions and traffic.", "LocalModel"),
        words("providers", Kind::any, "With their connections and health.")}},
      {"Pipelines",
       "The lane of devices.",
       {words("sources", Kind::any, "Where samples come from."),
        words("pipelines", Kind::any, "What is done with them.")}},
  };
}

}  // namespace

const std::vector<Shape>& shapes() {
  static const std::vector<Shape> kShapes = [] {
    std::vector<Shape> all = shapes_of_changes();
    for (auto part : {shapes_of_records, shapes_of_views, shapes_of_models, shapes_of_pipelines, shapes_of_alarms,
                      shapes_of_devices, shapes_of_buffers}) {
      for (Shape& one : part()) all.push_back(std::move(one));
    }
    return all;
  }();
  return kShapes;
}

}  // namespace penstock::app
