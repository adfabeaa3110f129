-- What an accept call looks up in the streams of the log, which few do.

local backlogs = {}

-- Looks at what is in a partition's log.
function backlogs.look(call, partition)
  local entries, bytes, total, oldest_at = backlog_of(partition.number)
  partition.looked, partition.total, partition.since = true, total, oldest_at or call.now
  partition.entries_before = partition.accepted_before + partition.accepted - entries
  partition.bytes_before = total - bytes
end

-- The newest entry in a partition's log, '0' for none.
function backlogs.newest_in(partition)
  local newest = end_of(key(partition.number, 'log'), 'XREVRANGE', '+', '-')
  return newest and exact(number_of(newest[1])) or '0'
end
