-- Accepting writes: checks first, then XADD, then what the log remembers besides.
--
-- What the functions here, in quotas.lua and conversations.lua take: `call`, the time and the limits
-- (operations.accept); `partition`, what accept.partition returns; `entry`, what entry_at reads;
-- `conversation`, what conversations.look_up returns; `id`, the entry's, once it has one.

local accept = {}

-- What this call knows of a partition, read once; with `refusal` where it takes nothing.
function accept.partition(call, number)
  local known = call.partitions[number]
  if known then return known end
  local owner, tail, bell, sizes = unpack(redis.call('MGET', key(number, 'database'), key(number, 'tail'),
    key(number, 'bell'), key(number, 'idems')))
  known = { number = number, users = {}, accepted = 0, has_bell = bell, sizes = sizes }
  call.partitions[number] = known
  if not owner then
    known.refusal = 'log_closed'
  elseif owner ~= ARGV[3] then
    known.refusal = 'wrong_database'
  elseif not tail then
    known.refusal = 'log_closed'
  end
  known.tail = tonumber(tail or '0')
  return known
end

-- What is in a partition's log, read where an entry is to be added.
function accept.has_room(call, partition, data)
  if not partition.entries then
    local oldest_at
    partition.entries, partition.bytes, partition.total, oldest_at = backlog_of(partition.number)
    partition.age = call.now - (oldest_at or call.now)
  end
  return partition.entries < call.log_max_entries and partition.bytes + #data <= call.log_max_bytes
    and partition.age <= call.log_max_age_ms
end

-- The first write. A batch is one entry, whose id is that of its last message. Ids never go back: while
-- the clock does, they use the milliseconds ahead of it.
function accept.append(call, entry, partition)
  local first = math.max(first_at(call.now, partition.number), partition.tail + PARTITIONS)
  local id = first + PARTITIONS * (entry.count - 1)
  local conversation = is_new(entry) and exact(first) or entry.conversation
  local total = exact(partition.total + #entry.data)
  local head = VERSION .. ' ' .. entry.op .. ' ' .. entry.user .. ' ' .. conversation .. ' ' .. entry.role
    .. ' ' .. entry.status .. ' ' .. exact(call.now) .. ' ' .. total .. ' ' .. entry.form
  local reply =
    redis.pcall('XADD', key(partition.number, 'log'), exact(id) .. '-0', 'h', head, 'd', entry.data)
  if failed(reply) then return nil end
  partition.tail = id
  partition.entries = partition.entries + 1
  partition.bytes = partition.bytes + #entry.data
  partition.total = partition.total + #entry.data
  entry.conversation = conversation
  return exact(id)
end

-- nil (nothing known), or 'conflict', or the id and time of the entry that this request made before.
function accept.replay(call, partition, entry)
  if not entry.name then return nil end
  local id, at, same =
    idempotency.find(partition.number, partition.sizes, entry.name, call.now, call.idempotency_seconds)
  if not id then return nil end
  if same ~= entry.same then return 'conflict' end
  return 'replay', exact(id), exact(at)
end

-- nil, or 'replay' and the id and time of the entry that added these messages before, or 'taken' and the
-- place of one whose external id another message has. What the conversation lost since then may have its
-- id no longer: PostgreSQL is to say, when the entry is drained.
function accept.replay_messages(call, partition, entry, conversation)
  local found, first, created_at = 0, nil, nil
  for _, external in ipairs(entry.externals) do
    local id, at, same =
      idempotency.find(partition.number, partition.sizes, external.name, call.now, call.idempotency_seconds)
    if id and id > math.max(conversation.rewritten or 0, conversation.since) then
      local begins = id - PARTITIONS * external.place
      if same ~= external.same or first and begins ~= first then return 'taken', exact(external.place) end
      found, first, created_at = found + 1, begins, at
    end
  end
  if found == 0 then return nil end
  if found < entry.count then return 'taken', exact(entry.externals[1].place) end
  return 'replay', exact(first + PARTITIONS * (entry.count - 1)), exact(created_at)
end

-- The request that sets the lease runs the assistant. 1 or 0.
function accept.lease(call, partition, entry, id)
  local set = redis.call('SET', key(partition.number, 'turn:' .. id), entry.lease, 'NX', 'PX', call.lease_ms)
  if set and entry.streamed == '1' then
    local member = entry.user .. ':' .. entry.conversation .. ':' .. id
    redis.call('ZADD', key(partition.number, 'running'), exact(call.now + call.lease_ms), member)
  end
  return set and '1' or '0'
end

function accept.recent(partition, entry)
  return redis.call('LRANGE', key(partition.number, 'turns:' .. entry.conversation), 0, -1)
end

-- A turn's answer: reply id or '', lease taken, list known, instructions, then the recent turns.
function accept.turn(call, partition, entry, result, recent, instructions)
  local id = result[2]
  -- A turn that was accepted just now has no answer.
  local reply_id = result[1] == 'replay'
    and idempotency.reply(partition.number, partition.sizes, entry.conversation, id, call.now,
      call.idempotency_seconds) or ''
  result[4] = reply_id
  result[5] = reply_id == '' and accept.lease(call, partition, entry, id) or '0'
  result[6] = #recent > 0 and '1' or '0'
  result[7] = instructions or ''
  for _, turn in ipairs(recent) do
    if turn ~= '' then result[#result + 1] = turn end
  end
  return result
end

-- Puts aside what a turn's message replaces, by an entry of its own before the message's: a script is all or
-- nothing, and the log is full at its first write or not at all. True, or nil where that failed.
function accept.cut(call, partition, entry, conversation)
  local cut = {
    op = 'truncate', user = entry.user, conversation = entry.conversation, role = '', status = 'stored',
    data = '{"message":' .. entry.replaces .. ',"keep":true}', form = 'j', count = 1, externals = {},
    scope = 'edit', state = entry.state, fresh = entry.fresh, external = entry.external,
    instructions = entry.instructions,
  }
  local id = accept.append(call, cut, partition)
  if not id then return nil end
  partition.accepted = partition.accepted + 1
  pcall(quotas.spend, call, partition, cut)
  pcall(conversations.remember, partition, cut, id)
  redis.pcall('DEL', key(partition.number, 'turns:' .. entry.conversation))
  -- What the request brings of earlier turns is all there is by now.
  conversation.last = 0
  return true
end

function accept.one(call, partition, entry)
  local is_turn, number = entry.scope == 'turn', partition.number
  if redis.call('EXISTS', key(number, 'gone:' .. entry.user)) == 1 then return { 'gone' } end
  if entry.session ~= '' and sessions.is_revoked(number, entry.user, entry.session) then
    return { 'revoked' }
  end
  local known, known_id, known_at = accept.replay(call, partition, entry)
  if known == 'conflict' then return { 'conflict' } end
  if known then
    local result = { 'replay', known_id, known_at }
    if not is_turn then return result end
    local instructions = redis.call('HGET', key(number, 'conv:' .. entry.conversation), 'instructions')
    return accept.turn(call, partition, entry, result, accept.recent(partition, entry), instructions)
  end

  local conversation, refusal, recent
  if entry.op == 'fork' then
    local asked, asked_id, as_of = conversations.check_source(partition, entry)
    if asked then return { asked, asked_id, as_of } end
  elseif entry.op == 'open' then
    if entry.external ~= '' then
      local taken, by = conversations.taken(entry)
      if taken then return { taken, by } end
    end
  else
    refusal, conversation = conversations.look_up(partition, entry)
    if refusal then return { refusal } end
    local before, before_id, before_at = accept.replay_messages(call, partition, entry, conversation)
    if before then return { before, before_id, before_at } end
    -- PostgreSQL called it old as of an entry; what is newer may have made it young.
    if entry.scope == 'retention' and not entry.fresh and conversation.last > tonumber(entry.as_of) then
      return { 'active' }
    end
    local asked, asked_id, as_of = conversations.check(partition, entry, conversation)
    if asked then return { asked, asked_id, as_of } end
  end
  if not accept.has_room(call, partition, entry.data) then return { 'full' } end
  if is_turn then
    -- One that replaces another one brings what was said before that.
    recent = entry.replaces and {} or accept.recent(partition, entry)
    if #recent == 0 and entry.as_of == '' then
      return { 'cold', conversation.pending, exact(partition.tail) }
    end
  end
  local wait = quotas.seconds_to_wait(call, partition, entry)
  if wait then return { 'quota', wait } end

  if entry.replaces and not accept.cut(call, partition, entry, conversation) then return { 'error' } end
  local id = accept.append(call, entry, partition)
  if not id then return { 'error' } end
  partition.accepted = partition.accepted + 1
  local at = exact(call.now)
  if entry.name then
    local remembered, sizes = pcall(idempotency.remember, partition.number, partition.sizes, entry.name,
      tonumber(id), entry.same, call.now, call.idempotency_seconds)
    if remembered then partition.sizes = sizes end
  end
  for _, external in ipairs(entry.externals) do
    local message_id = tonumber(id) - PARTITIONS * (entry.count - 1 - external.place)
    local remembered, sizes = pcall(idempotency.remember, partition.number, partition.sizes, external.name,
      message_id, external.same, call.now, call.idempotency_seconds)
    if remembered then partition.sizes = sizes end
  end
  -- From here on the entry is accepted, whatever fails.
  pcall(quotas.spend, call, partition, entry)
  pcall(conversations.remember, partition, entry, id)
  if not pcall(conversations.remember_turn, partition, entry, conversation, id) then
    -- A list that lacks a turn is worse than none.
    redis.pcall('DEL', key(partition.number, 'turns:' .. entry.conversation))
  end
  local result = { 'ok', id, at }
  if is_turn then
    local told, full = pcall(accept.turn, call, partition, entry, { 'ok', id, at }, recent,
      conversation.instructions)
    if told then return full end
  end
  return result
end

-- What is written down once per call and partition, where anything was accepted. 1 if a doorbell is due.
function accept.keep(call, partition)
  local number = partition.number
  redis.pcall('SET', key(number, 'tail'), exact(partition.tail))
  redis.pcall('INCRBY', key(number, 'accepted'), partition.accepted)
  pcall(quotas.keep, call, partition)
  if partition.has_bell then return 0 end
  local rung = redis.pcall('SET', key(number, 'bell'), '1', 'NX', 'PX', BELL_MS)
  return (rung and not failed(rung)) and 1 or 0
end

-- An entry's head: its small fields, joined by blanks. One argument instead of fourteen, each of which
-- costs on both sides. What they mean is said at `AcceptRequest` in api/core/entries.py.
--   op user conversation (of a fork: its source) role status scope state home lease streamed as_of form more turns
--   more: nothing, as for a plain message, or external|vacant|count|checks|told
--   checks: nothing, or if_last:last_message:rewritten:last_after:replaces:last_as_of
--   turns: how many earlier turns follow
local HEAD = '^' .. string.rep('([^ ]*) ', 13) .. '([^ ]*)$'
local MORE = '^' .. string.rep('([^|]*)|', 4) .. '([^|]*)$'
local CHECKS = '^(%d*):(%d*):(%d*):(%d*):(%d*):(%d*)$'
local NO_NAME = string.rep('\0', 18)
local NONE = {}

-- The entry whose head is at this argument, and where the next one begins. After the head come:
--   session: the caller's, or nothing
--   key: nothing, or 18 bytes for the request (12 of its name, 6 of what it must be the same as;
--     idempotency.lua; all 0 where it has no key), then 19 for each message of a batch with an external
--     id: likewise, and its place in the batch
--   data
--   instructions: only where `told` is 1
--   the earlier turns, one each
local function entry_at(at)
  local op, user, conversation, role, status, scope, state, home, lease, streamed, as_of, form, more, turns =
    string.match(ARGV[at], HEAD)
  local entry = {
    op = op, user = user, conversation = conversation, role = role, status = status, scope = scope,
    state = state, home = tonumber(home), lease = lease, streamed = streamed,
    as_of = as_of, form = form, external = '', vacant = '', session = ARGV[at + 1], data = ARGV[at + 3],
    loaded = {}, count = 1, externals = NONE,
  }
  local external, vacant, count, checks, told
  if more ~= '' then
    external, vacant, count, checks, told = string.match(more, MORE)
    entry.external, entry.vacant, entry.count = external, vacant, tonumber(count)
  end
  if checks and checks ~= '' then
    entry.is_checked = true
    local if_last, last_message, rewritten, last_after, replaces, last_as_of = string.match(checks, CHECKS)
    entry.if_last, entry.last_message = tonumber(if_last), tonumber(last_message)
    entry.rewritten, entry.last_after = tonumber(rewritten), tonumber(last_after)
    entry.last_as_of = tonumber(last_as_of)
    if replaces ~= '' then entry.replaces = replaces end
  end
  local request = ARGV[at + 2]
  if request ~= '' and string.sub(request, 1, 18) ~= NO_NAME then
    entry.name, entry.same = string.sub(request, 1, 12), string.sub(request, 13, 18)
  end
  if #request > 18 then entry.externals = {} end
  for from = 19, #request, 19 do
    entry.externals[#entry.externals + 1] = {
      name = string.sub(request, from, from + 11), same = string.sub(request, from + 12, from + 17),
      place = string.byte(request, from + 18),
    }
  end
  at = at + 4
  if told == '1' then
    entry.instructions, at = ARGV[at], at + 1
  end
  for i = 1, tonumber(turns) do entry.loaded[i] = ARGV[at + i - 1] end
  return entry, at + #entry.loaded
end

-- ARGV: 4 the ms after which nothing is accepted; 5–17 limits (`Limits` in api/core/log.py; 0 stands for
-- no quota): of the log (entries, bytes, age in s), how long keys are kept (s), of a user (writes and bytes
-- a minute, entries and bytes held, conversations a day, keys an hour), a lease (ms), recent turns (as
-- many, bytes); then the entries (entry_at).
-- → now ms, 1 if a doorbell is due, 1 if the log is open, then an answer per entry.
-- An entry's answer: status, id, created_at ms, … ; statuses are in api/core/entries.py.
function operations.accept()
  conversations.turns_most, conversations.turns_most_bytes = number_argument(16), number_argument(17)
  local call = {
    now = now_ms(), partitions = {},
    log_max_entries = number_argument(5), log_max_bytes = number_argument(6),
    log_max_age_ms = number_argument(7) * 1000, idempotency_seconds = number_argument(8),
    user_writes_per_minute = number_argument(9), user_bytes_per_minute = number_argument(10),
    user_backlog_entries = number_argument(11), user_backlog_bytes = number_argument(12),
    user_conversations_per_day = number_argument(13), user_keys_per_hour = number_argument(14),
    lease_ms = number_argument(15),
  }
  call.has_quotas = call.user_writes_per_minute + call.user_bytes_per_minute + call.user_backlog_entries
    + call.user_backlog_bytes + call.user_conversations_per_day + call.user_keys_per_hour > 0
  local answer = { exact(call.now), 0, 1 }
  for _, number in ipairs(declared) do
    if accept.partition(call, number).refusal then answer[3] = 0 end
  end
  local late = call.now > number_argument(4)
  local at = 18
  while at <= #ARGV do
    local entry
    entry, at = entry_at(at)
    -- A new conversation goes to its owner's home partition; one that exists stays where it is, and a copy
    -- goes where its source is, to stand in one order with what is written to that.
    local partition = call.partitions[entry.op == 'open' and entry.home or partition_of(entry.conversation)]
    if partition.refusal or late then
      answer[#answer + 1] = { partition.refusal or 'late' }
    else
      -- There is no roll-back: what goes wrong in one entry stays that entry's.
      local went_well, result = pcall(accept.one, call, partition, entry)
      answer[#answer + 1] = went_well and result or { 'error' }
    end
  end
  for _, partition in pairs(call.partitions) do
    if partition.accepted > 0 then answer[2] = math.max(accept.keep(call, partition), answer[2]) end
  end
  return answer
end
