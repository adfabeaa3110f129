-- What an accept call does for chat turns beside their message.

local turning = {}

-- The request that sets the lease runs the assistant. 1 or 0.
function turning.lease(call, partition, entry, id)
  local set = redis.call('SET', key(partition.number, 'turn:' .. id), entry.lease, 'NX', 'PX', call.lease_ms)
  if set and entry.streamed == '1' then
    local member = entry.user .. ':' .. entry.conversation .. ':' .. id
    redis.call('ZADD', key(partition.number, 'running'), exact(call.now + call.lease_ms), member)
  end
  return set and '1' or '0'
end

function turning.recent(partition, entry)
  return redis.call('LRANGE', key(partition.number, 'turns:' .. entry.conversation), 0, -1)
end

-- A turn that failed without a word is asked anew: who watches it now is not told how it ended before.
function turning.forget_failure(partition, id)
  local stream = key(partition.number, 'stream:' .. id)
  local last = end_of(stream, 'XREVRANGE', '+', '-')
  if last and last[2][1] == 'error' and string.sub(last[1], 1, 2) == '0-' then redis.call('DEL', stream) end
end

-- A turn's answer: reply id or '', lease taken, list known, instructions, then the recent turns.
function turning.answer(call, partition, entry, result, recent, instructions)
  local id = result[2]
  -- A turn that was accepted just now has no answer.
  local reply_id = result[1] == 'replay'
    and idempotency.reply(partition, entry.conversation, id, call.now, call.idempotency_seconds) or ''
  result[4] = reply_id
  result[5] = reply_id == '' and turning.lease(call, partition, entry, id) or '0'
  if result[1] == 'replay' and result[5] == '1' then turning.forget_failure(partition, id) end
  result[6] = #recent > 0 and '1' or '0'
  result[7] = instructions or ''
  for _, turn in ipairs(recent) do
    if turn ~= '' then result[#result + 1] = turn end
  end
  return result
end

-- Puts aside what a turn's message replaces, by an entry of its own before the message's: a script is all or
-- nothing, and the log is full at its first write or not at all. True, or nil where that failed.
function turning.cut(call, partition, entry, conversation)
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
