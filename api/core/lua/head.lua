-- The log: every operation on it, each in a script, so that it is atomic. api/core/log_scripts.py joins the
-- files of this folder into a few scripts, this file first in each: Redis makes every function of a script anew
-- in each call, so a script holds no more than what is called together, and parts of it are made when asked for
-- (parts.lua).
--
-- KEYS: what the keys of each partition that the call is for begin with (api/core/log_keys.py): a hash
-- tag, so that a partition lies whole on one server of a cluster. No other keys are touched.
-- ARGV[1] operation   ARGV[2] the numbers of these partitions, in the order of KEYS, joined by blanks
-- ARGV[3] id of the caller's database, '' if it knows none
-- ARGV[4…] what the operation takes, as said above it
-- Nothing newer than Redis 6.2 is used, and nothing that fakeredis lacks.
--
-- key (all start with "{<namespace>:…}:")      type    meaning, each of one partition
-- database                                     string  id of the database this log belongs to
-- log                                          stream  entries not known to be in PostgreSQL, oldest first; before
--                                                      them those that were committed of late (kept.lua);
--                                                      never deleted, only trimmed. Entry id: "<id>-0", fields
--                                                      h "<version> <op> <user> <conversation> <role> <status> <at ms>
--                                                      <running total of bytes> <form of d>", and d (entries.py);
--                                                      then t, the W3C traceparent of a request that is traced
-- committed                                    string  "<id> <entries> <last ms> <first ms>": up to which id all is
--                                                      known to be in PostgreSQL, how many entries of that are
--                                                      kept, and by when the last and the first of them had
--                                                      been committed (0 without any)
-- kept                                         list    "<ms> <id>", oldest first: by this ms all up to the id had been
--                                                      committed. Those of the last ms are not in it
-- tail                                         integer the partition's last id
-- accepted                                     integer entries ever accepted, for the audit
-- room                                         string  what accept last found in the log, so that it need not look
--                                                      again for a minute (room.lua)
-- went_back                                    integer ms at which the log was found to lack what PostgreSQL has had
--                                                      of it; gone once an operator acknowledged it
-- conv:<conversation>                          hash    owner, deleted, closed, last (its last entry's id), external
--                                                      (the digest of its external id, if it has one),
--                                                      last_add (its last message), rewritten (the last entry that
--                                                      cut, edited or moved messages), since (up to which id what may
--                                                      have done so was forgotten), instructions (what its assistant is
--                                                      told, if anything);
--                                                      no TTL while entries of it are in the log, then 7 days
-- ext:<user>:<digest of an external id>        string  the conversation of that id, or "-<conversation>" where it was
--                                                      deleted and the id is free again; in the user's home
--                                                      partition. TTL as that conversation's
-- turns:<conversation>                         list    "" (a sentinel), then "<id>:<role>:<content>", or
--                                                      "<id>:<role> <asset> …:<content>", as many as settings
--                                                      say; a list that exists is complete. TTL 1 h
-- idem:<number of buckets>:<bucket>            hash    what requests with a key made (idempotency.lua); TTL a setting
-- idems                                        string  into how many buckets they are spread, and were of late
-- turn:<id>                                    string  who runs the assistant for this turn; TTL 10 s
-- stream:<turn id>                             stream  what a running turn has said: entry "<code points so far>-0"
--                                                      {delta, text} or {part, …}; then {stop}, {end, …} or
--                                                      {error, …}; TTL 10 min from then on
-- running                                      zset    "<user>:<conversation>:<turn id>" of streamed turns, by the
--                                                      ms at which their lease ends
-- gone:<user>                                  string  the account was deleted, or is being so; TTL. In every
--                                                      partition: a user may have conversations in any
-- spent:<user>                                 string  "<minute> <entries> <bytes> <hour> <keys> <day> <opens>": what
--                                                      a user was accepted in the running minute, hour and day.
--                                                      TTL 1 day
-- tokens:<user>                                string  "<day> <tokens>": what models took for a user that day, where
--                                                      USER_TOKENS_PER_DAY limits it; in the home partition. TTL 1 day
-- held                                         hash    "<user>:all": a user's entries that are not committed, times
--                                                      HELD_ENTRY, and the bytes of their text; gone whenever all
--                                                      entries are
-- revoked                                      zset    "<user>:<session>" of sessions that ended while an access
--                                                      token of theirs may live, by the ms at which it no longer can;
--                                                      "<user>:<key>" of API keys, for a day; in every partition
-- replicated                                   string  written where replicas are waited for, by accept and drain:
--                                                      WAIT needs a write (accept_connection.py, log_drain.py)
-- bell                                         string  a drain was rung for or is awake; TTL 3 s
-- helper                                       string  a second drain was rung for; TTL 5 s. In partition 0 only, as:
-- audited                                      string  the books are audited, or were of late; TTL 30 s
-- unbalanced                                   string  how many partitions did not balance then
-- retention                                    string  old conversations are looked for, or were of late; TTL 1 h
-- orphans                                      string  assets that no message names are looked for, or were of late;
--                                                      TTL 1 h
-- undone                                       string  a drain ended though deleted messages or words for search are left to it
-- workers                                      zset    workers that are there, by the ms at which they last said so;
--                                                      TTL 1 min
-- drain:started                                integer drains that ever started
-- drain:counts                                 hash    what drains counted (api/core/metrics.py names the fields)

-- Of the entries that are written. Version 1 had a stream field for each part of its head.
local VERSION = '2'
local PARTITIONS = 16
local EPOCH_MS = 1735689600000 -- 2025-01-01T00:00Z
local BELL_MS = 3000
local HELPER_MS = 5000
local RETENTION_SECONDS = 3600
-- A worker that has not said for so long that it is there is not.
local WORKER_SECONDS = 15
local CONVERSATION_SECONDS = 7 * 24 * 3600
local TURNS_SECONDS = 3600
-- What an external id was is kept this long after PostgreSQL has it, however short memory is: a request
-- that asks PostgreSQL for one that the log did not know comes back sooner.
local EXTERNAL_LEAST_SECONDS = 60
-- Enough to pass over a run of small entries quickly, too few for large ones to fill the memory.
local READ_CHUNK = 16
local STREAM_SECONDS = 600
-- In `held`. More bytes than one user ever has in the log.
local HELD, HELD_ENTRY = ':all', 68719476736
-- Buckets of a partition (idempotency.lua). A bucket stays one string up to 512 records (Redis' default,
-- hash-max-listpack-entries); it is looked through as a whole.
local BUCKETS_FEWEST = 16
local BUCKETS_GROWTH = 4
local BUCKETS_MOST = 65536
local BUCKET_FULL = 100
local BUCKET_PRUNED_FROM = 24
-- More fell together on purpose: to look through them takes too long, they end with the bucket's TTL.
local BUCKET_PRUNED_TO = 1000

-- What a caller may ask for, by name; each file adds its own.
local operations = {}

-- The numbers of the partitions that the call is for, and what their keys begin with.
local declared, prefixes = {}, {}
for number in string.gmatch(ARGV[2], '%d+') do
  declared[#declared + 1] = tonumber(number)
  prefixes[tonumber(number)] = KEYS[#declared] .. ':'
end

local function key(partition, name) return prefixes[partition] .. name end

-- The partition of a conversation, and of everything in it.
local function partition_of(id) return tonumber(id) % PARTITIONS end

-- Lua 5.1 prints a large number as 2.44e+14; ids and times must come out digit by digit. '%.0f' takes five
-- times as long; `adopt` refuses a Redis where '%d' has 32 bits.
local function exact(number) return string.format('%d', number) end

local function now_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local function first_at(ms, partition) return math.max(ms - EPOCH_MS, 0) * 4096 + partition end

-- nil where the call is not for the user's home partition: on a cluster each call is for one partition. A
-- conversation elsewhere is older than external ids, so it has none.
local function external_key(user, digest)
  -- The home partition of a user: of the last digits, since an id may have more than a number holds.
  local prefix = prefixes[tonumber(string.sub(user, -4)) % PARTITIONS]
  return prefix and prefix .. 'ext:' .. user .. ':' .. digest
end

local function another_database()
  return redis.error_reply('WRONGDATABASE the log on this Redis belongs to another database')
end

local function number_argument(index) return assert(tonumber(ARGV[index])) end
