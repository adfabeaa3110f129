-- What was committed stays in the log for a while: a PostgreSQL that goes back takes it from there again.
--
-- An entry may go once the drain has found, so long after its commit, that PostgreSQL still has it. By when
-- entries had been committed is known to a part of that time.

local kept = {}

local KEPT_PARTS = 10

-- The id up to which PostgreSQL is known to have all, the entries of that which are kept, and by when the last
-- and the first of them had been committed.
local function remember_committed(partition, id, entries, last_ms, first_ms)
  local said = string.format('%d %d %d %d', id, entries, last_ms, first_ms)
  redis.call('SET', key(partition, 'committed'), said)
end

local function read_mark(mark)
  local ms, id = string.match(mark, '^(%d+) (%d+)$')
  return tonumber(ms), tonumber(id)
end

-- Removes what had been committed by `due_ms`, though not all that is kept; returns how many entries that
-- were, and by when the first that is left had been committed.
local function trim_some(partition, last_ms, due_ms)
  local list, gone, up_to, first_ms = key(partition, 'kept'), 0, 0, last_ms
  for _, mark in ipairs(redis.call('LRANGE', list, 0, -1)) do
    local ms, id = read_mark(mark)
    if ms > due_ms then
      first_ms = ms
      break
    end
    gone, up_to = gone + 1, id
  end
  if gone == 0 then return 0, first_ms end
  redis.call('LTRIM', list, gone, -1)
  -- MINID evicts ids *below* it.
  return redis.call('XTRIM', key(partition, 'log'), 'MINID', after(up_to)), first_ms
end

-- Removes all that is kept, up to an id.
function kept.drop(partition, id)
  redis.call('XTRIM', key(partition, 'log'), 'MINID', after(id))
  redis.call('DEL', key(partition, 'kept'))
  remember_committed(partition, id, 0, 0, 0)
end

-- Notes that PostgreSQL has everything up to `last`, and removes what need not be kept any more: PostgreSQL had
-- everything up to `from` at `as_of`. `entries` were read after `from`, and are the last of it; -1 where
-- somebody else had committed meanwhile. `stored` is what `committed` says.
function kept.commit(partition, stored, last, from, entries, keep_ms, as_of, now)
  local id, before, last_ms, first_ms = read_committed(stored)
  if keep_ms == 0 then return kept.drop(partition, math.max(last, id)) end
  if last > id then
    before = id == from and entries >= 0 and before + entries or count_between(partition, 0, last)
    local part = math.max(math.floor(keep_ms / KEPT_PARTS), 1)
    local by_ms = math.max((math.floor(now / part) + 1) * part, last_ms)
    if last_ms == 0 then
      first_ms = by_ms
    elseif by_ms > last_ms then
      redis.call('RPUSH', key(partition, 'kept'), exact(last_ms) .. ' ' .. exact(id))
    end
    id, last_ms = last, by_ms
  elseif before == 0 and last > 0 then
    redis.call('XTRIM', key(partition, 'log'), 'MINID', after(last))
  end
  local due_ms = as_of - keep_ms
  if first_ms > 0 and first_ms <= due_ms then
    if last_ms <= due_ms then return kept.drop(partition, id) end
    local removed
    removed, first_ms = trim_some(partition, last_ms, due_ms)
    before = math.max(before - removed, 0)
  end
  remember_committed(partition, id, before, last_ms, first_ms)
end

-- Has the drain take everything above an id again, as far as it is still there.
function kept.take_again(partition, from)
  local id, entries, last_ms, first_ms = committed_of(partition)
  local list = key(partition, 'kept')
  local left = math.max(entries - count_between(partition, from, id), 0)
  for _, mark in ipairs(redis.call('LRANGE', list, 0, -1)) do
    local _, mark_id = read_mark(mark)
    if mark_id >= from then redis.call('LTRIM', list, 0, -2) end
  end
  if left == 0 then
    redis.call('DEL', list)
    last_ms, first_ms = 0, 0
  end
  remember_committed(partition, from, left, last_ms, first_ms)
end
