-- What an accept call knows of its partitions: read at once at its beginning, written down at once at its end.

-- What `room` says is taken for this long, unless it says that there is none.
local ROOM_MS = 60000
local OF_PARTITION, OF_USER = 6, 2

local room = {}

local function failed(reply) return type(reply) == 'table' and reply.err end

-- What this call knows of its partitions, by number, read at once; with `refusal` where one takes nothing.
-- `users`: names of those whose entries the call brings, by partition.
-- Each table here has all its fields from the start: Lua makes one anew for each few that are added.
function room.read(users)
  local names, partitions, at = {}, {}, 0
  for i = 1, #declared do
    local number, next_at = declared[i], #names
    local prefix, brought = prefixes[number], users[number]
    names[next_at + 1], names[next_at + 2] = prefix .. 'database', prefix .. 'tail'
    names[next_at + 3], names[next_at + 4] = prefix .. 'bell', prefix .. 'idems'
    names[next_at + 5], names[next_at + 6] = prefix .. 'accepted', prefix .. 'room'
    for j = 1, #brought do
      local user_at, user = next_at + OF_PARTITION + OF_USER * (j - 1), brought[j]
      names[user_at + 1], names[user_at + 2] = prefix .. 'gone:' .. user, prefix .. 'spent:' .. user
    end
  end
  local found = redis.call('MGET', unpack(names))
  for i = 1, #declared do
    local number, owner, tail = declared[i], found[at + 1], found[at + 2]
    local known = {
      number = number, users = {}, accepted = 0, has_bell = found[at + 3], sizes = found[at + 4],
      known_sizes = false, accepted_before = tonumber(found[at + 5] or '') or 0, room = found[at + 6],
      tail = tonumber(tail or '0'), total = false, since = 0, entries_before = 0, bytes_before = 0,
    }
    at = at + OF_PARTITION
    for j = 1, #users[number] do
      known.users[users[number][j]] = {
        is_gone = found[at + 1], spent = found[at + 2], is_counted = false, entries = 0, bytes = 0,
        keys = 0, opens = 0, added = 0, added_bytes = 0,
      }
      at = at + OF_USER
    end
    if not owner then
      known.refusal = 'log_closed'
    elseif owner ~= ARGV[3] then
      known.refusal = 'wrong_database'
    elseif not tail then
      known.refusal = 'log_closed'
    end
    partitions[number] = known
  end
  return partitions
end

-- Which of these sessions were revoked, as a set: every partition knows all that were.
function room.revoked(sessions)
  local revoked = {}
  if #sessions == 0 then return revoked end
  local found = redis.call('ZMSCORE', key(declared[1], 'revoked'), unpack(sessions))
  for i = 1, #sessions do revoked[sessions[i]] = found[i] end
  return revoked
end

-- What backlogs.look finds, without looking, as `room` has it: "<tail> <entries before> <bytes before> <running
-- total> <since ms>". What was trimmed since is counted as if it were still there.
local function recall(call, partition)
  local tail, entries, bytes, total, since =
    string.match(partition.room or '', '^(%d+) (-?%d+) (-?%d+) (%d+) (%d+)$')
  if tonumber(tail) ~= partition.tail or call.now - tonumber(since) > ROOM_MS then
    return backlogs.look(call, partition)
  end
  partition.total, partition.since = tonumber(total), tonumber(since)
  partition.entries_before, partition.bytes_before = tonumber(entries), tonumber(bytes)
end

-- Whether the log takes an entry of so many bytes, by what is known of it.
local function fits(call, partition, length)
  local entries, bytes = backlog(partition)
  return entries < call.log_max_entries and bytes + length <= call.log_max_bytes
    and call.now - partition.since <= call.log_max_age_ms
end

function room.is_left(call, partition, length)
  if not partition.total then recall(call, partition) end
  if fits(call, partition, length) then return true end
  if partition.looked then return false end
  backlogs.look(call, partition)
  return fits(call, partition, length)
end

-- What is written down once per call, where anything was accepted. 1 if a doorbell is due.
function room.keep(call, partitions)
  local written, is_due = {}, 0
  for _, partition in pairs(partitions) do
    if partition.accepted > 0 then
      local prefix, at = prefixes[partition.number], #written
      written[at + 1], written[at + 2] = prefix .. 'tail', exact(partition.tail)
      written[at + 3] = prefix .. 'room'
      written[at + 4] = string.format('%d %d %d %d %d', partition.tail, partition.entries_before,
        partition.bytes_before, partition.total, partition.since)
      written[at + 5] = prefix .. 'accepted'
      written[at + 6] = exact(partition.accepted_before + partition.accepted)
    end
  end
  if #written == 0 then return 0 end
  redis.pcall('MSET', unpack(written))
  for _, partition in pairs(partitions) do
    if partition.accepted > 0 then
      if call.has_quotas then pcall(quotas.keep, call, partition) end
      if not partition.has_bell then
        local rung = redis.pcall('SET', prefixes[partition.number] .. 'bell', '1', 'NX', 'PX', BELL_MS)
        if rung and not failed(rung) then is_due = 1 end
      end
    end
  end
  return is_due
end
