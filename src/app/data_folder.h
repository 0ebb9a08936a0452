// The data folder that a command works on, also while a gateway runs on it.
#pragma once

#include <string>

#include "config/document.h"
#include "store/state.h"

namespace penstock::app {

struct DataFolder {
  std::string config;    // for `data_dir`, and for what is declared; empty: no file
  std::string data_dir;  // empty: the file's, else ./var

  // Errors: invalid_argument.
  Result<std::string> path() const;
  Result<store::State> open_state() const;
  // For commands that only read: the folder, with that file in it. Makes nothing. Errors: failed_precondition.
  Result<std::string> with_file(const char* file) const;
  Result<store::State> open_state_to_read() const;
  // The configuration, with - in the place of what it takes from the environment: secrets that are not set here are no
  // obstacle. Nothing without a file.
  Result<std::optional<config::Document>> document() const;
  // Names under `teams` of the configuration; none without a file.
  Result<std::vector<std::string>> declared_teams() const;
};

// Who works at the command line, for the audit log.
store::Actor command_line_actor();

// Prints to standard error; returns `status`.
int complain(int status, const std::string& message);
// The exit status of a command, whose error is complained of: 2 for what the caller wrote, 1 for everything else.
int finish(const Result<int>& result);

}  // namespace penstock::app
