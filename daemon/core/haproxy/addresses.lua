-- Keeps the last known addresses of the servers that are given by name in a file, for the next start: HAProxy reads it
-- (server-state-file) where libc does not find a name, because DNS is down just then. And keeps using the address that
-- passed its check last (NAME-known) while none that DNS has now does: DNS may say what is of no use.
local BACKEND = "kube-apiserver"
local LOOK_MS = 100
local FILE = os.getenv("APILB_ADDRESSES")

-- "NAME", "NAME-2" or "NAME-known" -> address; also of names that this config does not have: another one may be put back.
local known = {}

-- A server as `show servers state` has it (Management Guide 9.3): running, not checked yet, and for so long that slowstart
-- is over. Only the address counts.
local LINE = "1 " .. BACKEND .. " 1 %s %s 2 0 1 1 11 1 0 0 0 0 0 0 - %s -\n"

local function read()
	local file = io.open(FILE)
	if not file then
		return
	end
	-- lines() would raise an error if reading fails, and HAProxy not start for the sake of a file that it can do without.
	for line in (file:read("a") or ""):gmatch("[^\n]+") do
		local name, address, port = line:match("^%d+ %S+ %d+ (%S+) (%S+) .* (%d+) %-$")
		if name then
			known[name] = address .. ":" .. port
		end
	end
	file:close()
end

local function text()
	local names = {}
	for name in pairs(known) do
		names[#names + 1] = name
	end
	table.sort(names)
	local lines = { "1\n" }
	for _, name in ipairs(names) do
		lines[#lines + 1] = LINE:format(name, known[name]:match("^%[?(.-)%]?:(%d+)$"))
	end
	return table.concat(lines)
end

-- Whole or not at all: who reads it may come at any time. False: it could not be written.
local function write()
	local new = FILE .. ".new"
	local file = io.open(new, "w")
	if not file then
		return false
	end
	local written = file:write(text())
	return file:close() and written and os.rename(new, FILE)
end

local function address_of(server)
	local address = server:get_addr()
	return address:match("^%[?.-%]?:%d+$") and address
end

-- Of whatever check extraConfig has put in place of ours: L4OK, L6OK, PROCOK. But not L7OKC, a conditional success.
local function passes(server)
	local stats = server:get_stats()
	return stats["status"]:sub(1, 2) == "UP" and (stats["check_status"] or ""):match("OK$")
end

-- One name: its lines as DNS moves them, and the one (spare) that only this moves.
local function name_of(servers, name, spare)
	local lines = {}
	for _, suffix in ipairs({ "", "-2", "-3" }) do
		lines[name .. suffix] = { server = servers[name .. suffix], weight = "100%" }
	end
	return {
		lines = lines,
		first = lines[name],
		spare_name = name .. "-known",
		spare = { server = spare, weight = "100%" },
	}
end

local function names()
	local servers, found = core.backends[BACKEND].servers, {}
	for line, server in pairs(servers) do
		local name = line:match("^(.*:%d+)%-known$")
		if name then
			found[#found + 1] = name_of(servers, name, server)
		end
	end
	return found
end

local function weigh(line, weight)
	if line.weight ~= weight then
		line.weight = weight
		line.server:set_weight(weight)
	end
end

local function is_known(name, address)
	for line in pairs(name.lines) do
		if line:match("%-%d$") and known[line] == address then
			return true
		end
	end
	return known[name.spare_name] == address
end

-- HAProxy counts a server as up when it starts, when it gets its first address, and when it is moved. What nobody has
-- seen pass a check has to do that before it gets connections, if there is something better. True: it has.
local function judge(name, line)
	local address, better = address_of(line.server), known[name.spare_name]
	local trusted = not better or address and is_known(name, address)
	if address and address ~= line.address and not trusted then
		line.server:check_force_down()
	end
	line.address = address
	local passing = address and passes(line.server)
	weigh(line, (trusted or passing) and "100%" or "0%")
	return passing
end

-- Of a name's further addresses there may be fewer than there were. One that has not passed its check is kept for a
-- name that has none which did.
local function note(name, key, line, passing)
	local before = known[key]
	local further = key:match("%-%d$")
	if passing or line.address and not further and not known[name.spare_name] then
		known[key] = line.address
	elseif further and not line.address then
		known[key] = nil
	end
	return known[key] ~= before
end

-- An idle one costs no checks, and is up as soon as it is used.
local function use(name, used)
	if used == name.used then
		return
	end
	name.used = used
	weigh(name.spare, used and "100%" or "0%")
	if used then
		name.spare.server:check_enable()
	else
		name.spare.server:check_disable()
		name.spare.server:check_force_up()
	end
end

-- True: what is known has changed.
local function look(name)
	local before = known[name.spare_name]
	local best, same, changed
	for key, line in pairs(name.lines) do
		local passing = judge(name, line)
		if passing and (not best or line.address == before) then
			best = line.address
		end
		same = same or line.address == before
		changed = note(name, key, line, passing) or changed
	end
	-- Nothing has passed a check yet: what libc found is all there is, until DNS's word has passed one.
	if not before and not best then
		best = name.first.address
	end
	if best and best ~= before then
		known[name.spare_name] = best
		name.spare.server:set_addr(best:match("^%[?(.-)%]?:%d+$"))
		changed = true
	end
	use(name, before and not best and not same or false)
	return changed
end

local all = {}

core.register_init(function()
	if not FILE then
		return
	end
	read()
	all = names()
	for _, name in ipairs(all) do
		look(name)
	end
end)

core.register_task(function()
	-- What only tries a config out keeps nothing.
	if not FILE or not core.proxies["clients"] then
		return
	end
	local changed = true
	-- A worker that a reload has left behind looks up no names any more: the file is its successor's.
	while core.get_info()["Stopping"] == 0 do
		for _, name in ipairs(all) do
			changed = look(name) or changed
		end
		if changed then
			changed = not write()
		end
		core.msleep(LOOK_MS)
	end
end)
