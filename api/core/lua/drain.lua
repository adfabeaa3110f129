-- What the drain asks.

local CUT = '^' .. VERSION .. ' truncate '

-- Whether an entry comes just after one that cut off messages: maybe it is what those make room for
-- (accept.cut), and readers are to see both at once or neither.
local function follows_cut(before, entry)
  return string.find(field(before, 'h') or '', CUT) and number_of(entry[1]) == number_of(before[1]) + PARTITIONS
end

-- Up to which id the entries after one have no more than so many bytes, '' where none is known to: between it and
-- the last entry it halves what is left, since the bytes before each entry are known.
local function end_within(stream, before, most_bytes)
  local total, at = total_and_at(before)
  local low, up_to = number_of(before[1]), '+'
  while true do
    local last = end_of(stream, 'XREVRANGE', up_to, after(low))
    if not last then return '' end
    local last_total, last_at = total_and_at(last)
    -- One that no script wrote has neither.
    if at and last_at and last_total - total <= most_bytes then
      local next_one = end_of(stream, 'XRANGE', after(number_of(last[1])), '+')
      return next_one and follows_cut(last, next_one) and next_one[1] or last[1]
    end
    up_to = exact(low + math.floor((number_of(last[1]) - low) / 2)) .. '-0'
  end
end

-- → now ms, then for each partition that the call is for: its number, the id up to which all is known to be
-- in PostgreSQL, the first entries after that as they stand, at least one; and up to which id the caller is to
-- read what comes after those, '' if there is nothing: a script takes several times as long for an entry as
-- XRANGE. ARGV: the most entries and bytes of each; of entries one more is read, which may go with the last.
function operations.read()
  local most_entries, most_bytes, answer = number_argument(4) + 1, number_argument(5), { exact(now_ms()) }
  local known = {}
  for i, partition in ipairs(declared) do known[i] = key(partition, 'committed') end
  known = redis.call('MGET', unpack(known))
  for i, partition in ipairs(declared) do
    local committed, kept_entries = read_committed(known[i])
    local stream, entries, bytes, rest = key(partition, 'log'), {}, 0, ''
    local count = math.min(READ_CHUNK, most_entries)
    local chunk = redis.call('XRANGE', stream, pending_from(committed, kept_entries), '+', 'COUNT', count)
    for _, entry in ipairs(chunk) do
      bytes = bytes + bytes_of(entry)
      if bytes > most_bytes and #entries > 0 and not follows_cut(entries[#entries], entry) then break end
      entries[#entries + 1] = entry
    end
    if #entries == count and count < most_entries then
      rest = end_within(stream, entries[count], most_bytes - bytes)
    end
    answer[#answer + 1] = { partition, exact(committed), entries, rest }
  end
  return answer
end

-- Adds to numbers of a hash: fields and what is added to each, in turn, from this argument on.
local function add_up(name, from)
  local fields, sums = {}, {}
  for at = from, #ARGV, 2 do fields[#fields + 1] = ARGV[at] end
  if #fields == 0 then return end
  local known = redis.call('HMGET', name, unpack(fields))
  for i, field in ipairs(fields) do
    sums[2 * i - 1] = field
    sums[2 * i] = exact((tonumber(known[i] or '') or 0) + number_argument(from + 2 * i - 1))
  end
  redis.call('HSET', name, unpack(sums))
end

-- Whether an account was deleted; `known` keeps what was asked before.
local function is_gone_from(partition, user, known)
  local name = key(partition, 'gone:' .. user)
  if known[name] == nil then known[name] = redis.call('EXISTS', name) == 1 end
  return known[name]
end

-- Gives a conversation with nothing left in the log its TTLs; forgets it if its owner is gone.
local function settle(id, partition, committed, gone)
  local conversation, turns = key(partition, 'conv:' .. id), key(partition, 'turns:' .. id)
  local last, owner, digest = unpack(redis.call('HMGET', conversation, 'last', 'owner', 'external'))
  if not owner then return end
  local is_gone = is_gone_from(partition, owner, gone)
  if not is_gone and tonumber(last or '0') > committed then return end
  local external = digest and external_key(owner, digest)
  local named = external and redis.call('GET', external)
  -- The id may be another conversation's by now.
  if named ~= id and named ~= '-' .. id then external = nil end
  if is_gone then
    redis.call('DEL', conversation, turns)
    if external then redis.call('DEL', external) end
  else
    redis.call('EXPIRE', conversation, CONVERSATION_SECONDS)
    redis.call('EXPIRE', turns, TURNS_SECONDS)
    if external then redis.call('EXPIRE', external, CONVERSATION_SECONDS) end
  end
end

-- Notes what was committed, removes what need not be kept any more, gives conversations with nothing left to
-- be committed their TTLs, counts.
-- ARGV: for how many ms committed entries are kept, when they were read (ms), number of partitions,
-- (partition, last committed id, the id after which was read, entries read or -1)…, number of
-- conversations, conversation…, number of users, (partition, user, entries, bytes)…, (field, increment)…
function operations.trim()
  local keep_ms, as_of, committed, at, now = number_argument(4), number_argument(5), {}, 7, now_ms()
  local partitions, known = number_argument(6), {}
  for i = 1, partitions do known[i] = key(number_argument(at + 4 * i - 4), 'committed') end
  if partitions > 0 then known = redis.call('MGET', unpack(known)) end
  for i = 1, partitions do
    local partition, last = number_argument(at), number_argument(at + 1)
    committed[partition] = last
    kept.commit(partition, known[i], last, number_argument(at + 2), number_argument(at + 3), keep_ms, as_of, now)
    at = at + 4
  end
  local conversations, gone = number_argument(at), {}
  for index = at + 1, at + conversations do
    local partition = partition_of(ARGV[index])
    settle(ARGV[index], partition, committed[partition] or 0, gone)
  end
  at = at + conversations + 1
  local users = number_argument(at)
  for index = at + 1, at + 4 * users, 4 do
    local held, user = key(tonumber(ARGV[index]), 'held'), ARGV[index + 1] .. HELD
    local drained = number_argument(index + 2) * HELD_ENTRY + number_argument(index + 3)
    local left = redis.pcall('HINCRBY', held, user, exact(-drained))
    if type(left) == 'number' and left < HELD_ENTRY then redis.pcall('HDEL', held, user) end
  end
  pcall(add_up, key(declared[1], 'drain:counts'), at + 4 * users + 1)
  -- A drain that works looks at every partition, so no accept needs to ring: their bells are set together.
  if redis.call('PTTL', key(declared[1], 'bell')) < BELL_MS / 2 then
    for _, partition in ipairs(declared) do
      redis.pcall('SET', key(partition, 'bell'), '1', 'PX', BELL_MS)
    end
  end
  return 1
end

-- A drain serves every partition, so a bell that was rung in one is rung in all of them: accepts in the
-- others need not ring for another drain. Not where the drain has put it away already.
function operations.spread_bell()
  local left = 0
  for _, partition in ipairs(declared) do
    left = math.max(left, redis.call('PTTL', key(partition, 'bell')))
  end
  if left <= 0 then return 0 end
  for _, partition in ipairs(declared) do redis.call('SET', key(partition, 'bell'), '1', 'NX', 'PX', left) end
  return 1
end

-- Calls a function for each partition with its number, the id up to which all is committed, the entries that are
-- kept, when the first of them was committed, and whether the partition may have entries after that.
local function each_partition(visit)
  local names = {}
  for _, partition in ipairs(declared) do
    names[#names + 1] = key(partition, 'committed')
    names[#names + 1] = key(partition, 'tail')
  end
  local found = redis.call('MGET', unpack(names))
  for i, partition in ipairs(declared) do
    local committed, kept_entries, _, first_ms = read_committed(found[2 * i - 1])
    local tail = tonumber(found[2 * i] or '')
    local may_have = not tail or tail > committed
    -- Of what no script of ours wrote, `tail` knows nothing.
    if not may_have and kept_entries == 0 then may_have = redis.call('XLEN', key(partition, 'log')) > 0 end
    visit(partition, committed, kept_entries, first_ms, may_have)
  end
end

-- → 1 and no bell if everything is known to be in PostgreSQL, else 0.
function operations.finish()
  local pending = false
  each_partition(function(partition, committed, kept_entries, _, may_have)
    local from = pending_from(committed, kept_entries)
    pending = pending or may_have and end_of(key(partition, 'log'), 'XRANGE', from, '+')
  end)
  if pending then return 0 end
  -- Nothing is held by anybody: whatever was miscounted is right again.
  for _, partition in ipairs(declared) do
    redis.call('DEL', key(partition, 'bell'), key(partition, 'held'))
  end
  return 1
end

-- → partition, oldest entry's id, entries for each partition that has any which are not known to be in
-- PostgreSQL; id 0 and no entries for one that has none, and keeps some longer than so many ms.
-- ARGV: ms, or '' for those with entries only
function operations.heads()
  local answer, keep_ms = {}, tonumber(ARGV[4])
  local due_ms = keep_ms and now_ms() - keep_ms or 0
  each_partition(function(partition, committed, kept_entries, first_ms, may_have)
    local first, entries
    if may_have then first, entries = pending_of(partition, committed, kept_entries) end
    if first then
      answer[#answer + 1] = { partition, exact(number_of(first[1])), entries }
    elseif first_ms > 0 and first_ms <= due_ms then
      answer[#answer + 1] = { partition, '0', 0 }
    end
  end)
  return answer
end

-- → 1 if the caller is to ring for a second drain.
function operations.helper()
  return redis.call('SET', key(declared[1], 'helper'), '1', 'NX', 'PX', HELPER_MS) and 1 or 0
end

-- → 1 if the caller is to look for old conversations.
function operations.retention()
  return redis.call('SET', key(declared[1], 'retention'), '1', 'NX', 'EX', RETENTION_SECONDS) and 1 or 0
end

-- Notes that a worker is there. ARGV: its name
function operations.present()
  local workers, now = key(declared[1], 'workers'), now_ms()
  redis.call('ZADD', workers, exact(now), ARGV[4])
  redis.call('ZREMRANGEBYSCORE', workers, '-inf', exact(now - WORKER_SECONDS * 1000))
  redis.call('EXPIRE', workers, 4 * WORKER_SECONDS)
  return 1
end
