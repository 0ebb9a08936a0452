#include "artifact/manifest.h"

#include "json/value.h"

namespace penstock::artifact {
namespace {

constexpr std::string_view kFormat = "penstock-manifest-1";

std::unexpected<Error> broken(std::string_view what) {
  return fail(Errc::data_loss, fmt::format("{} is not as `penstock artifact sign` writes it: {}", kManifestFile, what));
}

Result<ClaimedFile> read_file(const json::Value& entry) {
  ClaimedFile file;
  file.path = json::string_or(entry, "path", "");
  std::int64_t size = json::int_or(entry, "size", -1);
  auto digest = from_hex(json::string_or(entry, "sha256", ""));
  if (!is_plain_path(file.path)) return broken("a path is empty, absolute, or leaves the folder");
  if (size < 0 || !digest || digest->size() != 32) return broken("a file without size or sha256");
  file.size = static_cast<std::uint64_t>(size);
  file.parts.push_back({.digest = std::move(*digest)});
  return file;
}

}  // namespace

std::string write_manifest(const Claims& claims) {
  std::string text = fmt::format("{{\"format\":\"{}\",\"model\":", kFormat);
  json::append_quoted(text, claims.model);
  text += fmt::format(",\"version\":{},\"files\":[", claims.version);
  std::string_view separator = "\n";
  for (const ClaimedFile& file : claims.files) {
    text += separator;
    text += "{\"path\":";
    json::append_quoted(text, file.path);
    text += fmt::format(",\"size\":{},\"sha256\":\"{}\"}}", file.size.value_or(0), to_hex(file.parts.front().digest));
    separator = ",\n";
  }
  text += "\n]}\n";
  return text;
}

Result<Claims> read_manifest(std::string_view text) {
  if (text.size() > kManifestBytesMax) return broken("it is larger than 4 MiB");
  auto document = json::parse(text);
  if (!document) return broken(document.error().detail);
  if (json::string_or(*document, "format", "") != kFormat) {
    return fail(Errc::unimplemented, fmt::format("{} is not in the format {}: sign the folder again with this release",
                                                 kManifestFile, kFormat));
  }
  Claims claims;
  claims.model = json::string_or(*document, "model", "");
  claims.version = json::int_or(*document, "version", 0);
  const json::Value* files = json::find(*document, "files");
  if (files == nullptr || !files->is_array()) return broken("there is no list of files");
  for (const json::Value& entry : files->get_array()) {
    auto file = read_file(entry);
    if (!file) return std::unexpected(std::move(file.error()));
    if (!claims.files.empty() && file->path <= claims.files.back().path)
      return broken(fmt::format("'{}' stands twice or in the wrong place", file->path));
    claims.files.push_back(std::move(*file));
  }
  // Members nobody asked for, given twice, or written in another way would mean different things to different readers.
  if (write_manifest(claims) != text) return broken("its bytes differ from the one way to write it");
  return claims;
}

}  // namespace penstock::artifact
