-- What the log remembers of a conversation: whose it is, its state, its recent turns.

local conversations = {}

-- Whether an entry makes a conversation.
local function is_new(entry) return entry.op == 'open' or entry.op == 'fork' end

-- How many recent turns are kept, and bytes of them: what the accept call says.
local turns_most, turns_most_bytes

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
    last, pending = exact(partition.tail), backlogs.newest_in(partition)
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

-- Keeps the newest turns: as many, and as many bytes, as the accept call says. The bytes are added up
-- when a long one comes (the others need not be looked at), so short ones may follow up to twice the
-- bytes. With one that is longer than all the bytes the list is given up: the next turn loads what it
-- needs from PostgreSQL.
function conversations.bound_turns(turns, length, newest)
  local most, most_bytes = turns_most, turns_most_bytes
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
      local fits = bytes <= 2 * turns_most_bytes
      if fits and redis.call('EXISTS', turns) == 0 then redis.call('RPUSH', turns, '', unpack(entry.loaded)) end
    end
    if entry.op == 'adds' then
      for _, line in ipairs(further.lines_of(entry, id)) do append_turn(turns, line[1], line[2]) end
    elseif is_of_chat(entry.role) then
      append_turn(turns, id .. ':' .. entry.role .. ':' .. entry.data, #entry.data)
    end
  end
end

function conversations.remember(partition, entry, id)
  local name = prefixes[partition.number] .. 'conv:' .. entry.conversation
  if entry.op == 'add' and not entry.fresh then
    redis.call('HSET', name, 'last', id, 'last_add', id)
  else
    redis.call('HSET', name, 'last', id, unpack(further.fields_of(entry, id)))
    local digest = entry.external
    if digest == '' and entry.op == 'delete' then digest = redis.call('HGET', name, 'external') or '' end
    if digest ~= '' and (entry.op == 'open' or entry.op == 'delete') then
      external_ids.remember(entry, digest)
    end
  end
  redis.call('PERSIST', name)
end
