// rooms: base
// sources: src/call/dtmf_info.cpp
// The body of an INFO: what is taken for a press is one of sixteen keys, and is read again as the same.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "call/dtmf_info.h"

using namespace tandem;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view all(reinterpret_cast<const char*>(data), size);
  const size_t line = all.find('\n');
  const std::string_view types[] = {"application/dtmf-relay", "application/dtmf; charset=utf-8",
                                    all.substr(0, line)};
  const std::string_view bodies[] = {all, line == all.npos ? all : all.substr(line + 1)};
  for (const std::string_view type : types) {
    for (const std::string_view body : bodies) {
      const auto press = call::read_dtmf(type, body);
      if (!press) continue;
      if (std::string_view("0123456789*#ABCD").find(press->digit) == std::string_view::npos) std::abort();
      if (press->lasted < milliseconds(1) || press->lasted > seconds(60)) std::abort();
      const auto again = call::read_dtmf(call::content_type_of(press->form), call::write_dtmf(*press));
      if (!again || again->digit != press->digit || again->form != press->form) std::abort();
      if (press->form == call::DtmfForm::relay && again->lasted != press->lasted) std::abort();
    }
  }
  return 0;
}
