-- The ids that writers give to conversations and messages.

local external_ids = {}

-- Where the message of an external id is (`Whereabouts` in api/core/accept_requests.py): gone, or put aside.
local NOWHERE, ASIDE = 0, 2

-- Whether the message that had an external id is gone, or aside while the new one has another text.
local function is_free(external, is_same)
  return external.where == NOWHERE or external.where == ASIDE and not is_same
end

-- nil, or 'replay' and the id and time of the entry that added these messages before, or 'taken' and the
-- place of one whose external id another message has. Of what was added before the last rewrite PostgreSQL
-- must say where it is: 'look', as in checks.of_entry. A batch of which a part is there was added.
function external_ids.replay(call, partition, entry, conversation)
  local found, first, created_at, gone = 0, nil, nil, {}
  for _, external in ipairs(entry.externals) do
    local id, at, same = idempotency.find(partition, external.name, call.now, call.idempotency_seconds)
    local is_before = id and id <= math.max(conversation.rewritten or 0, conversation.since)
    if is_before and checks.has_changed(entry, conversation) then
      return checks.look(entry, conversation)
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

-- What an open is told of its external id: nil (it is free), or 'unnamed' (PostgreSQL must be asked), or
-- 'exists' and the conversation that has it. `vacant` is the conversation that PostgreSQL knows to be gone,
-- or 0 where it knows of none.
function external_ids.taken(entry)
  local known = redis.call('GET', external_key(entry.user, entry.external))
  if not known then return entry.vacant == '' and 'unnamed' or nil end
  if string.sub(known, 1, 1) == '-' or known == entry.vacant then return nil end
  return 'exists', known
end

-- An open takes its external id, and deleting frees it at once.
function external_ids.remember(entry, digest)
  local name = external_key(entry.user, digest)
  if not name then return end
  if entry.op == 'open' then
    redis.call('SET', name, entry.conversation)
  else
    local known = redis.call('GET', name)
    if not known or known == entry.conversation then redis.call('SET', name, '-' .. entry.conversation) end
  end
end
