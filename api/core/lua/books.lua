-- What the audit and the opening of the log ask.

-- → now ms, then per partition: number, tail or '', accepted or '', entries, bytes, the oldest's
-- created_at ms or '', entries that are kept.
function operations.status()
  local answer = { exact(now_ms()) }
  for _, partition in ipairs(declared) do
    local entries, bytes, _, oldest_at = backlog_of(partition)
    local _, kept_entries = committed_of(partition)
    answer[#answer + 1] = {
      partition, redis.call('GET', key(partition, 'tail')) or '',
      redis.call('GET', key(partition, 'accepted')) or '', entries, exact(bytes),
      oldest_at and exact(oldest_at) or '', kept_entries,
    }
  end
  return answer
end

-- → workers that are there.
function operations.workers()
  local since = now_ms() - WORKER_SECONDS * 1000
  return redis.call('ZCOUNT', key(declared[1], 'workers'), exact(since), '+inf')
end

-- → how many partitions were found to lack what PostgreSQL has had of them, and nobody acknowledged it.
function operations.went_back()
  local found = 0
  for _, partition in ipairs(declared) do found = found + redis.call('EXISTS', key(partition, 'went_back')) end
  return found
end

-- → accepted or '', entries above an id: what the audit weighs, at one moment. ARGV: id
function operations.balance()
  local partition = declared[1]
  return { redis.call('GET', key(partition, 'accepted')) or '', count_above(partition, number_argument(4)) }
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
  if exact(2 ^ 52) ~= '4503599627370496' then return redis.error_reply('ERR this Redis is a 32-bit program') end
  for _, partition in ipairs(declared) do
    local owner = redis.call('GET', key(partition, 'database'))
    if owner and owner ~= ARGV[3] then return another_database() end
  end
  local went_back, owners = 0, {}
  for _, partition in ipairs(declared) do
    owners[#owners + 1] = key(partition, 'database')
    owners[#owners + 1] = assert(ARGV[3] ~= '' and ARGV[3])
  end
  if #owners > 0 then redis.call('MSET', unpack(owners)) end
  for index, partition in ipairs(declared) do
    local last, counted = number_argument(2 * index + 2), number_argument(2 * index + 3)
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

-- Has the drain take again what a PostgreSQL that went back does not have, where the log has all of it, or where
-- that is known. To be called under the partitions' locks. ARGV: 1 where it is known, (last id, counted)…, in
-- the order of the partitions → how many entries are to be taken again, and how many are in neither.
function operations.take_again()
  local again, lost, is_known = 0, 0, ARGV[4] == '1'
  for index, partition in ipairs(declared) do
    local last, counted = number_argument(2 * index + 3), number_argument(2 * index + 4)
    local committed = committed_of(partition)
    local above = count_above(partition, last)
    local missing = tonumber(redis.call('GET', key(partition, 'accepted')) or '0') - counted - above
    if committed > last and (missing <= 0 or is_known) then
      again = again + count_between(partition, last, committed)
      kept.take_again(partition, last)
    end
    if committed > last or is_known then lost = lost + math.max(missing, 0) end
    if is_known then redis.call('SET', key(partition, 'accepted'), exact(counted + above)) end
  end
  return { again, lost }
end
