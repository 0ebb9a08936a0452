// The subcommands besides `run` and `mock`. Each returns the exit status: 0 fine, 1 failed, 2 bad usage or
// configuration.
#pragma once

#include <string>

#include "base/registry.h"

namespace penstock::app {

// Validates a configuration and prints the compiled plan.
int check(const base::Registry& registry, const std::string& file);
// Runs the inline tests of its pipelines, offline.
int test(const base::Registry& registry, const std::string& file);
// Explains in words why a call would fail: checks the configuration, names, ports, providers, models and brokers.
int doctor(const base::Registry& registry, const std::string& file);

struct KeyOptions {
  std::string config;  // for data_dir, when that is not given
  std::string data_dir;
  std::string name;
  std::string models;  // comma-separated globs
  std::int64_t rpm = 0;
  std::int64_t tpm = 0;
  std::string expires;  // a duration
};
int create_key(const KeyOptions& options);
int list_keys(const KeyOptions& options);
int revoke_key(const KeyOptions& options);

// Program, libraries and runtimes, for --version.
std::string version_text(const base::Registry& registry);

}  // namespace penstock::app
