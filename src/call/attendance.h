#pragma once
// A caller who talks with a service of ours (room `service`), and the conferences of a worker. Internal to
// the call room.
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "call/leg.h"
#include "service/machine.h"

namespace tandem::call {

/// What a machine has recorded goes this way, whoever is still there then.
struct ServiceRecording {
  port::SoundFile file;
  Duration shortest = Duration{0};
  std::optional<service::Deposit> deposit;
  Instant until = Instant::never();  // never: it has been closed, and its answer is awaited
};

struct Attendance {
  LegId leg = 0;
  std::string door;     // what its PIN opens; empty: it asks for none
  uint64_t number = 0;  // of the machine: what was asked for one before it is nobody's
  std::unique_ptr<service::Machine> machine;
  bool saying = false;
  bool awaits_answer = false;  // of a caller that made no offer: the machine has not begun

  std::optional<ServiceRecording> recording;

  std::string room;  // of a conference ("sales@example.org"); empty: in none
  bool moderator = false;
  bool muted = false;
  bool waits = false;  // for a moderator: in no room of the media yet
};

/// A conference: everybody in it is on this worker, which is the one its name belongs to.
struct Meeting {
  struct Member {
    uint64_t call = 0;
    LegId leg = 0;
    bool moderator = false;
    bool muted = false;
    bool waits = false;
  };
  std::vector<Member> members;
  bool locked = false;
};

}  // namespace tandem::call
