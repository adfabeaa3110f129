-- Accepting writes: checks first, then XADD, then what the log remembers besides.
--
-- What the functions here, in quotas.lua and conversations.lua take: `call`, the time and the limits
-- (operations.accept); `partition`, what accept.read returns; `entry`, what entry_at reads;
-- `conversation`, what conversations.look_up returns; `id`, the entry's, once it has one.

local accept = {}

local function failed(reply) return type(reply) == 'table' and reply.err end

-- What `room` says is taken for this long, unless it says that there is none.
local ROOM_MS = 60000
local OF_PARTITION, OF_USER = 6, 2
-- Where the message of an external id is (`Whereabouts` in api/core/entries.py): gone, or put aside.
local NOWHERE, ASIDE = 0, 2

-- What this call knows of a partition, read once; with `refusal` where it takes nothing. `users`: names of
-- those whose entries the call brings.
-- Each table here has all its fields from the start: Lua makes one anew for each few that are added.
function accept.read(number, users)
  local prefix = prefixes[number]
  local names = { prefix .. 'database', prefix .. 'tail', prefix .. 'bell', prefix .. 'idems',
    prefix .. 'accepted', prefix .. 'room' }
  for _, user in ipairs(users) do
    names[#names + 1] = prefix .. 'gone:' .. user
    names[#names + 1] = prefix .. 'spent:' .. user
  end
  local found = redis.call('MGET', unpack(names))
  local owner, tail = found[1], found[2]
  local known = {
    number = number, users = {}, accepted = 0, has_bell = found[3], sizes = found[4], known_sizes = false,
    accepted_before = tonumber(found[5] or '') or 0, room = found[6], tail = tonumber(tail or '0'),
    total = false, since = 0, entries_before = 0, bytes_before = 0,
  }
  for i, user in ipairs(users) do
    local at = OF_PARTITION + OF_USER * (i - 1)
    known.users[user] = {
      is_gone = found[at + 1], spent = found[at + 2], session = false, is_revoked = false, is_counted = false,
      entries = 0, bytes = 0, keys = 0, opens = 0, added = 0, added_bytes = 0,
    }
  end
  if not owner then
    known.refusal = 'log_closed'
  elseif owner ~= ARGV[3] then
    known.refusal = 'wrong_database'
  elseif not tail then
    known.refusal = 'log_closed'
  end
  return known
end

-- Looks at what is in a partition's log.
local function look(call, partition)
  local entries, bytes, total, oldest_at = backlog_of(partition.number)
  partition.looked, partition.total, partition.since = true, total, oldest_at or call.now
  partition.entries_before = partition.accepted_before + partition.accepted - entries
  partition.bytes_before = total - bytes
end

-- The same without looking, as `room` has it: "<tail> <entries before> <bytes before> <running total> <since
-- ms>". What was trimmed since is counted as if it were still there.
local function recall(call, partition)
  local tail, entries, bytes, total, since =
    string.match(partition.room or '', '^(%d+) (-?%d+) (-?%d+) (%d+) (%d+)$')
  if tonumber(tail) ~= partition.tail or call.now - tonumber(since) > ROOM_MS then
    return look(call, partition)
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

function accept.has_room(call, partition, length)
  if not partition.total then recall(call, partition) end
  if fits(call, partition, length) then return true end
  if partition.looked then return false end
  look(call, partition)
  return fits(call, partition, length)
end

-- The first write. A batch is one entry, whose id is that of its last message. Ids never go back: while
-- the clock does, they use the milliseconds ahead of it.
function accept.append(call, entry, partition)
  local first = math.max(first_at(call.now, partition.number), partition.tail + PARTITIONS)
  local last = first + PARTITIONS * (entry.count - 1)
  local id, said, conversation = exact(last), entry.said, entry.conversation
  if is_new(entry) then
    conversation = exact(first)
    said = string.gsub(said, '^(%l+ %d+) %d+', '%1 ' .. conversation, 1)
  end
  local total = partition.total + #entry.data
  local head = string.format('%s %s %s %d %s', VERSION, said, call.at, total, entry.form)
  local reply = redis.pcall('XADD', prefixes[partition.number] .. 'log', id .. '-0', 'h', head, 'd', entry.data,
    unpack(entry.traced))
  if failed(reply) then
    call.is_replica = string.find(reply.err, 'READONLY', 1, true) ~= nil
    return nil
  end
  partition.tail, partition.total = last, total
  partition.accepted = partition.accepted + 1
  entry.conversation = conversation
  return id
end

-- nil (nothing known), or 'conflict', or the id and time of the entry that this request made before.
function accept.replay(call, partition, entry)
  if not entry.name then return nil end
  local id, at, same = idempotency.find(partition, entry.name, call.now, call.idempotency_seconds)
  if not id then return nil end
  if same ~= entry.same then return 'conflict' end
  return 'replay', exact(id), exact(at)
end

-- Whether the message that had an external id is gone, or aside while the new one has another text.
local function is_free(external, is_same)
  return external.where == NOWHERE or external.where == ASIDE and not is_same
end

-- nil, or 'replay' and the id and time of the entry that added these messages before, or 'taken' and the
-- place of one whose external id another message has. Of what was added before the last rewrite PostgreSQL
-- must say where it is: 'look', as in conversations.check. A batch of which a part is there was added.
function accept.replay_messages(call, partition, entry, conversation)
  local found, first, created_at, gone = 0, nil, nil, {}
  for _, external in ipairs(entry.externals) do
    local id, at, same = idempotency.find(partition, external.name, call.now, call.idempotency_seconds)
    local is_before = id and id <= math.max(conversation.rewritten or 0, conversation.since)
    if is_before and conversations.has_changed(entry, conversation) then
      return conversations.look(entry, conversation)
    end
    local begins = id and id - PARTITIONS * external.place
    if is_before and is_free(external, same == external.same) then
      if same == external.same then gone[#gone + 1] = begins end
    elseif id then
      if same ~= external.same or first and begins ~= first then return 'taken', exact(external.place) end
      found, first, created_at = found + 1, begins, at
    end
  end
  if found == 0 then return nil end
  for _, begins in ipairs(gone) do found = found + (begins == first and 1 or 0) end
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

local function recent_turns(partition, entry)
  return redis.call('LRANGE', key(partition.number, 'turns:' .. entry.conversation), 0, -1)
end

-- A turn's answer: reply id or '', lease taken, list known, instructions, then the recent turns.
function accept.turn(call, partition, entry, result, recent, instructions)
  local id = result[2]
  -- A turn that was accepted just now has no answer.
  local reply_id = result[1] == 'replay'
    and idempotency.reply(partition, entry.conversation, id, call.now, call.idempotency_seconds) or ''
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
    op = 'truncate', user = entry.user, conversation = entry.conversation,
    said = 'truncate ' .. entry.user .. ' ' .. entry.conversation .. '  stored',
    data = '{"message":' .. entry.replaces .. ',"keep":true}', form = 'j', count = 1, externals = {}, traced = {},
    scope = 'edit', state = entry.state, fresh = entry.fresh, external = entry.external,
    instructions = entry.instructions,
  }
  local id = accept.append(call, cut, partition)
  if not id then return nil end
  quotas.spend(call, partition, cut)
  pcall(conversations.remember, partition, cut, id)
  redis.pcall('DEL', key(partition.number, 'turns:' .. entry.conversation))
  -- What the request brings of earlier turns is all there is by now.
  conversation.last = 0
  return true
end

-- What the log remembers of an entry beside it.
local function remember(partition, entry, conversation, id)
  conversations.remember(partition, entry, id)
  conversations.remember_turn(partition, entry, conversation, id)
end

-- Whether a user's session was revoked.
local function is_revoked(partition, entry)
  local user = partition.users[entry.user]
  if user.session ~= entry.session then
    user.session = entry.session
    user.is_revoked = redis.call('ZSCORE', prefixes[partition.number] .. 'revoked', entry.session)
  end
  return user.is_revoked
end

function accept.one(call, partition, entry)
  local is_turn, number = entry.scope == 'turn', partition.number
  if partition.users[entry.user].is_gone then return { 'gone' } end
  if entry.session ~= '' and is_revoked(partition, entry) then return { 'revoked' } end
  local known, known_id, known_at = accept.replay(call, partition, entry)
  if known == 'conflict' then return { 'conflict' } end
  if known then
    local result = { 'replay', known_id, known_at }
    if not is_turn then return result end
    local instructions = redis.call('HGET', key(number, 'conv:' .. entry.conversation), 'instructions')
    return accept.turn(call, partition, entry, result, recent_turns(partition, entry), instructions)
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
    if #entry.externals > 0 then
      local before, before_id, before_at = accept.replay_messages(call, partition, entry, conversation)
      if before then return { before, before_id, before_at } end
    end
    -- PostgreSQL called it old as of an entry; what is newer may have made it young.
    if entry.scope == 'retention' and not entry.fresh and conversation.last > tonumber(entry.as_of) then
      return { 'active' }
    end
    local asked, asked_id, as_of = conversations.check(partition, entry, conversation)
    if asked then return { asked, asked_id, as_of } end
  end
  if not accept.has_room(call, partition, #entry.data) then return { 'full' } end
  if is_turn then
    -- One that replaces another one brings what was said before that.
    recent = entry.replaces and {} or recent_turns(partition, entry)
    if #recent == 0 and entry.as_of == '' then
      return { 'cold', conversation.pending, exact(partition.tail) }
    end
  end
  local wait = quotas.seconds_to_wait(call, partition, entry)
  if wait then return { 'quota', wait } end

  if entry.replaces and not accept.cut(call, partition, entry, conversation) then return { 'error' } end
  local id = accept.append(call, entry, partition)
  if not id then return { 'error' } end
  if entry.name then
    pcall(idempotency.remember, partition, entry.name, partition.tail, entry.same, call.now,
      call.idempotency_seconds)
  end
  for _, external in ipairs(entry.externals) do
    local message_id = partition.tail - PARTITIONS * (entry.count - 1 - external.place)
    pcall(idempotency.remember, partition, external.name, message_id, external.same, call.now,
      call.idempotency_seconds)
  end
  -- From here on the entry is accepted, whatever fails.
  quotas.spend(call, partition, entry)
  if not pcall(remember, partition, entry, conversation, id) then
    -- A list that lacks a turn is worse than none.
    redis.pcall('DEL', key(number, 'turns:' .. entry.conversation))
  end
  local result = { 'ok', id, call.at }
  if is_turn then
    local told, full = pcall(accept.turn, call, partition, entry, { 'ok', id, call.at }, recent,
      conversation.instructions)
    if told then return full end
  end
  return result
end

-- What is written down once per call and partition, where anything was accepted. 1 if a doorbell is due.
function accept.keep(call, partition)
  local prefix = prefixes[partition.number]
  local room = string.format('%d %d %d %d %d', partition.tail, partition.entries_before,
    partition.bytes_before, partition.total, partition.since)
  redis.pcall('SET', prefix .. 'tail', exact(partition.tail))
  redis.pcall('SET', prefix .. 'room', room)
  redis.pcall('INCRBY', prefix .. 'accepted', partition.accepted)
  if call.has_quotas then pcall(quotas.keep, call, partition) end
  if partition.has_bell then return 0 end
  local rung = redis.pcall('SET', prefix .. 'bell', '1', 'NX', 'PX', BELL_MS)
  return (rung and not failed(rung)) and 1 or 0
end

-- An entry's head: its small fields, joined by blanks. One argument instead of fourteen, each of which
-- costs on both sides. What they mean is said at `AcceptRequest` in api/core/entries.py.
--   op user conversation (of a fork: its source) role status form scope session, and for entries that have more
--   than a plain message, state home lease streamed as_of more turns
--   more: nothing, or external|vacant|count|checks|told|trace
--   checks: nothing, or if_last:last_message:rewritten:last_after:replaces:last_as_of
--   turns: how many earlier turns follow
local PLAIN = '^((%l+) (%d+) (%d+) (%l*) [^ ]*) (%l) (%l+) ([^ ]*)(.*)$'
local NO_NAME = string.rep('\0', 18)
-- What an entry is unless it says otherwise.
local PLAIN_ENTRY = {
  __index = { is_plain = true, state = '', external = '', count = 1, loaded = {}, externals = {}, traced = {} },
}

-- What a request's names say (entry_at), into the entry.
local function read_names(entry, request)
  if string.sub(request, 1, 18) ~= NO_NAME then
    entry.name, entry.same = string.sub(request, 1, 12), string.sub(request, 13, 18)
  end
  if #request == 18 then return end
  entry.externals = {}
  for from = 19, #request, 20 do
    local place, where = string.byte(request, from + 18, from + 19)
    entry.externals[#entry.externals + 1] = {
      name = string.sub(request, from, from + 11), same = string.sub(request, from + 12, from + 17),
      place = place, where = where,
    }
  end
end

-- What an entry has that is no plain message; returns where its last argument is.
local function read_more(entry, rest, at)
  local state, home, lease, streamed, as_of, more, turns =
    string.match(rest, '^ ([^ ]*) (%d+) ([^ ]*) (%d) ([^ ]*) ([^ ]*) (%d+)$')
  entry.is_plain = false
  entry.state, entry.home, entry.lease, entry.streamed, entry.as_of = state, tonumber(home), lease, streamed, as_of
  local external, vacant, count, checks, told, trace
  if more ~= '' then
    external, vacant, count, checks, told, trace =
      string.match(more, '^([^|]*)|([^|]*)|([^|]*)|([^|]*)|([^|]*)|([^|]*)$')
    entry.external, entry.vacant, entry.count = external, vacant, tonumber(count)
    if trace ~= '' then entry.traced = { 't', trace } end
  end
  if checks and checks ~= '' then
    entry.is_checked = true
    local if_last, last_message, rewritten, last_after, replaces, last_as_of =
      string.match(checks, '^(%d*):(%d*):(%d*):(%d*):(%d*):(%d*)$')
    entry.if_last, entry.last_message = tonumber(if_last), tonumber(last_message)
    entry.rewritten, entry.last_after = tonumber(rewritten), tonumber(last_after)
    entry.last_as_of = tonumber(last_as_of)
    if replaces ~= '' then entry.replaces = replaces end
  end
  if told == '1' then
    at = at + 1
    entry.instructions = ARGV[at]
  end
  entry.loaded = {}
  for i = 1, tonumber(turns) do entry.loaded[i] = ARGV[at + i] end
  return at + #entry.loaded
end

-- The entry whose head is at this argument, and where the next one begins. After the head come:
--   key: nothing, or 18 bytes for the request (12 of its name, 6 of what it must be the same as;
--     idempotency.lua; all 0 where it has no key), then 20 for each message of a batch with an external
--     id: likewise, its place in the batch, and where PostgreSQL has the message of that id
--   data
--   instructions: only where `told` is 1
--   the earlier turns, one each
local function entry_at(at)
  local said, op, user, conversation, role, form, scope, session, rest = string.match(ARGV[at], PLAIN)
  local entry = setmetatable({
    said = said, op = op, user = user, conversation = conversation, role = role, form = form, scope = scope,
    session = session, data = ARGV[at + 2], partition = false, name = false, same = false,
  }, PLAIN_ENTRY)
  local request = ARGV[at + 1]
  if request ~= '' then read_names(entry, request) end
  at = at + 2
  if rest ~= '' then at = read_more(entry, rest, at) end
  return entry, at + 1
end

-- ARGV: 4 the ms after which nothing is accepted; 5–17 limits (`Limits` in api/core/log.py; 0 stands for
-- no quota): of the log (entries, bytes, age in s), how long keys are kept (s), of a user (writes and bytes
-- a minute, entries and bytes held, conversations a day, keys an hour), a lease (ms), recent turns (as
-- many, bytes); then the entries (entry_at).
-- → now ms, 1 if a doorbell is due, 1 if the log is open, then an answer per entry.
-- An entry's answer: status, id, created_at ms, … ; statuses are in api/core/entries.py.
function operations.accept()
  conversations.turns_most, conversations.turns_most_bytes = tonumber(ARGV[16]), tonumber(ARGV[17])
  local call = {
    now = now_ms(), log_max_entries = tonumber(ARGV[5]), log_max_bytes = tonumber(ARGV[6]),
    log_max_age_ms = tonumber(ARGV[7]) * 1000, idempotency_seconds = tonumber(ARGV[8]),
    user_writes_per_minute = tonumber(ARGV[9]), user_bytes_per_minute = tonumber(ARGV[10]),
    user_backlog_entries = tonumber(ARGV[11]), user_backlog_bytes = tonumber(ARGV[12]),
    user_conversations_per_day = tonumber(ARGV[13]), user_keys_per_hour = tonumber(ARGV[14]),
    lease_ms = tonumber(ARGV[15]),
  }
  call.at = exact(call.now)
  call.has_quotas = call.user_writes_per_minute + call.user_bytes_per_minute + call.user_backlog_entries
    + call.user_backlog_bytes + call.user_conversations_per_day + call.user_keys_per_hour > 0
  if call.has_quotas then
    call.minute, call.hour = exact(math.floor(call.now / 60000)), exact(math.floor(call.now / 3600000))
    call.day = exact(math.floor(call.now / 86400000))
  end
  local answer = { call.at, 0, 1 }
  local entries, users, partitions = {}, {}, {}
  for _, number in ipairs(declared) do users[number] = {} end
  local at = 18
  while at <= #ARGV do
    local entry
    entry, at = entry_at(at)
    -- A new conversation goes to its owner's home partition; one that exists stays where it is, and a copy
    -- goes where its source is, to stand in one order with what is written to that.
    entry.partition = entry.op == 'open' and entry.home or partition_of(entry.conversation)
    local here = users[entry.partition]
    if not here[entry.user] then
      here[entry.user] = true
      here[#here + 1] = entry.user
    end
    entries[#entries + 1] = entry
  end
  for _, number in ipairs(declared) do
    partitions[number] = accept.read(number, users[number])
    if partitions[number].refusal then answer[3] = 0 end
  end
  local late = call.now > tonumber(ARGV[4])
  for _, entry in ipairs(entries) do
    local partition = partitions[entry.partition]
    if partition.refusal or late then
      answer[#answer + 1] = { partition.refusal or 'late' }
    else
      -- There is no roll-back: what goes wrong in one entry stays that entry's.
      local went_well, result = pcall(accept.one, call, partition, entry)
      -- The same for all: nothing was written, and another server is the one to ask.
      if call.is_replica then return redis.error_reply('READONLY this Redis is a replica') end
      answer[#answer + 1] = went_well and result or { 'error' }
    end
  end
  for _, partition in pairs(partitions) do
    if partition.accepted > 0 then answer[2] = math.max(accept.keep(call, partition), answer[2]) end
  end
  return answer
end
