-- What one user may write: counted per user, written down once per accept call.

local quotas = {}

-- Entries in a partition's log and bytes of their text: so many, or fewer (see `recall` in room.lua).
local function backlog(partition)
  return partition.accepted_before + partition.accepted - partition.entries_before,
    partition.total - partition.bytes_before
end

local function over(most, value) return most > 0 and value > most end

-- What a user was accepted of late in a partition, read once per call. All that a user writes goes to one
-- partition, but for conversations from before there were home partitions.
function quotas.used(call, partition, entry)
  local user = partition.users[entry.user]
  if user.is_counted then return user end
  user.is_counted = true
  local minute, entries, bytes, hour, keys, day, opens =
    string.match(user.spent or '', '^(%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+)$')
  local is_now = minute == call.minute
  user.entries, user.bytes = is_now and tonumber(entries) or 0, is_now and tonumber(bytes) or 0
  user.keys = hour == call.hour and tonumber(keys) or 0
  user.opens = day == call.day and tonumber(opens) or 0
  return user
end

-- Whether a user holds more than one may, with one entry more. Not asked while the whole partition
-- has less.
local function holds_too_much(call, partition, entry, used)
  local entries, bytes = backlog(partition)
  if not (over(call.user_backlog_entries, entries + 1)
    or over(call.user_backlog_bytes, bytes + #entry.data)) then return false end
  if not used.held then
    used.held = tonumber(redis.call('HGET', key(partition.number, 'held'), entry.user .. HELD) or '0')
  end
  local held_bytes = used.held % HELD_ENTRY
  return over(call.user_backlog_entries, (used.held - held_bytes) / HELD_ENTRY + used.added + 1)
    or over(call.user_backlog_bytes, held_bytes + used.added_bytes + #entry.data)
end

local function keys_of(entry) return (entry.name and 1 or 0) + #entry.externals end

-- Seconds to wait for a quota of the user's own, or nil. 0 stands for no quota. An answer belongs to
-- a message that was accepted, and deleting must always be possible: neither is refused.
function quotas.seconds_to_wait(call, partition, entry)
  if not call.has_quotas then return nil end
  if entry.scope == 'reply' or entry.op == 'title' or entry.op == 'delete' then return nil end
  local used, keys, length = quotas.used(call, partition, entry), keys_of(entry), #entry.data
  if is_new(entry) and over(call.user_conversations_per_day, used.opens + 1) then
    return exact(86400 - math.floor(call.now / 1000) % 86400)
  end
  if over(call.user_writes_per_minute, used.entries + entry.count)
    or over(call.user_bytes_per_minute, used.bytes + length) then
    return exact(60 - math.floor(call.now / 1000) % 60)
  end
  -- A key is kept, in memory, for as long as it can be repeated.
  if keys > 0 and over(call.user_keys_per_hour, used.keys + keys) then
    return exact(3600 - math.floor(call.now / 1000) % 3600)
  end
  if holds_too_much(call, partition, entry, used) then return '5' end
end

function quotas.spend(call, partition, entry)
  if not call.has_quotas then return end
  local used = quotas.used(call, partition, entry)
  used.entries, used.bytes = used.entries + entry.count, used.bytes + #entry.data
  used.added, used.added_bytes = used.added + 1, used.added_bytes + #entry.data
  used.keys = used.keys + keys_of(entry)
  if is_new(entry) then used.opens = used.opens + 1 end
end

-- Writes down, once per call, what each user has used of a partition.
function quotas.keep(call, partition)
  local prefix = prefixes[partition.number]
  for user, used in pairs(partition.users) do
    if used.added > 0 then
      local spent = string.format('%s %d %d %s %d %s %d', call.minute, used.entries, used.bytes,
        call.hour, used.keys, call.day, used.opens)
      redis.pcall('SET', prefix .. 'spent:' .. user, spent, 'EX', '86400')
      local held = exact(used.added * HELD_ENTRY + used.added_bytes)
      redis.pcall('HINCRBY', prefix .. 'held', user .. HELD, held)
    end
  end
end
