// ${NAME}, ${NAME:-default} and ${file:/path} in configuration values.
#pragma once

#include <string>
#include <string_view>

#include "config/document.h"

namespace penstock::config {

// YAML gives braces a meaning of their own inside { flow: maps }, where ${NAME} would not parse. protect() swaps the
// braces of every ${...} for control characters of the same width, so that columns stay true; restore() swaps back.
std::string protect(std::string_view yaml);
std::string restore(std::string_view value);

// Replaces every reference in a protected value. The error names the variable or file, never a value.
Result<std::string> substitute(std::string_view value, const Environment& environment);

}  // namespace penstock::config
