// Why a call with a key would fail.
#pragma once

#include <string>

#include "app/doctor_report.h"
#include "app/gateway_config.h"
#include "store/state.h"

namespace penstock::app {

// Whether texts of the models that routes name are counted or estimated, and whether their prices are known where
// budgets of money need them.
void check_accounting(const GatewayConfig& config, store::State& state, Report& report);

// A call to `model` (empty: any) with the key of that name or id: whether it is in force, what it and its teams allow,
// and what is left of their budgets, as the ledger has it.
void check_call(const GatewayConfig& config, store::State& state, const std::string& key, const std::string& model,
                Report& report);

}  // namespace penstock::app
