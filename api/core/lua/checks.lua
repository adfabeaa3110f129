-- What must be asked, or is refused, before an entry is accepted that says what it expects.

local checks = {}

-- Whether PostgreSQL must be asked about the messages. What it said holds if nothing has rewritten them since,
-- and, where the last one is to be replaced, if none was added.
function checks.has_changed(entry, conversation)
  local rewritten = conversation.rewritten
  if not entry.rewritten or rewritten and rewritten ~= entry.rewritten then return true end
  return entry.replaces and entry.last_message
    and (conversation.last_add or 0) > math.max(entry.last_message, entry.last_as_of)
end

-- What PostgreSQL is asked: 'look', up to which id messages may have been rewritten, and what is pending.
function checks.look(entry, conversation)
  local forgotten = entry.fresh and conversation.pending or exact(conversation.since)
  return 'look', conversation.rewritten and exact(conversation.rewritten) or forgotten, conversation.pending
end

-- nil, or what must be asked or is refused before this entry is accepted, with ids.
function checks.of_entry(partition, entry, conversation)
  if entry.if_last then
    local last = conversation.last_add
    if not last and entry.last_message and (entry.fresh or conversation.last <= entry.last_as_of) then
      last = entry.last_message
    end
    if not last then return 'ask_last', conversation.pending, exact(conversation.last) end
    if last ~= entry.if_last then return 'appended' end
  end
  if not REWRITES[entry.op] and not entry.replaces then return nil end
  if checks.has_changed(entry, conversation) then return checks.look(entry, conversation) end
end

-- What a fork is told of the conversation that it copies: nil, or what must be asked before it is accepted, with
-- ids, or the refusal. PostgreSQL is asked whether there is what is to be copied, once it has all of it that
-- was accepted, and again where messages were rewritten since. The copy's assistant is told what its is.
function checks.of_source(partition, entry)
  local owner, deleted, last, rewritten, instructions = unpack(redis.call('HMGET',
    key(partition.number, 'conv:' .. entry.conversation), 'owner', 'deleted', 'last', 'rewritten', 'instructions'))
  if owner and owner ~= entry.user then return 'foreign' end
  if deleted then return 'deleted' end
  if not entry.rewritten or rewritten and tonumber(rewritten) ~= entry.rewritten then
    return 'look', rewritten or '0', owner and last or backlogs.newest_in(partition)
  end
  if owner then entry.instructions = instructions end
end
