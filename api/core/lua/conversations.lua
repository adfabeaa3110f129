-- What the log remembers of a conversation: whose it is, its state, its recent turns.

local conversations = {}

-- Whether an entry makes a conversation.
local function is_new(entry) return entry.op == 'open' or entry.op == 'fork' end

-- The newest entry in a partition's log, '0' for none.
local function newest_in(partition)
  local newest = end_of(key(partition.number, 'log'), 'XREVRANGE', '+', '-')
  return newest and exact(number_of(newest[1])) or '0'
end

local REWRITES = { truncate = true, remove = true, put = true, switch = true }

-- The refusal, or nil and what is known of the conversation.
-- `last`: no entry of the conversation has a higher id. `pending`: PostgreSQL has all of them that are
-- not newer than this call, once it has reached this id. `last_add`: its last message, nil where only
-- PostgreSQL knows. `rewritten`: the last entry that rewrote messages, nil where PostgreSQL has it. `since`:
-- what may have rewritten messages up to this id was forgotten.
function conversations.look_up(partition, entry)
  local name = prefixes[partition.number] .. 'conv:' .. entry.conversation
  local owner, deleted, closed, last, last_add, rewritten, since, instructions
  if entry.is_plain then
    owner, deleted, closed, last = unpack(redis.call('HMGET', name, 'owner', 'deleted', 'closed', 'last'))
  else
    owner, deleted, closed, last, last_add, rewritten, since, instructions = unpack(redis.call('HMGET', name,
      'owner', 'deleted', 'closed', 'last', 'last_add', 'rewritten', 'since', 'instructions'))
  end
  local pending = last
  if not owner then
    if entry.state == '' then return 'unknown' end
    -- Its last entry is forgotten too. It may be any that the partition ever gave out, also one that
    -- was trimmed a moment ago; what is still to reach PostgreSQL ends with the newest in the log.
    owner, deleted, closed = entry.user, entry.state == 'deleted', entry.state == 'closed'
    last, pending = exact(partition.tail), newest_in(partition)
    since, instructions = last, entry.instructions
    entry.fresh = true
  end
  if owner ~= entry.user then return 'foreign' end
  if deleted and entry.op ~= 'delete' then return 'deleted' end
  local adds = entry.op == 'add' or entry.op == 'adds'
  if closed and adds and entry.scope ~= 'reply' then return 'conversation_closed' end
  return nil, {
    last = tonumber(last or '0'), pending = pending or '0', last_add = tonumber(last_add or ''),
    rewritten = tonumber(rewritten or ''), since = tonumber(since or '0'), instructions = instructions,
  }
end

-- Whether PostgreSQL must be asked about the messages. What it said holds if nothing has rewritten them since,
-- and, where the last one is to be replaced, if none was added.
function conversations.has_changed(entry, conversation)
  local rewritten = conversation.rewritten
  if not entry.rewritten or rewritten and rewritten ~= entry.rewritten then return true end
  return entry.replaces and entry.last_message
    and (conversation.last_add or 0) > math.max(entry.last_message, entry.last_as_of)
end

-- What PostgreSQL is asked: 'look', up to which id messages may have been rewritten, and what is pending.
function conversations.look(entry, conversation)
  local forgotten = entry.fresh and conversation.pending or exact(conversation.since)
  return 'look', conversation.rewritten and exact(conversation.rewritten) or forgotten, conversation.pending
end

-- nil, or what must be asked or is refused before this entry is accepted, with ids.
function conversations.check(partition, entry, conversation)
  if not entry.is_checked then return nil end
  if entry.if_last then
    local last = conversation.last_add
    if not last and entry.last_message and (entry.fresh or conversation.last <= entry.last_as_of) then
      last = entry.last_message
    end
    if not last then return 'ask_last', conversation.pending, exact(conversation.last) end
    if last ~= entry.if_last then return 'appended' end
  end
  if not REWRITES[entry.op] and not entry.replaces then return nil end
  if conversations.has_changed(entry, conversation) then return conversations.look(entry, conversation) end
end

-- What a fork is told of the conversation that it copies: nil, or what must be asked before it is accepted, with
-- ids, or the refusal. PostgreSQL is asked whether there is what is to be copied, once it has all of it that
-- was accepted, and again where messages were rewritten since. The copy's assistant is told what its is.
function conversations.check_source(partition, entry)
  local owner, deleted, last, rewritten, instructions = unpack(redis.call('HMGET',
    key(partition.number, 'conv:' .. entry.conversation), 'owner', 'deleted', 'last', 'rewritten', 'instructions'))
  if owner and owner ~= entry.user then return 'foreign' end
  if deleted then return 'deleted' end
  if not entry.rewritten or rewritten and tonumber(rewritten) ~= entry.rewritten then
    return 'look', rewritten or '0', owner and last or newest_in(partition)
  end
  if owner then entry.instructions = instructions end
end

-- Keeps the newest turns: as many, and as many bytes, as the accept call says. The bytes are added up
-- when a long one comes (the others need not be looked at), so short ones may follow up to twice the
-- bytes. With one that is longer than all the bytes the list is given up: the next turn loads what it
-- needs from PostgreSQL.
function conversations.bound_turns(turns, length, newest)
  local most, most_bytes = conversations.turns_most, conversations.turns_most_bytes
  if newest > most_bytes then
    redis.call('DEL', turns)
    return
  end
  if length > most then redis.call('LTRIM', turns, -most, -1) end
  if newest <= most_bytes / most then return end
  local kept, bytes = redis.call('LRANGE', turns, 0, -1), 0
  for i = #kept, 1, -1 do
    bytes = bytes + #kept[i]
    if bytes > most_bytes then
      redis.call('LTRIM', turns, i - #kept, -1)
      return
    end
  end
end

-- Adds a line to the recent turns, if there is a list of them.
local function append_turn(turns, line, bytes)
  local length = redis.call('RPUSHX', turns, line)
  if length == 0 then return end
  redis.call('PERSIST', turns)
  conversations.bound_turns(turns, length, bytes)
end

local function is_of_chat(role) return role == 'user' or role == 'assistant' end

-- What a batch adds to the recent turns, {line, bytes of its text}…: what the assistant takes.
local function lines_of(entry, id)
  local lines, first = {}, tonumber(id) - PARTITIONS * (entry.count - 1)
  for place, message in ipairs(cjson.decode(entry.data)) do
    if is_of_chat(message.role) then
      local message_id = exact(first + PARTITIONS * (place - 1))
      lines[#lines + 1] = { message_id .. ':' .. message.role .. ':' .. message.content, #message.content }
    end
  end
  return lines
end

-- A list that exists is complete, so it is made only from turns that were loaded up to an id which
-- nothing of this conversation is newer than, and appended to only where it exists (RPUSHX).
function conversations.remember_turn(partition, entry, conversation, id)
  local turns = prefixes[partition.number] .. 'turns:' .. entry.conversation
  if entry.op == 'open' then
    redis.call('RPUSH', turns, '')
  elseif entry.op == 'delete' or REWRITES[entry.op] then
    -- The next turn loads them from PostgreSQL, as they are by then.
    redis.call('DEL', turns)
  elseif entry.op == 'add' or entry.op == 'adds' then
    local as_of, bytes = tonumber(entry.as_of), 0
    if as_of and conversation.last <= as_of then
      for _, turn in ipairs(entry.loaded) do bytes = bytes + #turn end
      local fits = bytes <= 2 * conversations.turns_most_bytes
      if fits and redis.call('EXISTS', turns) == 0 then redis.call('RPUSH', turns, '', unpack(entry.loaded)) end
    end
    if entry.op == 'adds' then
      for _, line in ipairs(lines_of(entry, id)) do append_turn(turns, line[1], line[2]) end
    elseif is_of_chat(entry.role) then
      append_turn(turns, id .. ':' .. entry.role .. ':' .. entry.data, #entry.data)
    end
  end
end

-- What an open is told of its external id: nil (it is free), or 'unnamed' (PostgreSQL must be asked), or
-- 'exists' and the conversation that has it. `vacant` is the conversation that PostgreSQL knows to be gone,
-- or 0 where it knows of none.
function conversations.taken(entry)
  local known = redis.call('GET', external_key(entry.user, entry.external))
  if not known then return entry.vacant == '' and 'unnamed' or nil end
  if string.sub(known, 1, 1) == '-' or known == entry.vacant then return nil end
  return 'exists', known
end

-- An open takes its external id, and deleting frees it at once.
function conversations.remember_external(entry, digest)
  local name = external_key(entry.user, digest)
  if not name then return end
  if entry.op == 'open' then
    redis.call('SET', name, entry.conversation)
  else
    local known = redis.call('GET', name)
    if not known or known == entry.conversation then redis.call('SET', name, '-' .. entry.conversation) end
  end
end

-- What else an entry says of its conversation, beside its own id: names and values in turn.
local function fields_of(entry, id)
  local fields = {}
  local function set(name, value) fields[#fields + 1] = name; fields[#fields + 1] = value end
  if is_new(entry) or entry.fresh then set('owner', entry.user) end
  if entry.fresh then set('since', id) end
  if entry.op == 'open' then set('last_add', '0') end
  if entry.op == 'add' or entry.op == 'adds' or entry.op == 'fork' then set('last_add', id) end
  if REWRITES[entry.op] then
    set('rewritten', id)
    if entry.last_after then set('last_add', exact(entry.last_after)) end
  end
  if entry.op == 'delete' or entry.state == 'deleted' and entry.fresh then set('deleted', '1') end
  if entry.op == 'close' or entry.state == 'closed' and entry.fresh then set('closed', '1') end
  if entry.instructions and (is_new(entry) or entry.op == 'set' or entry.fresh) then
    set('instructions', entry.instructions)
  end
  if entry.external ~= '' and (entry.op == 'open' or entry.fresh) then set('external', entry.external) end
  return fields
end

function conversations.remember(partition, entry, id)
  local name = prefixes[partition.number] .. 'conv:' .. entry.conversation
  if entry.op == 'add' and not entry.fresh then
    redis.call('HSET', name, 'last', id, 'last_add', id)
  else
    redis.call('HSET', name, 'last', id, unpack(fields_of(entry, id)))
    local digest = entry.external
    if digest == '' and entry.op == 'delete' then digest = redis.call('HGET', name, 'external') or '' end
    if digest ~= '' and (entry.op == 'open' or entry.op == 'delete') then
      conversations.remember_external(entry, digest)
    end
  end
  redis.call('PERSIST', name)
end
