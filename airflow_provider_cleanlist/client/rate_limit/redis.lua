-- The rules of core.py for Redis and Valkey; same names, same order. State: one key, a packed list.
-- KEYS[1] key; ARGV[1] command: reserve | penalize | hold; ARGV[2] requests, ARGV[3] window of the caller's budget;
-- reserve: ARGV[4] priority, [5] waited, [6] max_wait, [7] moment, [8] booked (1, 0), [9] stamp of the place, or "";
-- penalize, hold: ARGV[4] seconds.
-- Returns verdict, delay, moment, booked, stamp, born, now; numbers as text, because Redis would cut them.

local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000

local requests, window = tonumber(ARGV[2]), tonumber(ARGV[3])
local margin = window * (1 / 60)
local span = window + margin
local gap = window / requests / 8
local promotion = window * 2
local NEVER = -math.huge

local born = tonumber(time[1]) * 1000000 + tonumber(time[2])
local state = {
  born = born, epoch = born, seen = NEVER, blocked_until = NEVER, last_poll = NEVER,
  poll_turn = NEVER, lowered_by = 0, lowered_at = NEVER, step = 0, grants = {},
}
local packed = redis.pcall('GET', KEYS[1])
if packed then
  local sound, fields = pcall(cmsgpack.unpack, packed)
  if sound and type(fields) == 'table' and type(fields[10]) == 'table' then
    state = {
      born = fields[1], epoch = fields[2], seen = fields[3], blocked_until = fields[4], last_poll = fields[5],
      poll_turn = fields[6], lowered_by = fields[7], lowered_at = fields[8], step = fields[9], grants = fields[10],
    }
  else -- damaged: count it as a full window
    state.blocked_until = now + span
  end
end

local function keep_past(moment)
  local grants = state.grants
  while #grants > 0 and grants[#grants] > moment do
    table.remove(grants)
  end
end

local function set_back(step)
  keep_past(state.seen)
  for i, moment in ipairs(state.grants) do
    state.grants[i] = moment + step
  end
  state.born = state.born + 1
  state.epoch = state.epoch + 1
  state.blocked_until = state.blocked_until + step
  state.last_poll = math.min(state.last_poll, state.seen) + step
  state.poll_turn = math.min(state.poll_turn, state.seen) + step
  state.lowered_at = state.lowered_at + step
end

local function bring_up_to_now()
  if now < state.seen then
    set_back(now - state.seen)
  end
  local kept = {}
  for _, moment in ipairs(state.grants) do
    if moment > now - span then
      kept[#kept + 1] = moment
    end
  end
  state.grants = kept
  local clean_since = math.max(state.lowered_at, state.blocked_until)
  if state.lowered_by > 0 and now - clean_since >= window then
    local windows = math.floor((now - clean_since) / window)
    state.lowered_by = math.max(0, state.lowered_by - windows)
    state.lowered_at = clean_since + windows * window
    state.step = 0
  end
  state.seen = now
end

local function allowed()
  return math.max(1, requests - state.lowered_by)
end

local function next_slot()
  local slot, count, limit = math.max(now, state.blocked_until), #state.grants, allowed()
  if count > 0 then
    slot = math.max(slot, state.grants[count] + gap)
  end
  if count >= limit then
    slot = math.max(slot, state.grants[count - limit + 1] + span)
  end
  return slot
end

local function hold(seconds)
  keep_past(now)
  state.epoch = state.epoch + 1
  state.blocked_until = math.max(state.blocked_until, now + seconds)
  state.last_poll = math.min(state.last_poll, now)
end

local function penalize(seconds)
  local lower = 1
  if now >= state.blocked_until then
    state.step = math.max(1, 2 * state.step)
    lower = state.step
  end
  hold(seconds)
  state.lowered_by = math.min(requests - 1, state.lowered_by + lower)
  state.lowered_at = now
end

local function book(max_wait, is_poll)
  local slot = next_slot()
  if slot - now > max_wait then
    return 'refused', slot - now
  end
  state.grants[#state.grants + 1] = slot
  if is_poll then
    state.last_poll = slot
  end
  if slot <= now then
    return 'go', 0
  end
  return 'wait', slot - now, slot, 1, state.epoch
end

local function first_after_now()
  local at = 1
  while state.grants[at] and state.grants[at] <= now do
    at = at + 1
  end
  return at
end

local function has_room()
  local grants, at, limit = state.grants, first_after_now(), allowed()
  if at > 1 and now - grants[at - 1] < gap then
    return false
  end
  table.insert(grants, at, now)
  local room = true
  for first = math.max(1, at - limit), math.min(at, #grants - limit) do
    room = room and grants[first + limit] - grants[first] >= span
  end
  table.remove(grants, at)
  return room
end

local function take_up(moment, max_wait, is_poll)
  if moment > now then
    return 'wait', moment - now, moment, 1, state.epoch
  end
  if now - moment <= margin / 2 then
    return 'go', 0
  end
  for i, grant in ipairs(state.grants) do
    if grant == moment then
      table.remove(state.grants, i)
      break
    end
  end
  if not has_room() then
    return book(max_wait, is_poll)
  end
  table.insert(state.grants, first_after_now(), now)
  return 'go', 0
end

local function reserve_poll(waited, max_wait, given)
  local slot = next_slot()
  local pace = span / allowed()
  local work_ahead = #state.grants > 0 and state.grants[#state.grants] > now
  local is_abandoned = slot <= now and state.last_poll + 3 * pace <= now
  local next_turn = is_abandoned and now or math.max(now, state.poll_turn + (work_ahead and 2 * pace or pace))
  if given and next_turn < given then
    given = nil
  end
  local turn = given or next_turn
  if turn <= now then
    if slot <= now or waited + pace >= promotion then
      if not given then
        state.poll_turn = turn
      end
      return book(max_wait, true)
    end
    if slot - now > pace then
      given, turn = nil, math.max(next_turn, math.min(slot, now + promotion - waited))
    else
      turn = slot
    end
  elseif given and slot <= now and state.last_poll + 1.5 * pace <= now then
    return book(max_wait, true)
  end
  if turn - now > max_wait then
    return 'refused', turn - now
  end
  if not given then
    state.poll_turn = turn
  end
  return 'wait', math.min(turn - now, window / 4), turn, 0, state.born
end

local function reserve(priority, waited, max_wait, moment, booked, stamp)
  if booked == '1' and stamp == state.epoch then
    return take_up(moment, max_wait, priority == 'poll')
  end
  if priority == 'poll' then
    return reserve_poll(waited, max_wait, booked == '0' and stamp == state.born and moment or nil)
  end
  return book(max_wait, false)
end

bring_up_to_now()
local verdict, delay, moment, booked, stamp = '', 0, 0, 0, 0
if ARGV[1] == 'reserve' then
  verdict, delay, moment, booked, stamp =
    reserve(ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8], tonumber(ARGV[9]))
elseif ARGV[1] == 'penalize' then
  penalize(tonumber(ARGV[4]))
else
  hold(tonumber(ARGV[4]))
end

local relevant = math.max(now, state.blocked_until, state.grants[#state.grants] or NEVER, state.poll_turn)
redis.call('SET', KEYS[1], cmsgpack.pack({
  state.born, state.epoch, state.seen, state.blocked_until, state.last_poll,
  state.poll_turn, state.lowered_by, state.lowered_at, state.step, state.grants,
}), 'PX', math.ceil((relevant - now + span + state.lowered_by * window) * 1000))

local function text(number)
  return string.format('%.17g', number or 0)
end
return {verdict, text(delay), text(moment), text(booked), text(stamp), text(state.born), text(now)}
