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

local function after(id) return exact(id + 1) .. '-0' end

-- What `committed` says (head.lua): the id, entries kept, and when the last and the first were committed.
local function read_committed(stored)
  local id, kept, last_ms, first_ms = string.match(stored or '', '^(%d+) (%d+) (%d+) (%d+)$')
  if not id then return 0, 0, 0, 0 end
  return tonumber(id), tonumber(kept), tonumber(last_ms), tonumber(first_ms)
end

local function committed_of(partition) return read_committed(redis.call('GET', key(partition, 'committed'))) end

-- Where entries begin that are not known to be in PostgreSQL: with none kept that is all there are, also one
-- under an id that was given out before.
local function pending_from(committed, kept) return kept == 0 and '-' or after(committed) end

-- The first entry that is not known to be in PostgreSQL, and how many there are.
local function pending_of(partition, committed, kept)
  local stream = key(partition, 'log')
  local first = end_of(stream, 'XRANGE', pending_from(committed, kept), '+')
  -- A worker of before there were kept entries may have trimmed some.
  return first, first and math.max(redis.call('XLEN', stream) - kept, 1) or 0
end

-- Entries above one id, up to another.
local function count_between(partition, above, to)
  local stream, from, count = key(partition, 'log'), after(above), 0
  while true do
    local chunk = redis.call('XRANGE', stream, from, exact(to) .. '-0', 'COUNT', READ_CHUNK)
    count = count + #chunk
    if #chunk < READ_CHUNK then return count end
    from = after(number_of(chunk[#chunk][1]))
  end
end

-- Entries above an id that is near that of `committed`.
local function count_above(partition, id)
  local committed, kept = committed_of(partition)
  local _, pending = pending_of(partition, committed, kept)
  if id >= committed then return pending - count_between(partition, committed, id) end
  return pending + count_between(partition, id, committed)
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

-- Entries and bytes of text in one partition's log that are not known to be in PostgreSQL, the running
-- total its last entry carries, and when the oldest of them was accepted (ms), nil without one.
local function backlog_of(partition)
  local last = end_of(key(partition, 'log'), 'XREVRANGE', '+', '-')
  if not last then return 0, 0, 0 end
  local total = total_and_at(last)
  local first, entries = pending_of(partition, committed_of(partition))
  if not first then return 0, 0, total end
  local first_total, oldest_at = total_and_at(first)
  return entries, math.max(total - (first_total - bytes_of(first)), 0), total, oldest_at
end
