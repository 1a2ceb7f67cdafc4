// rooms: ops crypto base
// What strangers send to the console: paths, cookies, and the SIP messages it keeps. No file that is not
// there is served, no cookie is found that is not in the header, no credentials come out of the ring.
#include <cstdlib>
#include <string>

#include "crypto/password.h"
#include "ops/api_impl.h"

using namespace tandem;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const ops::WebFiles files = [] {
    ops::WebFiles f;
    f.add("index.html", "page");
    f.add("assets/a.js", "script");
    f.add("assets/a.js.gz", "packed");
    return f;
  }();
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t half = text.size() / 2;
  const port::HttpResponse r = files.answer(text.substr(0, half), text.substr(half));
  const bool known = r.body == "page" || r.body == "script" || r.body == "packed";
  if ((r.status == 200) != known) std::abort();

  for (const bool secure : {false, true}) {
    const std::string_view cookie = ops::session_cookie(text, secure);
    if (!cookie.empty() && text.find(cookie) == std::string_view::npos) std::abort();
  }
  // What is no hash must cost nothing: a well-formed one would take a tenth of a second each.
  if (text.size() < 50) (void)crypto::password_matches("x", "$scrypt$" + std::string(text));

  CounterSet counters;
  ops::MessageRing ring({.messages = 8}, counters);
  port::SipTrace trace;
  trace.bytes = Buffer::copy_of(text);
  ring.put(trace);
  trace.bytes =
      Buffer::copy_of("INVITE sip:x SIP/2.0\r\nCall-ID: a\r\nAuthorization: s3cr3t\r\n" + std::string(text));
  ring.put(trace);
  ring.take();
  for (const ops::KeptMessage& m : ring.of("a"))
    if (m.text.find("Authorization: s3cr3t") != std::string::npos &&
        text.find("s3cr3t") == std::string_view::npos)
      std::abort();
  (void)ring.of(ops::call_id_of(text));
  return 0;
}
