#include "src/protocol/dump_text.h"

#include "src/protocol/base64.h"
#include "src/protocol/uri_text.h"

namespace terraced::server {
namespace {

void AppendBase64(std::string_view bytes, std::string* to) {
  const size_t begin = to->size();
  to->resize(begin + Base64Length(bytes.size()));
  EncodeBase64(bytes, to->data() + begin);
}

void AppendNumber(std::string_view name, uint64_t value, std::string* to) {
  to->append(name).append(std::to_string(value));
}

void AppendMetaLine(std::string_view key, const tiering::DumpedItem& item, std::string* to) {
  to->append("key=");
  AppendUriEncoded(key, to);
  if (item.exptime_s == 0) {
    to->append(" exp=-1");
  } else {
    AppendNumber(" exp=", item.exptime_s, to);
  }
  AppendNumber(" la=", item.last_access_s, to);
  AppendNumber(" cas=", item.cas_unique, to);
  to->append(item.fetched ? " fetch=yes" : " fetch=no");
  AppendNumber(" cls=", item.slab_class, to);
  AppendNumber(" size=", item.size_bytes, to);
  if (item.serial != 0) AppendNumber(" ext_page=", item.serial, to);
  to->push_back('\n');
}

void AppendGetLine(std::string_view key, const tiering::DumpedItem& item, std::string* to) {
  to->append("mg ");
  if (item.binary_key || BreaksALine(key)) {
    AppendBase64(key, to);
    to->append(" b");
  } else {
    to->append(key);
  }
  to->append("\r\n");
}

}  // namespace

std::string DumpText(const tiering::DumpPiece& piece) {
  std::string text;
  for (const tiering::DumpedItem& item : piece.items) {
    const std::string_view key(piece.keys.data() + item.key_at, item.key_bytes);
    if (piece.keys_only) {
      AppendGetLine(key, item, &text);
    } else {
      AppendMetaLine(key, item, &text);
    }
  }
  if (piece.last) text.append(piece.keys_only ? "EN\r\n" : "END\r\n");
  return text;
}

}  // namespace terraced::server
