-- What models took for users: counted here so that every process knows it before it asks a model.

local DAY_MS = 86400000
-- Beyond any day's; it keeps numbers exact.
local TOKENS_MOST = 1000000000000000

-- Tokens of a user's answers today, in UTC by this server's clock. The call is for the user's home partition.
-- ARGV: user, how many more → how many by now, and seconds until the day ends
function operations.tokens()
  local now, more = now_ms(), number_argument(5)
  local day = math.floor(now / DAY_MS)
  local name = key(declared[1], 'tokens:' .. ARGV[4])
  local of_day, known = string.match(redis.call('GET', name) or '', '^(%d+) (%d+)$')
  local spent = math.min((tonumber(of_day) == day and tonumber(known) or 0) + more, TOKENS_MOST)
  if more > 0 then
    redis.call('SET', name, exact(day) .. ' ' .. exact(spent), 'EX', '86400')
  end
  return { spent, math.ceil(((day + 1) * DAY_MS - now) / 1000) }
end
