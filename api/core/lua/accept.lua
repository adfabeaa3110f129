-- Accepting writes: checks first, then XADD, then what the log remembers besides.

local accept = {}

-- What this call knows of a partition, read once: nil while the log is closed.
function accept.partition(call, number)
  local known = call.partitions[number]
  if known then return known end
  local tail = redis.call('GET', key('tail:' .. number))
  if not tail then return nil end
  local entries, bytes, total, oldest_at = backlog_of(number)
  known = {
    number = number, tail = tonumber(tail), entries = entries, bytes = bytes, total = total,
    age = call.now - (oldest_at or call.now),
  }
  call.partitions[number] = known
  return known
end

function accept.has_room(call, partition, data)
  return partition.entries < call.log_max_entries and partition.bytes + #data <= call.log_max_bytes
    and partition.age <= call.log_max_age_ms
end

-- A new conversation goes to the next partition that has room.
function accept.place(call, entry)
  local refusal = 'log_closed'
  for step = 0, PARTITIONS - 1 do
    local partition = accept.partition(call, (entry.hint + step) % PARTITIONS)
    if partition then
      if accept.has_room(call, partition, entry.data) then return partition end
      refusal = 'full'
    end
  end
  return nil, refusal
end

-- The first write. The id never goes back: a clock that does just borrows the milliseconds ahead.
function accept.append(call, entry, partition)
  local id = math.max(first_at(call.now, partition.number), partition.tail + PARTITIONS)
  local conversation = entry.op == 'open' and exact(id) or entry.conversation
  local total = exact(partition.total + #entry.data)
  local reply = redis.pcall('XADD', key('log:' .. partition.number), exact(id) .. '-0', 'v', '1',
    'op', entry.op, 'user', entry.user, 'conv', conversation, 'role', entry.role,
    'status', entry.status, 'at', exact(call.now), 'total', total, 'data', entry.data)
  if failed(reply) then return nil end
  partition.tail = id
  partition.entries = partition.entries + 1
  partition.bytes = partition.bytes + #entry.data
  partition.total = partition.total + #entry.data
  entry.conversation = conversation
  return exact(id)
end

function accept.idempotency_key(entry, scope, name)
  return key('idem:' .. entry.user .. ':' .. scope .. ':' .. entry.conversation .. ':' .. name)
end

-- nil (nothing known), or 'conflict', or the id and time of the entry that this request made before.
function accept.replay(entry)
  if entry.key == '' then return nil end
  local known = redis.call('GET', accept.idempotency_key(entry, entry.scope, entry.key))
  if not known then return nil end
  local id, at, hash = string.match(known, '^(%d+):(%d+):(.*)$')
  -- The first answer of a turn stands, whatever the second one says.
  if entry.scope ~= 'reply' and hash ~= entry.hash then return 'conflict' end
  return 'replay', id, at
end

-- The request that sets the lease runs the assistant. 1 or 0.
function accept.lease(call, entry, id)
  local set = redis.call('SET', key('turn:' .. id), entry.lease, 'NX', 'PX', call.lease_ms)
  if set and entry.streamed == '1' then
    local member = entry.user .. ':' .. entry.conversation .. ':' .. id
    redis.call('ZADD', key('running'), exact(call.now + call.lease_ms), member)
  end
  return set and '1' or '0'
end

function accept.recent(entry)
  return redis.call('LRANGE', key('turns:' .. entry.conversation), 0, -1)
end

-- A turn's answer: reply id or '', lease taken, list known, then the recent turns.
function accept.turn(call, entry, result, recent)
  local id = result[2]
  local reply = redis.call('GET', accept.idempotency_key(entry, 'reply', id))
  local reply_id = reply and string.match(reply, '^%d+') or ''
  result[4] = reply_id
  result[5] = reply_id == '' and accept.lease(call, entry, id) or '0'
  result[6] = #recent > 0 and '1' or '0'
  for _, turn in ipairs(recent) do
    if turn ~= '' then result[#result + 1] = turn end
  end
  return result
end

function accept.one(call, entry)
  local is_turn = entry.scope == 'turn'
  if redis.call('EXISTS', key('gone:' .. entry.user)) == 1 then return { 'gone' } end
  if entry.session ~= '' and redis.call('ZSCORE', key('revoked'), entry.user .. ':' .. entry.session) then
    return { 'revoked' }
  end
  local known, known_id, known_at = accept.replay(entry)
  if known == 'conflict' then return { 'conflict' } end
  if known then
    local result = { 'replay', known_id, known_at }
    return is_turn and accept.turn(call, entry, result, accept.recent(entry)) or result
  end

  local partition, conversation, refusal, recent
  if entry.op == 'open' then
    partition, refusal = accept.place(call, entry)
  else
    refusal, conversation = conversations.look_up(entry)
    if refusal then return { refusal } end
    partition = accept.partition(call, tonumber(entry.conversation) % PARTITIONS)
    if not partition then
      refusal = 'log_closed'
    elseif not accept.has_room(call, partition, entry.data) then
      refusal = 'full'
    elseif is_turn then
      recent = accept.recent(entry)
      if #recent == 0 and entry.as_of == '' then return { 'cold', conversation[5], exact(partition.tail) } end
    end
  end
  if refusal then return { refusal } end
  local wait = quotas.seconds_to_wait(call, entry)
  if wait then return { 'quota', wait } end

  -- The key belongs to the request, so its name is built before an open has its conversation's id.
  local idempotency = entry.key ~= '' and accept.idempotency_key(entry, entry.scope, entry.key)
  local id = accept.append(call, entry, partition)
  if not id then return { 'error' } end
  call.accepted = call.accepted + 1
  local at = exact(call.now)
  if idempotency then
    redis.pcall('SET', idempotency, id .. ':' .. at .. ':' .. entry.hash, 'EX', call.idempotency_seconds)
  end
  -- From here on the entry is accepted, whatever fails.
  pcall(quotas.spend, call, entry)
  redis.pcall('SET', key('tail:' .. partition.number), id)
  redis.pcall('INCR', key('accepted:' .. partition.number))
  pcall(conversations.remember, entry, id)
  pcall(conversations.remember_turn, entry, conversation, id)
  local result = { 'ok', id, at }
  if is_turn then
    local told, full = pcall(accept.turn, call, entry, { 'ok', id, at }, recent)
    if told then return full end
  end
  return result
end

-- An entry's small fields, joined by blanks: op user conversation role status scope hash state
-- hint lease streamed as_of turns. One argument instead of thirteen, each of which costs on both sides.
local HEAD = '^' .. string.rep('([^ ]*) ', 12) .. '([^ ]*)$'

-- The entry whose head is at this argument, and where the next one begins: session, key, data and
-- the earlier turns follow its head.
local function entry_at(at)
  local op, user, conversation, role, status, scope, hash, state, hint, lease, streamed, as_of, turns =
    string.match(ARGV[at], HEAD)
  local entry = {
    op = op, user = user, conversation = conversation, role = role, status = status, scope = scope,
    hash = hash, state = state, hint = tonumber(hint), lease = lease, streamed = streamed,
    as_of = as_of, session = ARGV[at + 1], key = ARGV[at + 2], data = ARGV[at + 3], loaded = {},
  }
  for i = 1, tonumber(turns) do entry.loaded[i] = ARGV[at + 3 + i] end
  return entry, at + 4 + #entry.loaded
end

-- → now ms, 1 if a doorbell is due, 1 if the log is open, then an answer per entry.
-- An entry's answer: status, id, created_at ms, … ; statuses are in api/core/entries.py.
function operations.accept(owner, tail)
  local call = {
    now = now_ms(), partitions = {}, users = {}, accepted = 0,
    log_max_entries = number_argument(5), log_max_bytes = number_argument(6),
    log_max_age_ms = number_argument(7) * 1000, idempotency_seconds = ARGV[8],
    user_writes_per_minute = number_argument(9), user_bytes_per_minute = number_argument(10),
    user_backlog_entries = number_argument(11), user_conversations_per_day = number_argument(12),
    lease_ms = number_argument(13),
  }
  call.has_quotas = call.user_writes_per_minute + call.user_bytes_per_minute + call.user_backlog_entries
    + call.user_conversations_per_day > 0
  local refusal = not owner and 'log_closed' or owner ~= ARGV[3] and 'wrong_database'
  local answer = { exact(call.now), 0, (tail and not refusal) and 1 or 0 }
  local late = call.now > number_argument(4)
  local at = 14
  while at <= #ARGV do
    local entry
    entry, at = entry_at(at)
    if refusal or late then
      answer[#answer + 1] = { refusal or 'late' }
    else
      -- There is no roll-back: what goes wrong in one entry stays that entry's.
      local went_well, result = pcall(accept.one, call, entry)
      answer[#answer + 1] = went_well and result or { 'error' }
    end
  end
  if call.accepted > 0 then
    pcall(quotas.keep, call)
    local rung = redis.pcall('SET', key('bell'), '1', 'NX', 'PX', BELL_MS)
    answer[2] = (rung and not failed(rung)) and 1 or 0
  end
  return answer
end
