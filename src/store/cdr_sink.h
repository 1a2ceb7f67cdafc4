#pragma once
// From the spool into the directory.
#include <string>

#include "base/counters.h"
#include "port/directory.h"
#include "port/disk.h"
#include "store/spool.h"

namespace tandem::store {

/// Inserts spooled CDRs in one transaction per batch. A record that is not a CDR is appended to `rejected`
/// (in the spool's framing) and counted, so that one bad record holds up nobody and nothing is thrown away.
class CdrSink final : public SpoolSink {
 public:
  CdrSink(port::Directory& directory, port::Disk& disk, std::string rejected, CounterSet& counters);
  port::StoreStatus ship(std::span<const std::string_view> records) override;

 private:
  port::StoreStatus keep_rejected(std::string_view record);

  port::Directory& directory_;
  port::Disk& disk_;
  const std::string rejected_;
  Counter& inserted_;
  Counter& doubles_;
  Counter& rejects_;
};

}  // namespace tandem::store
