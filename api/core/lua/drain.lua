-- What the drain, the audit and the opening of the log ask.

local CUT = '^' .. VERSION .. ' truncate '

-- Whether an entry comes just after one that cut off messages: maybe it is what those make room for
-- (accept.cut), and readers are to see both at once or neither.
local function follows_cut(before, entry)
  return string.find(field(before, 'h') or '', CUT) and number_of(entry[1]) == number_of(before[1]) + PARTITIONS
end

-- → for each partition that the call is for: its number, then its oldest entries as they stand,
-- at least one, up to a share of entries and bytes; one more where it goes with the last one.
function operations.read()
  local most_entries, most_bytes, answer = number_argument(4), number_argument(5), {}
  for _, partition in ipairs(declared) do
    local stream, from, entries, bytes = key(partition, 'log'), '-', {}, 0
    local more = true
    while more do
      local count = math.min(READ_CHUNK, most_entries - #entries)
      local chunk = count > 0 and redis.call('XRANGE', stream, from, '+', 'COUNT', count) or {}
      more = #chunk == count and count > 0
      for _, entry in ipairs(chunk) do
        bytes = bytes + bytes_of(entry)
        if bytes > most_bytes and #entries > 0 and not follows_cut(entries[#entries], entry) then
          more = false
          break
        end
        entries[#entries + 1] = entry
        from = exact(number_of(entry[1]) + 1) .. '-0'
      end
    end
    if #entries == most_entries and string.find(field(entries[#entries], 'h') or '', CUT) then
      local next_one = end_of(stream, 'XRANGE', from, '+')
      if next_one and follows_cut(entries[#entries], next_one) then entries[#entries + 1] = next_one end
    end
    answer[#answer + 1] = { partition, entries }
  end
  return answer
end

-- Removes what was committed, gives conversations with nothing left in the log their TTLs, counts.
-- ARGV: number of partitions, (partition, last committed id)…, number of conversations,
-- conversation…, number of users, (partition, user, entries, bytes)…, (field, increment)…
function operations.trim()
  local committed, at = {}, 5
  for _ = 1, number_argument(4) do
    local last = number_argument(at + 1)
    committed[tonumber(ARGV[at])] = last
    -- MINID evicts ids *below* it.
    redis.call('XTRIM', key(tonumber(ARGV[at]), 'log'), 'MINID', exact(last + 1) .. '-0')
    at = at + 2
  end
  local conversations = number_argument(at)
  for index = at + 1, at + conversations do
    local id, partition = ARGV[index], partition_of(ARGV[index])
    local conversation, turns = key(partition, 'conv:' .. id), key(partition, 'turns:' .. id)
    local known = redis.call('HMGET', conversation, 'last', 'owner', 'external')
    local last, external = known[1], known[3] and external_key(known[2], known[3])
    -- The id may be another conversation's by now.
    local named = external and redis.call('GET', external)
    local is_named = named == id or named == '-' .. id
    if known[2] and redis.call('EXISTS', key(partition, 'gone:' .. known[2])) == 1 then
      redis.call('DEL', conversation, turns)
      if is_named then redis.call('DEL', external) end
    elseif last and tonumber(last) <= (committed[partition] or 0) then
      redis.call('EXPIRE', conversation, CONVERSATION_SECONDS)
      redis.call('EXPIRE', turns, TURNS_SECONDS)
      if is_named then redis.call('EXPIRE', external, CONVERSATION_SECONDS) end
    end
  end
  at = at + conversations + 1
  local users = number_argument(at)
  for index = at + 1, at + 4 * users, 4 do
    local held, user = key(tonumber(ARGV[index]), 'held'), ARGV[index + 1]
    local left = redis.pcall('HINCRBY', held, user, '-' .. ARGV[index + 2])
    redis.pcall('HINCRBY', held, user .. ':bytes', exact(0 - number_argument(index + 3)))
    if type(left) == 'number' and left <= 0 then redis.call('HDEL', held, user, user .. ':bytes') end
  end
  for index = at + 4 * users + 1, #ARGV, 2 do
    redis.pcall('HINCRBY', key(declared[1], 'drain:counts'), ARGV[index], ARGV[index + 1])
  end
  -- A drain that works looks at every partition, so no accept needs to ring.
  for _, partition in ipairs(declared) do
    local bell = key(partition, 'bell')
    if redis.call('PTTL', bell) < BELL_MS / 2 then redis.pcall('SET', bell, '1', 'PX', BELL_MS) end
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

-- → 1 and no bell if every stream is empty, else 0.
function operations.finish()
  for _, partition in ipairs(declared) do
    if redis.call('XLEN', key(partition, 'log')) > 0 then return 0 end
  end
  -- Nothing is held by anybody: whatever was miscounted is right again.
  for _, partition in ipairs(declared) do
    redis.call('DEL', key(partition, 'bell'), key(partition, 'held'))
  end
  return 1
end

-- → partition, oldest entry's id, entries for each partition that has any.
function operations.heads()
  local answer = {}
  for _, partition in ipairs(declared) do
    local stream = key(partition, 'log')
    local entries = redis.call('XLEN', stream)
    if entries > 0 then
      local first = end_of(stream, 'XRANGE', '-', '+')
      answer[#answer + 1] = { partition, exact(number_of(first[1])), entries }
    end
  end
  return answer
end

-- → now ms, then per partition: number, tail or '', accepted or '', entries, bytes, the oldest's
-- created_at ms or ''.
function operations.status()
  local answer = { exact(now_ms()) }
  for _, partition in ipairs(declared) do
    local entries, bytes, _, oldest_at = backlog_of(partition)
    answer[#answer + 1] = {
      partition, redis.call('GET', key(partition, 'tail')) or '',
      redis.call('GET', key(partition, 'accepted')) or '', entries, exact(bytes),
      oldest_at and exact(oldest_at) or '',
    }
  end
  return answer
end

-- → entries above an id. Those at or below it were committed and wait for their trim: they are few.
local function count_above(partition, id)
  local stream, from, below = key(partition, 'log'), '-', 0
  while true do
    local chunk = redis.call('XRANGE', stream, from, exact(id) .. '-0', 'COUNT', READ_CHUNK)
    below = below + #chunk
    if #chunk < READ_CHUNK then return redis.call('XLEN', stream) - below end
    from = exact(number_of(chunk[#chunk][1]) + 1) .. '-0'
  end
end

-- → accepted or '', entries above an id: what the audit weighs, at one moment. ARGV: id
function operations.balance()
  local partition = declared[1]
  return { redis.call('GET', key(partition, 'accepted')) or '', count_above(partition, number_argument(4)) }
end

-- → partition, database or '', tail or '', accepted or '' for each partition.
function operations.marks()
  local answer = {}
  for _, partition in ipairs(declared) do
    local database, tail, accepted = unpack(
      redis.call('MGET', key(partition, 'database'), key(partition, 'tail'), key(partition, 'accepted')))
    answer[#answer + 1] = { partition, database or '', tail or '', accepted or '' }
  end
  return answer
end

-- Remembers that entries may have been lost: what else the log had accepted is not counted.
local function note_going_back(partition)
  redis.call('SET', key(partition, 'went_back'), exact(now_ms()), 'NX')
end

-- Binds the log to its database and gives a partition without a trustworthy tail one: at least the
-- last id that PostgreSQL has, and now. The count of accepted entries is only made up where the tail
-- is: it must stay independent of PostgreSQL's books for the audit to mean something.
-- ARGV: (last id, counted)…, in the order of the partitions.
-- → 1 if the log lacks what PostgreSQL has had of it.
function operations.adopt()
  for _, partition in ipairs(declared) do
    local owner = redis.call('GET', key(partition, 'database'))
    if owner and owner ~= ARGV[3] then return another_database() end
  end
  local went_back = 0
  for index, partition in ipairs(declared) do
    local last, counted = number_argument(2 * index + 2), number_argument(2 * index + 3)
    redis.call('SET', key(partition, 'database'), assert(ARGV[3] ~= '' and ARGV[3]))
    local tail = redis.call('GET', key(partition, 'tail'))
    if not tail or tonumber(tail) < last then
      redis.call('SET', key(partition, 'accepted'), exact(counted + count_above(partition, last)))
      local newest = end_of(key(partition, 'log'), 'XREVRANGE', '+', '-')
      local floor = math.max(last, first_at(now_ms(), partition), newest and number_of(newest[1]) or 0)
      redis.call('SET', key(partition, 'tail'), exact(floor))
      if last > 0 or counted > 0 then
        went_back = 1
        note_going_back(partition)
      end
    end
  end
  return went_back
end

-- Counts as accepted what the books know of: for ids given out twice, which the log had forgotten.
-- ARGV: (last id, counted)…, in the order of the partitions
function operations.recount()
  for index, partition in ipairs(declared) do
    local accepted = key(partition, 'accepted')
    local last, counted = number_argument(2 * index + 2), number_argument(2 * index + 3)
    local known = counted + count_above(partition, last)
    if known > tonumber(redis.call('GET', accepted) or '0') then
      redis.call('SET', accepted, exact(known))
      note_going_back(partition)
    end
  end
  return 1
end

-- → 1 if the caller is to ring for a second drain.
function operations.helper()
  return redis.call('SET', key(declared[1], 'helper'), '1', 'NX', 'PX', HELPER_MS) and 1 or 0
end

-- → 1 if the caller is to look for old conversations.
function operations.retention()
  return redis.call('SET', key(declared[1], 'retention'), '1', 'NX', 'EX', RETENTION_SECONDS) and 1 or 0
end
