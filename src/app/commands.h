// The subcommands besides `run`, `mock` and those of command_groups.h. Each returns the exit status: 0 fine, 1 failed,
// 2 bad usage or configuration.
#pragma once

#include <string>

#include "base/registry.h"

namespace penstock::app {

// Validates a configuration and prints the compiled plan.
int check(const base::Registry& registry, const std::string& file);
// Runs the inline tests of its pipelines, offline.
int test(const base::Registry& registry, const std::string& file);
struct DoctorOptions {
  std::string file;
  std::string key;    // of a call that fails: its name or id; empty: no call is looked at
  std::string model;  // of that call; empty: any
};
// Explains in words why a call would fail: checks the configuration, names, ports, providers, models, keys and brokers.
int doctor(const base::Registry& registry, const DoctorOptions& options);

// Program, libraries and runtimes, for --version.
std::string version_text(const base::Registry& registry);

}  // namespace penstock::app
