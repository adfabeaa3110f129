-- The log: every operation on it, in one script, so that each is atomic.
--
-- ARGV[1] operation   ARGV[2] namespace   ARGV[3…] what the operation takes (see the end of the file)
-- Nothing newer than Redis 6.2 is used, and nothing that fakeredis lacks.
--
-- key (all start with "<namespace>:")          type    meaning
-- database                                     string  id of the database this log belongs to
-- log:<partition>                              stream  entries not known to be in PostgreSQL, oldest first;
--                                                      never deleted, only trimmed. Entry id: "<id>-0"
-- tail:<partition>                             integer the partition's last id
-- accepted:<partition>                         integer entries ever accepted, for the audit
-- conv:<conversation>                          hash    owner, deleted, closed, last (its last entry's id);
--                                                      no TTL while entries of it are in the log, then 7 days
-- turns:<conversation>                         list    "" (a sentinel), then "<id>:<role>:<content>", the last
--                                                      20 or some 16 kB; a list that exists is complete. TTL 1 h
-- idem:<user>:<scope>:<conversation|0>:<key>   string  "<id>:<created_at ms>:<hash of the body>"; TTL a setting
-- turn:<id>                                    string  who runs the assistant for this turn; TTL 10 s
-- stream:<turn id>                             stream  what a running turn has said: entry "<code points so far>-0"
--                                                      {delta, text}; then {stop}, {end, …} or {error, …}; TTL 10 min
-- running                                      zset    "<user>:<conversation>:<turn id>" of streamed turns, by the
--                                                      ms at which their lease ends
-- gone:<user>                                  string  the account was deleted, or is being so; TTL
-- quota:<user>                                 hash    minute, entries, bytes; day, opens: what a user was
--                                                      accepted in the running minute and day. TTL 1 day
-- held                                         hash    entries of each user in the log; gone whenever it is empty
-- revoked                                      zset    "<user>:<session>" of sessions that ended while an access
--                                                      token of theirs may live, by the ms at which it no longer can
-- bell                                         string  a drain was rung for or is awake; TTL 3 s
-- helper                                       string  a second drain was rung for; TTL 5 s
-- drain:started                                integer drains that ever started
-- drain:counts                                 hash    what drains counted (api/core/metrics.py names the fields)

local PARTITIONS = 16
local EPOCH_MS = 1735689600000 -- 2025-01-01T00:00Z
local BELL_MS = 3000
local HELPER_MS = 5000
local CONVERSATION_SECONDS = 7 * 24 * 3600
local TURNS_SECONDS = 3600
local TURNS_MOST = 20
local TURNS_MOST_BYTES = 16384
-- Enough to pass over a run of small entries quickly, too few for large ones to fill the memory.
local READ_CHUNK = 16
local STREAM_SECONDS = 600

local operation = ARGV[1]
local function key(name) return ARGV[2] .. ':' .. name end

-- Lua 5.1 prints a large number as 2.44e+14; ids and times must come out digit by digit.
local function exact(number) return string.format('%.0f', number) end

local function now_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local function first_at(ms, partition) return math.max(ms - EPOCH_MS, 0) * 4096 + partition end

local function failed(reply) return type(reply) == 'table' and reply.err end

local function number_of(stream_id) return tonumber(string.match(stream_id, '^%d+')) end

local function field(entry, name)
  local fields = entry[2]
  for i = 1, #fields, 2 do
    if fields[i] == name then return fields[i + 1] end
  end
end

local function end_of(stream, command, from, to)
  return redis.call(command, stream, from, to, 'COUNT', 1)[1]
end

-- Entries and bytes of text in one partition's log, the running total its last entry carries, and
-- when the oldest was accepted (ms), nil without one.
local function backlog_of(partition)
  local stream = key('log:' .. partition)
  local entries = redis.call('XLEN', stream)
  if entries == 0 then return 0, 0, 0 end
  local first = end_of(stream, 'XRANGE', '-', '+')
  local last = end_of(stream, 'XREVRANGE', '+', '-')
  -- An entry that no script wrote may lack fields; it must not close the partition.
  local total = tonumber(field(last, 'total') or '') or 0
  local before = (tonumber(field(first, 'total') or '') or 0) - #(field(first, 'data') or '')
  return entries, math.max(total - before, 0), total, tonumber(field(first, 'at') or '')
end

------------------------------------------------------------------------------------------ accept

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

-- What a user was accepted of late, read once per call: {minute, entries, bytes, day, opens, held}.
function accept.used(call, user)
  local known = call.users[user]
  if known then return known end
  local was = redis.call('HMGET', key('quota:' .. user), 'minute', 'entries', 'bytes', 'day', 'opens')
  local minute, day = exact(math.floor(call.now / 60000)), exact(math.floor(call.now / 86400000))
  local same_minute, same_day = was[1] == minute, was[4] == day
  known = {
    minute = minute, entries = same_minute and tonumber(was[2]) or 0,
    bytes = same_minute and tonumber(was[3]) or 0,
    day = day, opens = same_day and tonumber(was[5]) or 0,
    held = call.user_backlog_entries > 0 and tonumber(redis.call('HGET', key('held'), user) or '0') or 0,
    added = 0,
  }
  call.users[user] = known
  return known
end

-- Seconds to wait for a quota of the user's own, or nil. 0 stands for no quota. An answer belongs to
-- a message that was accepted, and deleting must always be possible: neither is refused.
function accept.over_quota(call, entry)
  if not call.has_quotas or entry.scope == 'reply' or entry.op == 'title' or entry.op == 'delete' then return nil end
  local used = accept.used(call, entry.user)
  local function over(most, value) return most > 0 and value > most end
  if entry.op == 'open' and over(call.user_conversations_per_day, used.opens + 1) then
    return exact(86400 - math.floor(call.now / 1000) % 86400)
  end
  if over(call.user_writes_per_minute, used.entries + 1) or over(call.user_bytes_per_minute, used.bytes + #entry.data) then
    return exact(60 - math.floor(call.now / 1000) % 60)
  end
  if over(call.user_backlog_entries, used.held + used.added + 1) then return '5' end
end

function accept.spend(call, entry)
  if not call.has_quotas then return end
  local used = accept.used(call, entry.user)
  used.entries, used.bytes = used.entries + 1, used.bytes + #entry.data
  used.added = used.added + 1
  if entry.op == 'open' then used.opens = used.opens + 1 end
end

-- Writes down, once per call, what each user has used.
function accept.keep_quotas(call)
  for user, used in pairs(call.users) do
    if used.added > 0 then
      local quota = key('quota:' .. user)
      redis.pcall('HSET', quota, 'minute', used.minute, 'entries', exact(used.entries),
        'bytes', exact(used.bytes), 'day', used.day, 'opens', exact(used.opens))
      redis.pcall('EXPIRE', quota, 86400)
      if call.user_backlog_entries > 0 then redis.pcall('HINCRBY', key('held'), user, used.added) end
    end
  end
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

-- The refusal, or nil and what the conversation's hash says ({owner, deleted, closed, last}).
function accept.conversation(entry)
  local conversation = redis.call('HMGET', key('conv:' .. entry.conversation),
    'owner', 'deleted', 'closed', 'last')
  if not conversation[1] then
    if entry.state == '' then return 'unknown' end
    -- Its last entry is forgotten too: no newer one is in the log than the partition's newest.
    local stream = key('log:' .. tonumber(entry.conversation) % PARTITIONS)
    local newest = end_of(stream, 'XREVRANGE', '+', '-')
    conversation = {
      entry.user, entry.state == 'deleted', entry.state == 'closed',
      newest and exact(number_of(newest[1])),
    }
    entry.fresh = true
  end
  if conversation[1] ~= entry.user then return 'foreign' end
  if conversation[2] and entry.op ~= 'delete' then return 'deleted' end
  if conversation[3] and entry.op == 'add' and entry.scope ~= 'reply' then return 'conversation_closed' end
  return nil, conversation
end

-- Keeps the newest turns: at most 20, and 16 kB unless a single one is longer. The bytes are added up
-- when a long one comes (20 others need not be looked at), so short ones may follow up to 32 kB.
function accept.bound_turns(turns, length, newest)
  if length > TURNS_MOST then redis.call('LTRIM', turns, -TURNS_MOST, -1) end
  if newest <= TURNS_MOST_BYTES / TURNS_MOST then return end
  local kept, bytes = redis.call('LRANGE', turns, 0, -1), 0
  for i = #kept, 1, -1 do
    bytes = bytes + #kept[i]
    if bytes > TURNS_MOST_BYTES and i < #kept then
      redis.call('LTRIM', turns, i - #kept, -1)
      return
    end
  end
end

-- A list that exists is complete, so it is made only from what PostgreSQL had when nothing of this
-- conversation was newer, and appended to only where it exists (RPUSHX).
function accept.remember_turn(entry, conversation, id)
  local turns = key('turns:' .. entry.conversation)
  if entry.op == 'open' then
    redis.call('RPUSH', turns, '')
  elseif entry.op == 'delete' then
    redis.call('DEL', turns)
  elseif entry.op == 'add' then
    local as_of = tonumber(entry.as_of)
    if as_of and tonumber(conversation[4] or '0') <= as_of and redis.call('EXISTS', turns) == 0 then
      redis.call('RPUSH', turns, '', unpack(entry.loaded))
    end
    local length = redis.call('RPUSHX', turns, id .. ':' .. entry.role .. ':' .. entry.data)
    if length > 0 then
      redis.call('PERSIST', turns)
      accept.bound_turns(turns, length, #entry.data)
    end
  end
end

function accept.remember_conversation(entry, id)
  local conversation = key('conv:' .. entry.conversation)
  local fields = { 'last', id }
  local function set(name, value) fields[#fields + 1] = name; fields[#fields + 1] = value end
  if entry.op == 'open' or entry.fresh then set('owner', entry.user) end
  if entry.op == 'delete' or entry.state == 'deleted' and entry.fresh then set('deleted', '1') end
  if entry.op == 'close' or entry.state == 'closed' and entry.fresh then set('closed', '1') end
  redis.call('HSET', conversation, unpack(fields))
  redis.call('PERSIST', conversation)
end

-- Whoever sets the lease runs the assistant. 1 or 0.
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
    refusal, conversation = accept.conversation(entry)
    if refusal then return { refusal } end
    partition = accept.partition(call, tonumber(entry.conversation) % PARTITIONS)
    if not partition then
      refusal = 'log_closed'
    elseif not accept.has_room(call, partition, entry.data) then
      refusal = 'full'
    elseif is_turn then
      recent = accept.recent(entry)
      if #recent == 0 and entry.as_of == '' then return { 'cold', conversation[4] or '0' } end
    end
  end
  if refusal then return { refusal } end
  local wait = accept.over_quota(call, entry)
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
  pcall(accept.spend, call, entry)
  redis.pcall('SET', key('tail:' .. partition.number), id)
  redis.pcall('INCR', key('accepted:' .. partition.number))
  pcall(accept.remember_conversation, entry, id)
  pcall(accept.remember_turn, entry, conversation, id)
  local result = { 'ok', id, at }
  if is_turn then
    local told, full = pcall(accept.turn, call, entry, { 'ok', id, at }, recent)
    if told then return full end
  end
  return result
end

local function number_argument(index) return assert(tonumber(ARGV[index])) end

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
local function run_accept()
  local call = {
    now = now_ms(), partitions = {}, users = {}, accepted = 0,
    log_max_entries = number_argument(4), log_max_bytes = number_argument(5),
    log_max_age_ms = number_argument(6) * 1000, idempotency_seconds = ARGV[7],
    user_writes_per_minute = number_argument(8), user_bytes_per_minute = number_argument(9),
    user_backlog_entries = number_argument(10), user_conversations_per_day = number_argument(11),
    lease_ms = number_argument(12),
  }
  call.has_quotas = call.user_writes_per_minute + call.user_bytes_per_minute + call.user_backlog_entries
    + call.user_conversations_per_day > 0
  local is_open = redis.call('EXISTS', key('tail:0'))
  local answer = { exact(call.now), 0, is_open }
  local late = call.now > number_argument(3)
  local at = 13
  while at <= #ARGV do
    local entry
    entry, at = entry_at(at)
    if late then
      answer[#answer + 1] = { 'late' }
    else
      -- There is no roll-back: what goes wrong in one entry stays that entry's.
      local went_well, result = pcall(accept.one, call, entry)
      answer[#answer + 1] = went_well and result or { 'error' }
    end
  end
  if call.accepted > 0 then
    pcall(accept.keep_quotas, call)
    local rung = redis.pcall('SET', key('bell'), '1', 'NX', 'PX', BELL_MS)
    answer[2] = (rung and not failed(rung)) and 1 or 0
  end
  return answer
end

------------------------------------------------------------------------------------------- drain

-- An entry as `read` answers it: {id, "v op user conv role status at total", data}. Three strings
-- instead of nineteen: most of a drain's time once went into reading them. One that no script wrote
-- keeps its fields: {id, fields}.
local function compact(entry)
  local fields, named = entry[2], {}
  for i = 1, #fields, 2 do named[fields[i]] = fields[i + 1] end
  local head = {}
  for i, name in ipairs({ 'v', 'op', 'user', 'conv', 'role', 'status', 'at', 'total' }) do
    if not named[name] then return entry end
    head[i] = named[name]
  end
  if not named.data then return entry end
  return { entry[1], table.concat(head, ' '), named.data }
end

-- → for each partition asked for: its number, then its oldest entries (see above), at least one,
-- up to a share of entries and bytes.
local function run_read()
  local most_entries, most_bytes, answer = number_argument(3), number_argument(4), {}
  for index = 5, #ARGV do
    local stream, from, entries, bytes = key('log:' .. ARGV[index]), '-', {}, 0
    local more = true
    while more do
      local count = math.min(READ_CHUNK, most_entries - #entries)
      local chunk = count > 0 and redis.call('XRANGE', stream, from, '+', 'COUNT', count) or {}
      more = #chunk == count and count > 0
      for _, entry in ipairs(chunk) do
        bytes = bytes + #(field(entry, 'data') or '')
        if bytes > most_bytes and #entries > 0 then
          more = false
          break
        end
        entries[#entries + 1] = compact(entry)
        from = exact(number_of(entry[1]) + 1) .. '-0'
      end
    end
    answer[#answer + 1] = { ARGV[index], entries }
  end
  return answer
end

-- Removes what was committed, gives conversations with nothing left in the log their TTLs, counts.
-- ARGV: number of partitions, (partition, last committed id)…, number of conversations,
-- conversation…, number of users, (user, entries)…, (field, increment)…
local function run_trim()
  local committed, at = {}, 4
  for _ = 1, number_argument(3) do
    local last = number_argument(at + 1)
    committed[tonumber(ARGV[at])] = last
    -- MINID evicts ids *below* it.
    redis.call('XTRIM', key('log:' .. ARGV[at]), 'MINID', exact(last + 1) .. '-0')
    at = at + 2
  end
  local conversations = number_argument(at)
  for index = at + 1, at + conversations do
    local id = ARGV[index]
    local known = redis.call('HMGET', key('conv:' .. id), 'last', 'owner')
    local last = known[1]
    if known[2] and redis.call('EXISTS', key('gone:' .. known[2])) == 1 then
      redis.call('DEL', key('conv:' .. id), key('turns:' .. id))
    elseif last and tonumber(last) <= (committed[tonumber(id) % PARTITIONS] or 0) then
      redis.call('EXPIRE', key('conv:' .. id), CONVERSATION_SECONDS)
      redis.call('EXPIRE', key('turns:' .. id), TURNS_SECONDS)
    end
  end
  at = at + conversations + 1
  local users = number_argument(at)
  for index = at + 1, at + 2 * users, 2 do
    local left = redis.pcall('HINCRBY', key('held'), ARGV[index], '-' .. ARGV[index + 1])
    if type(left) == 'number' and left <= 0 then redis.call('HDEL', key('held'), ARGV[index]) end
  end
  for index = at + 2 * users + 1, #ARGV, 2 do
    redis.pcall('HINCRBY', key('drain:counts'), ARGV[index], ARGV[index + 1])
  end
  redis.pcall('SET', key('bell'), '1', 'PX', BELL_MS)
  return 1
end

-- → 1 and no bell if every stream is empty, else 0.
local function run_finish()
  for partition = 0, PARTITIONS - 1 do
    if redis.call('XLEN', key('log:' .. partition)) > 0 then return 0 end
  end
  -- Nothing is held by anybody: whatever was miscounted is right again.
  redis.call('DEL', key('bell'), key('held'))
  return 1
end

-- → partition, oldest entry's id, entries for each partition that has any.
local function run_heads()
  local answer = {}
  for partition = 0, PARTITIONS - 1 do
    local stream = key('log:' .. partition)
    local entries = redis.call('XLEN', stream)
    if entries > 0 then
      local first = end_of(stream, 'XRANGE', '-', '+')
      answer[#answer + 1] = { partition, exact(number_of(first[1])), entries }
    end
  end
  return answer
end

-- → now ms, then per partition: number, tail or '', accepted or '', entries, bytes, oldest's created_at ms or ''.
local function run_status()
  local answer = { exact(now_ms()) }
  for partition = 0, PARTITIONS - 1 do
    local entries, bytes, _, oldest_at = backlog_of(partition)
    answer[#answer + 1] = {
      partition, redis.call('GET', key('tail:' .. partition)) or '',
      redis.call('GET', key('accepted:' .. partition)) or '', entries, exact(bytes),
      oldest_at and exact(oldest_at) or '',
    }
  end
  return answer
end

-- → entries above an id. Those at or below it were committed and wait for their trim: they are few.
local function count_above(partition, id)
  local stream, from, below = key('log:' .. partition), '-', 0
  while true do
    local chunk = redis.call('XRANGE', stream, from, exact(id) .. '-0', 'COUNT', READ_CHUNK)
    below = below + #chunk
    if #chunk < READ_CHUNK then return redis.call('XLEN', stream) - below end
    from = exact(number_of(chunk[#chunk][1]) + 1) .. '-0'
  end
end

-- → accepted or '', entries above an id: what the audit weighs, at one moment. ARGV: partition, id
local function run_balance()
  return { redis.call('GET', key('accepted:' .. ARGV[3])) or '', count_above(ARGV[3], number_argument(4)) }
end

-- Binds the log to its database and gives a partition without a trustworthy tail one: at least the
-- last id that PostgreSQL has, and now. The count of accepted entries is only made up where the tail
-- is: it must stay independent of PostgreSQL's books for the audit to mean something.
-- ARGV: database id, (partition, last id, counted)…
-- → 1, or 0 if the log belongs to another database.
local function run_adopt()
  local owner = redis.call('GET', key('database'))
  if owner and owner ~= ARGV[3] then return 0 end
  if not owner then redis.call('SET', key('database'), ARGV[3]) end
  for index = 4, #ARGV, 3 do
    local partition, last, counted = ARGV[index], number_argument(index + 1), number_argument(index + 2)
    local tail = redis.call('GET', key('tail:' .. partition))
    if not tail or tonumber(tail) < last then
      redis.call('SET', key('accepted:' .. partition), exact(counted + count_above(partition, last)))
      local newest = end_of(key('log:' .. partition), 'XREVRANGE', '+', '-')
      local floor = math.max(last, first_at(now_ms(), tonumber(partition)),
        newest and number_of(newest[1]) or 0)
      redis.call('SET', key('tail:' .. partition), exact(floor))
    end
  end
  return 1
end

-- Counts as accepted what the books know of: for ids given out twice, which the log had forgotten.
-- ARGV: (partition, last id, counted)…
local function run_recount()
  for index = 3, #ARGV, 3 do
    local accepted = key('accepted:' .. ARGV[index])
    local known = number_argument(index + 2) + count_above(ARGV[index], number_argument(index + 1))
    if known > tonumber(redis.call('GET', accepted) or '0') then
      redis.call('SET', accepted, exact(known))
    end
  end
  return 1
end

-- → 1 if the caller is to ring for a second drain.
local function run_helper()
  return redis.call('SET', key('helper'), '1', 'NX', 'PX', HELPER_MS) and 1 or 0
end

------------------------------------------------------------------------------------------- turns

local function is_mine(turn_id, token) return redis.call('GET', key('turn:' .. turn_id)) == token end

local function turn_of(member) return string.match(member, '%d+$') end

-- Renews (ARGV[6] > 0 ms) or gives up (0) the lease of a turn, if it is still this caller's.
-- ARGV: turn id, token, member, ms. → 1 or 0.
local function run_lease()
  local turn_id, member, ms = ARGV[3], ARGV[5], number_argument(6)
  if not is_mine(turn_id, ARGV[4]) then return 0 end
  if ms == 0 then
    redis.call('DEL', key('turn:' .. turn_id))
    redis.call('ZREM', key('running'), member)
  else
    redis.call('PEXPIRE', key('turn:' .. turn_id), ms)
    redis.call('ZADD', key('running'), 'XX', exact(now_ms() + ms), member)
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

-- Appends to turns' streams, each only while the lease is the caller's: whoever lost it must not
-- show what the stored answer lacks. A delta that was sent before has a known id and is not doubled.
-- ARGV: (turn id, token, member, kind, code points so far, payload)… → 0 each, or 1, or 2 where
-- somebody had asked the turn to stop.
local function run_say()
  local answer = {}
  for at = 3, #ARGV, 6 do
    local turn_id, member, kind = ARGV[at], ARGV[at + 2], ARGV[at + 3]
    local stream = key('stream:' .. turn_id)
    if is_mine(turn_id, ARGV[at + 1]) then
      local length, next_id, is_stopped = said_last(stream)
      if kind ~= 'delta' then
        redis.call('XADD', stream, next_id, kind, ARGV[at + 5])
      elseif number_argument(at + 4) > length then
        redis.call('XADD', stream, ARGV[at + 4] .. '-0', kind, ARGV[at + 5])
      end
      redis.call('EXPIRE', stream, STREAM_SECONDS)
      if kind ~= 'delta' then
        redis.call('DEL', key('turn:' .. turn_id))
        redis.call('ZREM', key('running'), member)
      end
      answer[#answer + 1] = is_stopped and 2 or 1
    else
      answer[#answer + 1] = 0
    end
  end
  return answer
end

-- What turns said after what is known. ARGV: (turn id, last known stream id)… → {turn id, entries}…
local function run_heard()
  local answer = {}
  for at = 3, #ARGV, 2 do
    local said = redis.call('XRANGE', key('stream:' .. ARGV[at]), '(' .. ARGV[at + 1], '+')
    if #said > 0 then answer[#answer + 1] = { ARGV[at], said } end
  end
  return answer
end

-- → the streamed turns of one user's conversation that are running.
local function running_in(user, conversation)
  local prefix, found = user .. ':' .. conversation .. ':', {}
  for _, member in ipairs(redis.call('ZRANGE', key('running'), 0, -1)) do
    if string.sub(member, 1, #prefix) == prefix then found[#found + 1] = turn_of(member) end
  end
  return found
end

local function run_running() return running_in(ARGV[3], ARGV[4]) end

-- Asks the running turns of a conversation, or the one named, to stop. ARGV: user, conversation,
-- turn id or ''. → the turns that were asked.
local function run_stop()
  local asked = {}
  for _, turn_id in ipairs(running_in(ARGV[3], ARGV[4])) do
    if ARGV[5] == '' or ARGV[5] == turn_id then
      local stream = key('stream:' .. turn_id)
      local _, next_id = said_last(stream)
      redis.call('XADD', stream, next_id, 'stop', '')
      redis.call('EXPIRE', stream, STREAM_SECONDS)
      asked[#asked + 1] = turn_id
    end
  end
  return asked
end

-- How a turn stands. ARGV: user, conversation, turn id → owner or '', 1 if it is running, reply id or ''.
local function run_turn()
  local member = ARGV[3] .. ':' .. ARGV[4] .. ':' .. ARGV[5]
  local reply = redis.call('GET', key('idem:' .. ARGV[3] .. ':reply:' .. ARGV[4] .. ':' .. ARGV[5]))
  return {
    redis.call('HGET', key('conv:' .. ARGV[4]), 'owner') or '',
    redis.call('ZSCORE', key('running'), member) and 1 or 0,
    reply and string.match(reply, '^%d+') or '',
  }
end

-- Takes over streamed turns whose lease ended a while ago: whoever ran them is gone.
-- ARGV: token, grace ms, lease ms, most → members.
local function run_claim()
  local now, taken = now_ms(), {}
  local ended = redis.call('ZRANGEBYSCORE', key('running'), '-inf', exact(now - number_argument(4)),
    'LIMIT', 0, ARGV[6])
  for _, member in ipairs(ended) do
    redis.call('ZADD', key('running'), exact(now + number_argument(5)), member)
    if redis.call('SET', key('turn:' .. turn_of(member)), ARGV[3], 'NX', 'PX', ARGV[5]) then
      taken[#taken + 1] = member
    end
  end
  return taken
end

------------------------------------------------------------------------------------------- sessions

-- Has accept refuse a user for so many seconds, 0: no longer. ARGV: user, seconds
local function run_gone()
  if ARGV[4] == '0' then return redis.call('DEL', key('gone:' .. ARGV[3])) end
  redis.call('SET', key('gone:' .. ARGV[3]), '1', 'EX', ARGV[4])
  return 1
end

-- Ends sessions for whatever access tokens of theirs still live. ARGV: seconds, user, session…
local function run_revoke()
  local now = now_ms()
  redis.call('ZREMRANGEBYSCORE', key('revoked'), '-inf', exact(now))
  for at = 5, #ARGV do
    redis.call('ZADD', key('revoked'), exact(now + number_argument(3) * 1000), ARGV[4] .. ':' .. ARGV[at])
  end
  return 1
end

-- → "<user>:<session>" of every session whose access tokens must not be taken.
local function run_revoked()
  return redis.call('ZRANGEBYSCORE', key('revoked'), '(' .. exact(now_ms()), '+inf')
end

local operations = {
  accept = run_accept, read = run_read, trim = run_trim, finish = run_finish, heads = run_heads,
  status = run_status, balance = run_balance, adopt = run_adopt, recount = run_recount, helper = run_helper,
  lease = run_lease, say = run_say, heard = run_heard, running = run_running, stop = run_stop, turn = run_turn,
  claim = run_claim, gone = run_gone, revoke = run_revoke, revoked = run_revoked,
}
return operations[operation]()
