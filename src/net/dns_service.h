#pragma once
// DNS for all workers: one thread with c-ares and a cache that outlives the servers.
#include <memory>
#include <string>

#include "base/counters.h"
#include "base/result.h"
#include "net/config.h"
#include "port/ask.h"

namespace tandem::net {

class DnsService {
 public:
  /// Receives answers, on the DNS thread.
  class Sink {
   public:
    virtual ~Sink() = default;
    virtual void dns_answer(uint16_t worker, port::AskId id, port::Answer answer) = 0;
  };

  DnsService(DnsConfig config, Sink& sink);
  ~DnsService();
  Status<std::string> start();
  void stop();
  /// Any thread. Answered from the hosts file, the cache or the servers; equal questions in flight are asked
  /// once.
  void ask(uint16_t worker, port::AskId id, port::AskDns question);
  const CounterSet& counters() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tandem::net
