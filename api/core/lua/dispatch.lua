-- The call itself. A log may belong to another database than the caller's: a Redis that was restored or
-- mistaken for another. Ids mean something else there, so a call that names its database is refused.

local owner, tail = unpack(redis.call('MGET', key('database'), key('tail:0')))
local is_another = owner and ARGV[3] ~= '' and owner ~= ARGV[3]
if is_another and ARGV[1] ~= 'accept' then
  return redis.error_reply('WRONGDATABASE the log on this Redis belongs to another database')
end
return operations[ARGV[1]](owner, tail)
