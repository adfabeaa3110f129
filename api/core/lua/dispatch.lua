-- The call itself. A log may belong to another database than the caller's: a Redis that was restored or
-- mistaken for another. Ids mean something else there, so a call that names its database is refused;
-- `accept` and `adopt` look at each partition themselves.

if ARGV[1] ~= 'accept' and ARGV[3] ~= '' then
  local owner = redis.call('GET', key(declared[1], 'database'))
  if owner and owner ~= ARGV[3] then return another_database() end
end
return operations[ARGV[1]]()
