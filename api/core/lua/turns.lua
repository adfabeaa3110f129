-- Turns that run: their leases, and the streams of what they have said.

local function is_mine(turn_id, token)
  return redis.call('GET', key(partition_of(turn_id), 'turn:' .. turn_id)) == token
end

local function turn_of(member) return string.match(member, '%d+$') end

-- Renews (ARGV[7] > 0 ms) or gives up (0) the lease of a turn, if it is still this caller's.
-- ARGV: turn id, token, member, ms. → 1 or 0.
function operations.lease()
  local turn_id, member, ms = ARGV[4], ARGV[6], number_argument(7)
  local partition = partition_of(turn_id)
  if not is_mine(turn_id, ARGV[5]) then return 0 end
  if ms == 0 then
    redis.call('DEL', key(partition, 'turn:' .. turn_id))
    redis.call('ZREM', key(partition, 'running'), member)
    redis.call('EXPIRE', key(partition, 'stream:' .. turn_id), STREAM_SECONDS)
  else
    redis.call('PEXPIRE', key(partition, 'turn:' .. turn_id), ms)
    redis.call('ZADD', key(partition, 'running'), 'XX', exact(now_ms() + ms), member)
  end
  return 1
end

-- The length of a stream's text, the id after its last one (what is said at the same length counts
-- up), and whether that last one is a `stop`.
local function said_last(stream)
  local last = end_of(stream, 'XREVRANGE', '+', '-')
  local length, count = string.match(last and last[1] or '0-0', '^(%d+)-(%d+)$')
  return tonumber(length), length .. '-' .. exact(tonumber(count) + 1), last and last[2][1] == 'stop'
end

-- Appends to turns' streams, each only while the lease is the caller's: a process that lost it must
-- not show what the stored answer lacks. A delta that was sent before has a known id and is not doubled;
-- a part is, and readers know it by its index. What is neither ends the turn, and only from then on a
-- stream expires: what a dead process's turn said is still to be stored, however long that takes.
-- ARGV: (turn id, token, member, kind, code points so far, payload)… → 0 each, or 1, or 2 where
-- the turn was asked to stop.
function operations.say()
  local answer = {}
  for at = 4, #ARGV, 6 do
    local turn_id, member, kind = ARGV[at], ARGV[at + 2], ARGV[at + 3]
    local partition = partition_of(turn_id)
    local stream = key(partition, 'stream:' .. turn_id)
    if is_mine(turn_id, ARGV[at + 1]) then
      local length, next_id, is_stopped = said_last(stream)
      if kind ~= 'delta' then
        redis.call('XADD', stream, next_id, kind, ARGV[at + 5])
      elseif number_argument(at + 4) > length then
        redis.call('XADD', stream, ARGV[at + 4] .. '-0', kind, ARGV[at + 5])
      end
      if kind ~= 'delta' and kind ~= 'part' then
        redis.call('EXPIRE', stream, STREAM_SECONDS)
        redis.call('DEL', key(partition, 'turn:' .. turn_id))
        redis.call('ZREM', key(partition, 'running'), member)
      end
      answer[#answer + 1] = is_stopped and 2 or 1
    else
      answer[#answer + 1] = 0
    end
  end
  return answer
end

-- What turns said after what is known. ARGV: (turn id, last known stream id)… → {turn id, entries}…
function operations.heard()
  local answer = {}
  for at = 4, #ARGV, 2 do
    local stream = key(partition_of(ARGV[at]), 'stream:' .. ARGV[at])
    local said = redis.call('XRANGE', stream, '(' .. ARGV[at + 1], '+')
    if #said > 0 then answer[#answer + 1] = { ARGV[at], said } end
  end
  return answer
end

-- → the streamed turns of one user's conversation that are running.
local function running_in(user, conversation)
  local prefix, found = user .. ':' .. conversation .. ':', {}
  for _, member in ipairs(redis.call('ZRANGE', key(partition_of(conversation), 'running'), 0, -1)) do
    if string.sub(member, 1, #prefix) == prefix then found[#found + 1] = turn_of(member) end
  end
  return found
end

function operations.running() return running_in(ARGV[4], ARGV[5]) end

-- Asks the running turns of a conversation, or the one named, to stop. ARGV: user, conversation,
-- turn id or ''. → the turns that were asked.
function operations.stop()
  local asked = {}
  for _, turn_id in ipairs(running_in(ARGV[4], ARGV[5])) do
    if ARGV[6] == '' or ARGV[6] == turn_id then
      local stream = key(partition_of(turn_id), 'stream:' .. turn_id)
      local _, next_id = said_last(stream)
      redis.call('XADD', stream, next_id, 'stop', '')
      asked[#asked + 1] = turn_id
    end
  end
  return asked
end

-- How a turn stands. ARGV: user, conversation, turn id → owner or '', 1 if it is running, reply id or ''.
function operations.turn()
  local member = ARGV[4] .. ':' .. ARGV[5] .. ':' .. ARGV[6]
  local partition = partition_of(ARGV[5])
  local known = { number = partition, sizes = redis.call('GET', key(partition, 'idems')) }
  return {
    redis.call('HGET', key(partition, 'conv:' .. ARGV[5]), 'owner') or '',
    redis.call('ZSCORE', key(partition, 'running'), member) and 1 or 0,
    idempotency.reply(known, ARGV[5], ARGV[6], now_ms(), math.huge),
  }
end

-- Takes over streamed turns whose lease ended a while ago: the process that ran them is gone.
-- ARGV: token, grace ms, lease ms, most → members.
function operations.claim()
  local now, taken = now_ms(), {}
  for _, partition in ipairs(declared) do
    local running = key(partition, 'running')
    local ended = redis.call('ZRANGEBYSCORE', running, '-inf', exact(now - number_argument(5)),
      'LIMIT', 0, exact(number_argument(7) - #taken))
    for _, member in ipairs(ended) do
      redis.call('ZADD', running, exact(now + number_argument(6)), member)
      if redis.call('SET', key(partition, 'turn:' .. turn_of(member)), ARGV[4], 'NX', 'PX', ARGV[6]) then
        taken[#taken + 1] = member
      end
    end
  end
  return taken
end
