// Manifests, statements, bundles and encrypted files are what somebody put into a folder: none may crash the gateway,
// and what is taken must be what would be written. The first byte chooses.
#include <cstdlib>

#include "artifact/manifest.h"
#include "artifact/model_signing.h"
#include "artifact/sealed_file.h"
#include "artifact/verified_files.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock;
  if (size == 0) return 0;
  std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 4) {
    case 0: {
      auto claims = artifact::read_manifest(text);
      if (claims && artifact::write_manifest(*claims) != text) std::abort();
      break;
    }
    case 1: (void)artifact::open_bundle(text, {}); break;
    case 2: {
      auto claims = artifact::read_statement(text);
      if (!claims) break;
      for (const artifact::ClaimedFile& file : claims->files) {
        if (!claims->single && !artifact::is_plain_path(file.path)) std::abort();
        if (file.parts.empty() || file.parts.front().begin != 0) std::abort();
      }
      break;
    }
    default: {
      static const base::Secret key = *artifact::parse_encryption_key(base::Secret(std::string(64, '1')));
      // Nobody but a holder of the key makes a file that opens.
      if (artifact::unseal(std::string(text), key)) std::abort();
    }
  }
  return 0;
}
