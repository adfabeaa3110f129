-- Accepting writes: checks first, then XADD, then what the log remembers besides.
--
-- What the functions here, in quotas.lua and conversations.lua take: `call`, the time and the limits
-- (operations.accept); `partition`, what room.read returns; `entry`, what entry_at reads;
-- `conversation`, what conversations.look_up returns; `id`, the entry's, once it has one.

local accept = {}

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

-- What the log remembers of an entry beside it.
local function remember(partition, entry, conversation, id)
  conversations.remember(partition, entry, id)
  conversations.remember_turn(partition, entry, conversation, id)
end

function accept.one(call, partition, entry)
  local is_turn, number = entry.scope == 'turn', partition.number
  if partition.users[entry.user].is_gone then return { 'gone' } end
  if call.revoked[entry.session] then return { 'revoked' } end
  local known, known_id, known_at = accept.replay(call, partition, entry)
  if known == 'conflict' then return { 'conflict' } end
  if known then
    local result = { 'replay', known_id, known_at }
    if not is_turn then return result end
    local instructions = redis.call('HGET', key(number, 'conv:' .. entry.conversation), 'instructions')
    return turning.answer(call, partition, entry, result, turning.recent(partition, entry), instructions)
  end

  local conversation, refusal, recent
  if entry.op == 'fork' then
    local asked, asked_id, as_of = checks.of_source(partition, entry)
    if asked then return { asked, asked_id, as_of } end
  elseif entry.op == 'open' then
    if entry.external ~= '' then
      local taken, by = external_ids.taken(entry)
      if taken then return { taken, by } end
    end
  else
    refusal, conversation = conversations.look_up(partition, entry)
    if refusal then return { refusal } end
    if #entry.externals > 0 then
      local before, before_id, before_at = external_ids.replay(call, partition, entry, conversation)
      if before then return { before, before_id, before_at } end
    end
    -- PostgreSQL called it old as of an entry; what is newer may have made it young.
    if entry.scope == 'retention' and not entry.fresh and conversation.last > tonumber(entry.as_of) then
      return { 'active' }
    end
    if entry.is_checked then
      local asked, asked_id, as_of = checks.of_entry(partition, entry, conversation)
      if asked then return { asked, asked_id, as_of } end
    end
  end
  if not room.is_left(call, partition, #entry.data) then return { 'full' } end
  if is_turn then
    -- One that replaces another one brings what was said before that.
    recent = entry.replaces and {} or turning.recent(partition, entry)
    if #recent == 0 and entry.as_of == '' then
      return { 'cold', conversation.pending, exact(partition.tail) }
    end
  end
  local wait = quotas.seconds_to_wait(call, partition, entry)
  if wait then return { 'quota', wait } end

  if entry.replaces and not turning.cut(call, partition, entry, conversation) then return { 'error' } end
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
    local told, full = pcall(turning.answer, call, partition, entry, { 'ok', id, call.at }, recent,
      conversation.instructions)
    if told then return full end
  end
  return result
end

-- ARGV: 4 the ms after which nothing is accepted; 5 limits, as JSON (`Limits` in api/core/accept_calls.py;
-- 0 stands for no quota): of the log (entries, bytes, age in s), how long keys are kept (s), of a user (writes
-- and bytes a minute, entries and bytes held, conversations a day, keys an hour), a lease (ms), recent turns
-- (as many, bytes); then the entries (entry_at).
-- → now ms, 1 if a doorbell is due, 1 if the log is open, then an answer per entry.
-- An entry's answer: status, id, created_at ms, … ; statuses are in api/core/accept_results.py.
function operations.accept()
  local limits = cjson.decode(ARGV[5])
  turns_most, turns_most_bytes = limits[12], limits[13]
  local call = {
    now = now_ms(), log_max_entries = limits[1], log_max_bytes = limits[2], log_max_age_ms = limits[3] * 1000,
    idempotency_seconds = limits[4], user_writes_per_minute = limits[5], user_bytes_per_minute = limits[6],
    user_backlog_entries = limits[7], user_backlog_bytes = limits[8], user_conversations_per_day = limits[9],
    user_keys_per_hour = limits[10], lease_ms = limits[11],
  }
  call.at = exact(call.now)
  call.has_quotas = call.user_writes_per_minute + call.user_bytes_per_minute + call.user_backlog_entries
    + call.user_backlog_bytes + call.user_conversations_per_day + call.user_keys_per_hour > 0
  if call.has_quotas then
    call.minute, call.hour = exact(math.floor(call.now / 60000)), exact(math.floor(call.now / 3600000))
    call.day = exact(math.floor(call.now / 86400000))
  end
  local answer = { call.at, 0, 1 }
  local entries, users, sessions = {}, {}, {}
  for i = 1, #declared do users[declared[i]] = {} end
  local at = 6
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
    if entry.session ~= '' then sessions[#sessions + 1] = entry.session end
    entries[#entries + 1] = entry
  end
  local partitions = room.read(users)
  call.revoked = room.revoked(sessions)
  for _, partition in pairs(partitions) do
    if partition.refusal then answer[3] = 0 end
  end
  local late = call.now > tonumber(ARGV[4])
  for i = 1, #entries do
    local entry = entries[i]
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
  answer[2] = room.keep(call, partitions)
  return answer
end
