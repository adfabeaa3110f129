-- What is in the streams of the log.

local function number_of(stream_id) return tonumber(string.match(stream_id, '^%d+')) end

local function end_of(stream, command, from, to)
  return redis.call(command, stream, from, to, 'COUNT', 1)[1]
end

local function field(entry, name)
  local fields = entry[2]
  for i = 1, #fields, 2 do
    if fields[i] == name then return fields[i + 1] end
  end
end

-- Bytes of an entry's data, in either version.
local function bytes_of(entry) return #(field(entry, 'd') or field(entry, 'data') or '') end

-- The running total and the ms of an entry. One that no script wrote may lack them; it must not close
-- the partition.
local function total_and_at(entry)
  local head = '^' .. VERSION .. string.rep(' [^ ]*', 5) .. ' (%d+) (%d+)'
  local at, total = string.match(field(entry, 'h') or '', head)
  return tonumber(total or field(entry, 'total') or '') or 0, tonumber(at or field(entry, 'at') or '')
end

-- Entries and bytes of text in one partition's log, the running total its last entry carries, and
-- when the oldest was accepted (ms), nil without one.
local function backlog_of(partition)
  local stream = key(partition, 'log')
  local entries = redis.call('XLEN', stream)
  if entries == 0 then return 0, 0, 0 end
  local first = end_of(stream, 'XRANGE', '-', '+')
  local last = end_of(stream, 'XREVRANGE', '+', '-')
  local total = total_and_at(last)
  local first_total, oldest_at = total_and_at(first)
  return entries, math.max(total - (first_total - bytes_of(first)), 0), total, oldest_at
end
