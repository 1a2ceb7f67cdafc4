#pragma once
// The leg of nobody: in an ordered call it stands where the caller would be while the first party is rung
// (ordered.cpp). It has no signalling and no media, and nothing to wait for.
#include "call/leg.h"

namespace tandem::call {

class StandIn final : public Leg {
 public:
  void progress(Turn&, int, std::string_view) override {}
  void accept(Turn&, std::string_view) override {}
  void offer(Turn&, std::string_view) override {}
  void withdraw_offer(Turn&) override {}
  void answer(Turn&, std::string_view) override {}
  void refuse_offer(Turn&, int) override {}
  void answer_transfer(Turn&, int) override {}
  void transfer_progress(Turn&, int) override {}
  void send_info(Turn&, std::string_view, std::string_view, std::string_view) override {}
  void release(Turn&, const Cause&, port::CommitId) override {}
  void finish_release(Turn&, port::CommitId) override {}
  bool ended() const override { return true; }
  void on_timeout(Turn&) override {}
  Instant next_timeout() const override { return Instant::never(); }
};

}  // namespace tandem::call
