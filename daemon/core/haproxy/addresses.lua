-- Keeps in a file the last known addresses of servers that are given by name. When HAProxy starts and libc does not
-- find a name, such as while DNS is down, HAProxy takes the address from that file (server-state-file). While no
-- address that DNS now gives passes its check, this script also keeps in use the address that passed last
-- (NAME-known).
local BACKEND = "kube-apiserver"
local LOOK_MS = 100
local FILE = os.getenv("APILB_ADDRESSES")

-- "NAME", "NAME-2" or "NAME-known" -> address. Names that this config does not have are kept as well: the config that
-- has them may be put back.
local known = {}

-- A server in the format of `show servers state` (Management Guide 9.3): running, not checked yet, and up for so long
-- that slowstart is over. Only the address matters.
local LINE = "1 " .. BACKEND .. " 1 %s %s 2 0 1 1 11 1 0 0 0 0 0 0 - %s -\n"

local function read()
	local file = io.open(FILE)
	if not file then
		return
	end
	-- lines() would raise an error if reading fails, and HAProxy would not start because of a file that it can do
	-- without.
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

-- Writes the file whole or not at all: HAProxy may read it at any time. False: that failed.
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

-- Whether the server passes its check, also one that extraConfig has put in place of ours: L4OK, L6OK, PROCOK. L7OKC,
-- a conditional success, is not enough.
local function passes(server)
	local stats = server:get_stats()
	return stats["status"]:sub(1, 2) == "UP" and (stats["check_status"] or ""):match("OK$")
end

-- One name: its server lines, whose addresses DNS sets, and its spare line (NAME-known), whose address only this
-- script sets.
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

-- HAProxy counts a server as up when it starts, gets its first address, or is given another one. If a better address
-- is known, an address that has never passed a check must pass one before it gets connections. Returns whether the
-- line passes its check.
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

-- Remembers the address of a line. An address that has not passed its check is remembered only for a name that has
-- none which did. Further addresses (NAME-2) are forgotten when DNS has fewer of them. Returns whether anything has
-- changed.
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

-- Puts the spare line into use, or out of use: then it costs no checks, and is up as soon as it is needed.
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

-- Returns whether any known address has changed.
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
	-- No address has passed a check yet: use the one that libc found until one does.
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
	-- A rehearsal of a config, which has no frontend, writes no file.
	if not FILE or not core.proxies["clients"] then
		return
	end
	local changed = true
	-- A worker that drains after a reload resolves no names any more: the file belongs to the new worker.
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
