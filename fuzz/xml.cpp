// rooms: presence base
// A published document is passed on when it is well-formed; text of strangers goes escaped into documents of
// ours.
#include <cstdlib>
#include <string>

#include "base/xml.h"
#include "presence/documents.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tandem;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)presence::well_formed_xml(text, 16);
  const std::string escaped = xml_escape(text);
  if (!presence::well_formed_xml("<note a=\"" + escaped + "\">" + escaped + "</note>", 16)) std::abort();
  const std::string note = "<note>" + escaped + "</note>";
  for (XmlElements e(note); e.next();)
    if (xml_escape(xml_unescape(e.text())) != escaped) std::abort();
  for (XmlElements e(text); e.next();)
    if (e.name().data() < text.data() || e.text().size() > text.size()) std::abort();
  const std::string user(text.substr(0, size / 2)), domain(text.substr(size / 2));
  if (!presence::well_formed_xml(presence::pidf({user, domain}, true), 16)) std::abort();
  return 0;
}
