#include "store/cdr_sink.h"

#include "port/cdr.h"
#include "store/spool_record.h"

namespace tandem::store {

CdrSink::CdrSink(port::Directory& directory, port::Disk& disk, std::string rejected, CounterSet& counters)
    : directory_(directory),
      disk_(disk),
      rejected_(std::move(rejected)),
      inserted_(counters.counter("cdr_inserted_total", "call detail records written to the database")),
      doubles_(counters.counter("cdr_doubles_total", "call detail records the database had already")),
      rejects_(counters.counter("cdr_rejected_total", "spool records that are not call detail records")) {}

port::StoreStatus CdrSink::ship(std::span<const std::string_view> records) {
  std::vector<port::Cdr> batch;
  std::vector<std::string_view> bad;
  batch.reserve(records.size());
  for (const std::string_view record : records) {
    if (auto cdr = port::decode(record))
      batch.push_back(std::move(*cdr));
    else
      bad.push_back(record);
  }
  if (!batch.empty()) {
    const auto inserted = directory_.insert_cdrs(batch);
    if (!inserted) return Failure{inserted.reason()};
    inserted_.add(*inserted);
    doubles_.add(batch.size() - *inserted);
  }
  for (const std::string_view record : bad)
    if (auto kept = keep_rejected(record); !kept) return kept;
  return Done{};
}

port::StoreStatus CdrSink::keep_rejected(std::string_view record) {
  std::string frame;
  append_frame(frame, rejects_.value() + 1, record);
  auto file = disk_.open_append(rejected_);
  if (!file || !(*file)->append(frame) || !(*file)->sync())
    return Failure{port::StoreError{port::StoreError::Kind::unavailable, "cannot write " + rejected_}};
  rejects_.add();
  return Done{};
}

}  // namespace tandem::store
