-- What one user may write: counted per user, written down once per accept call.

local quotas = {}

-- What a user was accepted of late in a partition, read once per call: {minute, entries, bytes, hour,
-- keys, day, opens, held, held_bytes}. All that a user writes goes to one partition, but for conversations
-- from before there were home partitions.
function quotas.used(call, partition, user)
  local known = partition.users[user]
  if known then return known end
  local was = redis.call('HMGET', key(partition.number, 'quota:' .. user),
    'minute', 'entries', 'bytes', 'day', 'opens', 'hour', 'keys')
  local minute, day = exact(math.floor(call.now / 60000)), exact(math.floor(call.now / 86400000))
  local hour = exact(math.floor(call.now / 3600000))
  local same_minute, same_day, same_hour = was[1] == minute, was[4] == day, was[6] == hour
  local held = {}
  if call.user_backlog_entries + call.user_backlog_bytes > 0 then
    held = redis.call('HMGET', key(partition.number, 'held'), user, user .. ':bytes')
  end
  known = {
    minute = minute, entries = same_minute and tonumber(was[2]) or 0,
    bytes = same_minute and tonumber(was[3]) or 0,
    hour = hour, keys = same_hour and tonumber(was[7]) or 0,
    day = day, opens = same_day and tonumber(was[5]) or 0,
    held = tonumber(held[1] or '0'), held_bytes = tonumber(held[2] or '0'),
    added = 0, added_bytes = 0,
  }
  partition.users[user] = known
  return known
end

-- Seconds to wait for a quota of the user's own, or nil. 0 stands for no quota. An answer belongs to
-- a message that was accepted, and deleting must always be possible: neither is refused.
function quotas.seconds_to_wait(call, partition, entry)
  if not call.has_quotas then return nil end
  if entry.scope == 'reply' or entry.op == 'title' or entry.op == 'delete' then return nil end
  local used = quotas.used(call, partition, entry.user)
  local function over(most, value) return most > 0 and value > most end
  if is_new(entry) and over(call.user_conversations_per_day, used.opens + 1) then
    return exact(86400 - math.floor(call.now / 1000) % 86400)
  end
  if over(call.user_writes_per_minute, used.entries + entry.count)
    or over(call.user_bytes_per_minute, used.bytes + #entry.data) then
    return exact(60 - math.floor(call.now / 1000) % 60)
  end
  -- A key is kept, in memory, for as long as it can be repeated.
  local keys = (entry.name and 1 or 0) + #entry.externals
  if keys > 0 and over(call.user_keys_per_hour, used.keys + keys) then
    return exact(3600 - math.floor(call.now / 1000) % 3600)
  end
  if over(call.user_backlog_entries, used.held + used.added + 1)
    or over(call.user_backlog_bytes, used.held_bytes + used.added_bytes + #entry.data) then return '5' end
end

function quotas.spend(call, partition, entry)
  if not call.has_quotas then return end
  local used = quotas.used(call, partition, entry.user)
  used.entries, used.bytes = used.entries + entry.count, used.bytes + #entry.data
  used.added, used.added_bytes = used.added + 1, used.added_bytes + #entry.data
  used.keys = used.keys + (entry.name and 1 or 0) + #entry.externals
  if is_new(entry) then used.opens = used.opens + 1 end
end

-- Writes down, once per call, what each user has used of a partition.
function quotas.keep(call, partition)
  for user, used in pairs(partition.users) do
    if used.added > 0 then
      local quota = key(partition.number, 'quota:' .. user)
      redis.pcall('HSET', quota, 'minute', used.minute, 'entries', exact(used.entries),
        'bytes', exact(used.bytes), 'day', used.day, 'opens', exact(used.opens),
        'hour', used.hour, 'keys', exact(used.keys))
      redis.pcall('EXPIRE', quota, 86400)
      if call.user_backlog_entries + call.user_backlog_bytes > 0 then
        local held = key(partition.number, 'held')
        redis.pcall('HINCRBY', held, user, used.added)
        redis.pcall('HINCRBY', held, user .. ':bytes', exact(used.added_bytes))
      end
    end
  end
end
